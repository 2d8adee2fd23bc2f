"""What is known of somebody else's gunicorn; with a real one in tests/sockets/test_embedding.py."""

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
    """gunicorn's, of which nothing but this is begun."""

    def __init__(self):
        self.alive = True


@pytest.mark.parametrize(
    ("timeout", "graceful_timeout", "wanted_s", "drain_s"),
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
def test_calls_have_3_s_less_than_the_smaller_of_its_time_outs(timeout, graceful_timeout, wanted_s, drain_s):
    assert host.Host(worker(timeout, graceful_timeout)).drain_s(wanted_s) == drain_s


def test_a_worker_is_leaving_when_it_is_told_to():
    assert not host.Host(worker(30, 30)).is_leaving
    assert host.Host(worker(30, 30, alive=False)).is_leaving


def test_where_there_is_no_gunicorn_there_is_no_host():
    assert host.find() is None


@pytest.mark.slow
def test_to_look_for_it_stops_no_thread_for_good():
    assert_comes_back("router.web.host", "find")


@pytest.mark.parametrize("taken", [(), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGQUIT, signal.SIGABRT)])
def test_it_is_known_by_the_signals_that_it_handles_though_the_application_took_some(monkeypatch, taken):
    gunicorns = Worker()
    handlers = dict.fromkeys(host.ITS_SIGNALS, gunicorns.handle_exit) | dict.fromkeys(taken, print)
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    assert not host.find().is_leaving
    gunicorns.handle_exit(signal.SIGTERM, None)
    assert host.find().is_leaving


def test_who_watches_is_told_once_it_leaves():
    leaving, left, is_over = worker(30, 30), threading.Event(), threading.Event()
    host.Host(leaving).watch(is_over, left.set)
    assert not left.is_set()
    leaving.alive = False
    assert left.wait(5)


def test_the_watch_ends_with_what_it_is_for():
    is_over, told = threading.Event(), []
    host.Host(worker(30, 30)).watch(is_over, lambda: told.append(1))
    is_over.set()
    assert told == []
