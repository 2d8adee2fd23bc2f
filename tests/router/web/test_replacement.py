"""Two main processes over a real socket; tests/sockets/test_take_over.py has whole servers."""

import os
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from router.web import replacement
from router.web.replacement import Offer, Replaceable, ReplacementError, Served, find

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

WAIT_S = 5.0


@pytest.fixture
def path():
    """The path of a socket: a short one, in a folder that does not exist yet."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "own" / "127.0.0.1-8080.sock"


def offered(*, has_admin=False):
    """Return a running server whose descriptors are those of pipes, and the reading ends of the pipes."""
    pipes = [os.pipe() for _ in range(3 if has_admin else 2)]
    areas = [("metrics", 4096)]
    offer = Offer(pid=os.getpid(), slots=8, peers="peers", has_admin=has_admin, areas=areas, age=5)
    return (offer, [write for _, write in pipes]), [read for read, _ in pipes]


@pytest.fixture
def serving(path):
    made = []

    def start(**given):
        offer, reads = offered(**given)
        made.append(Replaceable(path, lambda: offer))
        made[-1].offered = offer[1]
        return made[-1], reads

    yield start
    for it in made:
        it.close()


def ask(path, serving):
    """Ask a main process, and let it answer. Return what the asker got."""
    with pytest.MonkeyPatch.context() as patched:
        connect = socket.socket.connect

        class Asking(socket.socket):
            def connect(self, address):
                connect(self, address)
                assert serving.advance() is None

        patched.setattr(replacement.socket, "socket", Asking)
        return find(path)


def wait(look):
    for _ in range(500):
        found = look()
        if found is not None:
            return found
    return None


@pytest.mark.parametrize("has_admin", [False, True])
def test_a_replacement_gets_the_descriptors_of_the_server(path, serving, has_admin):
    process, reads = serving(has_admin=has_admin)
    found = ask(path, process)
    handoff = found.handoff
    numbers = [handoff.listener, handoff.admin, handoff.areas["metrics"][0]]
    for number, read in zip([it for it in numbers if it is not None], reads, strict=True):
        os.write(number, b"x")
        assert os.read(read, 1) == b"x"
    assert (found.pid, found.age, handoff.slots, handoff.peers) == (os.getpid(), 5, 8, "peers")
    assert (handoff.arbiter, handoff.areas["metrics"][1]) == (os.getpid(), 4096)
    assert (handoff.admin is not None) is has_admin
    found.forget()


def test_a_replacement_that_serves_gets_the_path_and_the_server_learns_the_age_of_its_workers(path, serving):
    process, _ = serving()
    found = ask(path, process)
    assert process.is_asked
    found.check()
    with pytest.MonkeyPatch.context() as patched:
        receive = replacement._receive

        def received(channel):
            if channel is found._channel:  # the other process takes its step while this one waits
                assert process.advance() == Served(least_age=6)
                process.release()
            return receive(channel)

        patched.setattr(replacement, "_receive", received)
        found.take(6)
    assert not path.exists()
    again, _ = serving()
    assert path.exists()
    process.close()
    assert path.exists(), "it is the other one's"
    assert not again.is_asked


def test_a_replacement_that_ends_changes_nothing(path, serving, caplog):
    process, _ = serving()
    found = ask(path, process)
    assert find_fails(path)
    found.forget()
    process.advance()
    assert not process.is_asked
    assert "the workers here go on: it ended" in caplog.text
    ask(path, process).forget()


def find_fails(path):
    """Whether a second replacement is refused while the first one starts."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(replacement, "ANSWER_S", 0.05)
        with pytest.raises(ReplacementError, match="timed out"):
            find(path)
    return True


def test_a_replacement_that_takes_too_long_is_given_up_by_both(path, serving, monkeypatch, caplog):
    monkeypatch.setattr(replacement, "SERVE_S", 0.0)
    process, _ = serving()
    found = ask(path, process)
    with pytest.raises(ReplacementError, match="no worker served"):
        found.check()
    process.advance()
    assert "did not serve within 0 s" in caplog.text
    with pytest.raises(ReplacementError, match="has ended"):
        found.check()
    with pytest.raises(ReplacementError, match="does not"):
        found.take(6)


def test_nothing_listens(path):
    assert find(path) is None


def test_a_folder_that_others_can_enter_is_not_used(path):
    path.parent.mkdir()
    path.parent.chmod(0o755)
    with pytest.raises(PermissionError, match="not a folder of this user alone"):
        Replaceable(path, list)
    with pytest.raises(ReplacementError, match="not a folder of this user alone"):
        find(path)


def test_a_process_of_another_user_is_not_trusted(path, serving, monkeypatch):
    process, _ = serving()
    monkeypatch.setattr(replacement, "_is_of_owner", lambda _channel: False)
    with pytest.raises(ReplacementError, match="another user"):
        ask(path, process)
    process.advance()
    assert not process.is_asked


def test_the_socket_of_a_server_that_lives_is_left_and_that_of_a_dead_one_is_replaced(path, serving):
    first, _ = serving()
    with pytest.raises(FileExistsError, match="another server listens"):
        Replaceable(path, list)
    first._listener.close()  # as after SIGKILL
    second, _ = serving()
    assert path.stat().st_mode & 0o777 == 0o600
    second.forget()


def test_the_path_is_that_of_the_address():
    assert replacement.path_of("::1", 8080).name == "__1-8080.sock"
    assert replacement.path_of("127.0.0.1", 8080).parent.name == f"switchboard-{os.geteuid()}"


def test_the_path_of_a_long_host_name_is_short():
    path = replacement.path_of("a-host-with-a-name." * 10, 8080)
    assert len(os.fsencode(path)) < 108
    assert path == replacement.path_of("a-host-with-a-name." * 10, 8080)
    assert path != replacement.path_of("a-host-with-a-name." * 9, 8080)
