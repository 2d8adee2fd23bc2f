"""Changes that undo a mending of the session: each brings a fault of `findings` back while its context lasts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from unittest import mock

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import inputs, machine, transitions
from router.session.deadlines import Wait
from router.session.handlers import (
    agent_output,
    barge_in,
    delivery,
    injection,
    response_begin,
    response_end,
    response_origin,
    response_requests,
    restart,
    resume,
    takeover,
    upstream_events,
)
from router.session.handlers.ignored import ignore
from router.session.state import ledger, origin, pending, text_delivery, turn, upstream, user_turn
from router.session.state.states import ResponseState, UserTurnState
from router.translation.audio import Microphone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def put(owner: Any, name: str, value: Any) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Return a function whose context manager replaces an attribute."""
    return lambda: mock.patch.object(owner, name, value)


def without_correction(
    undo: Callable[[], contextlib.AbstractContextManager[Any]],
) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Return `undo` without the later mending, which corrects a wrong origin when the right response begins."""

    @contextlib.contextmanager
    def undone() -> Iterator[None]:
        with (
            undo(),
            mock.patch.object(response_origin, "_speak_again", return_value=None),
            mock.patch.object(response_begin, "answers_request", return_value=False),
        ):
            yield

    return undone


def without_deadline(wait: Wait) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    return lambda: mock.patch.dict(transitions.DEADLINES, {wait: ignore})  # type: ignore[dict-item]


def in_table(kind: type, change: Callable[..., Any]) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Return a function whose context manager changes the handler of an input in each state of USER_TURN."""

    @contextlib.contextmanager
    def changed() -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for table in transitions.USER_TURN.values():
                row = table.get(kind)
                if row is not None:
                    stack.enter_context(mock.patch.object(row, "handler", change(row.handler)))
            yield

    return changed


def owes_nothing_as_is(handler: Any) -> Any:
    def committed(context: Any, event: Any) -> Any:
        phase = handler(context, event)
        is_lost = phase is UserTurnState.AWAITING_ANSWER and not context.state.plan.chooses_detection
        return UserTurnState.IDLE if is_lost else phase

    return committed


def then(effect: Callable[[Any], object]) -> Callable[[Any], Any]:
    def changed(handler: Any) -> Any:
        def handled(context: Any, event: Any) -> Any:
            phase = handler(context, event)
            effect(context)
            return phase

        return handled

    return changed


def interrupts_nothing_as_is(handler: Any) -> Any:
    def started(context: Any, event: Any) -> Any:
        if context.state.plan.chooses_detection:
            return handler(context, event)
        with mock.patch.object(barge_in, "interrupt", return_value=None):
            return handler(context, event)

    return started


def deliver_again(context: Any, answer: Any, part: Any, content: str) -> None:
    part.is_closed = False
    _DELIVER(context, answer, part, content)


_DELIVER = agent_output.deliver_text


def clear_all(self: Microphone, _place: int, **_facts: Any) -> None:
    self._take(self._uncommitted_bytes)


def commit_all(self: Microphone, **_facts: Any) -> Any:
    size_bytes = max(0, self._commits[0]) if self._commits else self._uncommitted_bytes
    self._commits = self._commits[1:]
    return self._take(size_bytes)


def commit_behind(self: Microphone, **_facts: Any) -> Any:
    self._commits = self._commits[1:]
    return self._take(self._uncommitted_bytes)


def commit_as_detected(self: Microphone, **_facts: Any) -> Any:
    return _COMMIT(self)


_COMMIT = Microphone.commit


def replay_and_request_nothing(context: Any) -> None:
    with mock.patch.object(pending.PendingResponses, "add"):
        _REPLAY(context)


_REPLAY = takeover.replay_audio


def inject_and_replace(context: Any, content: str, behavior: str) -> None:
    _INJECT(context, content, behavior)
    sent = context.state.pending.in_flight
    if sent is not None and behavior == "interrupt":
        sent.is_interrupted = sent.is_replaced = True


_INJECT = injection._inject


def interrupt_also_outside(context: Any) -> None:
    sent = context.state.pending.in_flight
    if sent is not None and sent.request.is_outside:
        context.state.pending.in_flight = None
    _INTERRUPT_WORK(context)


def interrupt_and_forget_beside(context: Any) -> None:
    sent = context.state.pending.in_flight
    is_own = sent is not None and sent.request.is_outside
    with mock.patch.object(resume, "_active", return_value=None) if is_own else contextlib.nullcontext():
        _INTERRUPT_WORK(context)


_INTERRUPT_WORK = restart.interrupt_work


