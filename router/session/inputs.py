"""Inputs that no wire carries in this form, and signals.

The other inputs are Deepgram's client messages, OpenAI's server events and the actors' own (`actors.messages.Input`),
under their own names.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec


class MicrophoneAudio(msgspec.Struct, frozen=True):
    """A piece of the client's audio, as the client sent it."""

    data: bytes


class EchoedUserMessage(msgspec.Struct, frozen=True):
    """An InjectUserMessage that was echoed to the client, and not yet sent upstream."""

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


Passthrough: TypeAlias = (
    PassthroughSessionUpdate
    | PassthroughItemCreate
    | PassthroughItemDelete
    | PassthroughResponseCreate
    | PassthroughEvent
)

_PASSTHROUGH: Final[dict[str, type[PassthroughSessionUpdate | PassthroughItemDelete | PassthroughResponseCreate]]] = {
    "session.update": PassthroughSessionUpdate,
    "conversation.item.delete": PassthroughItemDelete,
    "response.create": PassthroughResponseCreate,
}


def passthrough_of(kind: str, text: str, fields: dict[str, Any]) -> Passthrough:
    """Return the input for a client's own OpenAI event of the type `kind`."""
    if kind == "conversation.item.create":
        item = fields.get("item")
        return PassthroughItemCreate(text, item if isinstance(item, dict) else {})
    return _PASSTHROUGH.get(kind, PassthroughEvent)(text)


# Signals: the machine looks them up in STANDBY as soon as the handler that sent them returns. So a handler of one table
# causes a transition of another, and the transition still stands in the tables.


class StandbyRequested(msgspec.Struct, frozen=True):
    """The upstream in use needs a successor."""


class StandbyReleased(msgspec.Struct, frozen=True):
    """The standby upstream is not needed any more."""


class StandbyPromoted(msgspec.Struct, frozen=True):
    """The upstream in use is lost, and the standby upstream takes its place."""


class StandbyTimedOut(msgspec.Struct, frozen=True):
    """The standby upstream did not take its next step in time."""


Signal: TypeAlias = StandbyRequested | StandbyReleased | StandbyPromoted | StandbyTimedOut
