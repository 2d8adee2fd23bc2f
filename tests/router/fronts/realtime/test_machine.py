"""The relay: events pass, and each deadline, the drain and the end of a session."""

import json

import pytest

from actors import messages as engine
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import LossKind
from router.config.model import RouterConfig
from router.fronts.agents import checked
from router.fronts.front import Call
from router.fronts.realtime.relay import Timer
from router.fronts.table import FRONTS
from router.session.machine import Session
from tests.support.machine.options import session_options
from tests.support.machine.realtime_book import AUDIO_SESSION, RealtimeBook, message

DONE = (
    '{"type":"response.done","event_id":"e",'
    '"response":{"id":"NAME","object":"realtime.response","status":"cancelled","output":[],"usage":{"total_tokens":7}}}'
)
CLOSED = ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000, reason="")


@pytest.fixture
def book():
    return RealtimeBook()


def abandoned(book):
    return [it.loss for it in book.others if isinstance(it, engine.AbandonUpstream)]


def test_the_first_event_is_the_upstream_s_session_created(book):
    book.client("session.update", session={"type": "realtime"})
    assert book.take()[:2] == ([], [])
    book.open()
    assert [event["type"] for event in book.sent] == ["session.created"]
    assert [event["type"] for event in book.upstream] == ["session.update"]


def test_unknown_events_and_fields_pass_to_the_letter_in_both_directions(book):
    book.ready()
    written = '{"type":"future.thing", "leaf": {"deep": [1, 2.50]}}'
    (command,) = book.relay.handle(engine.ClientTextReceived(written), 0.0)
    assert command == engine.SendToUpstream(written, 1)
    answered = '{"type":"future.answer", "event_id":"e", "leaf": 1.0}'
    (command,) = book.relay.handle(engine.UpstreamTextReceived(1, answered), 0.0)
    assert command == engine.SendToClient(answered)


def test_malformed_json_is_answered_and_the_session_continues(book):
    book.ready().feed(engine.ClientTextReceived("{"))
    (error,), sent = book.take()
    assert (error["type"], error["error"]["type"], sent) == ("error", "invalid_request_error", [])
    book.feed(engine.ClientBinaryReceived(b"\0"))
    assert book.take()[0][0]["error"]["code"] == "invalid_event"
    assert book.ending is None


def test_an_answer_to_nonsense_comes_behind_session_created(book):
    book.feed(engine.ClientTextReceived("{")).client("response.cancel")
    assert book.take()[0] == []
    book.open()
    assert [event["type"] for event in book.sent] == ["session.created", "error"]
    assert [event["type"] for event in book.upstream] == ["response.cancel"]


def test_the_model_of_the_url_is_dialled_where_it_is_allowed():
    def dialled(name):
        book = RealtimeBook(query={"model": name}, models=("gpt-realtime",), model="gpt-realtime-2.1")
        return next(it.route for it in book.others if isinstance(it, engine.OpenUpstream))

    assert dialled("gpt-realtime") == "gpt-realtime"
    assert dialled("gpt-other") == "gpt-realtime-2.1"


def test_an_event_of_an_earlier_upstream_changes_nothing(book):
    book.ready().lose().take()
    book.feed(engine.UpstreamTextReceived(1, '{"type":"future.thing"}'))
    assert book.take()[0] == []


@pytest.mark.parametrize("timer", [Timer.CREATED, Timer.UPDATED, Timer.ANSWER, Timer.RESPONSE, Timer.COMMIT])
def test_an_upstream_that_misses_a_deadline_is_abandoned(book, timer):
    book.ready().fire(timer)
    assert [loss.kind for loss in abandoned(book)] == [LossKind.SILENT]


def test_a_response_that_falls_silent_is_abandoned(book):
    book.ready().ask().begin().write("One").fire(Timer.NEXT, 15.0)
    assert abandoned(book)


def test_a_request_may_wait_for_the_end_of_the_response_before(book):
    book.ready().ask().begin().write("One").client("response.create")
    book.fire(Timer.ANSWER, 20.0)
    assert abandoned(book) == []
    book.finish("One").fire(Timer.ANSWER, 20.0)
    assert abandoned(book)


def test_an_upstream_that_runs_a_tool_may_be_silent(book):
    item = {"id": "m1", "type": "mcp_call", "name": "f", "arguments": "{}", "server_label": "s"}
    book.ready().ask().begin().server("response.output_item.added", response_id="r1", output_index=0, item=item)
    book.fire(Timer.NEXT, 15.0)
    assert abandoned(book) == []
    book.fire(Timer.RESPONSE, 585.0)
    assert abandoned(book)


