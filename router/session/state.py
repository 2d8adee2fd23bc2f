"""What a session remembers."""

from __future__ import annotations

import enum
import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.audio.formats import MOST_SAMPLE_BYTES
from router.deepgram import blocks
from router.session import inputs
from router.session.interim import Interim
from router.session.ledger import Ledger
from router.session.playback import MOST_PLAYED, Playback
from router.session.telling import Transcripts
from router.session.timeline import Timeline
from router.translation.audio import Speaker
from router.translation.formats import Formats

if TYPE_CHECKING:
    from actors import messages
    from router.deepgram import messages as deepgram
    from router.openai import events as openai
    from router.session.options import SessionOptions
    from router.session.statement import Statement
    from router.translation.audio import Microphone

MOST_MUTED: Final = 8

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
    """The items that we created upstream: which of them are unacknowledged, and whose text has been told."""

    def __init__(self) -> None:
        self._unacknowledged: dict[str, _Created] = {}
        self._ours: set[str] = set()
        self._told: set[str] = set()

    def created(self, item_id: str, kind: str, role: str | None, want: Want | None) -> None:
        """Remember an item that is on its way upstream, and the response that is wanted once it is there."""
        self._ours.add(item_id)
        self._unacknowledged[item_id] = _Created(kind, role, want)

    def acknowledge(self, item: openai.Item) -> Want | None:
        """Take the news that `item` is in the conversation; the response that it wants.

        An upstream that gives it another id still counts, where type and role fit the oldest unacknowledged one.
        """
        item_id = item.id or ""
        if item_id in self._ours and item_id not in self._unacknowledged:
            return None
        key = item_id if item_id in self._unacknowledged else self._oldest_like(item)
        if key is None:
            return None
        self._ours.add(item_id)
        return self._unacknowledged.pop(key).want

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

    def give_up_waiting(self) -> list[Want]:
        """Stop waiting for acknowledgements; the responses that are wanted."""
        wants = [created.want for created in self._unacknowledged.values() if created.want is not None]
        for created in self._unacknowledged.values():
            created.want = None
        return wants

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether an item that wants a response is unacknowledged."""
        return any(created.want is not None for created in self._unacknowledged.values())

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

    def tell_no_more(self, item_id: str) -> None:
        """Nothing more of this item is to be told: it was cut off."""
        self._told.add(item_id)


class _Created:
    __slots__ = ("like", "want")

    def __init__(self, kind: str, role: str | None, want: Want | None) -> None:
        self.like = (kind, role)
        self.want = want


class Line:
    """One upstream of the session, by its generation."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.items = Items()
        self.is_updating = False
        """The first of the updates that are wanted is on its way."""
        self.position = 0
        """In the configured list."""
        self.opened_at = 0.0
        """Unix seconds."""
        self.expires_at: float | None = None
        self.formats = Formats()
        """What it hears and speaks in: as it was asked for, and then as it says."""
        self.has_said_formats = False
        self.is_greeted = False
        """session.created is in."""
        self.updates = 0
        """session.updates that are not acknowledged."""
        self.is_overdue = False
        """Its time to be followed by the next came before it was in use."""
        self.is_warned = False
        """The client knows that it ends soon."""


class SpareState(enum.Enum):
    """How far the upstream is that will follow the one in use."""

    NONE = "none"
    CONNECTING = "connecting"
    CONFIGURING = "configuring"
    SEEDED = "seeded"
    """Configured, and told the ledger: it can be plugged in between turns."""


