"""The user's audio: the buffer, turn detection, transcripts and barge-in."""

import base64

import pytest

MANUAL = {"input": {"turn_detection": None}}
TRANSCRIBED = {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}
PREFIX = "input_audio_buffer."
TRANSCRIPTION = "conversation.item.input_audio_transcription."


def kinds(events):
    return [event["type"] for event in events]


def of(events, kind):
    return [event for event in events if event["type"] == kind]


def code(events):
    (error,) = of(events, "error")
    return error["error"]["code"]


def detect(machine, **fields):
    fields = {"type": "server_vad", **fields}
    machine.update(audio={"input": {"turn_detection": fields}})


# Server VAD.


def test_a_spoken_turn_is_detected_committed_and_answered(machine, sound):
    machine.update(audio=TRANSCRIBED)
    events = machine.hear(sound.silence(1000), sound.tone(1800), sound.silence(500))
    user = events[0]["item_id"]

    assert kinds(events)[:6] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert {event["item_id"] for event in events[:3]} == {user}
    assert events[3]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert of(events, f"{TRANSCRIPTION}completed")[0]["item_id"] == user
    assert "(speech, 2.3 seconds)" in machine.answer


def test_times_count_appended_audio(machine, sound):
    machine.hear(sound.silence(5000))
    events = machine.hear(sound.tone(1000), sound.silence(1000))

    assert of(events, f"{PREFIX}speech_started")[0]["audio_start_ms"] == 5000 - 300
    assert of(events, f"{PREFIX}speech_stopped")[0]["audio_end_ms"] == 6000 + 200


def test_a_turn_ends_with_appended_silence_only(machine, sound):
    events = machine.hear(sound.tone(1000))

    assert kinds(events) == [f"{PREFIX}speech_started"]


def test_silence_duration_and_padding_are_obeyed(machine, sound):
    detect(machine, silence_duration_ms=700, prefix_padding_ms=100)
    short = machine.hear(sound.silence(1000), sound.tone(500), sound.silence(600), sound.tone(500))
    end = machine.hear(sound.silence(800))

    assert kinds(short) == [f"{PREFIX}speech_started"]
    assert short[0]["audio_start_ms"] == 900
    assert end[0]["audio_end_ms"] == 1000 + 500 + 600 + 500 + 700


def test_the_threshold_is_obeyed(machine, sound):
    quiet = sound.tone(1000, level=900)
    assert machine.hear(quiet, sound.silence(1000))

    detect(machine, threshold=0.9)
    assert not machine.hear(quiet, sound.silence(1000))


def test_a_click_is_no_speech(machine, sound):
    assert not machine.hear(sound.silence(500), sound.tone(20), sound.silence(500))


def test_speech_in_one_large_append_gives_every_turn(machine, sound):
    detect(machine, create_response=False)
    whole = (sound.tone(600) + sound.silence(600)) * 2
    events = machine.send("input_audio_buffer.append", audio=base64.b64encode(whole).decode())

    assert kinds(events).count(f"{PREFIX}committed") == 2


def test_audio_cut_within_a_sample_is_still_understood(machine, sound):
    whole = sound.tone(600) + sound.silence(600)
    for at in range(0, len(whole), 333):
        machine.send("input_audio_buffer.append", audio=base64.b64encode(whole[at : at + 333]).decode())

    assert of(machine.events, f"{PREFIX}speech_stopped")[0]["audio_end_ms"] == 600 + 200


def test_speech_in_g711_is_detected_too(machine):
    machine.update(audio={"input": {"format": {"type": "audio/pcmu"}}})
    loud, quiet = bytes([0x10, 0x90] * 4000), bytes([0xFF] * 8000)
    machine.send("input_audio_buffer.append", audio=base64.b64encode(loud).decode())
    events = machine.send("input_audio_buffer.append", audio=base64.b64encode(quiet).decode())

    assert events[0]["audio_end_ms"] == 1200


def test_without_create_response_the_turn_is_committed_only(machine, sound):
    detect(machine, create_response=False)
    events = machine.hear(sound.tone(600), sound.silence(600))

    assert not of(events, "response.created")
    assert of(machine.send("response.create"), "response.done")