@contextlib.contextmanager
def clears_again() -> Iterator[None]:
    with (
        mock.patch.object(Microphone, "clear", clear_all),
        mock.patch.object(user_turn.UserTurns, "take_clear", return_value=inputs.ClearSent("c", 0)),
    ):
        yield


def keeps_speech(handler: Any) -> Any:
    def refused(context: Any, signal: Any) -> Any:
        was_speech = context.state.microphone.is_speech
        phase = handler(context, signal)
        context.state.microphone.is_speech = was_speech
        return phase

    return refused


def forgets_commits(handler: Any) -> Any:
    def cleared(context: Any, event: Any) -> Any:
        handler(context, event)
        context.state.user_turns.give_up_commits()

    return cleared


@contextlib.contextmanager
def text_twice() -> Iterator[None]:
    with (
        mock.patch.object(agent_output, "deliver_text", deliver_again),
        mock.patch.object(upstream_events, "deliver_text", deliver_again),
        mock.patch.object(turn.Turn, "is_repeated", return_value=False),
    ):
        yield


def newest_part(self: text_delivery.TextDelivery, item_id: str | None, *_facts: Any) -> Any:
    return self.parts[-1] if self.parts else self._add(item_id, None)


def origin_in_turn(context: Any, response: Any) -> origin.Origin:
    found = _ORIGIN(context, response)
    return origin.Origin.REQUESTED if found is origin.Origin.OUTSIDE_REQUESTED else found


_ORIGIN = response_begin.find_origin


def ignore_another(context: Any, event: Any) -> None:
    current = context.state.turn.current
    if current is None or not current.request.is_outside:
        _ANOTHER(context, event)


_ANOTHER = response_begin.another_begins


@contextlib.contextmanager
def outside_is_turn() -> Iterator[None]:
    row = transitions.RESPONSE[ResponseState.ACTIVE][openai.ResponseCreated]
    with (
        mock.patch.object(response_begin, "find_origin", origin_in_turn),
        mock.patch.object(row, "handler", ignore_another),
    ):
        yield


def by_metadata(response: Any, in_flight: Any, **facts: Any) -> origin.Origin:
    found = _BESIDE(response, in_flight, **facts)
    is_unproven = found is origin.Origin.OUTSIDE_REQUESTED and response.metadata != in_flight.request.metadata
    return origin.Origin.OUTSIDE if is_unproven else found


_BESIDE = origin._beside_client_request


def keeps_current(context: Any) -> ResponseState:
    current = context.state.turn.current
    chosen = _AWAIT_OTHER(context)
    context.state.turn.current = current
    return chosen


_AWAIT_OTHER = response_requests._await_other_response


def drop_gated(self: pending.PendingResponses, item_id: str) -> bool:
    return self._drop("REFUSED", lambda _at, request: request.item_id == item_id)


def forget_only(self: ledger.Ledger, event_id: str) -> list[ledger.Change]:
    _REFUSE(self, event_id)
    return []


_REFUSE = ledger.Ledger.refuse


def beside_although_owed(response: Any, in_flight: Any, *, is_echoing: Any, is_owed: Any) -> origin.Origin:  # noqa: ARG001 - the mending uses it
    return _BESIDE(response, in_flight, is_echoing=is_echoing, is_owed=False)


def create_with_clock(context: Any, request: Any) -> bool:
    created = _CREATE(context, request)
    context.mark_question(context.now_s)
    return created


_CREATE = response_requests._create


def reject_by_id(self: upstream.Items, event_id: str) -> str | None:
    return event_id if self._forget(event_id) else None


def named_id(_link_items: Any, error: openai.ErrorDetail) -> str | None:
    return error.event_id


def is_named(error: openai.ErrorDetail, sent: pending.SentRequest) -> bool:
    return error.event_id == sent.event_id


def key_without_id(_context: Any, part: Any) -> Any:
    return part.item_id


@contextlib.contextmanager
def one_key_for_all() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for module in (agent_output, barge_in, resume):
            stack.enter_context(mock.patch.object(module, "key_of", key_without_id))
        yield


def mute_unnamed(self: turn.Turn, response_id: str | None) -> None:
    self.interrupted = (*self.interrupted, response_id)  # type: ignore[assignment] # as before the mending


def begin_muted(self: turn.Turn, response_id: str | None) -> None:
    was_muted = None in self.interrupted
    _BEGIN_TURN(self, response_id)
    if was_muted:
        mute_unnamed(self, None)


_BEGIN_TURN = turn.Turn.begin


@contextlib.contextmanager
def mutes_unnamed() -> Iterator[None]:
    with mock.patch.object(turn.Turn, "mute", mute_unnamed), mock.patch.object(turn.Turn, "begin", begin_muted):
        yield


