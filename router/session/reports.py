"""The notifications of a session: turns and usage for an embedding application, and facts for its observer.

They are collected when the client's messages leave and the upstream's events arrive. They change nothing in the
session.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from router.deepgram import messages as deepgram
from router.openai import events as openai

MAX_LIMITS: Final = 8
"""The most limits that are read from one event. The service reports two: requests and tokens."""
MAX_CALLS: Final = 64
"""The most calls whose durations are measured at once."""
MAX_OF_TURN: Final = 1000
"""The most texts, and the most calls, that one turn reports. The oldest ones leave, and are counted."""
MAX_CHARS_OF_TURN: Final = 4 * 1024 * 1024
"""The characters of the texts that one turn reports, apart from the newest text."""
MAX_SHORT_CHARS: Final = 4096
"""The longest text of which `MAX_OF_TURN` are within `MAX_CHARS_OF_TURN`."""

MAX_TAGS: Final = 16
MAX_TAG_CHARS: Final = 128
"""The bounds on the tags of one session that are reported."""


class Said(msgspec.Struct, frozen=True):
    """One text of a turn, as the client received it."""

    role: Literal["user", "assistant"]
    content: str


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The texts since the previous turn, in the order in which the client received them."""

    said: tuple[Said, ...]
    functions: tuple[str, ...] = ()
    """The names of the called functions."""
    is_whole: bool = True
    """False if the session ended in the middle of a turn, which then has its texts so far."""
    dropped: int = 0
    """The number of texts and calls that the report lacks, because the turn had too many: the oldest ones."""

    def text(self, role: Literal["user", "assistant"]) -> str:
        """Return the texts of one side, joined by spaces."""
        return " ".join(said.content for said in self.said if said.role == role)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens that the upstream counted for one response or one transcription."""

    kind: Literal["response", "transcription"]
    id: str | None
    """The id of the response, or of the item that was transcribed."""
    model: str
    """The requested model; for a transcription, the model that transcribes."""
    status: str | None = None
    """The status of a response. A cancelled one uses tokens, too."""
    details: dict[str, Any]
    """The upstream's own object: `total_tokens`, `input_tokens`, `output_tokens`, and their parts."""

    @property
    def input_tokens(self) -> int:
        """The tokens that the model read."""
        return _number(self.details.get("input_tokens"))

    @property
    def output_tokens(self) -> int:
        """The tokens that the model generated."""
        return _number(self.details.get("output_tokens"))

    @property
    def total_tokens(self) -> int:
        """The sum of the tokens that the model read and generated."""
        return _number(self.details.get("total_tokens")) or self.input_tokens + self.output_tokens


class Tagged(msgspec.Struct, frozen=True):
    """The `tags` of the client's Settings."""

    tags: tuple[str, ...]


def tagged(tags: Any) -> Tagged | None:
    """Return the report of a client's tags, within bounds; None if there are none."""
    texts = [it for it in tags if isinstance(it, str)] if isinstance(tags, list) else []
    kept = tuple(it[:MAX_TAG_CHARS] for it in texts[:MAX_TAGS])
    return Tagged(kept) if kept else None


class TurnBegan(msgspec.Struct, frozen=True):
    """The beginning of the agent's turn, `ago_s` seconds ago: the user has finished."""

    ago_s: float


class TurnEnded(msgspec.Struct, frozen=True):
    """The end of a turn of the agent, at the time at which the client was notified of it."""


class TurnLatency(msgspec.Struct, frozen=True, kw_only=True):
    """The latencies of a turn with output, from the end of the user's turn.

    A latency is None if the turn has no output of its kind, text or audio.
    """

    first_audio_s: float | None
    first_text_s: float | None


class FunctionAnswered(msgspec.Struct, frozen=True):
    """The answer to a function call."""

    duration_s: float
    """The seconds from the request of the call to the answer."""
    call_id: str = ""
    client_tool: str | None = None
    """The name of a function that the client runs; None for a function of the router's."""


