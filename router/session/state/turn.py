"""The agent's turn: the response in progress, and its delivered part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.session.state.queues import newest, without
from router.session.state.states import ResponseState
from router.session.state.text_delivery import TextDelivery

if TYPE_CHECKING:
    from router.session.state.pending import SentRequest, VerbatimText
    from router.session.state.text_delivery import ItemDelivery

MAX_INTERRUPTED: Final = 8
"""The most response ids that are remembered. Events of older responses have stopped long ago."""

MAX_UNASKED: Final = 32
"""The most unasked responses whose times are remembered."""

MAX_UNNAMED: Final = 8
"""The most texts without an item id that are remembered."""

MAX_OVERTAKEN: Final = 8
"""The most verbatim texts of one upstream that a rule ended, and whose late responses are expected."""

MAX_CLOSED: Final = 64
"""The most item ids that are remembered."""


class Turn:
    """The agent's turn, as the client sees it. It ends with exactly one AgentAudioDone."""

    __slots__ = (
        "answer",
        "answers_speech",
        "beside",
        "cancelled",
        "cancels_next",
        "closed",
        "current",
        "doubtful_id",
        "drops_unnamed",
        "ended",
        "failures",
        "has_called",
        "has_output",
        "has_started_speaking",
        "interrupted",
        "is_announced",
        "is_answered_by_passthrough",
        "is_cancelled_by_client",
        "is_cut",
        "is_end_named",
        "is_end_open",
        "is_open",
        "is_outside_announced",
        "is_rejected",
        "is_resumed",
        "output_id",
        "outputs",
        "outside",
        "overtaken_ids",
        "response",
        "response_id",
        "unasked",
        "unnamed",
        "unproven",
    )

    def __init__(self) -> None:  # noqa: PLR0915 - a list, no program
        self.is_open = False
        self.response = ResponseState.NONE
        self.response_id: str | None = None
        self.output_id: str | None = None
        """The id in the first output of a response without response.created. The next response may have the same id."""
        self.is_announced = False
        """response.created of the response in progress has arrived. Some servers send none."""
        self.current: SentRequest | None = None
        """The request of the response in progress. The upstream's own responses have none."""
        self.is_cut = False
        """The user interrupted the response in progress: its late text and audio are dropped."""
        self.is_rejected = False
        """The response in progress began too late, and was cancelled at once. It is no turn of the agent's."""
        self.answers_speech = False
        """The response in progress is the upstream's own answer to the user's speech."""
        self.has_output = False
        """The response in progress has brought text, audio or a function call."""
        self.has_started_speaking = False
        self.answer = TextDelivery()
        self.closed: tuple[str | None, ...] = ()
        """The newest items whose text was sent, or must not be. A late event may repeat their text (upstream 5.7)."""
        self.unnamed: tuple[str, ...] = ()
        """The newest texts that were sent without an item id. Their items may follow, with the same text."""
        self.unasked: tuple[float, ...] = ()
        """The times of the newest responses that answered neither a request nor the user's speech."""
        self.failures = 0
        """The number of failed responses in a row, at one upstream."""
        self.interrupted: tuple[str, ...] = ()
        """The newest responses that the user interrupted. Their late text and audio are dropped."""
        self.ended: tuple[str, ...] = ()
        """The newest responses that have ended: a late event of theirs begins no response."""
        self.cancels_next = False
        """The session cancels the upstream's own response when it begins, because the client interrupted it before."""
        self.is_cancelled_by_client = False
        """The client has sent a `response.cancel` of its own: a cancelled response is no loss."""
        self.cancelled: tuple[str, ...] = ()
        """The newest responses that ended as cancelled. Their function calls may still arrive (upstream 6.3)."""
        self.outside: tuple[str | None, ...] = ()
        """The newest responses outside the conversation. They are not part of the agent's turn."""
        self.is_outside_announced = False
        """Whether a response.done ends the response without an id outside the conversation, and not its whole text."""
        self.beside = TextDelivery()
        """The account of these responses."""
        self.outputs: tuple[str, ...] = ()
        """The newest responses that ended without a response.created. Their late output begins no other response."""
        self.overtaken_ids: tuple[str, ...] = ()
        """The requests for verbatim texts that a rule ended before their responses began, the oldest first.

        Each of these responses may still begin.
        """
        self.doubtful_id: str | None = None
        """The request whose response the session knew by order alone, while the upstream owed an answer to speech.

        That response may have been the answer to speech. Then the response to this request is still to begin.
        """
        self.unproven: SentRequest | None = None
        """The request for the verbatim text that was spoken last, if only the order of events says so."""
        self.drops_unnamed = False
        """A response without an id runs outside of the agent's turn. Until its end, output without an id is its own."""
        self.is_resumed = False
        """The turn continues at another upstream, or with a repeated response."""
        self.is_answered_by_passthrough = False
        """The client answered its function calls with OpenAI's events, and will create the response itself."""

        self.has_called = False
        """The response in progress has called a function."""
        self.is_end_open = False
        """The previous response ended without its response.done, which may still come."""
        self.is_end_named = False
        """`outputs` has the id of that response."""

    @property
    def verbatim(self) -> VerbatimText | None:
        """The verbatim text of the response in progress, or None."""
        return self.current.request.verbatim if self.current is not None else None

    def is_suppressed(self, response_id: str | None) -> bool:
        """Whether a response's text is not sent.

        Either the user interrupted the response, or the client already has the text as a verbatim text.
        """
        if response_id in self.outside:
            return False
        # A verbatim text is spoken. A response that runs beside it is the upstream's own, with words of its own.
        is_given = self.verbatim is not None and response_id in (self.response_id, None)
        is_given |= self.verbatim is not None and self.response_id is None
        return is_given or self.is_muted(response_id)

    def answer_of(self, response_id: str | None) -> TextDelivery:
        """Return the account of the answer that an event is about: `beside` for one outside the conversation."""
        is_beside = response_id in self.outside or self.begins_beside(response_id)
        return self.beside if is_beside else self.answer

    def begins_beside(self, response_id: str | None) -> bool:
        """Whether output that nothing announced begins the client's own response outside the conversation."""
        sent = self.current
        is_awaited = sent is not None and sent.request.is_outside and self.response is ResponseState.REQUESTED
        return is_awaited and not self.is_other_response(response_id)

    def withhold(self, response_id: str | None, item_id: str | None, text: str = "") -> None:
        """Keep an item of the response that seems to speak a verbatim text: the response may be the upstream's own."""
        is_active = response_id in (self.response_id, None) and not self.is_muted(response_id)
        if self.verbatim is not None and self.current is not None and is_active:
            self.current.withhold(item_id, text)

    def is_muted(self, response_id: str | None) -> bool:
        """Whether a response's audio is not played, because the user interrupted.

        An event without an id counts as an event of the response in progress.
        """
        if response_id is None and self.drops_unnamed:
            return True
        is_cut = self.is_cut and response_id in (self.response_id, self.output_id, None)
        return is_cut or response_id in self.interrupted or self.is_overtaken(response_id)

    def is_dropped(self, response_id: str | None) -> bool:
        """Whether the output of a response with this id is dropped: its response.created has come twice."""
        return response_id is not None and response_id in self.interrupted

    def is_overtaken(self, response_id: str | None) -> bool:
        """Whether an event belongs to the late response of an earlier request, which the upstream does not announce.

        An upstream takes requests in their order. So the response to a verbatim text that a rule ended begins before
        the response that was requested after it. The response to a doubtful request can be recognized only if the
        response in progress speaks a verbatim text.
        """
        is_earlier = bool(self.overtaken_ids) or (self.doubtful_id is not None and self.verbatim is not None)
        return is_earlier and self.is_unknown(response_id)

    def is_unknown(self, response_id: str | None) -> bool:
        """Whether no response is active, and an event names a response that the session does not know."""
        if self.response is ResponseState.ACTIVE or response_id is None:
            return False
        return not any(response_id in known for known in (self.ended, self.outputs, self.outside, self.interrupted))

    def is_repeated(self, item_id: str | None, response_id: str | None) -> bool:
        """Whether text repeats an item of an earlier response, or one of many items of the response in progress.

        An item of the active response may have the id of an item of an earlier response.
        """
        if item_id in self.answer.dropped:
            return True
        is_late = self.response is ResponseState.NONE or self.is_other_response(response_id)
        if not is_late or item_id is None:
            return False
        part = self.answer.find(item_id)
        return item_id in self.closed or (part is not None and part.is_closed)

    def mute(self, response_id: str | None) -> None:
        """Drop the text and audio that still arrive for a response."""
        if response_id is not None:
            self.interrupted = newest(self.interrupted, response_id, MAX_INTERRUPTED)

    def begin(self, response_id: str | None) -> None:
        """Begin a response. Some servers reuse response ids, so forget an earlier response with this id."""
        self.response_id, self.output_id = response_id, None
        self.is_announced = True
        self.is_cut = self.is_rejected = self.has_output = self.answers_speech = self.is_end_open = False
        self.drops_unnamed = False
        # From now on an event without ids is about this response.
        self.outside = without(self.outside, response_id)
        self.closed = without(self.closed, None)
        self.ended = without(self.ended, response_id)
        self.interrupted = without(self.interrupted, response_id)
        self.cancelled = without(self.cancelled, response_id)

    def begin_answer(self, resent: str = "", before: str = "") -> None:
        """Begin the account of another answer, and remember the closed items of the previous answer.

        If the new answer continues an earlier one, `before` has the delivered words of that answer. `resent` is the
        text after these words that the client has already.
        """
        for part in self.answer.parts:
            if part.is_closed and part is not self.answer.given:
                self.close_item(part.item_id)
                if part.item_id is None and part.sent_text:
                    self.unnamed = newest(self.unnamed, part.sent_text, MAX_UNNAMED)
        self.answer = TextDelivery(resent, before)
        self.has_called = False

    def claim_unnamed(self, item_id: str | None, content: str) -> bool:
        """Return whether an item has a text that was sent before without an item id.

        No other item can claim that text again.
        """
        if item_id is None or content not in self.unnamed:
            return False
        at = self.unnamed.index(content)
        self.unnamed = self.unnamed[:at] + self.unnamed[at + 1 :]
        self.close_item(item_id)
        return True

    def close_item(self, item_id: str | None) -> None:
        """Send no text of an item any more."""
        if item_id not in self.closed:
            self.closed = newest(self.closed, item_id, MAX_CLOSED)

    def reopen_item(self, item_id: str | None) -> None:
        """Send the text of an item again, because a response begins an item of that id."""
        self.closed = without(self.closed, item_id)

    def cut(self, part: ItemDelivery | None, item_id: str | None) -> None:
        """Send no more text of an item, because it was cut off."""
        self.close_item(item_id)
        if part is not None:
            part.is_closed = True

    def forget_upstream_ids(self) -> None:
        """Forget the ids that the previous upstream gave: the next upstream may give the same ids."""
        self.interrupted = self.cancelled = self.ended = self.outputs = self.unnamed = self.overtaken_ids = ()
        self.outside = self.closed = ()
        self.beside = TextDelivery()
        self.doubtful_id = self.unproven = None
        self.is_end_open = self.drops_unnamed = False

    def take_overtaken(self) -> bool:
        """Remove the oldest request for a verbatim text that a rule ended. Return whether there was such a request."""
        had_one, self.overtaken_ids = bool(self.overtaken_ids), self.overtaken_ids[1:]
        return had_one

    def forget_request(self, request_id: str) -> None:
        """Forget an earlier request, because the upstream refused it: its response does not begin any more."""
        self.overtaken_ids = without(self.overtaken_ids, request_id)
        if self.doubtful_id == request_id:
            self.doubtful_id = None

    def note_ended(self, response_id: str) -> None:
        """Remember that a response has ended."""
        self.ended = newest(self.ended, response_id, MAX_INTERRUPTED)

    def note_cancelled(self, response_id: str) -> None:
        """Remember that a response ended as cancelled."""
        self.cancelled = newest(self.cancelled, response_id, MAX_INTERRUPTED)

    def note_outside(self, response_id: str | None, *, is_announced: bool = True) -> None:
        """Remember a response outside the conversation. `is_announced` says that a response.created began it."""
        self.outside = newest(self.outside, response_id, MAX_INTERRUPTED)
        if response_id is None:
            self.is_outside_announced = is_announced
        if is_announced:
            self.beside.forget_unnamed()
        self.beside.forget_oldest(MAX_INTERRUPTED)

    def drop_unnamed(self) -> None:
        """Drop output without an id, because it is not part of the agent's turn, unless a response is active.

        This ends at the next response.done, or when another response begins.
        """
        if self.response is not ResponseState.ACTIVE:
            self.drops_unnamed = True
            self.close_item(None)

    def ends_beside(self, response_id: str | None) -> bool:
        """Whether a response.done without an id ends a response that is not part of the agent's turn."""
        is_end = response_id is None and (self.drops_unnamed or None in self.outside)
        if is_end:
            self.drops_unnamed, self.outside = False, without(self.outside, None)
        return is_end

    def ends_beside_by_text(self, response_id: str | None) -> bool:
        """Whether a whole text without an id ends a response outside the conversation that nothing announced.

        Its response.done may still come.
        """
        is_end = response_id is None and None in self.outside and not self.is_outside_announced
        if is_end:
            self.outside = without(self.outside, None)
            if self.response is not ResponseState.ACTIVE:
                self.is_end_open, self.is_end_named = True, False
        return is_end

    def note_unasked(self, now_s: float) -> None:
        """Remember the time of a response that answered neither a request nor the user's speech."""
        self.unasked = newest(self.unasked, now_s, MAX_UNASKED)

    def note_overtaken(self, request_id: str) -> None:
        """Remember the request for a verbatim text that a rule ended before its response began."""
        self.overtaken_ids = newest(self.overtaken_ids, request_id, MAX_OVERTAKEN)

    def end(self) -> None:
        """Forget the response in progress."""
        if self.response_id is not None:
            self.note_ended(self.response_id)
        elif self.output_id is not None:
            self.outputs = newest(self.outputs, self.output_id, MAX_INTERRUPTED)
        self.response_id = self.output_id = self.current = None
        self.is_announced = self.is_cut = self.is_rejected = self.has_output = self.answers_speech = False
        self.has_started_speaking = self.cancels_next = self.is_cancelled_by_client = False
        self.begin_answer()

    def is_other_response(self, response_id: str | None) -> bool:
        """Whether an event is about another response than the one in progress: a parallel or an earlier one."""
        if response_id is None and (self.drops_unnamed or None in self.outside):
            return True
        if self.response_id is None:
            # Before response.created any unknown id may be that of the requested response.
            known = (*self.interrupted, *self.ended, *self.outside)
            # After its first output, a response cannot have the id of an earlier response that was not announced.
            is_earlier = self.output_id not in (None, response_id) and response_id in self.outputs
            return response_id is not None and (is_earlier or response_id in known)
        return response_id not in (self.response_id, None)

    def ends_unseen(self, response_id: str | None) -> bool:
        """Whether a response.done ends the response that the session knows only from a refusal.

        Of a client's own response outside the conversation the session has seen the text, and not this end.
        """
        return self.response is ResponseState.ACTIVE and not self.is_seen and response_id in self.outside

    def note_output(self, response_id: str | None) -> None:
        """Remember the id of a text that ends the response in progress, although its first output had another id."""
        if response_id is not None and response_id != self.output_id:
            self.outputs = newest(self.outputs, response_id, MAX_INTERRUPTED)

    def end_unannounced(self) -> None:
        """Forget the response in progress, which ends without its response.done."""
        is_named = self.output_id is not None
        self.end()
        self.is_end_open, self.is_end_named = True, is_named

    def takes_late_end(self, response_id: str | None, status: str | None) -> bool:
        """Whether a response.done is that of an earlier response, which ended without it.

        That response has brought its whole output, so it does not fail. A response without response.created that is
        completed, and brought output, ends with its whole text or with the outputs of its calls. So while it is active,
        a response.done without an id is not its own.
        """
        is_open, has_id = self.is_end_open, response_id is not None
        if self.response is ResponseState.REQUESTED:
            is_late = is_open and status != "failed" and not (has_id and self.is_end_named)
            is_late |= response_id in self.outputs
        elif self.is_announced:
            is_late = False
        elif has_id:
            is_late = is_open and not self.is_end_named and self.output_id not in (None, response_id)
        else:
            is_late = is_open and self.has_output and status in ("completed", None)
        self.is_end_open = is_open and not is_late and self.response is not ResponseState.NONE
        return is_late

    @property
    def is_seen(self) -> bool:
        """Whether an event of the response in progress came. If not, the session knows it only from a refusal."""
        return self.current is not None or self.is_announced or self.has_output or self.output_id is not None

    @property
    def is_interrupted(self) -> bool:
        """Whether the user interrupted the active response."""
        return self.response is ResponseState.ACTIVE and self.is_cut
