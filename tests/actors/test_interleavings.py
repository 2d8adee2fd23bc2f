"""Everything that threads share, with another thread in between any two instructions, and under forced switches.

The first part interrupts each operation once at each of its instructions, by each operation that another thread may
perform at that moment. The second part lets threads race for `INTERLEAVING_S`, with a switch after as few instructions
as possible. tests/README.md maps each race of the engine's comments to its test.
"""

import contextlib
import os
import random
import re
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pykka
import pytest

from actors import lifecycle
from actors.actor import Actor, Inbox, Ref, Stopped, _refuse_the_rest, as_ref
from actors.connections import frames, handover
from actors.connections.base import ConnectionClosed
from actors.connections.frames import text_frames
from actors.connections.handover import take
from actors.connections.memory import memory_pair
from actors.connections.stream import StreamConnection
from actors.connections.upstream import DialError, DialTarget, _Attempt
from actors.dispatcher import Dispatcher
from actors.footprint import STEP_BYTES, Footprint
from actors.pool import Pool, PoolClosed
from actors.spec import SessionSpec
from tests.support.engine.interleaving import Scenario, every_interruption, once_at_least, switching, together
from tests.support.engine.sessions import CRASH_FRAME, WAIT_S, EngineHarness, ScriptedMachine
from tests.support.processes.forked import status_of_fork

pytestmark = pytest.mark.slow

STRESS_S = float(os.environ.get("INTERLEAVING_S", "0.4"))
"""The time of each stress; `.ci/run` gives all of them a minute together."""


class Listing(Actor):
    """An actor that lists its messages."""

    def __init__(self, dispatcher, heard):
        super().__init__(dispatcher)
        self.heard = heard

    def on_receive(self, message):
        self.heard.append(message)
        return message


class ByHand:
    """A dispatcher without a thread: what is scheduled is run by the test."""

    running = None

    def __init__(self):
        self.scheduled = []

    def schedule(self, runnable):
        self.scheduled.append(runnable)

    def run_all(self):
        while self.scheduled:
            self.scheduled.pop(0).run_slice(64)


def listing():
    """Make an actor on a dispatcher by hand, started."""
    by_hand = ByHand()
    ref = as_ref(Listing.start(by_hand, heard := []))
    by_hand.run_all()
    return by_hand, ref, heard


# One interruption: inboxes, references, futures.


@pytest.mark.parametrize("is_put_first", [True, False])
def test_no_message_is_lost_between_a_put_and_a_slice(is_put_first):
    def scenario():
        by_hand, ref, heard = listing()
        ref.tell("before")

        def judge():
            by_hand.run_all()
            assert heard == ["before", "during"]
            ref.stop(block=False)
            by_hand.run_all()

        calls = (lambda: ref.tell("during"), by_hand.run_all)
        return Scenario(*(calls if is_put_first else reversed(calls)), judge)

    assert every_interruption(scenario, Inbox.put, Actor.run_slice, Ref.offer) > 10


@pytest.mark.parametrize("is_ask_first", [True, False])
def test_each_question_is_answered_although_the_actor_stops(is_ask_first):
    def scenario():
        by_hand, ref, _ = listing()
        futures = []

        def ask():
            with contextlib.suppress(pykka.ActorDeadError):
                futures.append(ref.ask("question", block=False))

        def stop():
            ref.stop(block=False)
            by_hand.run_all()

        def judge():
            by_hand.run_all()
            for future in futures:
                with contextlib.suppress(pykka.ActorDeadError):
                    assert future.get(timeout=WAIT_S) == "question"

        return Scenario(*((ask, stop) if is_ask_first else (stop, ask)), judge)

    functions = (Ref.ask, Ref.offer, Ref._answer_if_stopped, _refuse_the_rest, Inbox.put, Inbox.get, Actor.run_slice)
    assert every_interruption(scenario, *functions, Actor._wind_up) > 30


def test_a_waiter_for_the_end_of_an_actor_is_woken_at_any_moment():
    def scenario():
        stopped, results = Stopped(), []
        return once_at_least(
            Scenario(lambda: results.append(stopped.wait(WAIT_S)), stopped.set, lambda: _equal(results, [True]))
        )

    assert every_interruption(scenario, Stopped.wait) > 5


def _equal(found, expected):
    assert found == expected


