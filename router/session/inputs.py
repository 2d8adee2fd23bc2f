"""Inputs that exist on no wire in this form, and signals.

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


class PassthroughCommit(msgspec.Struct, frozen=True):
    """A client's own `input_audio_buffer.commit`, to be forwarded."""

    text: str


class PassthroughAppend(msgspec.Struct, frozen=True):
    """A client's own `input_audio_buffer.append`, to be forwarded."""

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
    | PassthroughCommit
    | PassthroughAppend
    | PassthroughEvent
)

_Plain: TypeAlias = (
    PassthroughSessionUpdate
    | PassthroughItemDelete
    | PassthroughResponseCreate
    | PassthroughCommit
    | PassthroughAppend
    | PassthroughEvent
)

_PASSTHROUGH: Final[dict[str, type[_Plain]]] = {
    "session.update": PassthroughSessionUpdate,
    "conversation.item.delete": PassthroughItemDelete,
    "response.create": PassthroughResponseCreate,
    "input_audio_buffer.commit": PassthroughCommit,
    "input_audio_buffer.append": PassthroughAppend,
}


def passthrough_of(kind: str, text: str, fields: dict[str, Any]) -> Passthrough:
    """Return the input for a client's own OpenAI event of the type `kind`."""
    if kind == "conversation.item.create":
        item = fields.get("item")
        return PassthroughItemCreate(text, item if isinstance(item, dict) else {})
    return _PASSTHROUGH.get(kind, PassthroughEvent)(text)


# Signals: the machine looks them up as soon as the handler that sent them returns. So a handler of one table causes a
# transition of another, and the transition still stands in the tables.

# Signals for STANDBY.


class StandbyRequested(msgspec.Struct, frozen=True):
    """The upstream in use needs a successor."""


class StandbyReleased(msgspec.Struct, frozen=True):
    """The standby upstream is not needed any more."""


class StandbyPromoted(msgspec.Struct, frozen=True):
    """The upstream in use is lost, and the standby upstream takes its place."""


class StandbyTimedOut(msgspec.Struct, frozen=True):
    """The standby upstream did not take its next step in time."""


class StandbyUnannounced(msgspec.Struct, frozen=True):
    """The standby upstream has not sent session.created in time."""


StandbySignal: TypeAlias = StandbyRequested | StandbyReleased | StandbyPromoted | StandbyTimedOut | StandbyUnannounced


# Signals for USER_TURN.


class CommitSent(msgspec.Struct, frozen=True):
    """An `input_audio_buffer.commit` went upstream."""

    is_by_client: bool
    """The client sent the commit, and requests the response itself."""
    event_id: str
    """The `event_id` of the commit. An error that refuses the commit carries this id (upstream 8.1)."""
    is_reopened: bool = False
    """The commit seemed to be answered, but a later event showed that the answer was for the detector's commit."""


class CommitRefused(msgspec.Struct, frozen=True):
    """The upstream refused a commit."""

    is_empty: bool
    """The upstream had nothing to commit, because its detector had committed the audio before (upstream 8.2)."""
    event_id: str | None
    """The commit's `event_id`. Some errors name no event (upstream 8.1)."""


class ClearSent(msgspec.Struct, frozen=True):
    """An `input_audio_buffer.clear` of the client's own went upstream."""

    event_id: str
    """The `event_id` of the clear. An error that refuses the clear carries this id (upstream 8.1)."""
    place: int
    """The number of bytes of the microphone that the upstream got before the clear (`Microphone.note_clear`)."""


class CommitTimedOut(msgspec.Struct, frozen=True):
    """The commit that ends the user's speech did not come in time."""


class SpeechTimedOut(msgspec.Struct, frozen=True):
    """The user's speech showed no sign of its end for too long."""


class DetectionStopped(msgspec.Struct, frozen=True):
    """An update has switched off the upstream's detector."""


class SpeechReplayed(msgspec.Struct, frozen=True):
    """Another upstream has received the audio that the previous one did not commit."""


class SpeechAnswered(msgspec.Struct, frozen=True):
    """A response of the upstream's own has begun, which answers all earlier speech."""


class AnswerRequested(msgspec.Struct, frozen=True):
    """The session requests the answer to the user's speech itself, because the upstream will not begin it."""

    commit_id: str | None = None
    """The commit by hand that ended the speech. If it is None, the signal is about all speech without an answer."""


class NoiseFound(msgspec.Struct, frozen=True):
    """The transcript of speech is empty: the upstream may answer it, but a missing answer is no loss."""

    item_id: str | None


UserTurnSignal: TypeAlias = (
    CommitSent
    | CommitRefused
    | CommitTimedOut
    | SpeechTimedOut
    | DetectionStopped
    | SpeechReplayed
    | SpeechAnswered
    | AnswerRequested
    | NoiseFound
)

Signal: TypeAlias = StandbySignal | UserTurnSignal