def test_a_wait_for_the_next_event_is_prolonged_by_each_event(book):
    book.ready().ask().begin()
    book.now_s += 10
    book.write("One").take()
    book.fire(Timer.NEXT, 5.0)
    assert abandoned(book) == []
    assert engine.StartTimer(Timer.NEXT.value, 10.0) in book.others


def test_an_event_that_is_never_acknowledged_is_a_loss(book):
    book.ready().client("conversation.item.create", item=message("a", "user", "hello"))
    assert engine.StartTimer(Timer.ACK.value, 5.0) in book.others
    book.fire(Timer.ACK, 5.0)
    assert abandoned(book)


def test_a_server_that_acknowledges_no_item_and_answers_all_the_same_stays_in_use(book):
    book.ready().client("conversation.item.create", item=message("a", "user", "hello"))
    book.client("conversation.item.create", item=message("b", "user", "you")).client("response.create")
    book.now_s += 1
    book.begin().write("One").finish("One").fire(Timer.ACK, 5.0)
    assert abandoned(book) == []
    added = [event["item"]["id"] for event in book.take()[0] if event["type"] == "conversation.item.added"]
    assert added == ["a1", "a", "b"], "the client waits for the acknowledgement"
    assert book.acknowledge(message("a", "user", "hello")).take()[0] == [], "it came late"
    assert [event["item"]["id"] for event in book.lose().open().take()[1]] == ["a", "b", "a1"]


def test_an_output_may_be_acknowledged_behind_its_response(book):
    book.ready().ask().begin().call()
    output = {"id": "o", "type": "function_call_output", "call_id": "call_1", "output": "Sunny."}
    book.client("conversation.item.create", item=output).fire(Timer.ACK, 5.0)
    assert abandoned(book) == []


def test_a_truncation_that_is_never_acknowledged_is_answered_by_the_router(book):
    book.ready().ask().begin().write("One").finish("One").take()
    book.client("conversation.item.truncate", item_id="a1", content_index=0, audio_end_ms=0)
    book.fire(Timer.ACK, 5.0)
    assert abandoned(book) == []
    assert book.sent[-1]["type"] == "conversation.item.truncated"


def test_a_question_about_an_unknown_item_is_answered_in_any_case(book):
    book.ready().client("conversation.item.retrieve", event_id="mine", item_id="nowhere").fire(Timer.ACK, 5.0)
    error = book.sent[-1]["error"]
    assert (error["code"], error["event_id"]) == ("item_retrieve_invalid_item_id", "mine")


def test_a_malformed_frame_is_a_loss(book):
    book.ready().feed(engine.UpstreamTextReceived(1, "{"))
    assert [loss.kind for loss in abandoned(book)] == [LossKind.MALFORMED]
    book.feed(engine.UpstreamBinaryReceived(1, b"\0"))


def test_a_client_that_leaves_cancels_its_response(book):
    gone = ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)
    book.ready().ask().begin().take()
    book.feed(engine.ClientClosed(gone))
    assert book.upstream[-1]["type"] == "response.cancel"
    assert book.ending.code == 1000
    assert book.server("late").sent == []


def test_a_client_that_does_not_read_is_closed(book):
    book.ready().feed(engine.ClientOverflowed(1000))
    assert (book.sent[-1]["error"]["code"], book.ending.code) == ("client_too_slow", 1008)


def test_an_operator_may_end_a_session(book):
    book.ready().feed(engine.EndRequested())
    assert (book.sent[-1]["error"]["code"], book.ending.code) == ("session_ended", 1000)


def test_an_idle_session_ends_at_once_when_the_process_does_and_without_a_notice(book):
    book.ready().feed(engine.DrainBegan(30.0))
    assert (book.sent, book.ending.code) == ([], 1012)


def test_an_idle_session_that_stays_ends_with_the_second_drain(book):
    book.ready().feed(engine.DrainBegan(30.0, keeps_idle=True))
    assert book.ending is None
    book.feed(engine.DrainBegan(20.0))
    assert book.ending.code == 1012


def test_a_response_in_progress_is_finished_first(book):
    book.ready().ask().begin().write("One").feed(engine.DrainBegan(30.0))
    assert book.ending is None
    book.finish("One")
    assert book.ending.code == 1012


def test_a_drain_that_takes_too_long_ends_the_response_as_a_whole(book):
    book.ready().ask().begin().write("One").feed(engine.DrainBegan(30.0)).take()
    book.fire(Timer.DRAIN)
    assert book.sent[-1]["response"]["status"] == "incomplete"
    assert book.ending.code == 1012