def test_two_threads_refuse_the_rest_of_an_inbox_together():
    def scenario():
        by_hand, ref, _ = listing()
        futures = [ref.ask(str(at), block=False) for at in range(3)]
        ref.actor_stopped.set()

        def judge():
            for future in futures:
                with pytest.raises(pykka.ActorDeadError):
                    future.get(timeout=WAIT_S)
            pykka.ActorRegistry.unregister(ref)
            by_hand.scheduled.clear()

        return Scenario(lambda: _refuse_the_rest(ref), lambda: _refuse_the_rest(ref), judge)

    assert every_interruption(scenario, _refuse_the_rest, Inbox.get, Inbox.empty) > 20


# One interruption: dispatchers.


@pytest.mark.parametrize("wake", ["call_soon", "schedule"])
def test_no_wake_up_of_a_dispatcher_is_lost(wake):
    """The race of `Dispatcher._wait`: a call is appended before the flag is seen, or wakes the poll."""

    def scenario():
        dispatcher, done = Dispatcher("by hand"), []
        # Without the wake-up the first wait lasts this long.
        dispatcher.call_later(WAIT_S, lambda: None)
        dispatcher.call_soon(lambda: None)  # the first turn does not wait, and is interrupted from end to end
        runnable = SimpleNamespace(session_id="", run_slice=lambda _budget: done.append(1))

        def turn():
            began_s = time.monotonic()
            while not done:
                dispatcher._run_turn()
            assert time.monotonic() - began_s < WAIT_S / 2

        def append():
            dispatcher.call_soon(lambda: done.append(1)) if wake == "call_soon" else dispatcher.schedule(runnable)

        def judge():
            dispatcher._has_ended = True
            dispatcher._close()
            assert done == [1]

        return Scenario(turn, append, judge)

    functions = (Dispatcher._run_turn, Dispatcher._wait, Dispatcher._run_calls, Dispatcher._run_slices)
    assert every_interruption(lambda: once_at_least(scenario()), *functions) > 20


def test_a_call_that_races_the_end_of_the_thread_is_made_once():
    def scenario():
        dispatcher, calls = Dispatcher("ending"), []
        dispatcher._stopping = True
        return Scenario(
            dispatcher._run, lambda: dispatcher.call_soon(lambda: calls.append(1)), lambda: _equal(calls, [1])
        )

    functions = (Dispatcher._run, Dispatcher._run_turn, Dispatcher._wait, Dispatcher._close, Dispatcher._run_calls)
    assert every_interruption(scenario, *functions, Dispatcher._wake) > 20


def test_a_wake_up_that_races_the_end_writes_into_no_other_file():
    def scenario():
        dispatcher = Dispatcher("closing")
        dispatcher._has_ended = True
        files = []

        def close_and_open():
            dispatcher._close()
            files.append(os.pipe())  # it gets the numbers that are free now

        def judge():
            os.set_blocking(files[0][0], False)
            with pytest.raises(BlockingIOError):
                os.read(files[0][0], 1)
            for descriptor in files[0]:
                os.close(descriptor)

        return Scenario(dispatcher._wake, close_and_open, judge)

    assert every_interruption(scenario, Dispatcher._wake) > 3


# One interruption: pools and dials.


@pytest.mark.parametrize("end", ["withdraw", "close"])
def test_a_job_is_done_once_or_withdrawn(end):
    def scenario():
        pool, results, withdrawn = Pool("racing", 1), [], []
        job = pool.submit(lambda: "done", results.append)

        def finish():
            withdrawn.append(job.withdraw()) if end == "withdraw" else pool.close()

        def judge():
            pool.close(WAIT_S)
            if end == "withdraw":
                assert len(results) + withdrawn.count(True) == 1
            else:
                assert len(results) == 1
                assert results[0] == "done" or isinstance(results[0], PoolClosed)

        return Scenario(lambda: pool.submit(lambda: None, lambda _: None), finish, judge)

    assert every_interruption(scenario, Pool.submit, Pool._refusal, Pool._ensure_thread) > 20


def test_a_dial_that_is_abandoned_as_it_succeeds_leaves_no_socket():
    def scenario():
        ours, theirs = socket.socketpair()
        attempt = _Attempt(DialTarget(url="ws://127.0.0.1:1/", timeout_s=0.0))
        attempt._connect = lambda: SimpleNamespace(close=ours.close)

        def abandon():
            with attempt._lock:
                if attempt.sock is None and attempt.failure is None:
                    attempt._abandon()

        def judge():
            is_open = ours.fileno() >= 0
            assert is_open is (attempt.sock is not None)
            assert (attempt.failure is None) is is_open
            assert is_open or isinstance(attempt.failure, DialError)
            ours.close()
            theirs.close()

        return Scenario(attempt._dial, abandon, judge)

    assert every_interruption(scenario, _Attempt._dial) > 5


