"""Logging: every line of the process through one pipeline, as text or JSON, on stderr, without credentials.

`configure` is called once, by the command; the library itself never configures logging. Modules log through the
standard library or through structlog, as they like: both end here, gunicorn's lines and uncaught exceptions too.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from router.logs.handler import BackgroundHandler
from router.secrets import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import TextIO

    from structlog.typing import EventDict, Processor, WrappedLogger

logger = logging.getLogger(__name__)

HANDLER_NAME: Final = "router"
MASK: Final = "***"

CREDENTIALS: Final = (
    r"(?<=[?&]token=)[^&\s\"']+",  # a client's own, in the query of its request
    r"(?<=[Bb]earer )[\w.~+/=-]{8,}",
    r"\bsk-[\w-]{16,}",  # a key that is not ours, as in a client's message or an upstream's error
)
"""What looks like a credential is masked wherever it stands, beside those that are known."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def configure(level: str, format: str, secrets: Iterable[str] = (), *, stream: TextIO | None = None) -> None:  # noqa: A002
    """Send all log lines of at least `level` to `stream` (stderr), as `text` or `json`, with `secrets` masked.

    Called again, it replaces what it set up before.
    """
    stream = stream or sys.stderr
    handler = BackgroundHandler(stream)
    handler.name = HANDLER_NAME
    handler.setFormatter(
        _MaskingFormatter(_renderers(format, colors=stream.isatty()), Redactor(secrets, MASK, CREDENTIALS))
    )
    root = logging.getLogger()
    for before in [it for it in root.handlers if it.name == HANDLER_NAME]:
        root.removeHandler(before)
        before.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
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


class _MaskingFormatter(structlog.stdlib.ProcessorFormatter):
    """Masks the finished text, so that no way into a line (an argument, a traceback) goes round it."""

    def __init__(self, renderers: list[Processor], redactor: Redactor) -> None:
        remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(foreign_pre_chain=_SHARED, processors=[remove_meta, *renderers])
        self._redact = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def _drop_what_others_left(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    # A formatter of another handler leaves its text in the record, which looks like an extra then.
    if event_dict.get("message") == event_dict.get("event"):
        event_dict.pop("message", None)
    return event_dict


_SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    _drop_what_others_left,
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
        _keep_to_its_lines,
        # Not the default, which prints local variables where `rich` happens to be installed.
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
    ]


def _render_json(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> str:
    try:
        return orjson.dumps(event_dict, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate, a number of more than 64 bits: rare, and no reason to lose a line
        return json.dumps(event_dict, default=repr, skipkeys=True)


def _keep_to_its_lines(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    # What a peer sent may be part of an event: it must neither steer the terminal nor forge a line.
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
