"""A call of two backends that another process continues: its memory, whichever backend serves it."""

import json

import pytest

from actors import messages as engine
from router.fronts.deepgram_agent.machine import ADOPTION_TIMER
from router.fronts.deepgram_agent.user_audio import RECENT_BYTES
from router.fronts.failover.value import LAYOUTS, VALUE, MovableCall
from router.session.packing import fields_of
from router.session.snapshot import SnapshotError
from tests.router.fronts.deepgram_agent.test_value import MADE as OF_RELAY
from tests.router.fronts.failover.test_machine import HISTORY, answers, at_deepgram, at_openai, created
from tests.support.machine.two_backends import AUDIO, DEEPGRAM, THINK, TwoBackends, types

FRAME = bytes(640)
SPEECH = b"\x01\x00" * 320
TYPED = json.dumps({"type": "InjectUserMessage", "content": "And you?"})

MADE = {
    MovableCall: lambda: TwoBackends().call,
    **{
        type(TwoBackends(front).call._side): lambda front=front: TwoBackends(front).call._side
        for front in ("deepgram", "converse")
    },
    **OF_RELAY,
}


def codes(call):
    """Return the types of the texts for the client, with the codes of warnings."""
    texts = [it for it in call.client if isinstance(it, dict)]
    return [it["code"] if it["type"] == "Warning" else it["type"] for it in texts]


def moved_to_deepgram():
    """Return a call that began at OpenAI, and which Deepgram serves now."""
    call = at_openai()
    call.loses().loses().deepgram().take()
    return call


def moved_to_openai():
    """Return a call that began at Deepgram, and which OpenAI serves now."""
    call = at_deepgram()
    call.loses().openai().take()
    return call


SERVED = {
    "OpenAI": (at_openai, "openai"),
    "Deepgram": (at_deepgram, "deepgram"),
    "OpenAI after a move": (moved_to_openai, "openai"),
    "Deepgram after a move": (moved_to_deepgram, "deepgram"),
}
served = pytest.mark.parametrize(("begin", "backend"), SERVED.values(), ids=SERVED.keys())
begins = pytest.mark.parametrize("begin", [begin for begin, _ in SERVED.values()], ids=SERVED.keys())
NEXT = ("openai", "deepgram")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.kind.__name__)
def test_every_field_of_the_memory_is_stored_or_named_as_derived(layout):
    assert fields_of(MADE.get(layout.kind, layout.kind)()) - {"handle"} == {*layout.stored, *layout.derived}
    assert not set(layout.stored) & set(layout.derived)


def remembered(call, backend):
    """Return the texts of the conversation that the upstream got."""
    if backend == "openai":
        return [text for _, text in created(call.upstream)]
    settings = next(it for it in call.upstream if isinstance(it, dict) and it["type"] == "Settings")
    return [it["content"] for it in settings["agent"]["context"]["messages"]]


@served
@pytest.mark.parametrize("following", NEXT)
def test_a_move_between_two_turns_is_unnoticed_and_either_backend_gets_the_conversation(begin, backend, following):
    call = begin()
    assert call.machine.describe()["backend"] == backend
    assert call.call.can_move
    call.moved(is_planned=True)
    getattr(call, following)()
    assert codes(call) == []
    assert call.machine.describe()["backend"] == following
    assert remembered(call, following) == [it["content"] for it in HISTORY]


def ask(call, backend):
    """Let the client ask, and let the backend take the question."""
    call.says("InjectUserMessage", content="And you?")
    if backend == "deepgram":
        call.hears("ConversationText", role="user", content="And you?")
    else:
        item = [it for it in call.upstream if it["type"] == "conversation.item.create"][-1]["item"]
        call.hears("conversation.item.added", item=item)