def open_files():
    """Return the number of descriptors of this process."""
    return len([*Path("/proc/self/fd").iterdir()])


def test_two_sockets_that_are_taken_over_at_once_cost_no_descriptor():
    def scenario():
        handover._stand_ins.clear()
        pairs = [socket.socketpair() for _ in range(2)]
        before, taken = open_files(), []

        def judge():
            for (served, theirs), ours in zip(pairs, sorted(taken, key=lambda it: it[0]), strict=True):
                served.close()  # as the server does behind the request
                theirs.send(b"x")
                assert ours[1].recv(1) == b"x"
            # There are two duplicates and one socket that stands in for all; the two of the server are closed.
            assert open_files() == before + 2 + 1 - 2
            for sock in (*(it[1] for it in taken), *(it[1] for it in pairs)):
                sock.close()
            os.close(handover._stand_ins.pop(None))

        def hand_over(which):
            taken.append((which, take(pairs[which][0])))

        return Scenario(lambda: hand_over(0), lambda: hand_over(1), judge)

    kept = handover._stand_ins.copy()
    assert every_interruption(scenario, take, handover._stand_in) > 10
    handover._stand_ins.update(kept)


# Forced switches.


@pytest.fixture(autouse=True)
def _switching():
    with switching():
        yield


def until_the_end():
    """Yield numbers until the time of one stress has passed."""
    until_s, number = time.monotonic() + STRESS_S, 0
    while time.monotonic() < until_s:
        number += 1
        yield number


def test_messages_of_many_threads_arrive_whole_and_in_each_thread_s_order(dispatcher):
    heard = []
    ref = as_ref(Listing.start(dispatcher, heard))
    sent = [0] * 4

    def tell(which):
        for number in until_the_end():
            ref.tell((which, number))
            sent[which] = number
            if number % 100 == 0:  # so that no thread is far ahead of the actor
                ref.ask((which, "mark"), timeout=WAIT_S)

    together(*(lambda which=which: tell(which) for which in range(4)))
    ref.stop(timeout=WAIT_S)
    for which in range(4):
        numbers = [number for it, number in heard if it == which and number != "mark"]
        assert numbers == list(range(1, sent[which] + 1))


def test_questions_of_many_threads_are_answered_while_actors_start_and_stop(dispatcher):
    refs = [as_ref(Listing.start(dispatcher, [])) for _ in range(3)]

    def ask():
        for number in until_the_end():
            with contextlib.suppress(pykka.ActorDeadError):
                assert refs[number % 3].ask(number, timeout=WAIT_S) == number

    def replace():
        for number in until_the_end():
            old, refs[number % 3] = refs[number % 3], as_ref(Listing.start(dispatcher, []))
            assert old.stop(timeout=WAIT_S)
            assert len(pykka.ActorRegistry.get_by_class(Listing)) >= 3

    together(ask, ask, replace)
    for ref in refs:
        ref.stop(timeout=WAIT_S)


def test_calls_reach_dispatchers_that_stop_meanwhile_exactly_once():
    for _ in until_the_end():
        dispatcher, calls = Dispatcher("short-lived").start(), []

        def call(which, dispatcher=dispatcher, calls=calls):
            for number in range(20):
                dispatcher.call_soon(lambda: calls.append((which, number)))  # noqa: B023 - called once

        together(lambda: call("a"), lambda: call("b"), dispatcher.stop)
        assert dispatcher.stop()
        assert len(calls) == 40


def test_jobs_are_done_once_while_threads_submit_withdraw_and_close():
    for _ in until_the_end():
        pool, results, withdrawn = Pool("racing", 2, max_waiting=50), [], []

        def submit(pool=pool, results=results, withdrawn=withdrawn):
            jobs = [pool.submit(lambda at=at: at, results.append) for at in range(20)]
            withdrawn += [job for job in jobs[::3] if job.withdraw()]

        together(submit, submit, pool.close)
        pool.close(WAIT_S)
        assert len(results) + len(withdrawn) == 40


def test_the_account_of_memory_is_right_after_changes_by_many_threads():
    footprint = Footprint(64 * STEP_BYTES)
    evictions = []

    def change():
        dice, holdings = random.Random(1), []  # noqa: S311 - the sizes need no secrecy
        for number in until_the_end():
            if number % 10 == 1:
                holding = footprint.holding("peer", lambda _had: evictions.append(1))
                holdings.append(holding)
            dice.choice(holdings).note(dice.randrange(32 * STEP_BYTES))
        for holding in holdings:
            holding.release()

    together(change, change, change)
    assert footprint.total_bytes == 0
    assert footprint.evictions == len(evictions)