@pytest.mark.parametrize(("eagerness", "silence_ms"), [("high", 400), ("auto", 800), ("low", 1600)])
def test_semantic_vad_waits_as_its_eagerness_says(machine, sound, eagerness, silence_ms):
    machine.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": eagerness}}})
    events = machine.hear(sound.tone(1000), sound.silence(2000))

    assert of(events, f"{PREFIX}speech_stopped")[0]["audio_end_ms"] == 1000 + silence_ms


# Barge-in.


def speaking(make_machine, **detection):
    machine = make_machine(pace=10).open()
    if detection:
        detect(machine, **detection)
    machine.is_stepping = True
    machine.ask("Tell me a long story")
    for _ in range(3):
        machine.fire(next(name for name in machine.timers if name.startswith("response:")))
    return machine


def test_speech_cancels_the_active_response(make_machine, sound):
    machine = speaking(make_machine)
    events = machine.hear(sound.tone(400))

    assert kinds(events) == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    response = of(events, "response.done")[0]["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


def test_after_barge_in_the_item_can_be_truncated(make_machine, sound):
    machine = speaking(make_machine)
    machine.hear(sound.tone(400))
    (truncated,) = machine.send(
        "conversation.item.truncate", item_id=machine.open_output(), content_index=0, audio_end_ms=120
    )

    assert truncated["audio_end_ms"] == 120


def test_without_interrupt_response_speech_cancels_nothing_and_its_turn_gets_no_response(make_machine, sound):
    machine = speaking(make_machine, interrupt_response=False)
    events = machine.hear(sound.tone(400), sound.silence(400))

    assert of(events, f"{PREFIX}committed")
    assert not of(events, "response.done")
    assert not of(events, "response.created")


def test_speech_leaves_out_of_band_responses_alone(make_machine, sound):
    machine = make_machine(pace=10).open()
    machine.is_stepping = True
    machine.send("response.create", response={"conversation": "none"})

    assert kinds(machine.hear(sound.tone(400))) == [f"{PREFIX}speech_started"]


# Manual turns.


def test_a_manual_turn_needs_100_ms_and_no_events_come_before_it(machine, sound):
    machine.update(audio=MANUAL)
    heard = machine.hear(sound.tone(99))
    short = machine.send("input_audio_buffer.commit")
    machine.hear(sound.tone(1))
    committed = machine.send("input_audio_buffer.commit")
    empty = machine.send("input_audio_buffer.commit")

    assert heard == []
    assert code(short) == "input_audio_buffer_commit_empty"
    assert "buffer only has 99.00ms of audio" in short[0]["error"]["message"]
    assert kinds(committed) == [f"{PREFIX}committed", "conversation.item.added", "conversation.item.done"]
    assert code(empty) == "input_audio_buffer_commit_empty"


def test_committed_follows_the_last_item(machine, sound):
    machine.update(audio=MANUAL)
    machine.say("first", id="first")
    machine.hear(sound.tone(200))

    assert machine.send("input_audio_buffer.commit")[0]["previous_item_id"] == "first"


def test_clear_drops_what_is_not_committed(machine, sound):
    machine.update(audio=MANUAL)
    machine.hear(sound.tone(500))

    assert kinds(machine.send("input_audio_buffer.clear")) == [f"{PREFIX}cleared"]
    assert code(machine.send("input_audio_buffer.commit")) == "input_audio_buffer_commit_empty"


def test_clear_forgets_speech_under_way(machine, sound):
    machine.hear(sound.tone(500))
    machine.send("input_audio_buffer.clear")

    assert machine.hear(sound.silence(1000)) == []


def test_a_commit_under_vad_usually_finds_nothing(machine, sound):
    machine.hear(sound.silence(1000))

    assert code(machine.send("input_audio_buffer.commit")) == "input_audio_buffer_commit_empty"


def test_a_commit_while_vad_hears_speech_takes_it(machine, sound):
    started = machine.hear(sound.tone(500))
    committed = machine.send("input_audio_buffer.commit")

    assert committed[0]["item_id"] == started[0]["item_id"]
    assert machine.hear(sound.silence(1000)) == []


@pytest.mark.parametrize("audio", ["%%%", "AAA"])
def test_audio_that_is_not_base64_is_refused(machine, audio):
    (event,) = machine.send("input_audio_buffer.append", audio=audio)

    assert (event["error"]["code"], event["error"]["param"]) == ("invalid_value", "audio")


def test_append_is_never_acknowledged(machine, sound):
    assert machine.hear(sound.silence(100)) == []


def test_committed_audio_can_be_retrieved(machine, sound):
    machine.update(audio=MANUAL)
    spoken = sound.tone(300)
    machine.hear(spoken)
    committed = machine.send("input_audio_buffer.commit")[0]
    (retrieved,) = machine.send("conversation.item.retrieve", item_id=committed["item_id"])

    assert base64.b64decode(retrieved["item"]["content"][0]["audio"]) == spoken


def test_retained_audio_is_bounded(make_machine, sound):
    machine = make_machine(retained_audio_s=0.2).open()
    machine.update(audio=MANUAL)
    machine.hear(sound.tone(1000))
    committed = machine.send("input_audio_buffer.commit")[0]
    (retrieved,) = machine.send("conversation.item.retrieve", item_id=committed["item_id"])

    assert len(base64.b64decode(retrieved["item"]["content"][0]["audio"])) == 200 * 48


# Transcripts.


def turn(machine, sound):
    return machine.hear(sound.tone(1000), sound.silence(500))


def test_without_transcription_no_user_text_arrives(machine, sound):
    assert not [kind for kind in kinds(turn(machine, sound)) if kind.startswith(TRANSCRIPTION)]


def test_scripted_transcripts_are_used_in_order(machine, sound):
    machine.update(audio=TRANSCRIBED, output_modalities=["text"])
    machine.send("simulator.script", transcripts=["My name is Ann.", "What is my name?"])
    turn(machine, sound)
    events = turn(machine, sound)

    assert of(events, f"{TRANSCRIPTION}completed")[0]["transcript"] == "What is my name?"
    assert machine.answer == "Your name is Ann."


def test_whisper_sends_no_deltas_and_counts_seconds(machine, sound):
    machine.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    events = turn(machine, sound)

    assert not of(events, f"{TRANSCRIPTION}delta")
    assert of(events, f"{TRANSCRIPTION}completed")[0]["usage"] == {"type": "duration", "seconds": 2}


def test_the_gpt_4o_family_counts_tokens(machine, sound):
    machine.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}})
    usage = of(turn(machine, sound), f"{TRANSCRIPTION}completed")[0]["usage"]

    assert usage["input_token_details"] == {"text_tokens": 0, "audio_tokens": 12}


