"""The agent's turn: the responses requested, the response in progress, and its delivered part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.session.state.queues import Queue
from router.session.state.states import ResponseState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.openai import events as openai

MAX_INTERRUPTED: Final = 8
"""Response ids that are remembered, the newest: late events of an older response have stopped long ago."""


class VerbatimText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that the agent speaks word for word."""

    item_id: str
    """The router's id of its audio, and of the item that it becomes in the conversation."""
    text: str
    rest: str
    """The part that is still to be spoken. It is shorter than the text where an upstream was lost meanwhile."""
    is_sent: bool = False
    """The client has the text."""
    is_urgent: bool = False
    """The agent speaks it although the user is speaking."""


def new_verbatim_text(item_id: str, text: str, *, is_urgent: bool = False) -> VerbatimText:
    """Return a text of which nothing is spoken yet."""
    return VerbatimText(item_id=item_id, text=text, rest=text, is_urgent=is_urgent)


class ResponseRequest(msgspec.Struct, frozen=True):
    """A response to create as soon as the upstream can take it."""

    continues_turn: bool = False
    """It continues the agent's turn, as after a function call."""
    client_event: str | None = None
    """The client's own response.create, to be forwarded."""
    event_id: str | None = None
    """The `event_id` of the client's event."""
    verbatim: VerbatimText | None = None
    """The text that the response speaks, and nothing else."""
    resume_after: str | None = None
    """The last delivered words of an answer that was cut off. The response continues behind them."""
    resent_chars: int = 0
    """The number of characters behind those words that the client has as text already."""
    follow_up: ResponseRequest | None = None
    """The request that comes right after this one."""
    is_resumed: bool = False
    """Its upstream was lost, or its response failed: it comes before all later requests."""

    @property
    def size_bytes(self) -> int:
        """Its approximate size."""
        return len(self.client_event or "") + (len(self.verbatim.text) if self.verbatim is not None else 0)

    @property
    def is_urgent(self) -> bool:
        """Whether it comes before every request that is not urgent."""
        return self.verbatim is not None and self.verbatim.is_urgent

    @property
    def is_answer(self) -> bool:
        """Whether the model answers the conversation, unlike a given text or the client's own event."""
        return self.client_event is None and self.verbatim is None

    @property
    def is_continuation(self) -> bool:
        """Whether it continues an answer that was cut off."""
        return self.resume_after is not None

    @property
    def is_general(self) -> bool:
        """Whether it answers everything that the conversation holds by then."""
        return self.is_answer and not self.is_continuation


def without_continuations(requests: Iterable[ResponseRequest]) -> list[ResponseRequest]:
    """Return the requests without continuations. The follow-up of a continuation takes its place."""
    others = (request.follow_up if request.is_continuation else request for request in requests)
    return [request for request in others if request is not None]


class Answer:
    """The newest item of the active response, and its delivered part."""

    __slots__ = (
        "is_commentary",
        "is_complete",
        "is_spoken",
        "item_id",
        "received_s",
        "resent_chars",
        "sent_chars",
        "sent_text",
        "transcript",
    )

    def __init__(self) -> None:
        self.item_id: str | None = None
        self.transcript = ""
        """The text so far. It runs ahead of the audio (upstream 5.8)."""
        self.sent_chars = 0
        """The number of transcript characters that were sent to the client as sentences."""
        self.resent_chars = 0
        """The number of its first characters that repeat text which was sent for the answer that it continues."""
        self.received_s = 0.0
        """The duration of the audio that the upstream generated. It was sent, or waits to be."""
        self.sent_text = ""
        """The whole text, once it was sent: only the end of the item is missing then."""
        self.is_spoken = False
        """The text is a transcript of audio."""
        self.is_commentary = False
        """It only announces the next step, such as a function call (upstream 6.4)."""
        self.is_complete = False
        """The upstream has finished the item."""

    @property
    def delivered_chars(self) -> int:
        """The number of transcript characters that the client has, from this answer or the one that it continues."""
        return max(self.sent_chars, self.resent_chars)

    def record_end(self, item: openai.Item) -> None:
        """Record whether the finished item is whole. Another item's end is ignored."""
        if item.id is not None and item.id == self.item_id:
            self.is_complete = item.status == "completed"