@served
@pytest.mark.parametrize("following", NEXT)
def test_after_a_death_either_backend_is_asked_the_open_question_whose_text_comes_once(begin, backend, following):
    call = begin()
    ask(call, backend)
    assert types(call.client).count("ConversationText") == 1
    assert not call.call.can_move
    call.moved()
    getattr(call, following)()
    assert codes(call) == ["SESSION_RECOVERED"]
    if following == "deepgram":
        assert call.upstream[-1] == {"type": "InjectUserMessage", "content": "And you?"}
        call.hears("ConversationText", role="user", content="And you?")
        call.hears("ConversationText", role="assistant", content="I am Sam.").hears("AgentAudioDone")
    else:
        assert created(call.upstream)[-1] == ("user", "And you?")
        answers(call, "I am Sam.")
    assert [it.get("content") for it in call.client if it["type"] == "ConversationText"] == ["I am Sam."]


@begins
@pytest.mark.parametrize("following", NEXT)
def test_a_text_of_the_journal_is_asked_once(begin, following):
    call = begin()
    call.moved(journal=[TYPED])
    getattr(call, following)()
    if following == "deepgram":
        assert [it for it in call.upstream if it["type"] == "InjectUserMessage"] == [json.loads(TYPED)]
    else:
        assert created(call.upstream).count(("user", "And you?")) == 1


@pytest.mark.parametrize("following", NEXT)
def test_a_process_that_dies_in_the_middle_of_a_fail_over_to_openai_loses_nothing(following):
    call = at_deepgram()
    ask(call, "deepgram")
    call.loses().opens(0).take()
    assert not call.call.can_move
    call.moved()
    assert codes(call) == ["SESSION_RECOVERED"]
    getattr(call, following)()
    assert codes(call) == ["SESSION_RECOVERED"]
    if following == "deepgram":
        assert call.upstream[-1] == {"type": "InjectUserMessage", "content": "And you?"}
    else:
        assert created(call.upstream)[-1] == ("user", "And you?")


@pytest.mark.parametrize("following", NEXT)
def test_a_process_that_dies_in_the_middle_of_a_fail_over_to_deepgram_loses_nothing(following):
    call = at_openai()
    ask(call, "openai")
    call.loses().loses().opens(DEEPGRAM).hears("Welcome", request_id="r")
    call.feed(engine.ClientBinaryReceived(SPEECH)).take()
    assert not call.call.can_move
    call.moved()
    getattr(call, following)()
    assert codes(call) == ["SESSION_RECOVERED"]
    if following == "deepgram":
        assert call.upstream[1] == {"type": "InjectUserMessage", "content": "And you?"}
        assert SPEECH in call.upstream
    else:
        assert created(call.upstream)[-1] == ("user", "And you?")


def test_a_fail_over_that_another_process_continues_sends_one_warning():
    call = at_openai().loses()
    assert codes(call) == ["UPSTREAM_RESTARTED"]
    call.moved(is_planned=True).loses().deepgram()
    assert codes(call) == []


@pytest.mark.parametrize("begin", [at_openai, moved_to_openai])
def test_speech_in_progress_is_heard_by_deepgram(begin):
    call = begin()
    call.hears("input_audio_buffer.speech_started", item_id="item_5", audio_start_ms=0)
    for _ in range(20):
        call.feed(engine.ClientBinaryReceived(SPEECH))
    call.moved(journal=[SPEECH]).deepgram()
    assert [it for it in call.upstream if isinstance(it, bytes)] == [SPEECH] * 21


def test_the_newest_audio_of_a_silent_user_is_heard_by_deepgram():
    call = at_openai()
    call.feed(engine.ClientBinaryReceived(SPEECH)).moved(journal=[FRAME]).deepgram()
    assert [it for it in call.upstream if isinstance(it, bytes)] == [SPEECH, FRAME]


def noise(call):
    """Let the user make a noise, which becomes no text."""
    call.hears("input_audio_buffer.speech_started", item_id="item_5", audio_start_ms=0)
    for _ in range(50):
        call.feed(engine.ClientBinaryReceived(SPEECH))
    call.hears("input_audio_buffer.speech_stopped", item_id="item_5", audio_end_ms=100)
    call.hears("input_audio_buffer.committed", item_id="item_5", previous_item_id=None)
    return call


