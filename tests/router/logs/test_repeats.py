"""Failures of one kind are summed: the first are written, the others counted."""

import io
import logging
import threading
import uuid

import pytest

from router.logs import repeats
from router.logs.handler import BackgroundHandler
from router.logs.repeats import MAX_ALIKE, Repeats


def record(line="session %s failed", *args, level=logging.WARNING, **fields):
    return logging.makeLogRecord(
        {
            "name": "test",
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": line,
            "args": args,
            **fields,
        }
    )


@pytest.fixture
def summed():
    return []


@pytest.fixture
def kinds(summed):
    kinds = Repeats(summed.append)
    yield kinds
    kinds.flush()


def test_the_first_lines_of_a_kind_are_written_and_the_others_counted(kinds, summed):
    ids = [str(uuid.uuid4()) for _ in range(1000)]
    written = [kinds.take(record("session %s failed", session_id)) for session_id in ids]
    assert sum(line is not None for line in written) == MAX_ALIKE
    kinds.flush()
    (line,) = summed
    assert line.getMessage().startswith(f"{1000 - MAX_ALIKE} more lines like this one within 0 s: session {ids[-1]}")
    assert line.levelno == logging.WARNING


def test_lines_of_another_kind_are_written(kinds):
    for number in range(MAX_ALIKE * 2):
        assert kinds.take(record("one of %s", "a" if number % 2 else "b"))
    assert kinds.take(record("another"))
    assert kinds.take(record("one of %s", "a", level=logging.ERROR))


def test_lines_below_warning_are_all_written(kinds):
    assert all(kinds.take(record(level=logging.INFO)) for _ in range(MAX_ALIKE + 1))


def test_a_session_s_summary_is_always_written_at_info_beyond_the_bound(kinds):
    logging.getLogger("test").setLevel(logging.INFO)
    try:
        lines = [kinds.take(record(duration_s=1.0, session=str(number))) for number in range(MAX_ALIKE + 2)]
    finally:
        logging.getLogger("test").setLevel(logging.NOTSET)
    assert [line.levelname for line in lines[-3:]] == ["WARNING", "INFO", "INFO"]
    assert lines[-1].session == str(MAX_ALIKE + 1)


def test_a_summary_beyond_the_bound_is_left_out_where_info_is(kinds):
    logging.getLogger("test").setLevel(logging.WARNING)
    try:
        lines = [kinds.take(record(duration_s=1.0)) for _ in range(MAX_ALIKE + 1)]
    finally:
        logging.getLogger("test").setLevel(logging.NOTSET)
    assert lines[-1] is None


def test_a_window_that_is_over_begins_anew(kinds, monkeypatch):
    for _ in range(MAX_ALIKE):
        kinds.take(record())
    monkeypatch.setattr(repeats, "WINDOW_S", 0.0)
    assert kinds.take(record())


def test_the_sum_is_written_when_the_window_is_over(monkeypatch):
    monkeypatch.setattr(repeats, "WINDOW_S", 0.01)
    written = threading.Event()
    kinds = Repeats(lambda _line: written.set())
    monkeypatch.setattr(repeats.time, "monotonic", lambda: 0.0)  # the window does not begin anew meanwhile
    for _ in range(MAX_ALIKE + 1):
        kinds.take(record())
    assert written.wait(5)
    kinds.flush()


def test_the_number_of_kinds_has_a_bound(kinds, monkeypatch):
    monkeypatch.setattr(repeats, "MAX_KINDS", 2)
    for word in ("one", "two", "three"):
        assert all(kinds.take(record(word)) for _ in range(MAX_ALIKE))
    assert kinds.take(record("three"))
    assert kinds.take(record("one")) is None


def test_a_handler_writes_the_sum_when_it_is_closed():
    stream = io.StringIO()
    handler = BackgroundHandler(stream)
    for _ in range(MAX_ALIKE + 5):
        handler.handle(record("all alike"))
    handler.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == MAX_ALIKE + 1
    assert lines[-1].startswith("5 more lines like this one")
