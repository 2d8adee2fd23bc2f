"""Hooks of an embedding application: called with real sessions, in memory; failing, hanging."""

import contextlib
import queue
import threading

import pytest

from actors.connections.handover import HandshakeRefused
from router.access.request import Principal
from router.config.model import Deadlines
from router.hooks import Hooks
from router.testing import CallHarness
from tests.support.machine.playbook import SETTINGS

WAIT_S = 5.0
SOON = Deadlines(hook_s=0.2)
CLOSES_SOON = Deadlines(close_s=0.05)
"""For a test whose hook still hangs at the end, when the drain waits for it in vain."""
ADA = Principal("ada", {"plan": "gold"})


class Recorder:
    """Keeps the calls of its hooks."""

    def __init__(self):
        self.calls = queue.SimpleQueue()

    def hook(self, name):
        return lambda *args: self.calls.put((name, threading.current_thread().name, *args))

    def next(self):
        return self.calls.get(timeout=WAIT_S)

    def hooks(self, **more):
        names = ("on_session_start", "on_session_end", "on_turn", "on_usage")
        return {name: self.hook(name) for name in names} | more


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def hanging():
    """A hook that hangs until its test is over."""
    over = threading.Event()
    yield lambda *_args: over.wait(WAIT_S)
    over.set()


def hold_turn(call):
    call.client.say("hello there")
    call.client.wait_for("AgentAudioDone")


def test_every_hook_knows_the_principal_and_runs_on_a_thread_of_the_hooks(simulator, recorder):
    with CallHarness(**recorder.hooks(authenticate=lambda _request: ADA)) as harness:
        harness.call(simulator=simulator).client.start()
        name, thread, session = recorder.next()
    assert (name, session.principal, session.request.profile) == ("on_session_start", ADA, "converse")
    assert thread.startswith("hooks-")


@pytest.mark.parametrize("hook", ["a name", 5])
def test_an_object_that_cannot_be_called_is_refused_at_once(hook):
    with pytest.raises(ValueError, match="on_turn must be a plain function"):
        CallHarness(on_turn=hook)


def test_a_coroutine_is_no_hook():
    async def authenticate(_request):
        """Never awaited."""

    with pytest.raises(ValueError, match="authenticate must be a plain function"):
        Hooks(authenticate=authenticate)


# Configuration.


def test_the_result_of_configure_is_merged_over_the_settings(simulator):
    def configure(request, settings):
        assert settings["type"] == "Settings"
        return {"agent": {"think": {"prompt": f"You talk to {request.principal.id}."}}}

    with CallHarness(authenticate=lambda _request: ADA, configure=configure) as harness:
        harness.call(simulator=simulator).client.start()
        (update,) = simulator.connections[-1].of_type("session.update")
        assert update["session"]["instructions"] == "You talk to ada."


def test_a_hook_that_fails_or_hangs_ends_no_call_and_is_logged_with_its_session(simulator, hanging, caplog):
    def fail(*_args):
        raise ZeroDivisionError("a bug of the application's")

    hooks = dict.fromkeys(("configure", "on_turn"), hanging) | dict.fromkeys(
        ("on_session_start", "on_usage", "on_session_end"), fail
    )
    with CallHarness(deadlines=SOON, **hooks) as harness:
        call = harness.call(simulator=simulator)
        call.client.start()
        hold_turn(call)
        hold_turn(call)
        assert [info.session_id for info in harness.router.sessions()] == [call.session_id]
    lines = [record.getMessage() for record in caplog.records if call.session_id in record.getMessage()]
    for said in (
        "configure timed out",
        "the delivery of SessionStarted raised",
        "the delivery of Turn timed out",
        "the delivery of Usage raised",
    ):
        assert any(said in line for line in lines), said
    assert "a bug of the application's" in caplog.text


def test_a_failure_of_configure_is_logged_with_its_session_and_with_its_traceback(simulator, caplog):
    def configure(_request, _settings):
        raise LookupError("no such tenant")

    with CallHarness(configure=configure) as harness:
        call = harness.call(simulator=simulator)
        call.client.start()
    assert f"{call.session_id}: configure raised LookupError('no such tenant'): the Settings stay" in caplog.text
    assert 'raise LookupError("no such tenant")' in caplog.text


def test_functions_and_hooks_that_hang_keep_no_new_call_from_being_configured(simulator, hanging):
    hung = threading.Event()

    def hang(*_args):
        hung.set()
        return hanging()

    def configure(_request, _settings):
        return {"agent": {"think": {"prompt": "You are Ada."}}}

    limits = {"pool_threads": 1, "pool_queue": 1}
    with CallHarness(configure=configure, on_session_start=hanging, limits=limits, deadlines=CLOSES_SOON) as harness:
        harness.router.tool("weather", {"type": "object", "properties": {}}, hang)
        first = harness.call(simulator=simulator)
        first.client.start()
        first.client.say("what is the weather")
        assert hung.wait(WAIT_S)
        harness.call(simulator=simulator).client.start()
        (update,) = simulator.connections[-1].of_type("session.update")
        assert update["session"]["instructions"] == "You are Ada."


# Notifications.


def test_notifications_come_in_order_and_never_on_a_dispatcher(simulator, recorder):
    with CallHarness(**recorder.hooks()) as harness:
        call = harness.call(simulator=simulator)
        call.client.start()
        hold_turn(call)
        call.hang_up()
        calls = [recorder.next() for _ in range(4)]
    assert [name for name, *_ in calls] == ["on_session_start", "on_usage", "on_turn", "on_session_end"]
    assert {session.id for _, _, session, *_ in calls} == {call.session_id}
    assert all(thread.startswith("hooks-") for _, thread, *_ in calls)
    usage, turn, end = (it[3] for it in calls[1:])
    assert usage.total_tokens > 0
    assert turn.text("user") == "hello there"
    assert turn.text("assistant")
    assert (end.code, end.restarts) == (1000, 0)


@pytest.mark.parametrize("name", ["authenticate", "configure", "on_turn", "on_session_end"])
def test_a_router_may_be_closed_by_a_hook(simulator, name):
    closed = queue.SimpleQueue()

    def close(*_given):
        try:
            closed.put(harness.router.close(drain_s=0))
        except BaseException as error:
            closed.put(error)
            raise

    with CallHarness(deadlines={"close_s": 0.05}, **{name: close}) as harness:
        with contextlib.suppress(HandshakeRefused, AssertionError):
            call = harness.call(simulator=simulator)
            call.client.start()
            hold_turn(call)
            call.hang_up()
        assert closed.get(timeout=WAIT_S) is None
        assert not harness.router.is_alive


def test_close_waits_for_the_notification_of_each_session_s_end(simulator, recorder):
    with CallHarness(**recorder.hooks()) as harness:
        call = harness.call(simulator=simulator)
        call.client.start()
        harness.router.close()
        assert call.client.wait_for_close().code == 1012
    recorder.next()
    name, _, _, end = recorder.next()
    assert (name, end.code, end.reason) == ("on_session_end", 1012, "SERVER_GOING_AWAY")


def test_later_hooks_have_the_tags_of_the_settings(simulator, recorder):
    with CallHarness(**recorder.hooks()) as harness:
        call = harness.call(simulator=simulator)
        call.client.start({**SETTINGS, "tags": ["shop"]})
        hold_turn(call)
        seen = {name: session.tags for name, _thread, session, *_ in (recorder.next(), recorder.next())}
    assert seen["on_session_start"] == ()
    assert set(seen.values()) == {(), ("shop",)}
