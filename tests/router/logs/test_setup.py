"""Logging: one pipeline for all, text or JSON, and no credential in any line."""

import io
import json
import logging
import subprocess
import sys
import threading
import warnings

import orjson
import pytest
import structlog

from actors import log_context
from router.logs import setup
from router.logs.levels import NOISY, TRACE
from router.logs.limits import MAX_LINES
from router.secrets import MASK

KEY = 'sk"proj\\0123456789'
"""With characters that JSON, `repr` and URLs write in another way."""


@pytest.fixture
def lines():
    """Configure logging to a string, undone afterwards; call it for the lines so far."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    noisy = {name: logging.getLogger(name).level for name in NOISY}
    stream = io.StringIO()

    def configure(level="info", form="text", secrets=(KEY,)):
        setup.configure(level, form, secrets, stream=stream)
        return read

    def read():
        for handler in root.handlers:
            handler.flush()
        return stream.getvalue().splitlines()

    yield configure
    for handler in root.handlers:
        if handler.name == setup.HANDLER_NAME:
            handler.close()
    root.handlers, level, sys.excepthook, threading.excepthook = before
    root.setLevel(level)
    for name, noisy_level in noisy.items():
        logging.getLogger(name).setLevel(noisy_level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def fail(text):
    raise ValueError(text)


def log_everywhere(text):
    """Let `text` come into lines in every way there is."""
    logger = logging.getLogger("router.anything")
    logger.warning(text)
    logger.warning("argument %s", text)
    logger.warning("object %r", {"key": text})
    logger.warning("extra", extra={"held": text})
    structlog.get_logger("router.other").warning("structured", held=text, deep={"a": [text]})
    try:
        fail(text)
    except ValueError:
        logger.exception("traceback")
        structlog.get_logger("router.other").exception("traceback")


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_key_is_masked_in_every_part_of_a_line(lines, form):
    read = lines(form=form)
    log_everywhere(KEY)
    text = "\n".join(read())
    assert text.count(MASK) >= 7
    for spelled in (KEY, json.dumps(KEY)[1:-1], repr(KEY)[1:-1]):
        assert spelled not in text


def test_text_is_for_people(lines):
    read = lines()
    logging.getLogger("actors.x").info("session %s: opened", "7f3a")
    (line,) = read()
    assert "[info" in line
    assert "session 7f3a: opened" in line
    assert "[actors.x]" in line
    assert "\x1b" not in line


def test_json_is_one_object_a_line_with_the_extra_fields(lines):
    read = lines(form="json")
    adapter = logging.LoggerAdapter(logging.getLogger("actors.x"), {"session": "7f3a"})
    adapter.warning("a\nb")
    structlog.get_logger("router.y").info("c", n=3, odd=object(), big=2**80, lone="\ud800")
    first, second = map(json.loads, read())
    assert {**first, "timestamp": 0} == {
        "event": "a\nb",
        "logger": "actors.x",
        "level": "warning",
        "session": "7f3a",
        "timestamp": 0,
    }
    assert (second["event"], second["logger"], second["n"]) == ("c", "router.y", 3)


def test_tracebacks_show_no_local_variables(lines):
    read = lines(secrets=())
    local = "a-local-value"
    try:
        fail("text")
    except ValueError:
        logging.getLogger("x").exception("failed")
        structlog.get_logger("x").exception("failed")
    assert sum("ValueError: text" in line for line in read()) == 2
    assert local not in "\n".join(read())


def test_a_text_of_a_peer_neither_forges_a_line_nor_steers_the_terminal(lines):
    read = lines()
    logging.getLogger("x").info("said %s", "a\n2026-01-01 [info] forged\x1b[2J")
    first, second = read()
    assert second.startswith("    2026")
    assert "\x1b" not in first + second
    assert "\\x1b[2J" in second


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_holds_for_both_kinds_of_loggers(lines, level, expected):
    read = lines(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("x"), name)("standard")
        getattr(structlog.get_logger("y"), name)("structured")
    assert len(read()) == 2 * expected


def test_configured_again_a_line_is_still_written_once(lines):
    lines()
    read = lines(form="json")
    logging.getLogger("x").info("once")
    assert len(read()) == 1


def test_warnings_and_uncaught_exceptions_of_threads_are_log_lines(lines):
    read = lines(form="json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"odd {KEY}", stacklevel=1)
        thread = threading.Thread(target=fail, args=(KEY,), name="worker-3")
        # pytest looks after uncaught exceptions itself: ours is put back for this thread alone.
        setup.configure("info", "json", [KEY], stream=logging.getLogger().handlers[-1].stream)
        thread.start()
        thread.join()
    warned, uncaught = map(json.loads, read())
    assert "odd ***" in warned["event"]
    assert uncaught["event"] == "uncaught exception in thread worker-3"
    assert "ValueError: ***" in uncaught["exception"]


@pytest.mark.slow
def test_an_exception_that_ends_the_process_is_masked_too():
    program = f"from router.logs import setup; setup.configure('info', 'text', [{KEY!r}]); raise SystemError({KEY!r})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "SystemError: ***" in ended.stderr
    assert KEY not in ended.stderr


@pytest.mark.slow
def test_importing_the_router_configures_no_logging():
    program = "import logging, router.logs, router.web.server; print(logging.getLogger().handlers)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "[]\n"


def test_a_caller_s_invalid_requests_write_a_few_short_lines(lines):
    read = lines()
    gunicorn = logging.getLogger("gunicorn.error")
    for at in range(200):
        gunicorn.warning(f"Invalid request from ip=192.0.2.{at}: Invalid HTTP Header: 'Authorization {at}{'x' * 8000}'")
    gunicorn.error("Worker (pid:%d) exited", 5)
    written = read()
    assert len(written) == MAX_LINES + 1
    assert "Invalid request from ip=192.0.2.0: Invalid HTTP Header: …" in written[0]
    assert "Authorization" not in "".join(written)
    assert "Worker (pid:5) exited" in written[-1]


def test_a_line_of_a_session_has_its_fields_as_json(lines):
    read = lines(form="json")
    fields = {"session": "s1", "route": "/openai", "generation": 2, "trace": None, "principal": "ada"}
    logging.getLogger("x").info("session %s: gone", "s1", extra=fields)
    with log_context.log_fields({**fields, "session": "s2"}):
        logging.getLogger("a.library").warning("a line of its own")
    first, second = map(orjson.loads, read())
    assert {name: first[name] for name in fields} == fields
    assert second["session"] == "s2"


def test_a_line_for_people_does_not_repeat_the_session_s_fields(lines):
    read = lines()
    fields = {"session": "s1", "route": "/openai", "generation": 2, "trace": None, "principal": "ada"}
    logging.getLogger("x").info("session s1: gone", extra=fields)
    logging.getLogger("x").info("session s1 ended", extra={**fields, "duration_s": 1.5, "code": "1000"})
    plain, summary = read()
    assert plain.split("]")[1].split() == ["session", "s1:", "gone", "[x"]
    assert "code=1000" in summary
    assert "principal=ada" in summary
    assert "trace" not in summary


def test_a_traced_line_has_its_level(lines):
    read = lines("trace", "json")
    logging.getLogger("x").log(TRACE, "a message")
    assert orjson.loads(read()[-1])["level"] == "trace"


@pytest.mark.slow
def test_a_router_without_the_command_does_not_load_the_log_s_library():
    program = "import sys, router.core, router.web.server; assert 'structlog' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
