"""The work that a session has done off its dispatcher: its kinds, and the keys by which its end is told."""

from __future__ import annotations

import enum


class WorkKind(enum.Enum):
    """What is done. The value is the first word of the key."""

    TOOL = "tool"
    """A function call that the router answers itself; its name is the call's id."""


def work_key(kind: WorkKind, name: str) -> str:
    """The key of a piece of work."""
    return f"{kind.value}:{name}"


def parted(key: str) -> tuple[WorkKind, str]:
    """The kind and the name of a key."""
    kind, _, name = key.partition(":")
    return WorkKind(kind), name
