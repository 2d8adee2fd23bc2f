"""pykka's semantics, on a dispatcher."""

import itertools
import logging
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pykka
import pytest

from actors.actor import Actor, Inbox, WouldDeadlock, guarded
from actors.dispatcher import Dispatcher
from actors.messages import Message
from tests.support.engine.dispatching import on
from tests.support.processes.children import child

WAIT_S = 5.0


@dataclass
class Events:
    started: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    failed: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


class Probe(Actor):
    """An actor that records its messages, and does what a few of them ask for."""

    def __init__(self, dispatcher, events, log=None):
        super().__init__(dispatcher)
        self.events = events
        self.log = log if log is not None else []

    def on_start(self):
        self.log.append("started")
        self.events.started.set()

    def on_stop(self):
        self.log.append("stopped")
        self.events.stopped.set()

    def on_failure(self, exception_type, exception_value, _traceback):
        self.log.append(("failed", exception_type, str(exception_value)))
        self.events.failed.set()

    def on_receive(self, message):
        match message:
            case "fail":
                raise ValueError("on purpose")
            case "exit":
                raise SystemExit
            case "hold":
                self.events.entered.set()
                self.events.go_on.wait(WAIT_S)
            case ("ask", ref):
                return ref.ask("hello", timeout=1)
            case ("ask without waiting", ref):
                return ref.ask("hello", block=False)
            case ("call", function):
                return function()
            case _:
                self.log.append(message)
                return ("echo", message)
        return None


class FailsToStart(Probe):
    def on_start(self):
        raise ValueError("at the start")


class FailsToStop(Probe):
    def on_stop(self):
        super().on_stop()
        raise ValueError("at the end")


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def probe(dispatcher, events):
    ref = Probe.start(dispatcher, events)
    yield ref
    ref.stop()


def log_of(ref):
    return ref.proxy().log.get(timeout=WAIT_S)


def test_on_start_runs_before_any_message(probe):
    assert probe.ask("one", timeout=WAIT_S) == ("echo", "one")
    assert log_of(probe) == ["started", "one"]


def test_messages_are_handled_in_order(probe):
    for n in range(500):
        probe.tell(n)
    assert probe.ask("last", timeout=WAIT_S) == ("echo", "last")
    assert log_of(probe) == ["started", *range(500), "last"]


