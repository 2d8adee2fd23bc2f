"""Logging: one pipeline for every line of the process, as text or JSON, on stderr, without credentials.

The command calls `configure` once. A router in a host application never configures logging. Modules log through the
standard library or through structlog. The lines of both pass this pipeline, and so do gunicorn's lines, Python's
warnings and uncaught exceptions.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from actors import log_context
from router.logs.handler import BackgroundHandler
from router.logs.levels import set_level
from router.logs.limits import LineLimiter, counted, kind_of, shortened
from router.secrets import CREDENTIALS, MASK, Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import TextIO

    from structlog.typing import EventDict, Processor, WrappedLogger

logger = logging.getLogger(__name__)

HANDLER_NAME: Final = "router"

_WEB_SERVER: Final = "gunicorn.error"
"""The logger of gunicorn's own lines: its start, its workers, invalid requests."""

_QUOTED: Final = re.compile(r"['\"].*", re.DOTALL)

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def configure(level: str, format: str, secrets: Iterable[str] = (), *, stream: TextIO | None = None) -> None:  # noqa: A002
    """Send all log lines of at least `level` to `stream` (stderr), as `text` or `json`, with `secrets` masked.

    A second call replaces the handler of the first call.
    """
    stream = stream or sys.stderr
    handler = BackgroundHandler(stream)
    handler.name = HANDLER_NAME
    handler.addFilter(_WebServerLines())
    handler.setFormatter(
        _MaskingFormatter(_renderers(format, colors=stream.isatty()), Redactor(secrets, MASK, CREDENTIALS))
    )
    root = logging.getLogger()
    for before in [it for it in root.handlers if it.name == HANDLER_NAME]:
        root.removeHandler(before)
        before.close()
    root.addHandler(handler)
    set_level(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class _WebServerLines(logging.Filter):
    """A filter that limits the rate of the web server's warnings, and removes the quoted request from them.

    Any client can cause such warnings. Without the filter an invalid request of 8 kB would add 8 kB to the log, and a
    malformed header in it may hold a token.
    """

    def __init__(self) -> None:
        super().__init__()
        self._limiter = LineLimiter()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name != _WEB_SERVER or record.levelno != logging.WARNING:
            return True
        line = _QUOTED.sub("…", record.getMessage())
        with self._lock:
            missed = self._limiter.take(kind_of(line), time.monotonic())
        if missed is None:
            return False
        record.msg, record.args = counted(shortened(line), missed), ()
        # The formatter of another handler may have stored the whole text here.
        record.__dict__.pop("message", None)
        return True


class _MaskingFormatter(structlog.stdlib.ProcessorFormatter):
    """A formatter that masks the finished text, so that each part of a line (an argument, a traceback) is masked."""

    def __init__(self, renderers: list[Processor], redactor: Redactor) -> None:
        remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(foreign_pre_chain=_SHARED, processors=[remove_meta, *renderers])
        self._redact = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def _drop_foreign_message(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    # The formatter of another handler stores its text in the record, where it looks like an extra field.
    if event_dict.get("message") == event_dict.get("event"):
        event_dict.pop("message", None)
    return event_dict


def _add_context(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    # Add the fields of the session for which this thread works. The line's own fields take precedence.
    return {**log_context.CURRENT.get(), **event_dict}


def _shorten(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    # A line as text is for people: its sentence already names the session, and only a session's last line has further
    # fields to show.
    if str(event_dict.get("session")) in str(event_dict.get("event")):
        hidden = _OF_A_SESSION if "duration_s" not in event_dict else ("session",)
        return {key: value for key, value in event_dict.items() if key not in hidden and value is not None}
    return event_dict


_OF_A_SESSION: Final = ("session", "route", "generation", "trace", "principal")

_SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    _add_context,
    _drop_foreign_message,
    structlog.processors.StackInfoRenderer(),
]


def _renderers(format_: str, *, colors: bool) -> list[Processor]:
    if format_ == "json":
        return [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _render_json,
        ]
    return [
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S.%f", utc=False),
        _shorten,
        _escape_control,
        # If `rich` is installed, the default formatter would print local variables, and with them credentials.
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
    ]


def _render_json(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> str:
    try:
        return orjson.dumps(event_dict, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate or a number of more than 64 bits, which orjson refuses
        return json.dumps(event_dict, default=repr, skipkeys=True)


def _escape_control(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    # An event may contain a text of a peer. That text must neither control the terminal nor imitate a log line.
    event = str(event_dict.get("event", ""))
    visible = _CONTROL.sub(lambda found: repr(found[0])[1:-1], event)
    return {**event_dict, "event": visible.replace("\n", "\n    ")}


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger.critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(failure: Any) -> None:
    name = failure.thread.name if failure.thread else "unknown"
    error = failure.exc_value or failure.exc_type()
    logger.critical("uncaught exception in thread %s", name, exc_info=error)