def test_an_upstream_is_replaced_before_its_session_ends_and_between_two_turns(book):
    book.ready().ask().begin().write("One").take()
    book.fire(Timer.ROLLOVER)
    assert [it.is_standby for it in book.others if isinstance(it, engine.OpenUpstream)] == [True]
    book.open()
    assert book.take()[1] == [], "the answer goes on"
    book.generation = 1
    book.finish("One")
    assert engine.CloseUpstream(1) in book.others
    assert [event["item"]["id"] for event in book.upstream] == ["q1", "a1"]


def test_a_call_ends_at_its_limit_between_two_turns():
    book = RealtimeBook(max_call_s=100.0).ready()
    book.ask().begin().write("One").take()
    for passed_s in (80, 20):
        book.now_s += passed_s
        book.feed(engine.TimerFired("limits.call"))
    assert book.take()[0] == [], "no notice, and the answer goes on"
    book.finish("One")
    assert (book.sent[-1]["error"]["code"], book.ending.code) == ("max_call_length", 1000)


def test_a_user_who_interrupts_again_after_the_last_answer_ends_the_call():
    book = RealtimeBook(max_turns=1).ready(**AUDIO_SESSION)

    def speak(name):
        book.server("input_audio_buffer.speech_started", item_id=name, audio_start_ms=0)

    speak("u1")
    for number in (1, 2):
        book.server("input_audio_buffer.speech_stopped", item_id=f"u{number}", audio_end_ms=9)
        book.server("input_audio_buffer.committed", item_id=f"u{number}", previous_item_id=None)
        book.begin(f"r{number}").write("One", response=f"r{number}", name=f"a{number}")
        assert book.ending is None
        speak(f"u{number + 1}")
        if number == 1:
            book.done("r1", status="cancelled")
    assert book.ending.code == 1000


SILENT = {"max_silence_s": 100.0, "silence_question": "Are you there?", "silence_goodbye": "Goodbye."}


def silent(book, passed_s):
    book.now_s += passed_s
    book.feed(engine.TimerFired("limits.silence"))
    return [event["response"] for event in book.take()[1] if "response" in event]


def test_the_agent_asks_into_a_silence_and_says_goodbye_before_the_end():
    book = RealtimeBook(**SILENT).ready()
    (question,) = silent(book, 80)
    assert (SILENT["silence_question"] in question["instructions"], question["input"]) == (True, [])
    assert (question["tool_choice"], "conversation" in question) == ("none", False)
    book.begin().write("Are you there?").finish("Are you there?")
    assert book.kinds()[0] == "response.created", "the client sees an answer as any other"
    (goodbye,) = silent(book, 20)
    assert "Goodbye." in goodbye["instructions"]
    assert book.ending is None
    book.begin("r2").write("Goodbye.", response="r2", name="a2").finish("Goodbye.", response="r2", name="a2")
    assert (book.sent[-1]["error"]["code"], book.ending.code) == ("max_silence", 1000)


def test_a_user_who_answers_the_question_ends_the_silence():
    book = RealtimeBook(**SILENT).ready()
    silent(book, 80)
    book.begin().write("Are you there?").finish("Are you there?")
    book.ask("Yes.").begin("r2").write("Good.", response="r2", name="a2").finish("Good.", response="r2", name="a2")
    assert silent(book, 20) == []
    assert book.ending is None


def test_a_question_into_a_silence_counts_as_no_turn():
    book = RealtimeBook(**SILENT, max_turns=1).ready()
    silent(book, 80)
    book.begin().write("Are you there?").finish("Are you there?")
    assert book.ending is None
    book.ask("Yes.").begin("r2").write("Good.", response="r2", name="a2").finish("Good.", response="r2", name="a2")
    assert book.sent[-1]["error"]["code"] == "max_turns"


def test_a_question_into_a_silence_survives_the_upstream():
    book = RealtimeBook(**SILENT).ready()
    silent(book, 80)
    book.lose().open()
    assert [event["type"] for event in book.upstream] == ["response.create"]


def test_a_refused_question_is_no_error_of_the_client_s():
    book = RealtimeBook(**SILENT).ready()
    book.now_s += 80
    book.feed(engine.TimerFired("limits.silence"))
    event_id = book.upstream[-1]["event_id"]
    book.server("error", error={"type": "invalid_request_error", "code": "busy", "event_id": event_id})
    assert book.sent == []
    assert book.relay.context.is_busy is False


@pytest.mark.parametrize("session", [{"type": "transcription"}, None], ids=["transcription", "no upstream"])
def test_without_an_agent_the_question_is_not_asked_and_the_call_ends(session):
    book = RealtimeBook(**SILENT)
    if session is not None:
        book.ready(**session)
    assert silent(book, 80) == []
    book.now_s += 20
    book.feed(engine.TimerFired("limits.silence"))
    assert book.ending.code == 1000


