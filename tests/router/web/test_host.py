"""The gunicorn of a host application; tests/sockets/test_embedding.py has a real one."""

import signal
import threading
from types import SimpleNamespace

import pytest
from gunicorn.workers import base

from router.web import host
from tests.support.processes.children import assert_comes_back


def worker(timeout, graceful_timeout, *, alive=True):
    return SimpleNamespace(alive=alive, cfg=SimpleNamespace(timeout=timeout, graceful_timeout=graceful_timeout))


class Worker(base.Worker):
    """gunicorn's worker, with nothing started but its life."""

    def __init__(self):
        self.alive = True


@pytest.fixture
def gunicorn_worker(monkeypatch):
    """A worker of gunicorn that handles the signals of this process."""
    worker = Worker()
    handlers = dict.fromkeys(host.WORKER_SIGNALS, worker.handle_exit)
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    return worker


@pytest.mark.parametrize(
    ("timeout", "graceful_timeout", "configured_s", "drain_s"),
    [
        (30, 30, 30, 27),
        (30, 10, 30, 7),
        (10, 30, 30, 7),
        (0, 120, 60, 60),
        (0, 0, 60, 60),
        (2, 30, 30, 0),
        (30, 30, 5, 5),
    ],
)
def test_calls_have_3_s_less_than_the_smaller_time_out_of_the_worker(timeout, graceful_timeout, configured_s, drain_s):
    assert host.Host(worker(timeout, graceful_timeout)).drain_s(configured_s) == drain_s


def test_a_worker_is_leaving_when_it_is_told_to():
    assert not host.Host(worker(30, 30)).is_leaving
    assert host.Host(worker(30, 30, alive=False)).is_leaving


def test_without_gunicorn_no_host_is_found():
    assert host.find() is None


@pytest.mark.slow
def test_the_search_for_a_host_stops_no_thread_for_good():
    assert_comes_back("router.web.host", "find")


@pytest.mark.parametrize("taken", [(), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGQUIT, signal.SIGABRT)])
def test_the_worker_is_found_by_its_signals_although_the_application_took_some(monkeypatch, taken):
    gunicorns = Worker()
    handlers = dict.fromkeys(host.WORKER_SIGNALS, gunicorns.handle_exit) | dict.fromkeys(taken, print)
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    assert not host.find().is_leaving
    gunicorns.handle_exit(signal.SIGTERM, None)
    assert host.find().is_leaving


def test_a_gunicorn_without_the_parts_that_we_read_is_no_host_and_a_warning(gunicorn_worker, monkeypatch, caplog):
    assert host.find() is not None
    monkeypatch.setattr(base.Worker, "__init__", lambda self: setattr(self, "is_running", True))
    assert host.find() is None
    assert "calls are cut when the worker ends, without a drain: gunicorn" in caplog.text
    assert "Worker.alive" in caplog.text
    assert gunicorn_worker.alive


def test_a_watch_calls_once_the_worker_leaves():
    leaving, left, is_over = worker(30, 30), threading.Event(), threading.Event()
    host.Host(leaving).watch(is_over, left.set)
    assert not left.is_set()
    leaving.alive = False
    assert left.wait(5)


def test_a_watch_ends_with_its_router():
    is_over, calls = threading.Event(), []
    host.Host(worker(30, 30)).watch(is_over, lambda: calls.append(1))
    is_over.set()
    assert calls == []
