"""What a session remembers."""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.session import inputs
from router.translation.audio import Speaker

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.translation.audio import Microphone

_JOINED_BYTES: Final = 8192
"""Small pieces of early audio are joined up to this, so that their number is bounded as their bytes are."""


class Lifecycle(enum.Enum):
    """How far a session has come."""

    AWAITING_SETTINGS = "awaiting Settings"
    CONNECTING = "connecting"
    """The upstream is dialled, or has not sent session.created."""
    CONFIGURING = "configuring"
    """session.update is out, session.updated is not in."""
    READY = "ready"
    ENDED = "ended"
    """The client has been told to close, or is gone."""


class ResponseState(enum.Enum):
    """Whether the upstream is answering."""

    NONE = "none"
    REQUESTED = "requested"
    """response.create is out, response.created is not in."""
    ACTIVE = "active"


class Items:
    """The items that we created: their ids, which of them are unacknowledged, and whose text has been told."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self._unacknowledged: dict[str, _Created] = {}
        self._ours: set[str] = set()
        self._told: set[str] = set()

    def new_id(self) -> str:
        """An id of ours, at most 32 characters long."""
        self._count += 1
        return f"{self._prefix}_{self._count}"

    def created(self, item_id: str, kind: str, role: str | None, *, wants_response: bool) -> None:
        """Remember an item that is on its way upstream."""
        self._ours.add(item_id)
        self._unacknowledged[item_id] = _Created(kind, role, wants_response)

    def acknowledge(self, item: openai.Item) -> bool:
        """Take the news that `item` is in the conversation; whether it is one that wants a response.

        An upstream that gives it another id still counts, where type and role fit the oldest unacknowledged one.
        """
        item_id = item.id or ""
        if item_id in self._ours and item_id not in self._unacknowledged:
            return False
        key = item_id if item_id in self._unacknowledged else self._oldest_like(item)
        if key is None:
            return False
        self._ours.add(item_id)
        return self._unacknowledged.pop(key).wants_response

    def _oldest_like(self, item: openai.Item) -> str | None:
        if any(part.type == "input_audio" for part in item.content or []):
            return None  # spoken: the upstream made it from its own buffer
        if item.role == "assistant" and item.status == "in_progress":
            return None  # generated: the upstream is about to say it
        like = (item.type or "message", item.role)
        return next((key for key, created in self._unacknowledged.items() if created.like == like), None)

    def refused(self, item_id: str) -> None:
        """Forget an item that the upstream did not take."""
        self._unacknowledged.pop(item_id, None)

    def give_up_waiting(self) -> bool:
        """Stop waiting for acknowledgements; whether an item wants a response."""
        wanted = self.awaits_acknowledgement
        for created in self._unacknowledged.values():
            created.wants_response = False
        return wanted

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether an item that wants a response is unacknowledged."""
        return any(created.wants_response for created in self._unacknowledged.values())

    def is_ours(self, item_id: str | None) -> bool:
        """Whether we created it: its text is no news to the client."""
        return item_id in self._ours

    def tell_once(self, item_id: str | None) -> bool:
        """Whether this item's text is still to be told; from now on it is not."""
        if item_id is None:
            return True
        if item_id in self._told or item_id in self._ours:
            return False
        self._told.add(item_id)
        return True


class _Created:
    __slots__ = ("like", "wants_response")

    def __init__(self, kind: str, role: str | None, wants_response: bool) -> None:
        self.like = (kind, role)
        self.wants_response = wants_response


class Calls:
    """The function calls of a session."""

    def __init__(self) -> None:
        self.outstanding: dict[str, str] = {}
        """Name by call id, in the order of the requests: what the client has not answered."""
        self._requested: set[str] = set()
        self._names: dict[str, str] = {}

    def learn_name(self, item: openai.Item) -> None:
        """Remember the name of a call's item: older servers leave it out of the event that carries the arguments."""
        if item.type == "function_call" and item.id and item.name:
            self._names[item.id] = item.name

    def name_of(self, event: openai.ResponseFunctionCallArgumentsDone) -> str:
        """The name of the function that is called."""
        return event.name or self._names.get(event.item_id or "", "")

    def request(self, call_id: str, name: str) -> bool:
        """Remember a call; False where it was requested before: no tool runs twice."""
        if call_id in self._requested:
            return False
        self._requested.add(call_id)
        self.outstanding[call_id] = name
        return True

    def find(self, call_id: str | None, name: str | None) -> str | None:
        """The outstanding call that an answer is for: by id, or where it has none by name, the oldest first."""
        if call_id is not None:
            return call_id if call_id in self.outstanding else None
        return next((key for key, value in self.outstanding.items() if value == name), None)