class Calls:
    """The function calls of a session."""

    def __init__(self) -> None:
        self.outstanding: dict[str, deepgram.RequestedFunction] = {}
        """By call id, in the order of the requests: what is not answered."""
        self.late = 0
        """Answers to calls that were cancelled."""
        self._cancelled: dict[str, str] = {}
        """The names of those that the client was running, by id, until it answers all the same."""
        self._requested: set[str] = set()
        self._names: dict[str, str] = {}

    def learn_name(self, item: openai.Item) -> None:
        """Remember the name of a call's item: older servers leave it out of the event that carries the arguments."""
        if item.type == "function_call" and item.id and item.name:
            self._names[item.id] = item.name

    def name_of(self, event: openai.ResponseFunctionCallArgumentsDone) -> str:
        """The name of the function that is called."""
        return event.name or self._names.get(event.item_id or "", "")

    def request(self, call: deepgram.RequestedFunction) -> bool:
        """Remember a call; False where it was requested before: no tool runs twice."""
        if call.id in self._requested:
            return False
        self._requested.add(call.id)
        self.outstanding[call.id] = call
        return True

    def find(self, call_id: str | None, name: str | None) -> str | None:
        """The client's call that an answer is for: by id, or where it has none by name, the oldest first."""
        theirs = self.of_client()
        if call_id is not None:
            return next((call.id for call in theirs if call.id == call_id), None)
        return next((call.id for call in theirs if call.name == name), None)

    def of_client(self) -> list[deepgram.RequestedFunction]:
        """The outstanding calls that the client is to answer."""
        return [call for call in self.outstanding.values() if call.client_side]

    def cancel(self, call: deepgram.RequestedFunction) -> None:
        """Expect no answer to a call, and one that comes all the same to be late."""
        if call.client_side:
            self._cancelled[call.id] = call.name

    def is_late(self, call_id: str | None, name: str | None) -> bool:
        """Whether an answer is one to a call that was cancelled; once for each."""
        if call_id is None:
            call_id = next((key for key, value in self._cancelled.items() if value == name), None)
        is_late = call_id is not None and self._cancelled.pop(call_id, None) is not None
        self.late += is_late
        return is_late


class Want(msgspec.Struct, frozen=True):
    """A response that is to be asked for as soon as none is active."""

    follows_up: bool = False
    """It goes on with the turn that there is."""
    text: str | None = None
    """The client's own event, where it brought one."""
    statement: Statement | None = None
    """What it is to say word for word, and nothing else."""
    goes_on_after: str | None = None
    """The words after which an answer was cut off; it is asked to go on from there."""
    told_ahead: int = 0
    """Characters beyond those words that the client has been told already."""
    then: Want | None = None
    """What is wanted after it."""

    @property
    def is_general(self) -> bool:
        """Whether it answers whatever is in the conversation by then."""
        return self.text is None and self.statement is None


class Answer:
    """What of the active response has reached the client: of its newest item."""

    __slots__ = ("is_commentary", "is_spoken", "item_id", "played_s", "told", "told_ahead", "told_to", "transcript")

    def __init__(self) -> None:
        self.item_id: str | None = None
        self.transcript = ""
        """Of the item so far; it runs ahead of the audio."""
        self.told_to = 0
        """So much of the transcript was told, sentence by sentence."""
        self.told_ahead = 0
        """So many characters at its beginning repeat what was told of the answer that it goes on with."""
        self.played_s = 0.0
        """Audio that was made for it: it is sent, or waits to be."""
        self.told = ""
        """Its text, once that has been told: the answer is complete then, but for what follows it."""
        self.is_spoken = False
        """Its text is the transcript of audio."""
        self.is_commentary = False
        """It only says what will be done next."""


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
        self.want_now: Want | None = None
        """What the response that is requested or active was asked for."""
        self.answer = Answer()
        self.failures = 0
        """Of responses in a row, in one upstream."""
        self.is_heard = False
        """The user's speech was committed, and no response to it has ended."""
        self.muted: deque[str | None] = deque(maxlen=MOST_MUTED)
        """Responses that the user has interrupted, the newest: nothing more of them is played or told."""
        self.is_unwanted = False
        """The user interrupted the response that is requested before it began."""
        self.cancelled: set[str | None] = set()
        self.is_resumed = False
        """It goes on after a restart."""
        self.is_answered_as_is = False
        """The client answered its calls with its own events, and will ask for the response itself."""

    def want(self, want: Want) -> None:
        """Ask for a response in time. One of ours is enough, however many inputs it will answer."""
        if want.is_general and any(other.is_general for other in self.wants):
            if want.follows_up:
                self.wants = deque(Want(follows_up=True) if other.is_general else other for other in self.wants)
        elif want.statement is not None and want.statement.is_urgent:
            self.wants.appendleft(want)
        else:
            self.wants.append(want)

    def is_untold(self, response_id: str | None) -> bool:
        """Whether the words of this response are not told: the user has interrupted it, or its text is given."""
        if self.want_now is None or self.want_now.statement is None:
            return response_id in self.muted
        return self.response_id is None or response_id in (self.response_id, None) or response_id in self.muted

    @property
    def is_muted(self) -> bool:
        """Whether the user has interrupted the response that is active."""
        return self.response is ResponseState.ACTIVE and self.response_id in self.muted

    @property
    def will_follow_up(self) -> bool:
        """Whether the turn goes on after this response."""
        return self.is_answered_as_is or any(want.follows_up for want in self.wants)


