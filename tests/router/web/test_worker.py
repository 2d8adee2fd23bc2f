"""gunicorn's worker and logger, changed; tests/router/web/test_server.py has them in processes."""

import logging
import selectors
import signal
import socket
import time
from types import SimpleNamespace

import pytest
from gunicorn.workers.gthread import PollableMethodQueue

from router.web.scoreboard import Row, Scoreboard, Stage
from router.web.worker import LEAVE_S, GunicornLogger, Worker


def test_a_signal_handler_writes_no_log_line_itself_as_it_may_have_interrupted_one_that_holds_the_lock(caplog):
    waiting = PollableMethodQueue()
    waiting.init()
    worker = SimpleNamespace(method_queue=waiting)
    Worker.handle_usr1(worker, signal.SIGUSR1, None)
    assert not caplog.records
    waiting.run_callbacks(None)
    assert "stack of thread MainThread" in caplog.text
    waiting.close()


class LoadedWorker(Worker):
    """A worker with ten sessions beside one with none, and its loop of events."""

    def __init__(self, listener):
        board = Scoreboard(1)
        board.write(0, Row(pid=1, stage=Stage.SERVING, seen_s=time.monotonic()))
        router = SimpleNamespace(session_count=10)
        self.app = SimpleNamespace(scoreboard=board, router=router)
        self.cfg, self.pid, self.sockets = None, 2, [listener]
        self.poller = selectors.DefaultSelector()
        self.nr_conns, self.keepalived_conns, self._accepting = 0, (), False

    def enqueue_req(self, conn):
        conn.sock.close()

    def turn(self):
        """Wait for events once, as gunicorn's loop does, and return how many connections it accepted."""
        before = self.nr_conns
        self.set_accept_enabled(self.nr_conns < self.worker_connections)
        self.wait_for_and_dispatch_events(LEAVE_S)
        return self.nr_conns - before


@pytest.fixture
def calls():
    """A worker with more load than another one, its listener, and a function that calls it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = LoadedWorker(listener)
        yield worker, listener, lambda: socket.create_connection(listener.getsockname()).close()
        worker.poller.close()


@pytest.mark.slow
def test_a_worker_accepts_a_connection_that_the_less_loaded_one_has_not_taken(calls):
    worker, _, call = calls
    call()
    first, *later = [worker.turn() for _ in range(4)]
    assert (first, sum(later)) == (0, 1)


@pytest.mark.slow
def test_a_worker_leaves_each_new_connection_and_not_only_each_second_one(calls):
    worker, listener, call = calls
    for _ in range(3):
        call()
        assert worker.turn() == 0
        listener.accept()[0].close()  # as the other worker does
        assert [worker.turn() for _ in range(3)] == [0, 0, 0]


@pytest.fixture
def log(caplog):
    """A logger as gunicorn makes it, which is set up for the router."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "gunicorn")
    logger = GunicornLogger.__new__(GunicornLogger)
    logger.error_log = logging.getLogger("gunicorn.test")
    logger.setup(SimpleNamespace())
    return logger


def test_the_lines_of_gunicorn_about_itself_are_at_debug(log, caplog):
    log.info("Booting worker with pid: %s", 7)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "Booting worker with pid: 7")
    ]


def test_the_configuration_of_gunicorn_is_not_logged(log, caplog):
    log.debug("Current configuration:\n  a: 1")
    assert caplog.records == []


def test_an_invalid_request_is_logged_without_its_text_which_may_hold_a_credential(log, caplog):
    log.warning("Invalid request from ip=127.0.0.1: Invalid HTTP header: 'Authorization : Bearer s3cret'")
    log.warning("Worker %s was sent %s", 7, "SIGKILL")
    try:
        int("no number")
    except ValueError:
        log.exception("Error handling request %s %s", "GET", "/openai?token=s3cret")
    assert "s3cret" not in caplog.text
    assert [record.levelname for record in caplog.records] == ["DEBUG", "WARNING", "ERROR"]
    assert "GET /openai" in caplog.text


@pytest.mark.parametrize(
    ("error", "level"), [(BlockingIOError(), "DEBUG"), (TimeoutError(), "DEBUG"), (ZeroDivisionError(), "ERROR")]
)
def test_a_client_that_fell_silent_is_no_error(log, caplog, error, level):
    try:
        raise error
    except type(error):
        log.exception("Error handling request")
    (record,) = caplog.records
    assert record.levelname == level
    assert bool(record.exc_info) == (level == "ERROR")
