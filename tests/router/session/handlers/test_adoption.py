"""A session that another process carried: its questions, its timers, its work."""

import pytest

from actors import messages
from router.deepgram import blocks
from router.session.deadlines import Wait
from tests.support.machine.beginnings import acknowledge_last, asked, dial_standby, restart
from tests.support.machine.playbook import (
    ANY,
    APPLIED,
    AUDIO_DONE,
    DONE,
    STARTED,
    Playbook,
    assistant,
    call_done,
    delta,
    response_created,
    response_done,
    settings,
    text_done,
    transcript_delta,
    user,
)

RECOVERED = {"type": "Warning", "code": "SESSION_RECOVERED", "description": ANY}
CREATE = {"type": "response.create"}
BYTES_PER_S = 48_000


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_open_question_is_asked_again(profile):
    book = asked(profile=profile).moved()
    assert book.commands[-1] != messages.OpenUpstream(1, "gpt-realtime-2.1")
    book.expect(RECOVERED)
    acknowledge_last(restart(book)).expect(upstream=[CREATE])
    book.upstream(response_created("r2"), text_done("Hi."), response_done("r2"))
    component = [STARTED] if profile == "openai" else []
    done = [AUDIO_DONE, DONE] if profile == "openai" else [AUDIO_DONE]
    book.expect(*component, assistant("Hi."), *done)


def test_a_planned_move_between_turns_is_silent():
    book = asked().upstream(response_created(), text_done("Hi."), response_done()).forget()
    book.moved(is_planned=True).expect()
    acknowledge_last(restart(book)).expect()


def test_an_answer_continues_behind_the_words_that_the_caller_was_sent():
    book = asked().upstream(
        response_created(), transcript_delta("Paris is the capital of France, a country in Europe."), delta(bytes(9600))
    )
    book.forget()
    # 2 s of audio left behind the snapshot: 33 characters in all.
    book.moved(sent_bytes=2 * BYTES_PER_S).expect(assistant("Paris is the capital of France, a"), RECOVERED)
    acknowledge_last(restart(book))
    create = book.events_to_upstream[-1]
    assert 'cut off after these words: "Paris is the capital of France, a"' in create["response"]["instructions"]


def test_audio_that_waited_in_the_snapshot_and_was_sent_since_is_not_sent_again():
    book = Playbook(audio_ahead_s=1.0).ready().client({"type": "InjectUserMessage", "content": "hello"})
    book.upstream(response_created(), transcript_delta("Word " * 20))
    book.upstream(*[delta(bytes(BYTES_PER_S // 2))] * 6, response_done())
    waiting = book.session.state.playback.held_bytes
    assert waiting
    book.moved(sent_bytes=BYTES_PER_S // 2 + 2400)
    assert book.session.state.playback.held_bytes == waiting - BYTES_PER_S // 2 - 2400
    assert Wait.PLAYBACK.value in book.timers
    assert [c for c in book.commands if isinstance(c, messages.ProbeClient)]


def test_the_timers_continue_and_those_of_the_upstream_do_not():
    book = Playbook(max_call_s=100.0).ready()
    book.after(30.0).moved()
    assert book.timers["call"] == pytest.approx(50.0)
    assert Wait.ROLLOVER.value not in book.timers
    assert Wait.RESTART.value in book.timers


def test_an_adopted_session_that_lives_on_counts_as_harmless():
    book = Playbook().ready().moved()
    assert Wait.ADOPTION.value not in book.timers
    book.session.state.adoptions = 2
    book.moved()
    due = book.session.snapshot_due
    book.fire(Wait.ADOPTION)
    assert book.session.state.adoptions == 0
    assert book.session.snapshot_due > due


def test_a_client_without_settings_keeps_the_rest_of_its_time():
    book = Playbook().opened()
    limit_s = book.timers["settings"]
    book.after(3.0).moved().expect()
    assert book.timers["settings"] == pytest.approx(limit_s - 3.0)
    restart(book.client(settings()).forget(), APPLIED)


def test_a_session_that_is_not_applied_gets_no_warning():
    book = Playbook().opened().client(settings()).moved().expect()
    restart(book, APPLIED)


def test_a_client_s_function_is_answered_after_the_move():
    book = asked().upstream(response_created(), call_done(), response_done()).forget()
    book.moved().expect(RECOVERED)
    restart(book)
    book.forget().client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    assert [event["type"] for event in book.events_to_upstream] == ["conversation.item.create", "response.create"]


def test_a_function_of_the_router_is_not_run_twice():
    book = asked(tools=(blocks.Function(name="lookup"),)).upstream(response_created(), call_done(), response_done())
    assert list(book.work) == ["tool:call_1"]
    book.forget().moved()
    assert not book.work
    kinds = [(frame["type"], frame.get("code")) for frame in book.frames_to_client]
    assert ("Warning", "FUNCTION_CALL_FAILED") in kinds
    book.forget()
    restart(book)
    items = [event["item"] for event in book.events_to_upstream if event["type"] == "conversation.item.create"]
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output"]
    assert "may have had its effect" in items[-1]["output"]


def test_the_hook_runs_again():
    book = Playbook(is_configured_outside=True).opened().client(settings())
    assert list(book.work) == ["configure:"]
    book.moved()
    assert list(book.work) == ["configure:"]
    book.performs("configure:", None)
    restart(book, APPLIED)


def test_converters_are_prepared_again():
    Playbook.prepares_at_once, before = False, Playbook.prepares_at_once
    try:
        audio = {"encoding": "linear16", "sample_rate": 16000}
        book = Playbook().opened().client({**settings(), "audio": {"input": audio, "output": audio}})
        assert set(book.work) == {"audio:microphone", "audio:speaker"}
        book.moved()
        assert set(book.work) == {"audio:microphone", "audio:speaker"}
    finally:
        Playbook.prepares_at_once = before


def test_a_standby_upstream_is_left():
    book = asked().upstream(response_created(), text_done("Hi."), response_done())
    dial_standby(book)
    book.forget().moved()
    assert book.session.state.standby is None
    assert book.generation == 3


def test_a_typed_message_of_the_journal_is_answered_by_the_next_upstream():
    book = asked().upstream(response_created(), text_done("Hi."), response_done()).forget()
    book.client({"type": "InjectUserMessage", "content": "and now?"}).expect(user("and now?"), upstream=[ANY])
    book.moved().expect(RECOVERED)
    acknowledge_last(restart(book))
    assert book.events_to_upstream[-1]["type"] == "response.create"