def test_the_transcript_may_come_after_the_answer(make_machine, sound):
    machine = make_machine(transcription_delay_s=0.5).open()
    machine.update(audio=TRANSCRIBED)
    events = turn(machine, sound)
    order = kinds(events)

    assert order.index("response.created") < order.index("response.done") < order.index(
        f"{TRANSCRIPTION}completed"
    ) or (order.index("response.created") < order.index(f"{TRANSCRIPTION}completed"))


def test_the_transcript_is_in_the_item_afterwards(machine, sound):
    machine.update(audio=TRANSCRIBED)
    machine.script.add(transcripts=["Hi."])
    item_id = turn(machine, sound)[0]["item_id"]
    (retrieved,) = machine.send("conversation.item.retrieve", item_id=item_id)

    assert retrieved["item"]["content"][0]["transcript"] == "Hi."


# Idle time-out.


def test_an_idle_listener_is_asked_again(make_machine):
    machine = make_machine(pace=10).open()
    detect(machine, idle_timeout_ms=5000)
    machine.ask("Hello")
    spoken_s = len(machine.answer) * 0.06

    # The service counts from the estimated end of playback.
    assert machine.timers["idle"] == pytest.approx(5 + 0.9 * spoken_s, abs=0.05)

    events = machine.fire("idle")

    assert kinds(events)[:5] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert machine.answer == "Are you still there?"


def test_speech_stops_the_idle_timer(machine, sound):
    detect(machine, idle_timeout_ms=5000)
    machine.ask("Hello")
    machine.hear(sound.tone(200))

    assert "idle" not in machine.timers
