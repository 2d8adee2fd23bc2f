"""The keeper, and the channels of two workers that a test plays."""

import contextlib
import itertools
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from router.web.keeper import Keeper

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

DESCRIPTORS = Path("/proc/self/fd")

WORKER = """
import socket, sys
channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
channel.connect(sys.argv[1])
for line in sys.stdin:
    match line.split():
        case ["memory"]:
            one, other = socket.socketpair()
            socket.send_fds(channel, [b"m"], [one.fileno()])
        case ["hold", name]:
            one, other = socket.socketpair()
            socket.send_fds(channel, [b"h" + name.encode() + b" 4096 7"], [one.fileno()])
        case ["bare", name]:
            channel.send(b"h" + name.encode() + b" 4096 7")
        case ["drop", name]:
            channel.send(b"d" + name.encode())
        case ["pass", name]:
            channel.send(b"p" + name.encode())
        case ["adopt"]:
            packet, descriptors, _, _ = socket.recv_fds(channel, 100, 2)
            print(packet.decode(), len(descriptors), flush=True)
            continue
    print("done", flush=True)
"""


class Worker:
    """A process with a channel to the keeper."""

    def __init__(self, process):
        self.process = process
        self.pid = process.pid

    def do(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def fit():
    return []


@pytest.fixture
def lost():
    return []


@pytest.fixture
def unkept():
    return []


@pytest.fixture
def keeper(tmp_path, fit, lost, unkept):
    keeper = Keeper(tmp_path / "keeper.sock", lambda: fit, lambda: lost.append(1), lambda: unkept.append(1))
    yield keeper
    keeper.close()


@pytest.fixture
def worker(tmp_path, keeper, fit):
    """Return a function that starts a worker."""
    with contextlib.ExitStack() as stack:

        def start():
            argv = [sys.executable, "-S", "-c", WORKER, str(tmp_path / "keeper.sock")]
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            worker = Worker(process)
            assert worker.do("memory") == "done"
            keeper.poll()
            fit.append(worker.pid)
            return worker

        yield start


def die(keeper, fit, worker, *, has_died=True):
    worker.process.kill()
    worker.process.wait()
    fit.remove(worker.pid)
    keeper.note_end(worker.pid, has_died=has_died)


def test_the_sessions_of_a_dead_worker_go_to_a_living_one(keeper, fit, worker):
    one, other = worker(), worker()
    one.do("hold s1")
    die(keeper, fit, one)
    assert other.do("adopt") == "as1 4096 7 2"


def test_a_session_that_its_worker_dropped_goes_nowhere(keeper, fit, worker):
    one, other = worker(), worker()
    one.do("hold s1")
    one.do("hold s2")
    one.do("drop s1")
    other.do("drop s2")  # of another worker: it has moved away from there before
    die(keeper, fit, one)
    assert other.do("adopt") == "as2 4096 7 2"


def test_without_a_living_worker_the_sessions_wait_for_one(keeper, fit, worker):
    one = worker()
    one.do("hold s1")
    die(keeper, fit, one)
    other = worker()
    keeper.poll()
    assert other.do("adopt") == "as1 4096 7 2"


def test_a_session_that_no_worker_takes_for_long_is_shut(keeper, fit, worker, lost, monkeypatch):
    one = worker()
    one.do("hold s1")
    die(keeper, fit, one)
    keeper.poll()
    assert lost == []
    monkeypatch.setattr("router.web.keeper.MOST_WAIT_S", -1.0)
    keeper.poll()
    keeper.poll()
    assert lost == [1]
    other = worker()
    other.do("hold s2")
    die(keeper, fit, other)
    keeper.poll()
    assert lost == [1, 1]


def test_an_adopter_that_dies_passes_the_session_on(keeper, fit, worker):
    one, two, three = worker(), worker(), worker()
    one.do("hold s1")
    fit.remove(three.pid)
    die(keeper, fit, one)
    fit.append(three.pid)
    die(keeper, fit, two)
    assert three.do("adopt") == "as1 4096 7 2"


def test_a_session_that_kills_two_workers_is_given_up_and_ends_in_a_third_one(keeper, fit, worker, lost, caplog):
    workers = [worker() for _ in range(5)]
    workers[0].do("hold s1")
    for it in workers[2:]:
        fit.remove(it.pid)
    for one, other in itertools.pairwise(workers):
        fit[:] = [one.pid, other.pid]
        if other is workers[4]:
            assert one.do("adopt") == "ls1 4096 7 2"
        die(keeper, fit, one)
    assert "session s1 is given up: it has killed 2 workers" in caplog.text
    assert lost == [1]  # not even its end could be told


def test_a_session_that_a_worker_passes_on_goes_to_the_next(keeper, fit, worker):
    one, two, three = worker(), worker(), worker()
    one.do("hold s1")
    fit.remove(three.pid)
    die(keeper, fit, one)
    assert two.do("adopt") == "as1 4096 7 2"
    fit[:] = [three.pid]
    two.do("pass s1")
    keeper.poll()
    assert three.do("adopt") == "as1 4096 7 2"


def test_a_worker_that_passes_a_session_on_was_not_killed_by_it(keeper, fit, worker, caplog):
    one, two, three = worker(), worker(), worker()
    one.do("hold s1")
    fit.remove(three.pid)
    die(keeper, fit, one)
    for _ in range(3):
        assert two.do("adopt") == "as1 4096 7 2"
        two.do("pass s1")
        keeper.poll()
    assert two.do("adopt") == "as1 4096 7 2"
    assert "given up" not in caplog.text


def test_a_session_whose_socket_did_not_arrive_does_not_outlive_its_worker(keeper, fit, worker, caplog):
    one, other = worker(), worker()
    one.do("bare s1")
    one.do("hold s2")
    die(keeper, fit, one)
    assert other.do("adopt") == "as2 4096 7 2"
    assert "session s1 does not outlive its worker" in caplog.text


def test_the_memory_of_a_worker_is_there_as_long_as_one_of_its_sessions(keeper, fit, worker):
    one, other = worker(), worker()
    before = len(list(DESCRIPTORS.iterdir()))
    one.do("hold s1")
    die(keeper, fit, one)
    assert other.do("adopt") == "as1 4096 7 2"
    assert len(list(DESCRIPTORS.iterdir())) == before  # one channel less, one socket more
    other.do("hold s1")
    keeper.poll()
    assert len(list(DESCRIPTORS.iterdir())) == before - 1


def test_sessions_that_were_on_their_way_to_a_dead_worker_are_tried_one_after_the_other(keeper, fit, worker):
    one, two, three = worker(), worker(), worker()
    fit.remove(three.pid)
    for name in ("s1", "s2"):
        one.do(f"hold {name}")
    die(keeper, fit, one)
    fit.append(three.pid)
    die(keeper, fit, two)
    assert three.do("adopt") == "as1 4096 7 2"
    assert list(keeper._orphans) == ["s2"]
    three.do("hold s1")
    keeper.poll()
    assert three.do("adopt") == "as2 4096 7 2"


def test_without_a_descriptor_the_keeper_goes_on(tmp_path, keeper, caplog):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        channel.connect(str(tmp_path / "keeper.sock"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (channel.fileno() + 1, hard))
        try:
            keeper.poll()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "the keeper cannot hear a worker" in caplog.text
        keeper.poll()
        assert caplog.text.count("the keeper cannot hear a worker") == 1  # and the next word does not wake it at once
        keeper._deaf_until_s = 0.1
        keeper.poll()
        assert len(keeper._channels) == 1


def test_a_session_whose_socket_or_memory_did_not_arrive_is_counted_as_unkept(keeper, worker, unkept):
    one = worker()
    one.do("bare s1")
    keeper.poll()
    assert unkept == [1]
    before = len(list(DESCRIPTORS.iterdir()))
    keeper._memories.clear()
    one.do("hold s2")
    keeper.poll()
    assert unkept == [1, 1]
    assert len(list(DESCRIPTORS.iterdir())) < before


def test_a_session_that_a_worker_passes_goes_to_another_one(keeper, fit, worker):
    one, two, three = worker(), worker(), worker()
    one.do("hold s1")
    die(keeper, fit, one)
    assert two.do("adopt") == "as1 4096 7 2"
    two.do("pass s1")
    keeper.poll()
    assert three.do("adopt") == "as1 4096 7 2"


def test_a_worker_that_ended_by_itself_leaves_nothing(keeper, fit, worker):
    one = worker()
    before = len(list(DESCRIPTORS.iterdir()))
    one.do("hold s1")
    keeper.poll()
    die(keeper, fit, one, has_died=False)
    assert len(list(DESCRIPTORS.iterdir())) < before