def test_no_two_threads_get_the_same_masking_key(monkeypatch):
    monkeypatch.setattr(os, "urandom", _counting())
    frames._keys.clear()
    got = [[] for _ in range(4)]

    def take_keys(which):
        for _ in until_the_end():
            got[which].append(frames._new_key())

    together(*(lambda which=which: take_keys(which) for which in range(4)))
    frames._keys.clear()
    keys = [key for some in got for key in some]
    assert len(set(keys)) == len(keys)


def _counting():
    """Make a source of bytes whose groups of four never repeat."""
    lock, state = threading.Lock(), [0]

    def urandom(size):
        with lock:
            first, state[0] = state[0], state[0] + size // 4
        return b"".join(number.to_bytes(4, "big") for number in range(first, first + size // 4))

    return urandom


def test_sessions_that_begin_end_and_are_cut_leave_nothing(dispatcher):
    engine = EngineHarness(dispatcher)
    ended = threading.Semaphore(0)

    def call():
        for number in until_the_end():
            connection, client = memory_pair()
            spec = SessionSpec(
                session_id=f"{threading.get_ident()}-{number}",
                machine=ScriptedMachine(),
                dial_target=lambda route, position: DialTarget(url=f"ws://{route}{position}"),
                dialler=engine._dial,
                crash_frame=CRASH_FRAME,
                restarts=0,
                deliver_timeout_s=5.0,
                on_end=ended.release,
            )
            engine.supervisor.tell(lifecycle.StartSession(spec, connection))
            client.send_text("open")
            if number % 3 == 0:
                client.send_text("end")
            elif number % 3 == 1:
                client.reset()
            else:
                connection.abort_from_outside(CRASH_FRAME)
                client.hang_up()
            while not isinstance(client.receive(), ConnectionClosed):
                pass
            assert ended.acquire(timeout=WAIT_S)

    together(call, call)
    engine.close()


def test_connections_that_are_aborted_from_outside_meanwhile_end_once(dispatcher):
    for _ in until_the_end():
        ours, theirs = socket.socketpair()
        connection, closings, done = StreamConnection(ours, is_server=True), [], threading.Event()
        listener = SimpleNamespace(
            log_fields={},
            on_text=lambda text, connection=connection: connection.send_text(text),
            on_closed=lambda closed, closings=closings, done=done: (closings.append(closed), done.set()),
        )
        opened = threading.Event()
        dispatcher.call_soon(
            lambda connection=connection, listener=listener, opened=opened: (
                connection.open(dispatcher, listener),
                opened.set(),
            )
        )
        assert opened.wait(WAIT_S)

        def talk(theirs=theirs):
            with contextlib.suppress(OSError):
                for _ in range(5):
                    theirs.sendall(b"".join(text_frames("hello", mask=True, max_frame_bytes=100)))

        together(talk, lambda connection=connection: connection.abort_from_outside("bye"))
        theirs.close()
        assert done.wait(WAIT_S)
        assert len(closings) == 1


def test_a_child_that_is_forked_at_any_moment_neither_hangs_nor_shares_a_lock(dispatcher):
    ref = as_ref(Listing.start(dispatcher, []))
    pool = Pool("busy", 2)

    def work():
        for number in until_the_end():
            ref.tell(number)
            pool.submit(lambda: None, lambda _: None)
            Stopped().wait(0)

    def fork():
        for _ in until_the_end():
            assert status_of_fork(_be_a_child, timeout_s=4 * WAIT_S) == 0

    together(work, work, fork)
    pool.close(WAIT_S)
    ref.stop(timeout=WAIT_S)


def _be_a_child():
    """Use the engine in the child of a fork."""
    assert pykka.ActorRegistry.get_all() == []
    own = Dispatcher("child").start()
    ref = as_ref(Listing.start(own, []))
    assert ref.ask("?", timeout=WAIT_S) == "?"
    assert ref.stop(timeout=WAIT_S)
    assert own.stop()


def test_every_race_of_the_list_has_a_test_of_that_name():
    root = Path(__file__).resolve().parents[1]
    _, _, table = (root / "README.md").read_text().partition("## Races")
    named = set(re.findall(r"`(test_\w+)`", table))
    existing = set(
        re.findall(r"^def (test_\w+)", "".join(it.read_text() for it in root.rglob("test_*.py")), re.MULTILINE)
    )
    assert named - existing == set()
    own = set(re.findall(r"^def (test_\w+)", Path(__file__).read_text(), re.MULTILINE))
    assert own - named == {"test_every_race_of_the_list_has_a_test_of_that_name"}
