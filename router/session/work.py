"""The work that a session has done off its dispatcher: its kinds, and the keys by which its end is told."""

from __future__ import annotations

import enum
from typing import Any, Final

import msgspec

from router.audio.formats import Format  # noqa: TC001 - msgspec resolves the annotation
from router.deepgram.blocks import Endpoint  # noqa: TC001 - msgspec resolves the annotation


class WorkKind(enum.Enum):
    """What is done. The value is the first word of the key."""

    TOOL = "tool"
    """A function call that the router answers itself; its name is the call's id."""
    CONFIGURE = "configure"
    """What the embedding application has to say to a client's Settings. There is one at a time."""
    AUDIO = "audio"
    """A conversion that will be wanted; its name is whose."""


PREPARATIONS: Final = frozenset({WorkKind.CONFIGURE, WorkKind.AUDIO})
"""What a session needs before it can begin."""


def work_key(kind: WorkKind, name: str) -> str:
    """The key of a piece of work."""
    return f"{kind.value}:{name}"


def parted(key: str) -> tuple[WorkKind, str]:
    """The kind and the name of a key."""
    kind, _, name = key.partition(":")
    return WorkKind(kind), name


class PrepareAudio(msgspec.Struct, frozen=True):
    """Load and design what is needed to convert so. Without it the first audio would do so, and hold up every call."""

    source: Format
    target: Format


class CallTool(msgspec.Struct, frozen=True):
    """Run a function of the embedding application's. Its result is the output, as text."""

    session_id: str
    call_id: str
    name: str
    arguments: str
    """As the model wrote them."""


class ConfigureSession(msgspec.Struct, frozen=True):
    """Ask the embedding application what a session shall be configured with. Its result is a dict, or None."""

    settings: dict[str, Any]
    """The client's message: its Settings, or on `/openai` its session.update."""


class CallEndpoint(msgspec.Struct, frozen=True):
    """Ask a function's endpoint. Its result is the output, as text."""

    endpoint: Endpoint
    arguments: str
    """As the model wrote them."""