class Talk:
    """The user's speech between its detected start and its detected end."""

    __slots__ = ("filled_s", "is_on", "microphone_s")

    def __init__(self) -> None:
        self.is_on = False
        self.microphone_s = 0.0
        """When the microphone was heard last, or silence was put in its place."""
        self.filled_s = 0.0
        """Silence that was put in its place since the user began to talk."""


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
        """Keep a piece of audio, dropping the oldest beyond the bound; the bytes dropped, in whole samples."""
        last = self.inputs[-1] if self.inputs else None
        if isinstance(last, inputs.Microphone) and len(last.data) + len(data) <= _JOINED_BYTES:
            self.inputs[-1] = inputs.Microphone(last.data + data)
        else:
            self.inputs.append(inputs.Microphone(data))
        self._audio_bytes += len(data)
        excess = self._audio_bytes - most_bytes
        dropped = self._drop_oldest(excess - excess % MOST_SAMPLE_BYTES) if excess > 0 else 0
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

    drain_until_s = math.inf
    """When the session has to have ended, on the dispatcher's clock: the process is going away."""

    def __init__(self, session_id: str, options: SessionOptions) -> None:  # noqa: PLR0915 - a list, no program
        self.session_id = session_id
        self.lifecycle = Lifecycle.AWAITING_SETTINGS
        self._prefix = f"sb_{session_id.replace('-', '')[:12]}"
        self._ids = 0
        self.generation = 0
        """The newest: of the line, or of the spare."""
        self.line = Line(0)
        """The upstream in use; generation 0 is none."""
        self.spare: Line | None = None
        self.spare_state = SpareState.NONE
        self.spare_sequence = 0
        """Of the ledger's newest entry that the spare has been told."""
        self.ledger = Ledger(new_id=self.new_id, most_tokens=options.ledger_tokens, most_bytes=options.ledger_bytes)
        self.calls = Calls()
        self.turn = Turn()
        self.early = Early(most_messages=options.early_messages)
        self.linear16_only: set[int] = set()
        """Upstreams, by position, that have shown that they know no G.711."""
        self.microphone: Microphone | None = None
        self.speaker = Speaker()
        self.interim = Interim()
        self.playback = Playback(options.audio_ahead_s, options.held_audio_bytes, options.unread_audio_bytes)
        self.transcripts = Transcripts()
        self.timeline = Timeline()
        self.statements: deque[str] = deque(maxlen=MOST_PLAYED)
        """Items of ours that were said word for word, the newest."""
        self.settings: deepgram.Settings | inputs.SessionUpdateAsIs | None = None
        """What the session was configured with first."""
        self.agent = blocks.Agent()
        """What the agent is by now: as Settings have it, and the updates that the upstream has taken."""
        self.updates: deque[Any] = deque()
        """Changes that are wanted; the first is on its way where the line says so."""
        self.acks: list[deepgram.ServerMessage] = []
        """What the client is told when the next upstream is in use."""
        self.changes: dict[str, Any] = {}
        """What the client's own session.updates have changed since."""
        self.route = ""
        """The model that was asked for."""
        self.turn_detection = "server_vad"
        self.is_applied = False
        """The client has been told SettingsApplied."""
        self.is_speaking = False
        """The user's speech was detected, and has not been committed."""
        self.talk = Talk()
        self.is_retelling = False
        """Another upstream is given speech whose start the client has been told of."""
        self.is_committing = False
        """A commit by hand is out, and not acknowledged."""
        self.last_error: openai.ErrorDetail | None = None
        """What the upstream said last: it may explain its end."""
        self.lost: messages.UpstreamLost | None = None
        """The loss that a restart is making good."""
        self.resume: Want | None = None
        """What the next upstream is to be asked, once it has been told the ledger."""
        self.unknown: set[str] = set()
        self.passed_over = 0
        self.muted_bytes = 0
        self.rollovers = 0

    def new_id(self) -> str:
        """An id of ours, at most 32 characters long (reference, 6)."""
        self._ids += 1
        return f"{self._prefix}_{self._ids}"

    @property
    def is_under_way(self) -> bool:
        """Whether something is said, asked or answered at this moment, by whomever."""
        turn = self.turn
        return bool(
            turn.response is not ResponseState.NONE
            or turn.wants
            or turn.is_heard
            or self.is_speaking
            or self.transcripts.are_awaited
            or self.calls.outstanding
            or self.line.items.awaits_acknowledgement
            or self.resume is not None
        )

    def next_line(self) -> Line:
        """A line of the next generation."""
        self.generation += 1
        return Line(self.generation)
