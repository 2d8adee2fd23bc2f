"""The agent's turn: the responses requested, the response in progress, and how much of it was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.session.state.queues import Queue
from router.session.state.states import ResponseState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.openai import events as openai


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A text that is to be said as it is."""

    item_id: str
    """Ours: of the item that it becomes in the conversation, and of its audio."""
    text: str
    rest: str
    """What of it is still to be said, where an upstream was lost over it."""
    is_told: bool = False
    """The client has its text."""
    is_urgent: bool = False
    """It is said although the user is talking."""


def statement_of(item_id: str, text: str, *, is_urgent: bool = False) -> Statement:
    """A statement of which nothing is said yet."""
    return Statement(item_id=item_id, text=text, rest=text, is_urgent=is_urgent)


MOST_MUTED: Final = 8


class Want(msgspec.Struct, frozen=True):
    """A response that is to be asked for as soon as none is active."""

    follows_up: bool = False
    """It goes on with the turn that there is."""
    text: str | None = None
    """The client's own event, where it brought one."""
    event_id: str | None = None
    """Of that event."""
    statement: Statement | None = None
    """What it is to say word for word, and nothing else."""
    goes_on_after: str | None = None
    """The words after which an answer was cut off; it is asked to go on from there."""
    told_ahead: int = 0
    """Characters beyond those words that the client has been told already."""
    then: Want | None = None
    """What is wanted after it."""
    is_resumed: bool = False
    """Its upstream was lost over it, or failed: it comes before whatever was wanted later."""

    @property
    def size_bytes(self) -> int:
        """About what it takes."""
        return len(self.text or "") + (len(self.statement.text) if self.statement is not None else 0)

    @property
    def is_urgent(self) -> bool:
        """Whether it comes before all that is not."""
        return self.statement is not None and self.statement.is_urgent

    @property
    def is_answer(self) -> bool:
        """Whether it answers the user, as the conversation has it."""
        return self.text is None and self.statement is None

    @property
    def is_rest(self) -> bool:
        """Whether it only goes on with an answer that was cut off."""
        return self.goes_on_after is not None

    @property
    def is_general(self) -> bool:
        """Whether it answers whatever is in the conversation by then."""
        return self.is_answer and not self.is_rest


def without_rest(wants: Iterable[Want]) -> list[Want]:
    """Without the rest of an answer that was cut off; what was wanted after that stays."""
    others = (want.then if want.is_rest else want for want in wants)
    return [want for want in others if want is not None]


class Answer:
    """What of the active response has reached the client: of its newest item."""

    __slots__ = (
        "is_commentary",
        "is_complete",
        "is_spoken",
        "item_id",
        "played_s",
        "told",
        "told_ahead",
        "told_to",
        "transcript",
    )

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
        self.is_complete = False
        """The upstream has said that it has no more of it."""

    @property
    def told_until(self) -> int:
        """So much of the transcript was told: of this answer, or of the one that it goes on with."""
        return max(self.told_to, self.told_ahead)

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
        self.wants: Queue[Want] = Queue()
        self.want_now: Want | None = None
        """What the response that is requested or active was asked for."""
        self.answer = Answer()
        self.failures = 0
        """Of responses in a row, in one upstream."""
        self.is_heard = False
        """The user's speech was committed, and no response to it has ended."""
        self.muted: Queue[str | None] = Queue(most=MOST_MUTED)
        """Responses that the user has interrupted, the newest: nothing more of them is played or told."""
        self.is_unwanted = False
        """The user interrupted the response that is requested before it began."""
        self.cancelled: Queue[str | None] = Queue(most=MOST_MUTED)
        """Responses that ended as such, the newest: a call of theirs may still be on its way."""
        self.is_resumed = False
        """It goes on after a restart."""
        self.is_answered_as_is = False
        """The client answered its calls with its own events, and will ask for the response itself."""

    def want(self, *wants: Want) -> None:
        """Ask for responses in time. One of ours is enough, however many inputs it will answer."""
        for want in wants:
            self._want(want)

    def _want(self, want: Want) -> None:
        if want.is_general and any(other.is_general for other in self.wants):
            if want.follows_up:
                self.wants = Queue(Want(follows_up=True) if other.is_general else other for other in self.wants)
        elif want.is_urgent or want.is_resumed:
            self.wants.insert(sum(other.is_urgent for other in self.wants), want)
        else:
            self.wants.append(want)

    def is_untold(self, response_id: str | None) -> bool:
        """Whether the words of this response are not told: the user has interrupted it, or its text is given."""
        if self.want_now is None or self.want_now.statement is None:
            return response_id in self.muted
        return self.response_id is None or response_id in (self.response_id, None) or response_id in self.muted

    def begin(self, response_id: str | None) -> None:
        """A response begins. Its id says nothing of an earlier one of that id: some servers number theirs."""
        self.response_id = response_id
        self.muted = Queue((it for it in self.muted if it != response_id), most=MOST_MUTED)
        self.cancelled = Queue((it for it in self.cancelled if it != response_id), most=MOST_MUTED)

    def is_of_another(self, response_id: str | None) -> bool:
        """Whether this response is not the one that is requested or active: it ran beside it, or was cut off before."""
        if self.response_id is None:
            return response_id in self.muted
        return response_id not in (self.response_id, None)

    @property
    def is_muted(self) -> bool:
        """Whether the user has interrupted the response that is active."""
        return self.response is ResponseState.ACTIVE and self.response_id in self.muted

    @property
    def will_follow_up(self) -> bool:
        """Whether the turn goes on after this response."""
        return self.is_answered_as_is or any(want.follows_up for want in self.wants)
