"""The responses that the session will create: one list, in the order in which they are created.

A request may wait for its gate to open: for the acknowledgement of an item, or for a pause after a failure. Every
request behind it waits, too. A request leaves the list when the session sends its response.create, or when a rule ends
it. Each rule is a method of `PendingResponses`, and the session logs the name of a rule that ended a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.session import inputs


MAX_WITHHELD: Final = 8
"""The most items of a response that are kept until the session knows which request the response belongs to."""

MAX_WITHHELD_CHARS: Final = 65_536
"""The most characters of the text of each such item."""


class VerbatimText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that the agent speaks word for word."""

    item_id: str
    """The id that the router gives to the text's audio, and to its item in the conversation."""
    text: str
    rest: str
    """The part that is still to be spoken. It is shorter than the text if an upstream was lost meanwhile."""
    is_sent: bool = False
    """The client has the text."""
    is_urgent: bool = False
    """The agent speaks the text even while the user is speaking."""


def new_verbatim_text(item_id: str, text: str, *, is_urgent: bool = False) -> VerbatimText:
    """Return a text of which nothing is spoken yet."""
    return VerbatimText(item_id=item_id, text=text, rest=text, is_urgent=is_urgent)


class ResponseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A response to create as soon as the upstream can take it."""

    continues_turn: bool = False
    """The response continues the agent's turn, as after a function call."""
    client_event: str | None = None
    """The client's own response.create, to be forwarded."""
    event_id: str | None = None
    """The `event_id` of the client's event."""
    verbatim: VerbatimText | None = None
    """The text that the response speaks, and nothing else."""
    resume_after: str | None = None
    """The last delivered words of an answer that was cut off. The response continues after them."""
    resent: str = ""
    """The text of the continued answer after `resume_after`, which the client has already."""
    before: str = ""
    """All delivered words of the continued answer, however often it was cut off."""
    is_outside: bool = False
    """The client's event asks for a response outside the conversation."""
    metadata: dict[str, Any] | None = None
    """The metadata of the client's event."""
    answers_speech: bool = False
    """The request takes the place of an answer that the upstream owed to speech. That answer may still begin."""
    item_id: str | None = None
    """The item that the response answers. Until the upstream has acknowledged the item, the gate is closed."""
    item_bytes: int = 0
    """The size of the item that the response answers."""
    question_item: str | None = None
    """The item of the only question that the response answers, if that is a typed question.

    At another upstream the request waits for the last item, which may be a different one.
    """
    presumed_item: str | None = None
    """The item with the question, if the upstream has not acknowledged it, and may lack it.

    Then a response may be the answer to speech instead (docs/decisions/0027).
    """
    is_paused: bool = False
    """The response failed before. Until the pause is over, the gate is closed."""

    @property
    def size_bytes(self) -> int:
        """The approximate size of the request."""
        text = len(self.verbatim.text) if self.verbatim is not None else 0
        return len(self.client_event or "") + text + self.item_bytes

    @property
    def is_open(self) -> bool:
        """Whether the request's own gate is open. An earlier request in the list may still hold the request back."""
        return self.item_id is None and not self.is_paused

    @property
    def is_presumed(self) -> bool:
        """Whether the upstream may lack the item with the question, which is on its way or lost."""
        return self.presumed_item is not None

    @property
    def is_urgent(self) -> bool:
        """Whether the request is created before all others, because it speaks an urgent verbatim text."""
        return self.verbatim is not None and self.verbatim.is_urgent

    @property
    def is_answer(self) -> bool:
        """Whether the model answers the conversation, in contrast to a verbatim text or the client's own event."""
        return self.client_event is None and self.verbatim is None

    @property
    def is_continuation(self) -> bool:
        """Whether the response continues an answer that was cut off."""
        return self.resume_after is not None

    @property
    def is_general(self) -> bool:
        """Whether the response answers everything that the conversation holds when it is created."""
        return self.is_answer and not self.is_continuation


