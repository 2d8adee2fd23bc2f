"""The fields of log lines that other code writes on behalf of a session: a library, a hook, a function.

The router's own lines about a session carry its fields themselves. A log handler may add the fields of a `log_fields`
block to every other line that is written within the block.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CURRENT: Final[ContextVar[Mapping[str, Any]]] = ContextVar("log_fields", default={})  # noqa: B039 - it is never changed


@contextlib.contextmanager
def log_fields(fields: Mapping[str, Any]) -> Iterator[None]:
    """Add fields to the lines that this thread logs inside of the block."""
    token = CURRENT.set(fields)
    try:
        yield
    finally:
        CURRENT.reset(token)
