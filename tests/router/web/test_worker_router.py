"""The router of one worker: where its sessions go when the worker ends."""

import errno
from types import SimpleNamespace

import pytest

from router.config.model import RouterConfig
from router.web import orphans, replacement, worker_router
from router.web.moves import SUFFIX
from router.web.worker_router import WorkerRouter

AGE = 2
LAYOUT = "1.5eed"


class Router:
    """A router that notes by which exit its sessions leave."""

    value_layout = LAYOUT
    session_count = 0

    def __init__(self):
        self.exits, self.drains_s = [], []

    def let_depart(self, by):
        self.exits.append(by)

    def close(self, drain_s):
        self.drains_s.append(drain_s)


class Departures:
    """The moves of sessions, which note their folder and the least age of a target."""

    moved = lost = 0

    def __init__(self, folder, least_age, _router):
        self.to = folder, least_age
        self.targets = ["another worker"]
        self.is_closed = False

    def deliver(self, departure):
        """Deliver nothing."""

    def announce(self, announcement):
        """Announce nothing."""

    def close(self):
        self.is_closed = True


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The path of the socket by which the main process is replaced."""
    path = tmp_path / "127.0.0.1-8080.sock"
    monkeypatch.setattr(replacement, "path_of", lambda _host, _port: path)
    return path


@pytest.fixture
def departures(monkeypatch):
    """The moves that were begun."""
    begun = []

    def begin(*args):
        begun.append(Departures(*args))
        return begun[-1]

    monkeypatch.setattr(worker_router, "Departures", begin)
    return begun


def worker(folder, router, **config):
    config = RouterConfig(upstream="ws://127.0.0.1:9", **config)
    return WorkerRouter(router, config, SimpleNamespace(folder=folder), 1, AGE)


def announced(path, tmp_path, layout=LAYOUT):
    """Announce the folder of another main process, with a worker that reads this layout."""
    another = tmp_path / "another"
    another.mkdir(mode=0o700)
    (another / f"1-7-{layout}{SUFFIX}").touch()
    orphans.announce(path, another)
    return another


def test_the_sessions_of_a_replaced_worker_move_to_newer_workers(tmp_path, departures):
    router = Router()
    worker(tmp_path, router).close(3.0, AGE + 1, is_replaced=True)
    (begun,) = departures
    assert begun.to == (tmp_path, AGE + 1)
    assert [by.deliver for by in router.exits] == [begun.deliver]
    assert (router.drains_s, begun.is_closed) == ([3.0], True)


@pytest.mark.parametrize(
    "lack",
    [{"is_replaced": False}, {"drain_s": 0.0}, {"least_age": AGE}, {"keeper": False}],
    ids=["the server ends", "no time to drain", "no newer worker", "no keeper"],
)
def test_otherwise_sessions_drain_and_do_not_move(tmp_path, departures, lack):
    case = {"is_replaced": True, "drain_s": 3.0, "least_age": AGE + 1, "keeper": True, **lack}
    router, drain_s = Router(), case["drain_s"]
    worker(tmp_path, router, keeper=case.pop("keeper")).close(**case)
    assert (departures, router.exits, router.drains_s) == ([], [], [drain_s])


def test_sessions_drain_if_no_descriptor_is_free_for_their_moves(tmp_path, monkeypatch, caplog):
    def lack(*_args):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(worker_router, "Departures", lack)
    router = Router()
    worker(tmp_path, router).close(3.0, AGE + 1, is_replaced=True)
    assert (router.exits, router.drains_s) == ([], [3.0])
    assert "the sessions drain, and do not move: [Errno 24] Too many open files" in caplog.text


def test_sessions_move_to_the_workers_of_another_main_process_whatever_their_age(path, tmp_path, departures):
    router, another = Router(), announced(path, tmp_path)
    orphan = worker(tmp_path / "own", router)
    assert orphan.find_heir()
    orphan.close(3.0, 0, is_replaced=True)
    (begun,) = departures
    assert begun.to == (another, orphans.LEAST_AGE)


@pytest.mark.parametrize("lack", ["main process", "layout", "keeper"])
def test_another_main_process_is_no_heir_unless_its_workers_can_continue_the_sessions(path, tmp_path, lack):
    if lack != "main process":
        announced(path, tmp_path, "0.0" if lack == "layout" else LAYOUT)
    assert not worker(tmp_path / "own", Router(), keeper=lack != "keeper").find_heir()
