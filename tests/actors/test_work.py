"""Work of a session off its dispatcher: real actors and a real pool of one thread."""

import threading

import pytest

from actors import lifecycle, messages
from actors.actor import as_ref
from actors.messages import WorkDone, WorkFailureKind
from actors.pool import Pool
from actors.translator import TranslatorActor
from actors.work import Pools

WAIT_S = 5.0
LONG_S = 60.0


class Results(list):
    """The results that a machine got, and a condition for each."""

    def __init__(self):
        self.more = threading.Condition()

    def __call__(self, message):
        with self.more:
            self.append(message)
            self.more.notify_all()

    def wait_for(self, count):
        with self.more:
            assert self.more.wait_for(lambda: len(self) >= count, WAIT_S), list(self)
        return list(self)


class Machine:
    """A machine that returns the commands of a text."""

    def __init__(self):
        self.results = Results()
        self.begun = threading.Semaphore(0)

    def handle(self, message, _now_s):
        if isinstance(message, WorkDone):
            self.results(message)
            return []
        if message.text == "wait until work is begun":
            assert self.begun.acquire(timeout=WAIT_S)
        return COMMANDS.get(message.text, [])

    def held_bytes(self):
        return 0

    def describe(self):
        return {}


class Ignorant(TranslatorActor):
    """An actor in place of the supervisor, which ignores every message."""

    def __init__(self, dispatcher):
        super(TranslatorActor, self).__init__(dispatcher)

    def on_receive(self, _message):
        return None

    def on_stop(self):
        pass


COMMANDS = {
    "start": [messages.StartWork("a", "work a", LONG_S)],
    "start b": [messages.StartWork("b", "work b", LONG_S)],
    "start c": [messages.StartWork("c", "work c", LONG_S)],
    "prepare": [messages.StartWork("p", "preparation", LONG_S, is_preparation=True)],
    "start in no time": [messages.StartWork("a", "work a", 0.0)],
    "cancel": [messages.CancelWork("a")],
    "cancel b": [messages.CancelWork("b")],
    "end": [messages.EndSession(1000, "")],
}


class Session:
    """A translator alone, whose work waits until the test releases it."""

    def __init__(self, dispatcher):
        self.pool = Pool("worker", 1, max_waiting=1)
        self.setup = Pool("setup", 1)
        self.machine = Machine()
        self.gate = threading.Event()
        self.done = []
        self.supervisor = as_ref(Ignorant.start(dispatcher))
        self.translator = as_ref(
            TranslatorActor.start(
                dispatcher,
                session_id="s",
                machine=self.machine,
                supervisor=self.supervisor,
                pools=Pools(tools=self.pool, setup=self.setup, hooks=self.pool),
                perform=self.perform,
                read_late=lambda _message: None,
                log_fields={},
            )
        )

    def perform(self, work):
        if work == "preparation":
            return "ready"
        self.machine.begun.release()
        assert self.gate.wait(WAIT_S)
        self.done.append(work)
        if work == "work b":
            raise ValueError("b has failed")
        return f"{work} is done"

    def tell(self, *texts):
        for text in texts:
            self.translator.tell(messages.ClientTextReceived(text))
        return self

    def is_begun(self):
        return self.machine.begun.acquire(timeout=WAIT_S)

    def facts(self):
        facts = self.translator.ask(lifecycle.Describe(), timeout=WAIT_S)
        return facts["work"], facts["work_dropped"]

    def release(self):
        """Release the work, and wait until the pool has nothing left to do."""
        self.gate.set()
        self.pool.close(WAIT_S)
        self.setup.close(WAIT_S)

    def close(self):
        self.release()
        self.translator.stop(timeout=WAIT_S)
        self.supervisor.stop(timeout=WAIT_S)


@pytest.fixture
def session(dispatcher):
    session = Session(dispatcher)
    yield session
    session.close()


def test_no_thread_is_started_before_there_is_work(session):
    assert session.facts() == ([], 0)
    assert session.pool._threads == []


def test_the_result_of_work_is_delivered_to_the_machine(session):
    session.gate.set()
    session.tell("start")
    assert session.machine.results.wait_for(1) == [WorkDone("a", "work a is done")]
    assert session.facts() == ([], 0)


def test_an_exception_of_work_is_delivered_as_a_failure(session):
    session.gate.set()
    session.tell("start b")
    (done,) = session.machine.results.wait_for(1)
    assert (done.key, done.result, done.failure.kind) == ("b", None, WorkFailureKind.RAISED)
    assert str(done.failure.error) == "b has failed"


def test_work_that_hangs_has_timed_out_and_its_late_result_is_dropped_and_counted(session, dispatcher):
    # Both in one slice: its time is over only when it is begun.
    dispatcher.call_soon(lambda: session.tell("start in no time", "wait until work is begun"))
    (done,) = session.machine.results.wait_for(1)
    assert done.failure.kind is WorkFailureKind.TIMED_OUT
    assert session.facts() == ([], 0)
    session.release()
    assert session.facts() == ([], 1)
    assert len(session.machine.results) == 1


def test_the_time_that_work_waits_for_a_thread_counts_and_then_it_is_not_begun(session):
    session.tell("start b")
    assert session.is_begun()
    session.tell("start in no time")
    (done,) = session.machine.results.wait_for(1)
    assert (done.key, done.failure.kind) == ("a", WorkFailureKind.TIMED_OUT)
    session.release()
    assert session.done == ["work b"]


def test_a_key_is_free_again_after_a_cancel_and_a_late_result_is_not_taken_for_the_next(session):
    session.tell("start")
    assert session.is_begun()
    session.tell("cancel", "start")
    assert session.facts() == (["a"], 0)
    session.gate.set()
    assert session.machine.results.wait_for(1) == [WorkDone("a", "work a is done")]
    assert session.facts() == ([], 1)
    assert session.done == ["work a", "work a"]


def test_cancelled_work_is_not_begun_and_nothing_is_delivered(session):
    session.tell("start")
    assert session.is_begun()
    session.tell("start b", "cancel b")
    assert session.facts() == (["a"], 0)
    session.release()
    assert session.machine.results.wait_for(1) == [WorkDone("a", "work a is done")]
    assert session.done == ["work a"]


def test_work_that_finds_the_pool_full_is_refused_at_once(session):
    session.tell("start")
    assert session.is_begun()
    session.tell("start b", "start c")
    (refused,) = session.machine.results.wait_for(1)
    assert (refused.key, refused.failure.kind) == ("c", WorkFailureKind.REFUSED)
    assert session.facts() == (["a", "b"], 0)


def test_work_that_hangs_does_not_stop_a_preparation(session):
    assert session.tell("start", "start b").is_begun()
    session.tell("prepare")
    assert session.machine.results.wait_for(1) == [WorkDone("p", "ready")]


def test_a_closed_pool_refuses_too(session):
    session.pool.close()
    session.tell("start")
    (refused,) = session.machine.results.wait_for(1)
    assert refused.failure.kind is WorkFailureKind.REFUSED


def test_work_of_a_session_that_ends_is_dropped(session):
    session.tell("start")
    assert session.is_begun()
    session.tell("start b", "end")
    assert session.facts() == ([], 0)
    session.release()
    assert session.done == ["work a"], "work that waited is never begun"
    assert session.facts() == ([], 1)
    assert session.machine.results == []


def test_work_of_a_translator_that_stops_is_dropped(session, dispatcher):
    session.tell("start")
    assert session.is_begun()
    session.tell("start b")
    session.translator.stop(timeout=WAIT_S)
    session.release()
    assert session.done == ["work a"]
    assert session.machine.results == []
    assert dispatcher.failures == 0
