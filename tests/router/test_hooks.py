"""Hooks of an embedding application: called with real sessions, over memory; failing, hanging."""

import contextlib
import queue
import threading

import pytest

from actors.connections.handover import HandshakeRefused
from router.config.model import Deadlines
from router.hooks import Principal, Request
from router.testing import CallHarness

WAIT_S = 5.0
SOON = Deadlines(hook_s=0.2)
ADA = Principal("ada", {"plan": "gold"})


class Recorder:
    """Keeps what its hooks are told."""

    def __init__(self):
        self.told = queue.SimpleQueue()

    def hook(self, name):
        return lambda *args: self.told.put((name, threading.current_thread().name, *args))

    def next(self):
        return self.told.get(timeout=WAIT_S)

    def hooks(self, **more):
        names = ("on_session_start", "on_session_end", "on_turn", "on_usage")
        return {name: self.hook(name) for name in names} | more


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def never():
    """A hook that hangs until its test is over."""
    over = threading.Event()
    yield lambda *_args: over.wait(WAIT_S)
    over.set()


def hold_turn(call):
    call.client.say("hello there")
    call.client.wait_for("AgentAudioDone")


# Who may come in.


def refusal(board, **how):
    with pytest.raises(HandshakeRefused) as caught:
        board.call(**how)
    return caught.value.status


def test_who_is_known_comes_in_and_every_hook_knows_who_it_is(simulator, recorder):
    seen = []

    def authenticate(request):
        seen.append(request.credential)
        return ADA

    with CallHarness(**recorder.hooks(authenticate=authenticate)) as board:
        board.call(simulator=simulator, headers={"Authorization": "Token secret"}).client.start()
        name, thread, session = recorder.next()
    assert seen == ["secret"]
    assert (name, session.principal, session.request.profile) == ("on_session_start", ADA, "converse")
    assert thread.startswith("hooks-")


def test_who_is_not_known_is_refused_before_the_upgrade():
    with CallHarness(authenticate=lambda _request: None) as board:
        assert refusal(board) == 401
        assert board.router.session_count == 0


@pytest.mark.parametrize("answer", [ZeroDivisionError, lambda _request: "ada"])
def test_where_nobody_can_tell_nobody_comes_in(caplog, answer):
    def authenticate(request):
        if answer is ZeroDivisionError:
            raise answer
        return answer(request)

    with CallHarness(authenticate=authenticate) as board:
        assert refusal(board) == 500
    assert "authenticate failed" in caplog.text


def test_what_authenticate_returned_by_mistake_is_in_no_log_line(caplog):
    with CallHarness(authenticate=lambda request: {"token": request.credential}) as board:
        assert refusal(board, headers={"Authorization": "Token s3cret"}) == 500
    assert "it returned no Principal but a dict" in caplog.text
    assert "s3cret" not in caplog.text


def test_an_answer_that_does_not_come_is_not_waited_for(never, caplog):
    with CallHarness(authenticate=never, deadlines=SOON) as board:
        assert refusal(board) == 503
    assert "authenticate timed out after 0.2 s" in caplog.text


@pytest.mark.parametrize(
    ("environ", "credential"),
    [
        ({"HTTP_AUTHORIZATION": "Token abc"}, "abc"),
        ({"HTTP_AUTHORIZATION": "bearer abc"}, "abc"),
        ({"HTTP_AUTHORIZATION": "Basic abc"}, None),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "token, abc"}, "abc"),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "bearer,abc"}, "abc"),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "token"}, None),
        ({"QUERY_STRING": "token=abc&x=1"}, "abc"),
        ({}, None),
    ],
)
def test_the_credential_is_found_wherever_clients_put_it(environ, credential):
    assert Request.of(environ, "openai").credential == credential


def test_a_request_tells_what_a_hook_needs_and_its_repr_no_secret():
    environ = {
        "SCRIPT_NAME": "/api",
        "PATH_INFO": "/voice",
        "QUERY_STRING": "token=secret&lang=en",
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_X_TENANT": "acme",
    }
    request = Request.of(environ, "openai")
    assert (request.path, request.remote_address) == ("/api/voice", "10.0.0.1")
    assert request.query["lang"] == "en"
    assert request.headers["x-tenant"] == "acme"
    assert "secret" not in repr(request)


@pytest.mark.parametrize("hook", ["a name", 5])
def test_what_cannot_be_called_is_refused_at_once(hook):
    with pytest.raises(ValueError, match="on_turn must be a function that can be called on a thread"):
        CallHarness(on_turn=hook)


def test_a_coroutine_is_no_hook():
    async def authenticate(_request):
        """Nobody would await it."""

    with pytest.raises(ValueError, match="authenticate must be a function"):
        CallHarness(authenticate=authenticate)


