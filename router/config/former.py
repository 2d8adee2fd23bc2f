"""Keys of the previous version: accepted once more, with a warning that names the present key.

A key may be removed from this module when the next version is released.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from router.errors import ConfigError

FORMER: Final[dict[str, dict[str, str | None]]] = {
    "deadlines": {
        "replug_s": "restart_s",
        "rollover_gap_s": "rollover_interval_s",
        "silence_s": "next_event_s",
    },
    "limits": {
        "work_threads": "pool_threads",
        "work_waiting": "pool_queue",
        "parked_threads": "held_server_threads",
        "early_audio_s": None,
        "early_messages": None,
        "early_bytes": None,
        "preroll_s": None,
        "uncommitted_audio_s": None,
        "held_audio_bytes": None,
        "unread_audio_bytes": None,
        "ledger_bytes": None,
        "tool_output_bytes": None,
    },
}
"""The former keys of each table. A key has its present name, or None if its value has become a constant."""

Warn = Callable[[str], None]
"""A function that takes a sentence to log, which does not stop the start."""


def present(table: str, key: str, keys: Collection[str], source: str, warn: Warn) -> str | None:
    """Return the present name of a key; None if its value is a constant now. `keys` are all keys of its table.

    A former key causes a warning.

    Raises:
        ConfigError: both names are set.
    """
    names = FORMER.get(table, {})
    if key not in names:
        return key
    now = names[key]
    if now is None:
        warn(f"{table}.{key} ({source}) is a constant now and is ignored: remove it")
    elif now in keys:
        raise ConfigError(source=source, name=f"{table}.{key}", problem=f"is set beside {now}, its new name: remove it")
    else:
        warn(f"{table}.{key} ({source}) is called {now} now: rename it")
    return now


class FormerKeywords(msgspec.StructMeta):
    """The metaclass of the tables, whose constructors accept former keys with a `DeprecationWarning`."""

    def __call__(cls, *args: Any, **given: Any) -> Any:  # noqa: N805 - of a metaclass
        """Make a table from keywords. Keywords with former names get their present names."""
        table = cls.__name__.lower()
        for key in [key for key in given if key in FORMER.get(table, {})]:
            value = given.pop(key)
            now = present(table, key, given, f"{cls.__name__}(...)", _deprecated)
            if now is not None:
                given[now] = value
        return super().__call__(*args, **given)


def _deprecated(sentence: str) -> None:
    warnings.warn(sentence, DeprecationWarning, stacklevel=4)  # the caller of the constructor