def test_answers_that_the_upstream_begins_in_a_silence_do_not_end_it():
    book = RealtimeBook(max_silence_s=100.0).ready()
    book.now_s += 79
    book.server("input_audio_buffer.timeout_triggered", item_id="q1", audio_start_ms=0, audio_end_ms=5000)
    book.begin().write("Hello?").finish("Hello?")
    for passed_s in (1, 20):
        silent(book, passed_s)
    assert book.relay.context.has_ended


def test_a_call_ends_after_its_last_answer():
    book = RealtimeBook(max_turns=2).ready()
    book.ask().begin().write("One").finish("One")
    assert book.ending is None
    book.ask("two?", "q2").begin("r2").write("Two", response="r2", name="a2").finish("Two", response="r2", name="a2")
    assert (book.sent[-1]["error"]["code"], book.ending.code) == ("max_turns", 1000)


def test_an_answer_that_another_upstream_continues_is_one_turn():
    book = RealtimeBook(max_turns=1).ready().ask().begin().write("One and")
    book.lose()
    assert "response.done" in [event["type"] for event in book.sent]
    assert book.ending is None


def test_a_client_that_wants_notices_is_warned_of_a_limit():
    book = RealtimeBook(query={"notices": "1"}, max_call_s=100.0).ready()
    book.now_s += 80
    book.feed(engine.TimerFired("limits.call"))
    assert book.kinds() == ["switchboard.limit_near"]


def test_turns_count():
    book = RealtimeBook(max_turns=1).ready().ask().begin().call().done()
    assert book.ending is None, "a call ends no turn"
    book.client("response.create").begin("r2").write("One", response="r2", name="a2")
    book.finish("One", response="r2", name="a2")
    assert book.sent[-1]["error"]["code"] == "max_turns"


def test_tokens_of_all_upstreams_count():
    book = RealtimeBook(max_tokens=10).ready().ask().begin().write("One")
    usage = {"input_tokens": 6, "output_tokens": 6, "total_tokens": 12}
    book.server("response.done", response={"id": "r1", "status": "completed", "usage": usage})
    assert book.sent[-1]["error"]["code"] == "max_tokens"


def test_what_is_held_for_another_upstream_is_counted(book):
    book.ready(**AUDIO_SESSION).client("input_audio_buffer.append", audio="A" * 4000)
    assert book.relay.held_bytes() >= 4000
    assert book.relay.describe()["lifecycle"] == "ready"


def test_a_session_without_an_upstream_keeps_a_bounded_number_of_events(book):
    book.ready().lose().take()
    for _ in range(1001):
        book.client("future.thing", event_id="mine")
    (error,) = book.take()[0]
    assert (error["error"]["code"], error["error"]["event_id"]) == ("too_many_waiting_events", "mine")
    assert json.dumps(book.relay.describe())


def test_usage_that_comes_after_the_end_counts_once_under_the_model_of_its_upstream():
    config = RouterConfig()
    session = Session("session", FRONTS["realtime"].profile, session_options(is_observed=True, model="gpt-realtime"))
    call = Call(session=session, machine=session, agents=checked({}), config=config)
    relay = FRONTS["realtime"].adapt(call)
    relay.handle(engine.ClientOpened(), 0.0)
    relay.handle(engine.UpstreamOpened(1, 0, 0.0), 0.0)
    relay.handle(engine.UpstreamTextReceived(1, '{"type":"session.created","session":{}}'), 0.0)
    relay.handle(engine.UpstreamTextReceived(1, DONE.replace("NAME", "r1")), 0.0)
    relay.handle(engine.ClientClosed(CLOSED), 0.0)
    assert session.read_late(engine.UpstreamTextReceived(1, DONE.replace("NAME", "r1"))).notification is None
    late = session.read_late(engine.UpstreamTextReceived(1, DONE.replace("NAME", "r2"))).notification
    assert (late.model, late.total_tokens) == ("gpt-realtime", 7)


def test_thousands_of_events_that_no_upstream_acknowledges_are_answered(book):
    book.ready()
    for at in range(2000):
        book.client("conversation.item.truncate", item_id=f"i{at}", content_index=0, audio_end_ms=0)
    book.take()
    book.fire(Timer.ACK, 100.0)
    assert [event["error"]["code"] for event in book.sent] == ["item_truncate_invalid_item_id"] * 2000
    assert len(book.relay.context.state.unanswered) == 0


def test_the_events_that_wait_for_an_acknowledgement_count_as_held(book):
    book.ready().client("conversation.item.create", item=message("m", "user", "x" * 10_000))
    assert book.relay.held_bytes() > 10_000
    book.acknowledge(message("m", "user", "x"))
    assert book.relay.held_bytes() < 1000