def test_messages_of_several_threads_arrive_completely(probe):
    threads = [threading.Thread(target=lambda: [probe.tell(n) for n in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    probe.ask("last", timeout=WAIT_S)
    assert len(log_of(probe)) == 802


def test_actors_run_on_their_dispatcher_s_thread(probe):
    assert probe.ask(("call", lambda: threading.current_thread().name)) == "test-dispatcher"


def test_ask_waits_no_longer_than_its_time_out(probe, events):
    probe.tell("hold")
    with pytest.raises(pykka.Timeout):
        probe.ask("hello", timeout=0.01)
    events.go_on.set()


def test_ask_gives_the_exception_to_its_caller_and_the_actor_lives_on(probe, events):
    with pytest.raises(ValueError, match="on purpose"):
        probe.ask("fail", timeout=WAIT_S)
    assert probe.ask("still here", timeout=WAIT_S) == ("echo", "still here")
    assert not events.failed.is_set()


def test_a_failing_tell_stops_the_actor_and_reaches_on_failure_but_not_on_stop(dispatcher, events, caplog):
    log = []
    ref = Probe.start(dispatcher, events, log)
    with caplog.at_level(logging.CRITICAL, "pykka"):
        ref.tell("fail")
        assert events.failed.wait(WAIT_S)
    assert log == ["started", ("failed", ValueError, "on purpose")]
    assert not ref.is_alive()
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("anything")


def test_the_failure_of_one_actor_touches_no_other(dispatcher, probe):
    other = Events()
    failing = Probe.start(dispatcher, other)
    failing.tell("fail")
    assert other.failed.wait(WAIT_S)
    assert probe.ask("hello", timeout=WAIT_S) == ("echo", "hello")


def test_stop_lets_earlier_messages_be_handled_first(dispatcher, events):
    log = []
    ref = Probe.start(dispatcher, events, log)
    for n in range(200):
        ref.tell(n)
    assert ref.stop(timeout=WAIT_S) is True
    assert log == ["started", *range(200), "stopped"]
    assert ref.stop(timeout=WAIT_S) is False


def test_messages_left_in_the_inbox_of_a_stopped_actor_get_an_error(dispatcher, events):
    ref = Probe.start(dispatcher, events)
    ref.tell("hold")
    assert events.entered.wait(WAIT_S)
    stop = ref.stop(block=False)
    late = ref.ask("late", block=False)
    another_stop = ref.ask(pykka.messages._ActorStop(), block=False)
    events.go_on.set()
    assert stop.get(timeout=WAIT_S) is True
    with pytest.raises(pykka.ActorDeadError):
        late.get(timeout=WAIT_S)
    assert another_stop.get(timeout=WAIT_S) is None


def test_an_ask_of_a_dead_actor_gets_an_error(dispatcher, events):
    ref = Probe.start(dispatcher, events)
    ref.stop(timeout=WAIT_S)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("hello", timeout=WAIT_S)


def test_an_actor_that_fails_to_start_is_dead_and_no_hook_runs(dispatcher, events):
    ref = FailsToStart.start(dispatcher, events)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("hello", timeout=WAIT_S)
    assert not events.failed.is_set()
    assert not events.stopped.is_set()
    assert pykka.ActorRegistry.get_all() == []


def test_an_actor_that_fails_to_stop_is_dead_all_the_same(dispatcher, events):
    ref = FailsToStop.start(dispatcher, events)
    ref.stop(timeout=WAIT_S)
    assert not ref.is_alive()


def test_the_registry_knows_the_living(dispatcher, events):
    ref = Probe.start(dispatcher, events)
    assert pykka.ActorRegistry.get_by_class(Probe) == [ref]
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) == ref
    ref.stop(timeout=WAIT_S)
    assert pykka.ActorRegistry.get_all() == []


def test_an_actor_of_a_session_has_the_name_of_its_session(dispatcher):
    ref = Actor.start(dispatcher, "s1")
    assert ref.actor_urn == "s1"
    ref.stop(timeout=WAIT_S)


def test_system_exit_in_an_actor_stops_all_of_them(dispatcher, events):
    other = Events()
    first, second = Probe.start(dispatcher, events), Probe.start(dispatcher, other)
    first.tell("exit")
    assert events.stopped.wait(WAIT_S)
    assert other.stopped.wait(WAIT_S)
    assert not second.is_alive()
    assert dispatcher.is_alive


class Exit(Message, frozen=True):
    """A message of our own."""


class Leaver(Probe):
    def on_receive(self, message):
        if isinstance(message, Exit):
            raise SystemExit
        return super().on_receive(message)


def test_system_exit_at_a_message_of_our_own_stops_its_actor(dispatcher, events):
    ref = Leaver.start(dispatcher, events)
    ref.tell(Exit())
    assert events.stopped.wait(WAIT_S)
    assert dispatcher.is_alive


def test_an_ask_from_the_dispatcher_s_own_thread_raises_at_once_and_sends_nothing(dispatcher, probe):
    other = Probe.start(dispatcher, Events())
    with pytest.raises(WouldDeadlock):
        probe.ask(("ask", other), timeout=WAIT_S)
    assert log_of(other) == ["started"]
    other.stop(timeout=WAIT_S)


def test_a_dispatcher_s_thread_may_hold_a_future_but_not_wait_for_it(dispatcher, probe):
    other = Probe.start(dispatcher, Events())
    future = probe.ask(("ask without waiting", other), timeout=WAIT_S)
    assert future.get(timeout=WAIT_S) == ("echo", "hello")
    held = Events()
    busy = Probe.start(dispatcher, held)
    with pytest.raises(WouldDeadlock):
        probe.ask(("call", lambda: busy.ask("hello", block=False).get()), timeout=WAIT_S)
    assert probe.ask(("call", future.get), timeout=WAIT_S) == ("echo", "hello"), "the value is there already"
    for ref in (other, busy):
        ref.stop(timeout=WAIT_S)


def test_an_unexpected_message_is_logged(dispatcher, caplog):
    ref = Actor.start(dispatcher)
    ref.ask("what?", timeout=WAIT_S)
    ref.stop(timeout=WAIT_S)
    assert "what?" in caplog.text


def test_a_guarded_callback_that_raises_fails_its_actor(dispatcher, events):
    class Called(Probe):
        @guarded
        def fail(self):
            raise ValueError("from outside")

    ref = Called.start(dispatcher, events)
    callback = ref._actor_weakref().fail
    dispatcher.call_soon(callback)
    assert events.failed.wait(WAIT_S)
    assert not ref.is_alive()
    dispatcher.call_soon(callback)  # silent now: the fixture finds no failure of the dispatcher's


class Keeper(Probe):
    def on_left_over(self, message):
        self.log.append(("left over", message))


def test_a_message_that_a_stopped_actor_has_not_handled_is_given_back_to_it(dispatcher, events):
    log = []
    ref = Keeper.start(dispatcher, events, log)
    ref.tell("hold")
    assert events.entered.wait(WAIT_S)
    stop = ref.stop(block=False)
    ref.tell("late")
    events.go_on.set()
    stop.get(timeout=WAIT_S)
    flushed = threading.Event()
    dispatcher.call_soon(flushed.set)
    assert flushed.wait(WAIT_S)
    assert log == ["started", "stopped", ("left over", "late")]


@pytest.mark.parametrize("line", range(1, 5))
def test_a_put_into_the_inbox_of_an_actor_that_stops_at_that_moment_schedules_nothing_else(line):
    scheduled = []
    inbox, actor, lines = Inbox(), object(), itertools.count(1)
    inbox.bind(SimpleNamespace(schedule=scheduled.append), actor)
    inbox.is_scheduled = False

    def trace(frame, event, _argument):
        if frame.f_code is Inbox.put.__code__ and event == "line" and next(lines) == line:
            inbox.unbind()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        inbox.put("late")
    finally:
        sys.settrace(before)
    assert set(scheduled) == {actor}


FORK = """
import os, threading
from actors import actor

holding, go_on = threading.Event(), threading.Event()

def hold():
    with actor._first_waiter:
        holding.set()
        go_on.wait()

threading.Thread(target=hold).start()
holding.wait()
pid = os.fork()
if pid == 0:
    os._exit(actor.Stopped().wait(0))
go_on.set()
print("the child ended with", os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.mark.slow
def test_the_child_of_a_fork_does_not_wait_for_a_lock_of_the_parent_s():
    root = str(Path(__file__).resolve().parents[2])
    with child(sys.executable, "-c", FORK, env={"PYTHONPATH": root}) as process:
        process.wait_for("the child ended with 0", timeout_s=WAIT_S)


# A message to an actor that rests.


class Relay(Actor):
    """Logs a text between two marks, and hands a pair on: to another actor, a message."""

    def __init__(self, dispatcher, log, session_id=""):
        super().__init__(dispatcher, session_id)
        self.log = log

    def on_failure(self, *_failure):
        self.log.append("failed")

    def take_text(self, text):
        self.log.append(f"begins {text}")
        if text == "fail":
            raise ValueError("on purpose")
        self.log.append(f"ends {text}")

    def take_pair(self, pair):
        ref, message = pair
        self.log.append("hands over")
        assert ref.hand_over(message, self.dispatcher)
        self.log.append("has handed over")

    @guarded
    def called_back(self, pair):
        self.take_pair(pair)

    receives = {str: take_text, tuple: take_pair}  # noqa: RUF012 - as in the engine


@pytest.fixture
def log():
    return []


@pytest.fixture
def relays(dispatcher, log):
    """Two actors at rest, which write into one log."""
    refs = [Relay.start(dispatcher, log, "session") for _ in range(2)]
    rest(refs)
    yield refs
    for ref in refs:
        ref.stop()


def rest(refs):
    for ref in refs:
        ref.proxy().log.get(timeout=WAIT_S)


def test_an_actor_that_rests_handles_a_message_before_the_sender_goes_on(relays, log):
    first, second = relays
    first.tell((second, "text"))
    rest(relays)
    assert log == ["hands over", "begins text", "ends text", "has handed over"]


def test_a_message_for_an_actor_with_messages_in_its_inbox_waits_behind_them(relays, dispatcher, log):
    first, second = relays

    def both():
        second.tell("earlier")
        first.tell((second, "later"))

    on(dispatcher, both)
    rest(relays)
    assert log.index("ends earlier") < log.index("begins later")


def test_an_actor_handles_one_message_at_a_time_even_if_it_writes_to_itself(relays, log):
    first, _second = relays
    first.tell((first, "text"))
    rest(relays)
    assert log == ["hands over", "has handed over", "begins text", "ends text"]


def test_an_actor_whose_callback_runs_is_busy_and_gets_an_answer_in_its_inbox(relays, dispatcher, log):
    first, second = relays
    actor = first.actor_inbox.actor
    on(dispatcher, lambda: actor.called_back((second, (first, "answer"))))
    rest(relays)
    assert log == [
        *("hands over", "hands over", "has handed over", "has handed over"),
        *("begins answer", "ends answer"),
    ]


def test_a_failure_at_a_message_that_was_handed_over_fails_its_receiver_alone(relays, log):
    first, second = relays
    first.tell((second, "fail"))
    rest([first])
    assert log == ["hands over", "begins fail", "failed", "has handed over"]
    assert not second.is_alive()
    assert first.is_alive()


def test_an_actor_that_has_stopped_is_handed_nothing(relays, dispatcher, log):
    _first, second = relays
    second.stop()
    assert on(dispatcher, lambda: second.hand_over("text", dispatcher)) is False
    assert log == []


def test_an_actor_of_another_dispatcher_gets_the_message_in_its_inbox(relays, log):
    first, _second = relays
    elsewhere = Dispatcher("elsewhere").start()
    other = Relay.start(elsewhere, [])
    rest([other])
    try:
        first.tell((other, "text"))
        rest([first, other])
        assert log == ["hands over", "has handed over"]
        assert other.proxy().log.get(timeout=WAIT_S) == ["begins text", "ends text"]
    finally:
        other.stop()
        elsewhere.stop()


def test_a_message_that_the_actor_does_not_list_goes_through_its_inbox(dispatcher, events, log):
    probe = Probe.start(dispatcher, events, log)
    rest([probe])
    on(dispatcher, lambda: probe.hand_over("text", dispatcher))
    rest([probe])
    assert log == ["started", "text"]
    probe.stop()


def test_outside_of_slices_an_actor_handles_one_message_of_a_turn_at_once(relays, dispatcher, log):
    _first, second = relays

    def flood():
        for text in ("one", "two", "three"):
            second.hand_over(text, dispatcher)
        return list(log)

    assert on(dispatcher, flood) == ["begins one", "ends one"]
    rest(relays)
    assert log[-1] == "ends three"


def test_a_message_that_was_handled_at_once_counts_as_a_slice_of_its_session(relays, dispatcher):
    _first, second = relays

    def burn():
        before = dispatcher.slices
        second.hand_over("text", dispatcher)
        return dispatcher.slices - before

    assert on(dispatcher, burn) == 1


def test_a_heavy_session_is_handed_nothing(relays, dispatcher, log):
    _first, second = relays

    def hand_over():
        dispatcher.heavy["session"] = deque()
        second.hand_over("text", dispatcher)
        handled = list(log)
        del dispatcher.heavy["session"]
        return handled

    assert on(dispatcher, hand_over) == []
    rest(relays)
    assert log == ["begins text", "ends text"]