class Want(msgspec.Struct, frozen=True):
    """A response that is to be asked for as soon as none is active."""

    follows_up: bool
    """It goes on with the turn that called a function."""
    text: str | None = None
    """The client's own event, where it brought one."""


class Turn:
    """The agent's turn, as the client sees it: it ends with AgentAudioDone, exactly once."""

    def __init__(self) -> None:
        self.is_open = False
        self.response = ResponseState.NONE
        self.response_id: str | None = None
        self.event_id: str | None = None
        """Of the response.create that is out; the error that it causes brings it back."""
        self.has_started_speaking = False
        self.wants: deque[Want] = deque()
        self.muted: set[str | None] = set()
        """Responses that the user has interrupted: their late audio is not played."""
        self.cancelled: set[str | None] = set()
        self.is_answered_as_is = False
        """The client answered its calls with its own events, and will ask for the response itself."""

    def want(self, want: Want) -> None:
        """Ask for a response in time. One of ours is enough, however many inputs it will answer."""
        if want.text is None and any(other.text is None for other in self.wants):
            if want.follows_up:
                self.wants = deque(Want(follows_up=True) if other.text is None else other for other in self.wants)
            return
        self.wants.append(want)

    @property
    def will_follow_up(self) -> bool:
        """Whether the turn goes on after this response."""
        return self.is_answered_as_is or any(want.follows_up for want in self.wants)


class Early:
    """What came before the session was ready, in order."""

    def __init__(self, *, most_messages: int) -> None:
        self.inputs: deque[Any] = deque()
        self.dropped_bytes = 0
        self._most_messages = most_messages
        self._messages = 0
        self._audio_bytes = 0

    def keep_message(self, message: Any) -> bool:
        """Keep a message; False where there are too many already."""
        if self._messages >= self._most_messages:
            return False
        self._messages += 1
        self.inputs.append(message)
        return True

    def keep_audio(self, data: bytes, most_bytes: int) -> int:
        """Keep a piece of audio, dropping the oldest beyond the bound; the bytes dropped, an even number."""
        last = self.inputs[-1] if self.inputs else None
        if isinstance(last, inputs.Microphone) and len(last.data) + len(data) <= _JOINED_BYTES:
            self.inputs[-1] = inputs.Microphone(last.data + data)
        else:
            self.inputs.append(inputs.Microphone(data))
        self._audio_bytes += len(data)
        excess = self._audio_bytes - most_bytes
        dropped = self._drop_oldest(excess + excess % 2) if excess > 0 else 0
        self.dropped_bytes += dropped
        return dropped

    def _drop_oldest(self, size: int) -> int:
        left = size
        while left > 0:
            at = next(at for at, kept in enumerate(self.inputs) if isinstance(kept, inputs.Microphone))
            data = self.inputs[at].data
            if len(data) <= left:
                del self.inputs[at]
            else:
                self.inputs[at] = inputs.Microphone(data[left:])
            left -= min(left, len(data))
        self._audio_bytes -= size
        return size

    def take(self) -> list[Any]:
        """Take out everything that was kept."""
        kept, self.inputs = list(self.inputs), deque()
        self._messages = self._audio_bytes = 0
        return kept


class State:
    """Everything that a session remembers."""

    def __init__(self, session_id: str, *, early_messages: int) -> None:
        self.session_id = session_id
        self.lifecycle = Lifecycle.AWAITING_SETTINGS
        self.items = Items(f"sb_{session_id.replace('-', '')[:12]}")
        self.calls = Calls()
        self.turn = Turn()
        self.early = Early(most_messages=early_messages)
        self.microphone: Microphone | None = None
        self.speaker = Speaker()
        self.settings: Any = None
        """The Settings, or the client's own session.update, that the session was configured with."""
        self.turn_detection = "server_vad"
        self.last_error: openai.ErrorDetail | None = None
        """What the upstream said before session.updated: it explains the close that follows."""
        self.unknown_types: set[str] = set()
        self.passed_over = 0
        self.muted_bytes = 0
