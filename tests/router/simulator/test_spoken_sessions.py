"""A session that hears, speaks or thinks: its services answer late, in part, or not at all. No service runs here."""

import base64

import pytest

from router.simulator import Fault, FaultAction, FaultPoint
from router.simulator.commands import AskModel, PrepareSpeech, RecognizeSpeech, StopModel, SynthesizeSpeech
from router.simulator.mind.messages import End, ModelCall, Words
from router.simulator.speech.messages import Speech
from router.simulator.state import Abilities

QUESTION = "What is two plus three?"
ANSWER = "Two plus three is five."
TRANSCRIPTION = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"


def kinds(events):
    return [event["type"] for event in events]


def of(events, kind):
    return [event for event in events if event["type"] == kind]


def asked(machine, kind):
    return [command for command in machine.asked if isinstance(command, kind)]


@pytest.fixture
def hearing(make_machine):
    """Begin a session that hears, and transcribes."""
    machine = make_machine(abilities=Abilities(hears=True)).open()
    machine.update(**TRANSCRIPTION)
    return machine


@pytest.fixture
def speaking(make_machine):
    """Begin a session that speaks in words, in mu-law."""
    machine = make_machine(abilities=Abilities(speaks=True)).open()
    machine.update(audio={"output": {"format": {"type": "audio/pcmu"}}})
    return machine


@pytest.fixture
def thinking(make_machine):
    """Begin a session with a language model, in text."""
    machine = make_machine(abilities=Abilities(thinks=True)).open()
    machine.update(output_modalities=["text"])
    return machine


def speech(milliseconds):
    return Speech(b"\x55" * 8 * milliseconds, ((0, 0),))


# Hearing.


def test_the_response_begins_at_once_and_is_decided_when_the_words_are_known(hearing, sound):
    begun = hearing.hear(sound.tone(1000), sound.silence(700))
    assert kinds(begun)[-1] == "response.created"
    (request,) = asked(hearing, RecognizeSpeech)
    assert len(request.request.audio) > 48_000

    events = hearing.words(QUESTION)
    assert "".join(event["delta"] for event in of(events, DELTA)) == QUESTION
    assert of(events, COMPLETED)[0]["transcript"] == QUESTION
    assert kinds(events).index(COMPLETED) < kinds(events).index("response.output_item.added")
    assert hearing.answer == ANSWER


@pytest.mark.parametrize("words", [None, ""])
def test_speech_that_is_not_recognized_is_described_and_answered(hearing, sound, words):
    hearing.hear(sound.tone(1000), sound.silence(700))
    events = hearing.words(words)
    assert of(events, COMPLETED)[0]["transcript"].startswith("(speech, ")
    assert "say that again" in hearing.answer


def test_the_process_that_hears_is_started_when_speech_starts(hearing, sound):
    hearing.hear(sound.tone(200))
    assert asked(hearing, PrepareSpeech) == [PrepareSpeech(hears=True)]
    assert asked(hearing, RecognizeSpeech) == []


def test_a_scripted_transcript_asks_for_no_words(hearing, sound):
    hearing.script.add(transcripts=["Hello!"])
    events = hearing.hear(sound.tone(1000), sound.silence(700))
    assert of(events, COMPLETED)[0]["transcript"] == "Hello!"
    assert asked(hearing, RecognizeSpeech) == []


def test_a_committed_turn_is_transcribed_without_a_response(hearing, sound):
    hearing.update(audio={"input": {"turn_detection": None}})
    hearing.hear(sound.tone(500))
    hearing.send("input_audio_buffer.commit")
    assert kinds(hearing.words(QUESTION))[-1] == COMPLETED
    hearing.send("response.create", response={})
    assert hearing.answer == ANSWER


def test_a_response_that_waits_for_words_can_be_cancelled(hearing, sound):
    hearing.hear(sound.tone(1000), sound.silence(700))
    events = hearing.send("response.cancel")
    assert of(events, "response.done")[0]["response"]["status"] == "cancelled"
    assert kinds(hearing.words(QUESTION)) == [*[DELTA] * 6, COMPLETED]


def test_a_turn_that_is_interrupted_before_it_was_understood_is_part_of_the_next_question(hearing, sound):
    hearing.hear(sound.tone(1000), sound.silence(700))
    hearing.hear(sound.tone(1000), sound.silence(700))
    hearing.words("My name is Ada.")
    assert of(hearing.events, "response.done")[-1]["response"]["status"] == "cancelled"
    hearing.words("What is my name?")
    assert hearing.answer == "Your name is Ada."


def test_a_failed_transcription_costs_the_client_the_words_and_not_the_answer(make_machine, sound):
    fault = Fault(point=FaultPoint.TRANSCRIPTION, action=FaultAction.FAIL)
    machine = make_machine(fault, abilities=Abilities(hears=True)).open()
    machine.update(**TRANSCRIPTION)
    machine.hear(sound.tone(1000), sound.silence(700))
    events = machine.words(QUESTION)
    assert of(events, "conversation.item.input_audio_transcription.failed")
    assert machine.answer == ANSWER