def by_order(_response: Any, in_flight: Any, **_facts: Any) -> origin.Origin:
    return origin.Origin.UPSTREAM if in_flight is None else origin.Origin.REQUESTED


def handle_as_before(self: machine.Session, message: Any, now_s: float) -> Any:
    commands = _HANDLE(self, message, now_s)
    self._restart_silence_deadline()
    return [*commands, *self.context.take_commands()]


_HANDLE = machine.Session.handle


def answer_all_with_speech(self: pending.PendingResponses) -> None:
    self._drop("ANSWERED_WITH_SPEECH", lambda _at, request: request.is_answer and request.is_open)


def begin_without_item(self: pending.PendingResponses, request: Any) -> None:
    _BEGIN_AGAIN(self, request)
    self._change(lambda it: it.is_paused, lambda it: pending._replace(it, presumed_item=None))


_BEGIN_AGAIN = pending.PendingResponses.begin_again


def begin_and_cover(context: Any, response: Any) -> None:
    if context.state.user_turns.owed:
        context.state.pending.answer_with_speech()
    _BEGIN(context, response)


_BEGIN = response_begin._begin_of_upstream


def withdraw_one(self: user_turn.UserTurns, event_id: str | None) -> bool:
    self.unanswered = tuple(it for it in self.commits if it.event_id != event_id)
    return event_id == self.by_hand_id


def stop_and_record(context: Any, *, is_audible: bool) -> None:
    was_interrupted = context.state.turn.is_interrupted
    _STOP(context, is_audible=is_audible)
    if was_interrupted:
        barge_in._cut_silent_answer(context, set())


_STOP = barge_in._stop_response


def stop_also_outside(context: Any, *, is_audible: bool) -> None:
    _STOP(context, is_audible=is_audible)
    sent = context.state.pending.in_flight
    if sent is not None and is_audible:
        sent.is_interrupted = True


def awaits_cut_response() -> contextlib.AbstractContextManager[Any]:
    (rule,) = (it for it in transitions.JOINT if it.holds is response_end.calls_are_answered)
    return mock.patch.object(
        rule, "holds", lambda context: not context.state.turn.is_cut and response_end.calls_are_answered(context)
    )


def forgets_crossing(handler: Any) -> Any:
    def sent(context: Any, event: Any) -> Any:
        context.state.user_turns.by_hand = None
        return handler(context, event)

    return sent


def forgets_whose_commit(handler: Any) -> Any:
    def sent(context: Any, event: Any) -> Any:
        phase = handler(context, event)
        context.state.user_turns.is_ended_by_hand &= not event.is_by_client
        return phase

    return sent


def forgets_crossed_turn(handler: Any) -> Any:
    def started(context: Any, event: Any) -> Any:
        phase = handler(context, event)
        context.state.user_turns.by_hand = None
        return phase

    return started


def gives_up(is_taken: Callable[[pending.ResponseRequest], bool]) -> Callable[[Any], None]:
    """Return the rule of an answer to speech that also ends such interrupted requests in flight."""

    def ended(context: Any) -> None:
        requests = context.state.pending
        sent = requests.in_flight
        if sent is not None and sent.is_interrupted and is_taken(sent.request):
            requests.answer_with_speech()
            requests.give_up("INTERRUPTED")
        else:
            _END_WHAT_SPEECH_ANSWERS(context)

    return ended


_END_WHAT_SPEECH_ANSWERS = response_begin._end_what_speech_answers


def asks_behind_audio(context: Any, message: Any) -> None:
    if isinstance(message, deepgram.FunctionCallRequest):
        context.wait(Wait.TOOL_ANSWER)
    with mock.patch.object(delivery, "BESIDE_AUDIO", frozenset()):
        _SEND_BEHIND_AUDIO(context, message)


_SEND_BEHIND_AUDIO = delivery._send_behind_audio


def begin_without_end(context: Any, event: Any) -> Any:
    chosen = _BEGIN_UNANNOUNCED(context, event)
    context.stop_waiting(Wait.RESPONSE)
    return chosen


_BEGIN_UNANNOUNCED = response_begin.begin_unannounced


@contextlib.contextmanager
def begins_without_end() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for row in transitions.RESPONSE[ResponseState.REQUESTED].values():
            if row.handler is _BEGIN_UNANNOUNCED:
                stack.enter_context(mock.patch.object(row, "handler", begin_without_end))
        yield


def renews_although_requested(self: machine.Session) -> None:
    turn = self.state.turn
    _RENEW(self)
    if turn.response is ResponseState.REQUESTED and turn.is_resumed and turn.has_started_speaking:
        self.context.wait(Wait.NEXT_EVENT)


_RENEW = machine.Session._restart_silence_deadline