# How a session is configured.


def test_a_session_is_configured_as_the_application_wants(simulator):
    def configure(request, settings):
        assert settings["type"] == "Settings"
        return {"agent": {"think": {"prompt": f"You talk to {request.principal.id}."}}}

    with CallHarness(authenticate=lambda _request: ADA, configure=configure) as board:
        board.call(simulator=simulator).client.start()
        (update,) = simulator.connections[-1].of_type("session.update")
        assert update["session"]["instructions"] == "You talk to ada."


def test_a_hook_that_fails_or_hangs_ends_no_call_and_is_logged_with_its_session(simulator, never, caplog):
    def fail(*_args):
        raise ZeroDivisionError("a bug of the application's")

    hooks = dict.fromkeys(("configure", "on_turn"), never) | dict.fromkeys(
        ("on_session_start", "on_usage", "on_session_end"), fail
    )
    with CallHarness(deadlines=SOON, **hooks) as board:
        call = board.call(simulator=simulator)
        call.client.start()
        hold_turn(call)
        hold_turn(call)
        assert [info.session_id for info in board.router.sessions()] == [call.session_id]
    lines = [record.getMessage() for record in caplog.records if call.session_id in record.getMessage()]
    for said in (
        "configure timed out",
        "the delivery of SessionStarted raised",
        "the delivery of Turn timed out",
        "the delivery of Usage raised",
    ):
        assert any(said in line for line in lines), said
    assert "a bug of the application's" in caplog.text


def test_why_configure_failed_is_logged_with_the_session_and_where_it_did_with_a_traceback(simulator, caplog):
    def configure(_request, _settings):
        raise LookupError("no such tenant")

    with CallHarness(configure=configure) as board:
        call = board.call(simulator=simulator)
        call.client.start()
    assert f"{call.session_id}: configure raised LookupError('no such tenant'): the Settings stay" in caplog.text
    assert 'raise LookupError("no such tenant")' in caplog.text


def test_functions_and_news_that_hang_keep_no_new_call_from_being_configured(simulator, never):
    hung = threading.Event()

    def hang(*_args):
        hung.set()
        return never()

    def configure(_request, _settings):
        return {"agent": {"think": {"prompt": "You are Ada."}}}

    limits = {"pool_threads": 1, "pool_queue": 1}
    with CallHarness(configure=configure, on_session_start=never, limits=limits) as board:
        board.router.tool("weather", {"type": "object", "properties": {}}, hang)
        first = board.call(simulator=simulator)
        first.client.start()
        first.client.say("what is the weather")
        assert hung.wait(WAIT_S)
        board.call(simulator=simulator).client.start()
        (update,) = simulator.connections[-1].of_type("session.update")
        assert update["session"]["instructions"] == "You are Ada."


# What happens in it.


def test_an_application_is_told_what_happens_in_order_and_never_on_a_dispatcher(simulator, recorder):
    with CallHarness(**recorder.hooks()) as board:
        call = board.call(simulator=simulator)
        call.client.start()
        hold_turn(call)
        call.hang_up()
        told = [recorder.next() for _ in range(4)]
    assert [name for name, *_ in told] == ["on_session_start", "on_usage", "on_turn", "on_session_end"]
    assert {session.id for _, _, session, *_ in told} == {call.session_id}
    assert all(thread.startswith("hooks-") for _, thread, *_ in told)
    usage, turn, end = (it[3] for it in told[1:])
    assert usage.total_tokens > 0
    assert turn.text("user") == "hello there"
    assert turn.text("assistant")
    assert (end.code, end.restarts) == (1000, 0)


@pytest.mark.parametrize("name", ["authenticate", "configure", "on_turn", "on_session_end"])
def test_a_router_may_be_closed_by_a_hook(simulator, name):
    closed = queue.SimpleQueue()

    def close(*_given):
        try:
            closed.put(board.router.close(drain_s=0))
        except BaseException as error:
            closed.put(error)
            raise

    with CallHarness(deadlines={"close_s": 0.05}, **{name: close}) as board:
        with contextlib.suppress(HandshakeRefused, AssertionError):
            call = board.call(simulator=simulator)
            call.client.start()
            hold_turn(call)
            call.hang_up()
        assert closed.get(timeout=WAIT_S) is None
        assert not board.router.is_alive


def test_the_end_of_a_session_is_told_before_a_router_is_closed(simulator, recorder):
    with CallHarness(**recorder.hooks()) as board:
        call = board.call(simulator=simulator)
        call.client.start()
        board.router.close()
        assert call.client.wait_for_close().code == 1012
    recorder.next()
    name, _, _, end = recorder.next()
    assert (name, end.code, end.reason) == ("on_session_end", 1012, "SERVER_GOING_AWAY")
