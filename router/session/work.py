"""The work of a session that runs on threads of a pool: its kinds, its keys, and its arguments."""

from __future__ import annotations

import enum
from typing import Any, Final, TypeAlias

import msgspec

from router.audio.formats import Format  # noqa: TC001 - msgspec resolves the annotation
from router.deepgram.blocks import Endpoint  # noqa: TC001 - msgspec resolves the annotation


class WorkKind(enum.Enum):
    """The kinds of work. The value is the first word of the key that `work_key` returns."""

    TOOL = "tool"
    """A function call that the router answers. Its name is the call's id."""
    CONFIGURE = "configure"
    """The hook `configure` of the embedding application. A session runs one at a time, so this work needs no name."""
    AUDIO = "audio"
    """The preparation of an audio converter. Its name is `microphone` or `speaker`."""


PREPARATIONS: Final = frozenset({WorkKind.CONFIGURE, WorkKind.AUDIO})
"""The work that a session needs before it can begin. A pool of its own runs it (docs/decisions/0019)."""


def work_key(kind: WorkKind, name: str) -> str:
    """Return the key under which `WorkDone` reports the end of work."""
    return f"{kind.value}:{name}"


def split_key(key: str) -> tuple[WorkKind, str]:
    """Return the kind and the name of a key."""
    kind, _, name = key.partition(":")
    return WorkKind(kind), name


class PrepareAudio(msgspec.Struct, frozen=True):
    """Load and design the converter between two formats. On the dispatcher this work would hold up every session."""

    source: Format
    target: Format


class CallTool(msgspec.Struct, frozen=True):
    """Run a function of the embedding application. Its result is the output, as text."""

    session_id: str
    call_id: str
    name: str
    arguments: str
    """The arguments as the model wrote them."""


class ConfigureSession(msgspec.Struct, frozen=True):
    """Run the hook `configure` of the embedding application. Its result is a dict, or None."""

    settings: dict[str, Any]
    """The client's message: its Settings, or its session.update on `/openai`."""


class CallEndpoint(msgspec.Struct, frozen=True):
    """Call the endpoint of a function. Its result is the output, as text."""

    endpoint: Endpoint
    arguments: str
    """The arguments as the model wrote them."""
    name: str = ""
    call_id: str = ""


Work: TypeAlias = PrepareAudio | CallTool | ConfigureSession | CallEndpoint