class SentRequest:
    """A request whose response.create is sent."""

    __slots__ = (
        "commit_ids",
        "crossed",
        "event_id",
        "is_interrupted",
        "is_proven",
        "is_replaced",
        "is_withheld_cut",
        "request",
        "withheld",
    )

    def __init__(self, request: ResponseRequest, event_id: str, commit_ids: tuple[str, ...] = ()) -> None:
        self.request = request
        self.event_id = event_id
        """The `event_id` of the response.create. An error that the request causes carries it (upstream 8.1)."""
        self.is_proven = False
        """Whether the response has brought the metadata of this request back."""
        self.is_interrupted = False
        """The request was interrupted before its response began: the session cancels the response when it begins."""
        self.is_replaced = False
        """The client interrupted the request with a text that the agent speaks instead."""
        self.commit_ids = commit_ids
        """The last commits by hand before the request."""
        self.crossed: inputs.CommitSent | None = None
        """A commit by hand that the upstream still has to answer, if the request's response is the upstream's own."""
        self.withheld: tuple[tuple[str | None, str], ...] = ()
        """The items of the response that seems to speak the verbatim text, with their texts.

        The client gets these texts if the response turns out to be the upstream's own.
        """
        self.is_withheld_cut = False
        """Whether `withheld` lacks an item, or the end of a text, because there was too much."""

    def withhold(self, item_id: str | None, text: str) -> None:
        """Keep an item of the response, and its text once that has come."""
        if self.is_proven:
            return
        known = dict(self.withheld)
        known[item_id] = text[:MAX_WITHHELD_CHARS] or known.get(item_id, "")
        self.withheld = tuple(known.items())[-MAX_WITHHELD:]
        self.is_withheld_cut |= len(known) > MAX_WITHHELD or len(text) > MAX_WITHHELD_CHARS

    @property
    def is_over(self) -> bool:
        """Whether an interruption has ended the request, even if its response never begins.

        If only the user's voice interrupted the answer to a question, the question is still open, because the voice may
        be a noise.
        """
        return self.is_interrupted and (self.is_replaced or not self.request.is_general)


