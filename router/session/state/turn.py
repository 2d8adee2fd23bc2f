"""The agent's turn: the responses requested, the response in progress, and how much of it was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.session.state.queues import Queue
from router.session.state.states import ResponseState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.openai import events as openai


class VerbatimText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that is to be said as it is."""

    item_id: str
    """Ours: of the item that it becomes in the conversation, and of its audio."""
    text: str
    rest: str
    """What of it is still to be said, where an upstream was lost over it."""
    is_sent: bool = False
    """The client has its text."""
    is_urgent: bool = False
    """It is said although the user is talking."""


def new_verbatim_text(item_id: str, text: str, *, is_urgent: bool = False) -> VerbatimText:
    """A statement of which nothing is said yet."""
    return VerbatimText(item_id=item_id, text=text, rest=text, is_urgent=is_urgent)


MOST_INTERRUPTED: Final = 8


class ResponseRequest(msgspec.Struct, frozen=True):
    """A response that is to be asked for as soon as none is active."""

    continues_turn: bool = False
    """It goes on with the turn that there is."""
    text: str | None = None
    """The client's own event, where it brought one."""
    event_id: str | None = None
    """Of that event."""
    verbatim: VerbatimText | None = None
    """What it is to say word for word, and nothing else."""
    resume_after: str | None = None
    """The words after which an answer was cut off; it is asked to go on from there."""
    resent_chars: int = 0
    """Characters beyond those words that the client has been told already."""
    follow_up: ResponseRequest | None = None
    """What is wanted after it."""
    is_resumed: bool = False
    """Its upstream was lost over it, or failed: it comes before whatever was wanted later."""

    @property
    def size_bytes(self) -> int:
        """About what it takes."""
        return len(self.text or "") + (len(self.verbatim.text) if self.verbatim is not None else 0)

    @property
    def is_urgent(self) -> bool:
        """Whether it comes before all that is not."""
        return self.verbatim is not None and self.verbatim.is_urgent

    @property
    def is_answer(self) -> bool:
        """Whether it answers the user, as the conversation has it."""
        return self.text is None and self.verbatim is None

    @property
    def is_continuation(self) -> bool:
        """Whether it only goes on with an answer that was cut off."""
        return self.resume_after is not None

    @property
    def is_general(self) -> bool:
        """Whether it answers whatever is in the conversation by then."""
        return self.is_answer and not self.is_continuation


def without_continuations(requests: Iterable[ResponseRequest]) -> list[ResponseRequest]:
    """Without the rest of an answer that was cut off; what was wanted after that stays."""
    others = (request.follow_up if request.is_continuation else request for request in requests)
    return [request for request in others if request is not None]


class Answer:
    """What of the active response has reached the client: of its newest item."""

    __slots__ = (
        "is_commentary",
        "is_complete",
        "is_spoken",
        "item_id",
        "played_s",
        "resent_chars",
        "sent_chars",
        "sent_text",
        "transcript",
    )

    def __init__(self) -> None:
        self.item_id: str | None = None
        self.transcript = ""
        """Of the item so far; it runs ahead of the audio."""
        self.sent_chars = 0
        """So much of the transcript was told, sentence by sentence."""
        self.resent_chars = 0
        """So many characters at its beginning repeat what was told of the answer that it goes on with."""
        self.played_s = 0.0
        """Audio that was made for it: it is sent, or waits to be."""
        self.sent_text = ""
        """Its text, once that has been told: the answer is complete then, but for what follows it."""
        self.is_spoken = False
        """Its text is the transcript of audio."""
        self.is_commentary = False
        """It only says what will be done next."""
        self.is_complete = False
        """The upstream has said that it has no more of it."""

    @property
    def delivered_chars(self) -> int:
        """So much of the transcript was told: of this answer, or of the one that it goes on with."""
        return max(self.sent_chars, self.resent_chars)

    def note_end(self, item: openai.Item) -> None:
        """Take the news that an item is done: whole, or cut off."""
        if item.id is not None and item.id == self.item_id:
            self.is_complete = item.status == "completed"


class Turn:
    """The agent's turn, as the client sees it: it ends with AgentAudioDone, exactly once."""

    def __init__(self) -> None:
        self.is_open = False
        self.response = ResponseState.NONE
        self.response_id: str | None = None
        self.event_id: str | None = None
        """Of the response.create that is out; the error that it causes brings it back."""
        self.has_started_speaking = False
        self.requests: Queue[ResponseRequest] = Queue()
        self.current_request: ResponseRequest | None = None
        """What the response that is requested or active was asked for."""
        self.answer = Answer()
        self.failures = 0
        """Of responses in a row, in one upstream."""
        self.awaits_answer = False
        """The user's speech was committed, and no response to it has ended."""
        self.interrupted: Queue[str | None] = Queue(most=MOST_INTERRUPTED)
        """Responses that the user has interrupted, the newest: nothing more of them is played or told."""
        self.is_interrupted_early = False
        """The user interrupted the response that is requested before it began."""
        self.cancelled: Queue[str | None] = Queue(most=MOST_INTERRUPTED)
        """Responses that ended as such, the newest: a call of theirs may still be on its way."""
        self.is_resumed = False
        """It goes on after a restart."""
        self.is_answered_by_passthrough = False
        """The client answered its calls with its own events, and will ask for the response itself."""

    def request(self, *requests: ResponseRequest) -> None:
        """Ask for responses in time. One of ours is enough, however many inputs it will answer."""
        for request in requests:
            self._request(request)

    def _request(self, request: ResponseRequest) -> None:
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
        """Whether the words of this response are not told: the user has interrupted it, or its text is given."""
        if self.current_request is None or self.current_request.verbatim is None:
            return response_id in self.interrupted
        return self.response_id is None or response_id in (self.response_id, None) or response_id in self.interrupted

    def begin(self, response_id: str | None) -> None:
        """A response begins. Its id says nothing of an earlier one of that id: some servers number theirs."""
        self.response_id = response_id
        self.interrupted = Queue((it for it in self.interrupted if it != response_id), most=MOST_INTERRUPTED)
        self.cancelled = Queue((it for it in self.cancelled if it != response_id), most=MOST_INTERRUPTED)

    def is_of_another(self, response_id: str | None) -> bool:
        """Whether this response is not the one that is requested or active: it ran beside it, or was cut off before."""
        if self.response_id is None:
            return response_id in self.interrupted
        return response_id not in (self.response_id, None)

    @property
    def is_interrupted(self) -> bool:
        """Whether the user has interrupted the response that is active."""
        return self.response is ResponseState.ACTIVE and self.response_id in self.interrupted

    @property
    def will_continue(self) -> bool:
        """Whether the turn goes on after this response."""
        return self.is_answered_by_passthrough or any(request.continues_turn for request in self.requests)