def test_a_client_s_audio_item_is_understood_and_no_transcript_of_it_is_sent(hearing, sound):
    audio = base64.b64encode(sound.tone(500)).decode()
    content = [{"type": "input_audio", "audio": audio}]
    hearing.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    hearing.send("response.create", response={})
    events = hearing.words(QUESTION)
    assert COMPLETED not in kinds(events)
    assert hearing.answer == ANSWER
    content[0]["transcript"] = "Hello!"
    hearing.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert asked(hearing, RecognizeSpeech) == []


# Speaking.


def test_sentences_are_requested_and_streamed_as_their_sound_arrives(speaking):
    assert asked(speaking, PrepareSpeech) == [PrepareSpeech(hears=False)]
    speaking.script.add(answers=["One two three. Four five six. Seven."])
    begun = speaking.ask("Go.")
    assert [each.request.text for each in asked(speaking, SynthesizeSpeech)] == ["One two three. ", "Four five six. "]
    assert asked(speaking, SynthesizeSpeech)[0].request.audio_format == "audio/pcmu"
    assert not of(begun, "response.output_audio.delta")

    events = speaking.sound(speech(900))
    (delta,) = of(events, "response.output_audio.delta")
    assert len(base64.b64decode(delta["delta"])) == 900 * 8
    assert asked(speaking, SynthesizeSpeech)[-1].request.text == "Seven."
    speaking.sound(speech(1000))
    events = speaking.sound(speech(400))
    assert kinds(events)[-2] == "response.done"
    assert speaking.answer == "One two three. Four five six. Seven."


def test_a_sound_that_fails_is_spoken_by_the_other_voice(speaking):
    speaking.script.add(answers=["One two."])
    speaking.ask("Go.")
    events = speaking.sound(None)
    assert of(events, "response.output_audio.delta")
    assert of(events, "response.done")[0]["response"]["status"] == "completed"


def test_the_sound_of_a_response_that_has_ended_is_dropped(speaking):
    speaking.script.add(answers=["One two three. Four."])
    speaking.ask("Go.")
    speaking.send("response.cancel")
    assert speaking.sound(speech(900)) == []
    speaking.asked.clear()
    speaking.script.add(answers=["Five."])
    speaking.ask("Again.")
    assert of(speaking.sound(speech(300)), "response.done")[0]["response"]["status"] == "completed"


def test_a_truncated_item_keeps_its_sound_and_the_words_that_were_heard(speaking):
    story = "One two three four five six. "
    speaking.script.add(answers=[story + story + story])
    speaking.ask("Go.")
    for _ in range(3):
        speaking.sound(speech(len(story) * 67))
    item_id = speaking.open_output()
    speaking.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1000)
    retrieved = speaking.send("conversation.item.retrieve", item_id=item_id)
    assert len(base64.b64decode(retrieved[0]["item"]["content"][0]["audio"])) == 1000 * 8
    speaking.ask("What did you say?")
    speaking.sound(speech(1000))
    assert speaking.answer == 'I said: "One two three"'


# Thinking.


def test_a_model_s_words_are_streamed_and_its_call_is_a_call(thinking):
    thinking.ask("What time is it?")
    (question,) = asked(thinking, AskModel)
    assert question.question.entries[-1].text == "What time is it?"
    assert of(thinking.thought(Words("One mo")), "response.output_text.delta")[0]["delta"] == "One"
    thinking.thought(Words("ment."))
    thinking.thought(ModelCall("get_time", "{}"))
    events = thinking.thought(End())
    done = of(events, "response.done")[0]["response"]
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]
    assert done["output"][0]["content"][0]["text"] == "One moment."


def test_a_model_s_answer_that_is_cut_is_incomplete(thinking):
    thinking.ask("Go.", max_output_tokens=5)
    assert asked(thinking, AskModel)[0].question.max_tokens == 5
    thinking.thought(Words("One two"))
    done = of(thinking.thought(End(is_cut=True)), "response.done")[0]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")


def test_a_cancelled_answer_stops_the_model(thinking):
    thinking.ask("Go.")
    thinking.thought(Words("One two"))
    thinking.send("response.cancel")
    (stopped,) = asked(thinking, StopModel)
    assert stopped.response_id == asked(thinking, AskModel)[0].response_id
    assert thinking.thought(Words("three")) == []


def test_the_instructions_and_the_script_answer_before_the_model(thinking):
    thinking.ask("Go.", instructions='Say exactly: "Good day."')
    assert thinking.answer == "Good day."
    thinking.script.add(answers=["As written."])
    thinking.ask("Go.")
    assert thinking.answer == "As written."
    assert asked(thinking, AskModel) == []


def test_the_rest_of_an_interrupted_answer_is_the_model_s(thinking):
    instructions = 'Your last answer was cut off after these words: "One". Go on from exactly there.'
    thinking.ask("Count.", instructions=instructions)
    assert asked(thinking, AskModel)[0].question.instructions == instructions