class UpstreamTookOver(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream that serves the session from now on: the first one, or a successor after a loss or a rollover."""

    generation: int
    position: int
    is_rollover: bool = False


class AudioCarried(msgspec.Struct, frozen=True, kw_only=True):
    """The audio since the previous report of this kind."""

    received_s: float
    """The seconds of audio from the client's microphone."""
    sent_s: float
    """The seconds of audio to the client."""


class RateLimitLeft(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of the operator's account, as the upstream reports it."""

    name: str
    limit: float | None
    left: float | None
    reset_s: float | None
    """The seconds until the limit is whole again."""


class RateLimitsLeft(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the operator's account at an upstream."""

    position: int
    limits: tuple[RateLimitLeft, ...]


def limits_left(position: int, event: openai.RateLimitsUpdated) -> RateLimitsLeft:
    """Return the report of an upstream's rate limits. `position` is the upstream's position in the configured list."""
    limits = tuple(
        RateLimitLeft(name=limit.name[:40], limit=limit.limit, left=limit.remaining, reset_s=limit.reset_seconds)
        for limit in (event.rate_limits or [])[:MAX_LIMITS]
    )
    return RateLimitsLeft(position=position, limits=limits)


class SessionFailed(msgspec.Struct, frozen=True):
    """The `Error` that ends the session, as code and description."""

    code: str
    description: str


Fact = (
    Usage
    | Tagged
    | TurnBegan
    | TurnEnded
    | TurnLatency
    | FunctionAnswered
    | UpstreamTookOver
    | AudioCarried
    | RateLimitsLeft
    | SessionFailed
)
"""The notifications for the observer of a session."""


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def usage_of(event: openai.ResponseDone | openai.InputAudioTranscriptionCompleted, model: str) -> Usage | None:
    """Return the usage that an event carries, or None."""
    if isinstance(event, openai.ResponseDone):
        # xAI sends the usage beside the response, not in it (upstream 12.1).
        details, status = event.response.usage or event.usage, event.response.status
        kind: Literal["response", "transcription"] = "response"
        identity = event.response.id
    else:
        details, status, kind, identity = event.usage, None, "transcription", event.item_id
    # A cancelled or failed response may have null here (upstream 5.4).
    if not isinstance(details, dict):
        return None
    return Usage(kind=kind, id=identity, model=model, status=status, details=details)


class TurnLog:
    """The texts and calls since the last turn, which become the next turn."""

    __slots__ = ("_dropped", "_functions", "_said")

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._functions: list[str] = []
        self._dropped = 0
        """The number of texts and calls that have left the turn, because it had too many."""

    def say(self, text: Said) -> None:
        """Add a text. The oldest ones leave a turn that has too many, or too long ones."""
        self._said.append(text)
        if len(self._said) > MAX_OF_TURN:
            self._drop(self._said)
        if len(text.content) > MAX_SHORT_CHARS:
            while sum(len(each.content) for each in self._said[:-1]) > MAX_CHARS_OF_TURN:
                self._drop(self._said)

    def call(self, name: str) -> None:
        """Add a call. The oldest one leaves a turn that has too many."""
        self._functions.append(name)
        if len(self._functions) > MAX_OF_TURN:
            self._drop(self._functions)

    def _drop(self, entries: list[Any]) -> None:
        del entries[0]
        self._dropped += 1

    def note(self, message: deepgram.ServerMessage) -> Turn | None:
        """Record a message. Return the turn that it ends, if any."""
        # Not `isinstance`: a CallText only shows a call to the React component, and its function is recorded below.
        if type(message) is deepgram.ConversationText:
            self.say(Said(message.role, message.content))
        elif isinstance(message, deepgram.FunctionCallRequest):
            for function in message.functions:
                self.call(function.name)
        elif isinstance(message, deepgram.AgentAudioDone):
            return self.take()
        return None

    def take(self, *, is_whole: bool = True) -> Turn | None:
        """Remove and return the texts so far as a turn, or None if there are none.

        `is_whole` is false for a turn that was cut short by the end of the session.
        """
        said, self._said = tuple(self._said), []
        functions, self._functions = tuple(self._functions), []
        dropped, self._dropped = self._dropped, 0
        if not (said or functions):
            return None
        return Turn(said=said, functions=functions, is_whole=is_whole, dropped=dropped)


class Stopwatch:
    """A clock for function calls.

    It measures the time from the request, to the client or to a pool thread, until the answer goes upstream.
    """

    __slots__ = ("requested",)

    def __init__(self) -> None:
        self.requested: dict[str, tuple[float, str | None]] = {}
        """The time of each call's request, and the name of a function that the client runs, by the call's id."""

    def request(self, call_id: str, now_s: float, client_tool: str | None = None) -> None:
        """Record a call at the time `now_s`. `client_tool` is the function's name, if the client runs the function.

        An approval, or an output in a client's own event, does not end the record of its call. So the number of records
        has a bound.
        """
        self.requested[call_id] = now_s, client_tool
        if len(self.requested) > MAX_CALLS:
            del self.requested[next(iter(self.requested))]

    def answer(self, call_id: str, now_s: float) -> FunctionAnswered | None:
        """Record an answer. Return its notification, or None for a call that was not recorded."""
        requested = self.requested.pop(call_id, None)
        if requested is None:
            return None
        requested_s, client_tool = requested
        return FunctionAnswered(now_s - requested_s, call_id, client_tool)
