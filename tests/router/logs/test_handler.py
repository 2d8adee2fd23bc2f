"""A log handler that never blocks its caller."""

import fcntl
import io
import json
import logging
import os
import select
import threading

import pytest

from router.logs import handler
from router.logs.handler import BackgroundHandler
from router.logs.limits import BURST_BYTES, ByteBudget
from tests.support.processes.forked import status_of_fork

WAIT_S = 5.0


class Stalled(io.StringIO):
    """A stream that takes nothing until it is told to."""

    def __init__(self):
        super().__init__()
        self.go_on = threading.Event()

    def write(self, text):
        assert self.go_on.wait(WAIT_S)
        return super().write(text)


def record(text):
    return logging.LogRecord("x", logging.INFO, "x", 1, text, (), None)


@pytest.fixture
def stream():
    return Stalled()


@pytest.fixture
def log(stream):
    logger = logging.getLogger("background")
    logger.setLevel(logging.INFO)
    logger.addHandler(BackgroundHandler(stream))
    yield logger
    stream.go_on.set()
    for old in logger.handlers[:]:
        old.close()
        logger.removeHandler(old)


def test_lines_are_written_in_order_by_another_thread(log, stream):
    for n in range(100):
        log.info("line %d", n)
    assert stream.getvalue() == ""
    stream.go_on.set()
    log.handlers[0].flush()
    assert stream.getvalue().splitlines() == [f"line {n}" for n in range(100)]


@pytest.fixture
def little_room(monkeypatch):
    monkeypatch.setattr(handler, "MAX_LINES", 3)


def write_too_much(log, stream):
    """Ten lines while the stream takes none, and one when it does again."""
    for n in range(10):
        log.info("line %d", n)
    stream.go_on.set()
    log.handlers[0].flush()
    log.info("the last")
    log.handlers[0].flush()


def test_dropped_lines_are_counted_in_a_line_of_its_own(little_room, log, stream):  # noqa: ARG001 - before the log
    write_too_much(log, stream)
    lines = stream.getvalue().splitlines()
    dropped = next(int(line.split()[0]) for line in lines if "were dropped" in line)
    assert len([line for line in lines if line.startswith("line")]) + dropped == 10
    assert lines[-1] == "the last"


def test_that_line_is_formatted_like_any_other(little_room, log, stream):  # noqa: ARG001 - before the log
    log.handlers[0].setFormatter(logging.Formatter('{"level": "%(levelname)s", "event": "%(message)s"}'))
    write_too_much(log, stream)
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [it["level"] for it in told if "were dropped" in it["event"]] == ["WARNING"]


def test_lines_beyond_the_budget_are_dropped_and_counted(log, stream, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr("router.logs.handler.time.monotonic", lambda: now_s[0])
    stream.go_on.set()
    handler = log.handlers[0]
    handler._budget = ByteBudget(now_s[0])
    for _ in range(5):
        handler.emit(logging.makeLogRecord({"levelno": logging.INFO, "msg": "x" * (BURST_BYTES // 4)}))
    handler.flush()
    assert len(stream.getvalue()) == BURST_BYTES + 4
    now_s[0] += 10.0
    log.info("at last")
    handler.flush()
    *_, counted, last = stream.getvalue().splitlines()
    assert "log lines were dropped: clients cause more" in counted
    assert "at last" in last


def test_a_closed_stream_costs_its_lines_alone(log, stream):
    stream.go_on.set()
    stream.close()
    log.info("nobody reads this")
    log.handlers[0].flush()
    log.info("nor this")


@pytest.mark.slow
def test_the_child_of_a_fork_writes_its_own_lines(tmp_path):
    path = tmp_path / "log"
    with path.open("w") as stream:
        handler = BackgroundHandler(stream)
        handler.emit(record("parent"))
        handler.flush()

        def write():
            handler.emit(record("child"))
            handler.flush()

        assert status_of_fork(write) == 0
        handler.close()
    assert path.read_text().splitlines() == ["parent", "child"]


@pytest.mark.slow
def test_the_child_of_a_fork_writes_though_the_parent_s_thread_is_within_a_write():
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with open(reader, "rb", buffering=0) as lines, open(writer, "w") as stream:  # noqa: PTH123 - descriptors
        handler = BackgroundHandler(stream)
        handler.emit(record("p" * 3 * size))
        assert lines.read(1) == b"p"  # the thread is within its write, because the pipe has no room for the line
        pid = os.fork()
        if pid == 0:
            handler.emit(record("child"))
            handler.flush()
            os._exit(0)
        written = b""
        while b"child\n" not in written:
            assert select.select([lines], [], [], WAIT_S)[0], "the child wrote no line"
            written += lines.read(size)
        os.waitpid(pid, 0)
        handler.close()
