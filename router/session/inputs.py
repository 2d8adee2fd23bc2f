"""Inputs that no wire carries in this form.

The other inputs are Deepgram's client messages, OpenAI's server events, and the engine's own
(`actors.messages.Input`), by their own names.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Microphone(msgspec.Struct, frozen=True):
    """A piece of the client's audio, as it came."""

    data: bytes


class EchoedUserMessage(msgspec.Struct, frozen=True):
    """An InjectUserMessage that the client has seen echoed, but the upstream has not been told."""

    content: str


class PassthroughSessionUpdate(msgspec.Struct, frozen=True):
    """A client's own `session.update`, to be forwarded."""

    text: str


class PassthroughItemCreate(msgspec.Struct, frozen=True):
    """A client's own `conversation.item.create`, to be forwarded."""

    text: str
    item: dict[str, Any]


class PassthroughResponseCreate(msgspec.Struct, frozen=True):
    """A client's own `response.create`, to be forwarded when no response is active."""

    text: str


class PassthroughEvent(msgspec.Struct, frozen=True):
    """Any other OpenAI client event, to be forwarded."""

    text: str


class PassthroughItemDelete(msgspec.Struct, frozen=True):
    """A client's own `conversation.item.delete`, to be forwarded."""

    text: str


PASSTHROUGH: dict[str, type[PassthroughSessionUpdate | PassthroughItemDelete | PassthroughResponseCreate]] = {
    "session.update": PassthroughSessionUpdate,
    "conversation.item.delete": PassthroughItemDelete,
    "response.create": PassthroughResponseCreate,
}
"""The forwarded events that the session must know of, but for the item, which it has to look into."""