def test_a_noise_takes_no_room_in_a_record():
    call = noise(at_openai())
    assert not call.call.marks.may_drop_audio()
    assert len(call.value(is_brief=True)[1]) > 50 * len(SPEECH)
    done = {"item_id": "item_5", "transcript": "", "content_index": 0}
    call.hears("conversation.item.input_audio_transcription.completed", **done)
    answers(call, "Pardon?")
    assert call.call.marks.may_drop_audio()
    assert len(call.value(is_brief=True)[1]) < 20 * len(SPEECH)
    call.moved().deepgram()
    assert sum(len(it) for it in call.upstream if isinstance(it, bytes)) <= RECENT_BYTES


def test_a_greeting_that_was_cut_off_at_openai_ends_at_deepgram():
    call = TwoBackends("converse")
    call.settles(greeting="Hi.").openai().hears("response.created", response={"id": "resp_1"})
    call.moved(sent_bytes=640).deepgram()
    assert "AgentAudioDone" in codes(call)


def test_a_client_of_openai_s_own_events_stays_at_openai():
    call = TwoBackends("openai")
    call.says("session.update", session={"type": "realtime", "instructions": "Be brief."}).openai()
    call.moved().opens(DEEPGRAM)
    (abandoned,) = call.of(engine.AbandonUpstream)
    assert abandoned.loss.is_fatal


@pytest.mark.parametrize("front", ["converse", "deepgram"])
def test_settings_of_the_journal_are_applied(front):
    call = TwoBackends(front)
    call.moved(journal=[json.dumps({"type": "Settings", "audio": AUDIO, "agent": {"think": THINK}})]).deepgram()
    assert codes(call)[-1] == "SettingsApplied"


def test_deepgram_gets_no_field_that_it_does_not_know_after_two_moves():
    call = TwoBackends("converse")
    call.settles(think={**THINK, "toolChoice": "auto"}).loses().deepgram().moved(is_planned=True).deepgram()
    settings = next(it for it in call.upstream if it["type"] == "Settings")
    assert "toolChoice" not in settings["agent"]["think"]


@begins
@pytest.mark.parametrize("following", NEXT)
def test_a_call_that_has_run_for_a_while_counts_as_harmless_at_either_backend(begin, following):
    call = begin()
    call.moved(adoptions=2)
    getattr(call, following)()
    assert call.session.state.adoptions == 2
    name = ADOPTION_TIMER if following == "deepgram" else "adoption"
    assert name in call.timers
    due = call.call.marks.record_due
    call.feed(engine.TimerFired(name))
    assert call.session.state.adoptions == 0
    assert call.call.marks.record_due > due


def test_the_conversation_of_the_session_is_no_part_of_the_value_while_deepgram_serves():
    call = at_openai()
    at_session = len(call.value()[0])
    call.loses().deepgram()
    assert len(call.value()[0]) < at_session
    assert b"Ada" not in call.value()[0]
    assert b"Ada" in call.value()[1]


@begins
def test_a_call_that_had_ended_ends_again(begin):
    call = begin().feed(engine.EndRequested())
    (ending,) = call.of(engine.EndSession)
    call.others.clear()
    call.moved()
    assert [(it.code, it.reason) for it in call.of(engine.EndSession)] == [(ending.code, ending.reason)]


@begins
@pytest.mark.parametrize("at", [0, 1, 40, -30, -1])
def test_a_damaged_value_is_refused(begin, at):
    call = begin()
    data = bytearray(call.call.memory())
    data[at] ^= 0xFF
    with pytest.raises(SnapshotError):
        call.made(call.session, bytes(data))
    assert VALUE.layout


def test_a_value_without_a_layout_cannot_be_written():
    call = at_deepgram()
    call.call._side._relay._settings_text = object()
    with pytest.raises(SnapshotError, match="object has no layout"):
        call.call.memory()