class Turn:
    """The agent's turn, as the client sees it. It ends with exactly one AgentAudioDone."""

    def __init__(self) -> None:
        self.is_open = False
        self.response = ResponseState.NONE
        self.response_id: str | None = None
        self.event_id: str | None = None
        """The `event_id` of the last response.create. The error that it causes carries it (upstream 8.1)."""
        self.has_started_speaking = False
        self.requests: Queue[ResponseRequest] = Queue()
        self.current_request: ResponseRequest | None = None
        """The request of the response in progress. The upstream's own responses have none."""
        self.answer = Answer()
        self.failures = 0
        """The number of failed responses in a row, at one upstream."""
        self.awaits_answer = False
        """The user's speech was committed, and no response to it has begun."""
        self.interrupted: Queue[str | None] = Queue(maxlen=MAX_INTERRUPTED)
        """The newest responses that the user interrupted. Their late text and audio are dropped."""
        self.is_interrupted_early = False
        """The user interrupted the requested response before it began."""
        self.cancelled: Queue[str | None] = Queue(maxlen=MAX_INTERRUPTED)
        """The newest responses that ended as cancelled. Their function calls may still arrive (upstream 6.3)."""
        self.is_resumed = False
        """The turn continues at another upstream, or with a repeated response."""
        self.is_answered_by_passthrough = False
        """The client answered its calls with its own events, and will create the response itself."""

    def request(self, *requests: ResponseRequest) -> None:
        """Queue requests. One general answer is enough: it answers everything that the conversation holds by then."""
        for request in requests:
            self._request(request)

    def _request(self, request: ResponseRequest) -> None:
        # The order of the queue: urgent texts, then resumed requests, then the others as they came.
        if request.is_general and any(other.is_general for other in self.requests):
            if request.continues_turn:
                self.requests = Queue(
                    ResponseRequest(continues_turn=True) if other.is_general else other for other in self.requests
                )
        elif request.is_urgent or request.is_resumed:
            self.requests.insert(sum(other.is_urgent for other in self.requests), request)
        else:
            self.requests.append(request)

    def is_suppressed(self, response_id: str | None) -> bool:
        """Whether a response's text is not sent: the user interrupted it, or the client has its given text already."""
        if self.current_request is None or self.current_request.verbatim is None:
            return response_id in self.interrupted
        # A given text is spoken. A response that runs beside it is the upstream's own, with words of its own.
        return self.response_id is None or response_id in (self.response_id, None) or response_id in self.interrupted

    def begin(self, response_id: str | None) -> None:
        """Begin a response. Some servers number their responses, so an earlier one of that id is forgotten."""
        self.response_id = response_id
        self.interrupted = Queue((it for it in self.interrupted if it != response_id), maxlen=MAX_INTERRUPTED)
        self.cancelled = Queue((it for it in self.cancelled if it != response_id), maxlen=MAX_INTERRUPTED)

    def is_other_response(self, response_id: str | None) -> bool:
        """Whether an event is about another response than the one in progress: one beside it, or an earlier one."""
        if self.response_id is None:
            # Before response.created any id may be the requested response's, unless it was interrupted.
            return response_id in self.interrupted
        return response_id not in (self.response_id, None)

    @property
    def is_interrupted(self) -> bool:
        """Whether the user interrupted the active response."""
        return self.response is ResponseState.ACTIVE and self.response_id in self.interrupted

    @property
    def will_continue(self) -> bool:
        """Whether another response continues the turn after this one."""
        return self.is_answered_by_passthrough or any(request.continues_turn for request in self.requests)