class PendingResponses:
    """The requests of one session, the next one first."""

    __slots__ = ("_requests", "_rules", "in_flight")

    def __init__(self) -> None:
        self._requests: tuple[ResponseRequest, ...] = ()
        self._rules: tuple[str, ...] = ()
        """The names of the rules that removed a request, for the log."""
        self.in_flight: SentRequest | None = None
        """The request that was sent, and whose response has not begun. There is at most one."""

    # Questions.

    def __len__(self) -> int:
        return len(self._requests)

    def __contains__(self, request: object) -> bool:
        return request in self._requests

    def __iter__(self) -> Iterator[ResponseRequest]:
        return iter(self._requests)

    @property
    def next(self) -> ResponseRequest | None:
        """The request that is created next. It is None if the list is empty, or the first request's gate is closed."""
        first = self._requests[0] if self._requests else None
        return first if first is not None and first.is_open else None

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether a request waits for the acknowledgement of its item."""
        return any(request.item_id is not None for request in self._requests)

    @property
    def is_paused(self) -> bool:
        """Whether a request waits for the pause after its failure."""
        return any(request.is_paused for request in self._requests)

    @property
    def continues_turn(self) -> bool:
        """Whether any pending request continues the agent's turn, such as the request after a function call."""
        return any(request.continues_turn for request in self._requests)

    @property
    def answers_speech(self) -> bool:
        """Whether a request replaces an answer that the upstream itself might still give to the user's speech."""
        sent = self.in_flight
        is_sent = sent is not None and sent.request.answers_speech
        return is_sent or any(request.answers_speech for request in self._requests)

    @property
    def size_bytes(self) -> int:
        """The approximate size of all requests."""
        return sum(request.size_bytes for request in self._requests)

    # Additions.

    def add(self, request: ResponseRequest) -> None:
        """Add a request after the others. An urgent request follows the other urgent requests."""
        if request.is_urgent:
            self.put_first(request)
        else:
            self._requests += (request,)
            self._merge()

    def put_first(self, request: ResponseRequest) -> None:
        """Add a request before all others except the urgent requests."""
        at = sum(other.is_urgent for other in self._requests)
        self._requests = (*self._requests[:at], request, *self._requests[at:])
        self._merge()

    def take_next(self) -> ResponseRequest:
        """Remove and return the request that is created next."""
        first, *others = self._requests
        self._requests = tuple(others)
        return first

    # Gates.

    def acknowledge(self, item_id: str) -> bool:
        """Open the gate of the request that answers an item. Return whether a request waited for the item."""
        sent = self.in_flight
        if sent is not None and sent.request.presumed_item == item_id:
            sent.request = _replace(sent.request, presumed_item=None)
        self._change(lambda it: it.presumed_item == item_id, lambda it: _replace(it, presumed_item=None))
        return self._change(lambda it: it.item_id == item_id, lambda it: _replace(it, item_id=None, item_bytes=0))

    def await_item(self, item_id: str) -> bool:
        """Let the first request without a verbatim text wait for an item.

        Return whether there is such a request. The requests behind it wait, too.
        """
        for at, request in enumerate(self._requests):
            if request.verbatim is None:
                self._put(at, _replace(request, item_id=item_id))
                return True
        return False

    def presume_item(self, item_id: str) -> None:
        """Note that the requests for answers respond to an item that the upstream may lack."""
        self._change(lambda it: it.is_answer, lambda it: _replace(it, presumed_item=item_id))

    def end_pauses(self) -> None:
        """Open the gates of the requests whose response failed before."""
        self._change(lambda it: it.is_paused, lambda it: _replace(it, is_paused=False))

    def open_items(self) -> None:
        """Open the gates of the requests that wait for items, because the upstream acknowledges no item in time."""
        self._change(
            lambda it: it.item_id is not None,
            lambda it: _replace(it, item_id=None, item_bytes=0, presumed_item=it.item_id),
        )

    def open_all(self) -> None:
        """Open every gate, because another upstream gets the items with the ledger."""
        self._change(
            lambda it: it.item_id is not None or it.is_presumed,
            lambda it: _replace(it, item_id=None, item_bytes=0, presumed_item=None),
        )
        self.end_pauses()

    def _change(
        self, is_meant: Callable[[ResponseRequest], bool], change: Callable[[ResponseRequest], ResponseRequest]
    ) -> bool:
        meant = [at for at, request in enumerate(self._requests) if is_meant(request)]
        for at in meant:
            self._put(at, change(self._requests[at]))
        self._merge()
        return bool(meant)

    def _put(self, at: int, request: ResponseRequest) -> None:
        self._requests = (*self._requests[:at], request, *self._requests[at + 1 :])

    # The rules by which a request leaves the list without its response.

    def _merge(self) -> None:
        """Apply the rule MERGED: one general answer is enough. It answers all that the conversation holds by then."""
        general = [at for at, request in enumerate(self._requests) if request.is_general and request.is_open]
        if len(general) < 2:  # noqa: PLR2004 - a second one
            return
        first, *others = general
        merged = [self._requests[at] for at in general]
        one = _replace(
            merged[0],
            continues_turn=any(it.continues_turn for it in merged),
            answers_speech=any(it.answers_speech for it in merged),
            question_item=merged[0].question_item if len({it.question_item for it in merged}) == 1 else None,
            # The upstream takes items in order, so the acknowledgement of the newest item covers all.
            presumed_item=next((it.presumed_item for it in reversed(merged) if it.is_presumed), None),
        )
        self._put(first, one)
        self._drop("MERGED", lambda at, _request: at in others)

    def answer_with_speech(self) -> None:
        """Apply the rule ANSWERED_WITH_SPEECH. The upstream's answer to speech covers every question before it.

        The answer covers the question in flight, too, if the item with that question was acknowledged. It covers no
        function's output.
        """
        self._drop(
            "ANSWERED_WITH_SPEECH",
            lambda _at, request: request.is_answer and request.is_open and not request.is_presumed,
        )
        sent = self.in_flight
        is_covered = sent is not None and sent.request.is_general and not sent.request.is_presumed
        if sent is not None and is_covered and not sent.request.continues_turn:
            self.give_up("ANSWERED_WITH_SPEECH")

    def continue_nothing(self) -> bool:
        """Apply the rule NOT_CONTINUED: the user interrupted the answer that was to be continued.

        Return whether there was a request to continue the answer.
        """
        return self._drop("NOT_CONTINUED", lambda _at, request: request.is_continuation)

    def begin_again(self, request: ResponseRequest) -> None:
        """Apply the rule BEGUN_AGAIN: an answer that starts again covers the questions after it, too.

        If a general answer is in flight already, that answer covers all these questions, and the rule MERGED ends
        `request`.
        """
        sent = self.in_flight
        if request.is_general and sent is not None and sent.request.is_general and not sent.is_interrupted:
            self.note("MERGED")
            return
        general = [other for other in self._requests if other.is_general]
        if request.is_general and general:
            self._drop("BEGUN_AGAIN", lambda _at, other: other.is_general)
            covered = (request, *general)
            continues_turn = any(other.continues_turn for other in covered)
            # The pause may end before the upstream has the newest question. Speech before it is not its answer then.
            unseen = (it.item_id or it.presumed_item for it in reversed(covered))
            presumed_item = next((item_id for item_id in unseen if item_id is not None), None)
            request = _replace(request, continues_turn=continues_turn, presumed_item=presumed_item)
        self.put_first(request)

    def refuse(self, item_id: str) -> bool:
        """Apply the rule REFUSED: a request whose item was refused has no question to answer.

        The request still has a question if that item is not its only one, or if the client requested the response
        itself. Then its gate opens. Return whether a request waited for the item.
        """

        def is_open_still(request: ResponseRequest) -> bool:
            is_asked = request.question_item != item_id or request.client_event is not None
            return request.item_id == item_id and is_asked

        was_opened = self._change(is_open_still, lambda it: _replace(it, item_id=None, item_bytes=0))

        def is_unasked(request: ResponseRequest) -> bool:
            # The gate may be open, because the upstream did not acknowledge the item in time.
            is_alone = not (request.continues_turn or request.answers_speech)
            is_late = is_alone and request.presumed_item == request.question_item == item_id
            return request.item_id == item_id or is_late

        return self._drop("REFUSED", lambda _at, request: is_unasked(request)) or was_opened

    def give_up(self, rule: str) -> None:
        """End the request in flight by a rule: OVERTAKEN_BY_SPEECH, INTERRUPTED, REFUSED, or another method's rule.

        If the response begins all the same, the session cancels it.
        """
        if self.in_flight is not None:
            self.in_flight = None
            self.note(rule)

    def take_back(self) -> None:
        """Put the request in flight before all others, because its response does not begin now.

        If an interruption has ended the request, drop it, and note the rule INTERRUPTED.
        """
        sent, self.in_flight = self.in_flight, None
        if sent is not None and sent.is_over:
            self.note("INTERRUPTED")
        elif sent is not None:
            self.put_first(sent.request)

    def _drop(self, rule: str, is_dropped: Callable[[int, ResponseRequest], bool]) -> bool:
        kept = [request for at, request in enumerate(self._requests) if not is_dropped(at, request)]
        dropped = len(self._requests) - len(kept)
        self._requests = tuple(kept)
        if dropped:
            self.note(rule)
        return dropped > 0

    # The log.

    def note(self, rule: str) -> None:
        """Note a rule that ended a request without its response."""
        self._rules += (rule,)

    def take_rules(self) -> tuple[str, ...]:
        """Remove and return the noted rules."""
        rules, self._rules = self._rules, ()
        return rules


def _replace(request: ResponseRequest, **changes: object) -> ResponseRequest:
    return msgspec.structs.replace(request, **changes)
