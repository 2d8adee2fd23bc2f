"""Past faults of the session. The explorer has to find each again when its mending is undone.

    python -m tests.explore.findings

A number is that of the critical reading that found the fault. The explorer found E1 and so on. A fault outside of the
explorer's alphabet has a row in docs/invariants.md, with the test that covers it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator  # noqa: TC003 - msgspec resolves the annotations
from typing import Any
from unittest import mock

import msgspec

from router.openai import events as openai
from router.session import inputs, machine, transitions
from router.session.deadlines import Wait
from router.session.handlers import (
    agent_output,
    barge_in,
    delivery,
    items,
    passthrough,
    response_begin,
    response_end,
    response_origin,
    response_requests,
    resume,
    takeover,
    upstream_events,
)
from router.session.handlers import user_turn as handlers_of_turn
from router.session.handlers.ignored import ignore
from router.session.state import ledger, origin, pending, session, text_delivery, turn, upstream, user_turn
from router.session.state.states import ResponseState, UserTurnState
from router.translation.audio import Microphone
from tests.explore.ends import ENDS
from tests.explore.search import ROOTS, Action, Root, Search
from tests.explore.shrink import breaks

READY = "dialled-1 created-1 take-1-message "
ASKED = READY + "say take-1-message take-1-message "
HEARD = READY + "frame speech-1 stop-1 commit-1 "
COUGHED = HEARD + "no_words-1-user~101- inject-default own-1-message "
OPENAI: Root = ("openai", "settings", "none")
AS_IS: Root = ("openai", "session.update", "none")


class Finding(msgspec.Struct):
    """A fault, the change that brings it back, and a walk that then breaks a rule."""

    number: str
    words: str
    root: Root
    walk: str
    """The actions, with their parts joined by `-`. If it is empty, the search finds a walk."""
    undo: Callable[[], contextlib.AbstractContextManager[Any]]


def actions_of(walk: str) -> list[Action]:
    """Return the actions that a text names."""
    return [_action(*word.split("-")) for word in walk.split()]


def _action(kind: str, *details: str) -> Action:
    values = {"True": True, "False": False}
    parts = [int(it) if it.isdigit() else values.get(it, it.replace("~", "_").replace("+", " ")) for it in details]
    return (kind.replace("_", " ") if kind not in ENDS else kind, *parts)


# Ways to undo a mending.


def _set(owner: Any, name: str, value: Any) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    return lambda: mock.patch.object(owner, name, value)


def _without_correction(
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


def _without_deadline(wait: Wait) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    return lambda: mock.patch.dict(transitions.DEADLINES, {wait: ignore})  # type: ignore[dict-item]


def _in_table(kind: type, change: Callable[..., Any]) -> Callable[[], contextlib.AbstractContextManager[Any]]:
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


def _owes_nothing_as_is(handler: Any) -> Any:
    def committed(context: Any, event: Any) -> Any:
        phase = handler(context, event)
        is_lost = phase is UserTurnState.AWAITING_ANSWER and not context.state.plan.chooses_detection
        return UserTurnState.IDLE if is_lost else phase

    return committed


def _then(effect: Callable[[Any], object]) -> Callable[[Any], Any]:
    def changed(handler: Any) -> Any:
        def handled(context: Any, event: Any) -> Any:
            phase = handler(context, event)
            effect(context)
            return phase

        return handled

    return changed


def _interrupts_nothing_as_is(handler: Any) -> Any:
    def started(context: Any, event: Any) -> Any:
        if context.state.plan.chooses_detection:
            return handler(context, event)
        with mock.patch.object(barge_in, "interrupt", return_value=None):
            return handler(context, event)

    return started


def _deliver_again(context: Any, part: Any, content: str) -> None:
    part.is_closed = False
    _DELIVER(context, part, content)


_DELIVER = agent_output.deliver_text


def _clear_all(self: Microphone, _place: int, **_facts: Any) -> None:
    self._take(self._uncommitted_bytes)


def _commit_all(self: Microphone) -> Any:
    size_bytes = self._uncommitted_bytes if self._committing_bytes is None else self._committing_bytes
    self._committing_bytes = None
    return self._take(size_bytes)


@contextlib.contextmanager
def _clears_again() -> Iterator[None]:
    with (
        mock.patch.object(Microphone, "clear", _clear_all),
        mock.patch.object(user_turn.UserTurns, "take_clear", return_value=inputs.ClearSent("c", 0)),
    ):
        yield


def _keeps_speech(handler: Any) -> Any:
    def refused(context: Any, signal: Any) -> Any:
        was_speech = context.state.microphone.is_speech
        phase = handler(context, signal)
        context.state.microphone.is_speech = was_speech
        return phase

    return refused


def _forgets_commits(handler: Any) -> Any:
    def cleared(context: Any, event: Any) -> Any:
        handler(context, event)
        context.state.user_turns.give_up_commits()

    return cleared


@contextlib.contextmanager
def _text_twice() -> Iterator[None]:
    with (
        mock.patch.object(agent_output, "deliver_text", _deliver_again),
        mock.patch.object(upstream_events, "deliver_text", _deliver_again),
        mock.patch.object(turn.Turn, "is_repeated", return_value=False),
    ):
        yield


def _newest_part(self: text_delivery.TextDelivery, item_id: str | None, *_facts: Any) -> Any:
    return self.parts[-1] if self.parts else self._add(item_id, None)


def _origin_in_turn(context: Any, response: Any) -> origin.Origin:
    found = _ORIGIN(context, response)
    return origin.Origin.REQUESTED if found is origin.Origin.OUTSIDE_REQUESTED else found


_ORIGIN = response_begin.find_origin


def _ignore_another(context: Any, event: Any) -> None:
    current = context.state.turn.current
    if current is None or not current.request.is_outside:
        _ANOTHER(context, event)


_ANOTHER = response_begin.another_begins


@contextlib.contextmanager
def _outside_is_turn() -> Iterator[None]:
    row = transitions.RESPONSE[ResponseState.ACTIVE][openai.ResponseCreated]
    with (
        mock.patch.object(response_begin, "find_origin", _origin_in_turn),
        mock.patch.object(row, "handler", _ignore_another),
    ):
        yield


def _by_metadata(response: Any, in_flight: Any, **facts: Any) -> origin.Origin:
    found = _BESIDE(response, in_flight, **facts)
    is_unproven = found is origin.Origin.OUTSIDE_REQUESTED and response.metadata != in_flight.request.metadata
    return origin.Origin.OUTSIDE if is_unproven else found


_BESIDE = origin._beside_client_request


def _keeps_current(context: Any) -> ResponseState:
    current = context.state.turn.current
    chosen = _AWAIT_OTHER(context)
    context.state.turn.current = current
    return chosen


_AWAIT_OTHER = response_requests._await_other_response


def _forget_only(self: ledger.Ledger, event_id: str) -> list[ledger.Change]:
    _REFUSE(self, event_id)
    return []


_REFUSE = ledger.Ledger.refuse


def _beside_although_owed(response: Any, in_flight: Any, *, is_echoing: Any, is_owed: Any) -> origin.Origin:  # noqa: ARG001 - the mending uses it
    return _BESIDE(response, in_flight, is_echoing=is_echoing, is_owed=False)


def _create_with_clock(context: Any, request: Any) -> bool:
    created = _CREATE(context, request)
    context.mark_question(context.now_s)
    return created


_CREATE = response_requests._create


def _reject_by_id(self: upstream.Items, event_id: str) -> str | None:
    return event_id if self._forget(event_id) else None


def _named_id(_link_items: Any, error: openai.ErrorDetail) -> str | None:
    return error.event_id


def _is_named(error: openai.ErrorDetail, sent: pending.SentRequest) -> bool:
    return error.event_id == sent.event_id


def _key_without_id(_context: Any, part: Any) -> Any:
    return part.item_id


@contextlib.contextmanager
def _one_key_for_all() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for module in (agent_output, barge_in, resume):
            stack.enter_context(mock.patch.object(module, "key_of", _key_without_id))
        yield


def _mute_unnamed(self: turn.Turn, response_id: str | None) -> None:
    self.interrupted = (*self.interrupted, response_id)  # type: ignore[assignment] # as before the mending


def _begin_muted(self: turn.Turn, response_id: str | None) -> None:
    was_muted = None in self.interrupted
    _BEGIN_TURN(self, response_id)
    if was_muted:
        _mute_unnamed(self, None)


_BEGIN_TURN = turn.Turn.begin


@contextlib.contextmanager
def _mutes_unnamed() -> Iterator[None]:
    with mock.patch.object(turn.Turn, "mute", _mute_unnamed), mock.patch.object(turn.Turn, "begin", _begin_muted):
        yield


def _by_order(_response: Any, in_flight: Any, **_facts: Any) -> origin.Origin:
    return origin.Origin.UPSTREAM if in_flight is None else origin.Origin.REQUESTED


def _handle_as_before(self: machine.Session, message: Any, now_s: float) -> Any:
    commands = _HANDLE(self, message, now_s)
    self._restart_silence_deadline()
    return [*commands, *self.context.take_commands()]


_HANDLE = machine.Session.handle


def _answer_all_with_speech(self: pending.PendingResponses) -> None:
    self._drop("ANSWERED_WITH_SPEECH", lambda _at, request: request.is_answer and request.is_open)


def _begin_without_item(self: pending.PendingResponses, request: Any) -> None:
    _BEGIN_AGAIN(self, request)
    self._change(lambda it: it.is_paused, lambda it: pending._replace(it, presumed_item=None))


_BEGIN_AGAIN = pending.PendingResponses.begin_again


def _begin_and_cover(context: Any, response: Any) -> None:
    if context.state.user_turns.owed:
        context.state.pending.answer_with_speech()
    _BEGIN(context, response)


_BEGIN = response_begin._begin_of_upstream


def _withdraw_one(self: user_turn.UserTurns, event_id: str | None) -> bool:
    self.unanswered = tuple(it for it in self.commits if it.event_id != event_id)
    return event_id == self.by_hand_id


def _stop_and_record(context: Any, *, is_audible: bool) -> None:
    was_interrupted = context.state.turn.is_interrupted
    _STOP(context, is_audible=is_audible)
    if was_interrupted:
        barge_in._cut_silent_answer(context, set())


_STOP = barge_in._stop_response


def _awaits_cut_response() -> contextlib.AbstractContextManager[Any]:
    (rule,) = (it for it in transitions.JOINT if it.holds is response_end.calls_are_answered)
    return mock.patch.object(
        rule, "holds", lambda context: not context.state.turn.is_cut and response_end.calls_are_answered(context)
    )


def _forgets_crossing(handler: Any) -> Any:
    def sent(context: Any, event: Any) -> Any:
        context.state.user_turns.by_hand = None
        return handler(context, event)

    return sent


def _forgets_crossed_turn(handler: Any) -> Any:
    def started(context: Any, event: Any) -> Any:
        phase = handler(context, event)
        context.state.user_turns.by_hand = None
        return phase

    return started


FINDINGS = (
    Finding("3", "speech that never ends keeps a question waiting", OPENAI, READY + "frame speech-1 say run_noisy",
            _without_deadline(Wait.SPEECH)),
    Finding("5", "a session that a client's session.update opened owes no answer to speech", AS_IS, HEARD,
            _in_table(openai.InputAudioBufferCommitted, _owes_nothing_as_is)),
    Finding("9", "a new voice waits for an upstream without end", OPENAI,
            ASKED + "step-1-False step-1-False step-1-False step-1-False step-1-False step-1-False speak "
            "take-1-message run_silent", _without_deadline(Wait.TAKEOVER)),
    Finding("10", "an agent whose upstream gives no ids is mute after an interruption",
            ("converse", "settings", "no ids"),
            HEARD + "own-1-message step-1-False step-1-False step-1-False frame speech-1 run_well", _mutes_unnamed),
    Finding("16", "the end of earlier speech ends the speech that follows it", OPENAI,
            READY + "frame speech-1 stop-1 speech-1 say take-1-message run_silent",
            _in_table(openai.InputAudioBufferSpeechStarted, _then(lambda context: context.wait(Wait.COMMIT)))),
    Finding("17", "an answer beside a client's own response outside the conversation comes twice", OPENAI,
            READY + "native-outside take-1-written frame speech-1 stop-1 commit-1 own-1-message step-1-False "
            "step-1-False step-1-False step-1-True step-1-True step-1-True step-1-True run_well", _outside_is_turn),
    Finding("18", "an unmarked response is taken for the requested one", OPENAI,
            READY + "inject-default frame speech-1 stop-1 commit-1 own-1-message run_well",
            _without_correction(_set(response_origin, "origin_of", _by_order))),
    Finding("19", "a session that a client's session.update opened has no barge-in", AS_IS,
            ASKED + "frame step-1-False step-1-False speech-1 trail-1",
            _in_table(openai.InputAudioBufferSpeechStarted, _interrupts_nothing_as_is)),
    Finding("21", "the texts of overlapping items reach the client twice", ("converse", "settings", "none"),
            READY + "say take-1-message take-1-overlap step-1-False step-1-False step-1-False step-1-False "
            "step-1-False step-1-False step-1-False", _set(text_delivery.TextDelivery, "of_text", _newest_part)),
    Finding("22", "an item that an upstream refused reaches the next one", OPENAI,
            READY + "say refuse-1 close-1 run_well", _set(ledger.Ledger, "refuse", lambda *_args: None)),
    Finding("24", "a verbatim text that was refused is recorded twice", ("openai", "settings", "no created"),
            ASKED.replace("take-1-message take-1-message ", "take-1-message take-1-text+only ")
            + "step-1-False inject-default take-1-busy end-1 run_well",
            _set(response_requests, "_await_other_response", _keeps_current)),
    Finding("25", "a text is told twice", OPENAI, ASKED + "step-1-False step-1-False step-1-False step-1-False "
            "step-1-False", _text_twice),
    Finding("28", "a noise starts the measurement of a latency", ("converse", "settings", "none"),
            HEARD + "no_words-1-user~101- fire-rollover say take-1-message take-1-message step-1-False step-1-False "
            "step-1-False step-1-False step-1-False step-1-False",
            _in_table(openai.InputAudioBufferCommitted, _then(lambda context: context.mark_question(context.now_s)))),
    Finding("29", "a response is requested to an item that was refused without its event",
            ("openai", "settings", "no causes"), READY + "say refuse-1 run_silent",
            _set(items, "refused_id", _named_id)),
    Finding("E1", "the item of speech acknowledges a typed question", OPENAI,
            READY + "update frame speech-1 say stop-1 commit-1 own-1-message run_well",
            _set(upstream.Items, "note_speech", lambda *_args: None)),
    Finding("E2", "an answer to speech covers a question that the upstream did not acknowledge", OPENAI,
            HEARD + "say fire-item~ack own-1-message run_well",
            _set(pending.PendingResponses, "answer_with_speech", _answer_all_with_speech)),
    Finding("E3", "an answer that gives way to an urgent text covers the question behind it", OPENAI,
            HEARD + "inject-interrupt say take-1-message own-1-message run_well",
            _set(response_begin, "_begin_of_upstream", _begin_and_cover)),
    Finding("E4", "a frame of an earlier upstream renews a deadline", OPENAI,
            ASKED + "close-1 dialled-2 created-2 take-2-message take-2-message take-2-message late-step",
            _set(machine.Session, "handle", _handle_as_before)),
    Finding("E5", "ids that the next upstream gives again confuse the ledger", ("openai", "settings", "reused ids"),
            "dialled-1 close-1 dialled-2 created-2 take-2-message native-response.create take-2-both step-2-False "
            "step-2-False say fire-item~ack update step-2-False fire-update frame run_well",
            _set(session.State, "_retired", lambda _self, item_id: item_id)),
    Finding("E6", "a response that begins too late is not awaited to its end", OPENAI,
            READY + "frame speech-1 force stop-1 say native-response.cancel commit-1 own-1-call update run_well",
            _set(response_begin, "is_outside", lambda _response: True)),
    Finding("E7", "a waiting turn ends inside the next answer", ("openai", "settings", "no created"),
            READY + "say frame speech-1 take-1-message stop-1 commit-1 unannounced-1-item+only take-1-audio+first "
            "step-1-False fire-transcript", _set(delivery, "end_earlier_turn", lambda _context: None)),
    Finding("E8", "a lost commit is awaited although the next one was refused", OPENAI,
            READY + "frame speech-1 force stop-1 speech-1 native-input~audio~buffer.commit drop-1 refuse-1",
            _set(user_turn.UserTurns, "withdraw_commit", _withdraw_one)),
    Finding("E9", "the answer to speech is cancelled for an earlier urgent text", AS_IS,
            HEARD + "frame inject-interrupt speech-1 native-input~audio~buffer.commit stop-1 commit-1 take-1-message "
            "words-1-user~101 own-1-message words-1-user~102 take-1-message take-1-message step-1-True step-1-True "
            "step-1-True step-1-True step-1-True step-1-True",
            _set(handlers_of_turn, "_await_answer", lambda _context: UserTurnState.AWAITING_ANSWER)),
    Finding("E10", "a question counts as answered that a standby upstream does not have yet",
            ("openai", "settings", "no echo"),
            "dialled-1 created-1 native-input~audio~buffer.commit take-1-message fire-rollover frame update "
            "take-1-message say dialled-2 take-1-message created-2 take-2-message take-1-message fire-first~event "
            "lost-1 speech-2 stop-2 commit-2 words-2-user~201 own-2-message step-2-False step-2-False step-2-False "
            "step-2-False step-2-False step-2-False", _set(takeover, "await_item", lambda *_args: None)),
    Finding("E11", "a noise ends a question whose answer never began", ("converse", "settings", "reused ids"),
            READY + "say take-1-message take-1-call step-1-False step-1-False step-1-False inject-queue "
            "take-1-message answer-call~101 other_id-1 step-1-True say fire-rollover take-1-message step-1-True "
            "dialled-2 created-2 step-1-True frame take-2-message step-1-True step-1-True step-1-True speech-1 "
            "run_silent", _set(pending.SentRequest, "is_over", property(lambda self: self.is_interrupted))),
    Finding("E12", "a second interruption counts unheard words as heard", ("converse", "settings", "no created"),
            HEARD + "unannounced-1-words+first step-1-False say frame speech-1 run_well",
            _set(barge_in, "_stop_response", _stop_and_record)),
    Finding("E13", "the end of a response is awaited whose calls speech cancelled",
            ("converse", "settings", "no created"),
            HEARD + "unannounced-1-call+first frame speech-1 run_silent", _awaits_cut_response),
    Finding("E15", "the answer to a turn whose commits crossed is taken for a text in flight",
            ("converse", "settings", "no created"),
            "dialled-1 close-1 dialled-2 created-2 take-2-message frame speech-2 inject-interrupt force stop-2 "
            "commit-2 frame speech-2 run_well",
            _in_table(openai.InputAudioBufferSpeechStarted, _forgets_crossed_turn)),
    Finding("E14", "a later commit by hand hides that an earlier one crossed the detector's",
            ("openai", "session.update", "no echo"),
            READY + "frame speech-1 inject-interrupt stop-1 native-input~audio~buffer.commit commit-1 "
            "native-input~audio~buffer.commit run_well", _in_table(inputs.CommitSent, _forgets_crossing)),
    Finding("E16", "speech behind a commit of nothing is no item of the next upstream",
            ("openai", "session.update", "reused ids"),
            "dialled-1 created-1 take-1-message say take-1-message take-1-message fail-1-cancelled "
            "native-input~audio~buffer.commit native-input~audio~buffer.clear frame speech-1 stop-1 fire-ask~again "
            "commit-1 take-1-message fire-first~event run_well",
            _set(handlers_of_turn, "_withdraw_empty_commits", lambda *_args: None)),
    Finding("E17", "a repeated acknowledgement of a clear discards later audio", ("openai", "session.update", "none"),
            READY + "native-input~audio~buffer.clear take-1-message frame repeat-1 speech-1 force", _clears_again),
    Finding("E18", "the acknowledgement of a clear discards audio behind the clear", OPENAI,
            READY + "native-input~audio~buffer.clear frame take-1-message speech-1 force",
            _set(Microphone, "clear", _clear_all)),
    Finding("E19", "the response to a doubtful request answers the output of a function behind it",
            ("openai", "settings", "no created"),
            READY + "say take-1-message frame speech-1 stop-1 commit-1 own-1-call step-1-False step-1-False "
            "answer-call~102 step-1-False take-1-item+only step-1-False run_silent",
            _set(response_origin, "_takes_doubtful_request", lambda _context: False)),
    Finding("E20", "a refusal on standby that comes twice refuses the item that the upstream gets again", OPENAI,
            "dialled-1 created-1 take-1-message say take-1-message take-1-message fire-rollover dialled-2 created-2 "
            "take-2-message refuse-2 fire-next~event lost-1 repeat-2 run_well", _set(items, "AGAIN", "")),
    Finding("E21", "the acknowledgement of a clear forgets a commit behind the clear",
            ("openai", "session.update", "numeric ids"),
            READY + "frame speech-1 native-input~audio~buffer.clear fire-microphone native-input~audio~buffer.commit "
            "take-1-message refuse-1 speech-1 force", _in_table(openai.InputAudioBufferCleared, _forgets_commits)),
    Finding("E22", "a commit by hand that crossed the detector's is forgotten when the upstream answers by itself",
            ("openai", "session.update", "only done"),
            READY + "frame speech-1 force stop-1 commit-1 frame own-1-done+only speech-1 run_well",
            _set(handlers_of_turn, "judge_crossed", lambda *_args: None)),
    Finding("E23", "a client's commit that crossed the detector's is forgotten when the upstream answers by itself",
            AS_IS, READY + "frame speech-1 stop-1 native-input~audio~buffer.commit commit-1 frame own-1-message "
            "speech-1 run_well", _set(handlers_of_turn, "reopen_crossed", lambda *_args: None)),
    Finding("E24", "a standby upstream that refused a call gets the call again without its output",
            ("openai", "settings", "no echo"),
            READY + "say take-1-message take-1-call step-1-False step-1-False "
            "step-1-False native-response.create fire-rollover answer-call~101 fire-first~event dialled-2 created-2 "
            "take-2-message take-2-message refuse-2 lost-1", _set(ledger.Ledger, "output_of", lambda *_args: None)),
    Finding("E25", "the late end of a response that its text ended ends the next request",
            ("openai", "settings", "no created"),
            READY + "say take-1-message take-1-text+only step-1-False say take-1-message end-1 run_silent",
            _set(turn.Turn, "takes_late_end", lambda *_args: False)),
    Finding("E26", "a spoken answer acknowledges an item that the upstream lost", ("openai", "settings", "no created"),
            READY + "inject-interrupt refuse-1 drop-1 say take-1-message take-1-item+only step-1-False end-1",
            _set(upstream, "_SPOKEN", frozenset({"input_audio"}))),
    Finding("E27", "a commit that is refused because its clear was lost leaves the speech open",
            ("openai", "settings", "reused ids"),
            READY + "frame speech-1 native-input~audio~buffer.clear native-input~audio~buffer.commit drop-1 "
            "take-1-message", _in_table(inputs.CommitRefused, _keeps_speech)),
    Finding("E28", "an update of its time on standby that an upstream refuses late is awaited without end", AS_IS,
            "dialled-1 created-1 take-1-message say take-1-message take-1-message fire-rollover dialled-2 created-2 "
            "take-2-message update fire-update late-take lost-1 refuse-2 refuse-2 run_well",
            _set(upstream.UpstreamLink, "refuse_update", lambda *_args: False)),
    Finding("E29", "a refused clear counts as on its way, and the audio before it is not committed", OPENAI,
            READY + "frame native-input~audio~buffer.clear refuse-1 speech-1 force",
            _set(user_turn.UserTurns, "withdraw_clear", lambda *_args: False)),
    Finding("E34", "an answer to speech covers a question behind a failed answer that it cannot know",
            ("converse", "settings", "numeric ids"),
            READY + "say take-1-message take-1-message say frame fail-1-failed speech-1 fire-ask_again stop-1 "
            "fire-item_ack commit-1 own-1-message words-1-user~102 step-1-False step-1-False step-1-False "
            "step-1-False step-1-False step-1-False",
            _set(pending.PendingResponses, "begin_again", _begin_without_item)),
    Finding("E35", "the late end of a cancelled statement ends the request in flight",
            ("openai", "settings", "no created"),
            READY + "say take-1-message take-1-message step-1-False frame inject-interrupt speech-1 fail-1-failed "
            "drop-1 stop-1 commit-1 own-1-call step-1-False step-1-False native-response.cancel answer-call~103 "
            "step-1-False take-1-message take-1-message fire-ask_again",
            _set(response_end, "answers_earlier_request", lambda *_args: False)),
    Finding("E36", "a commit takes the audio behind a clear that is on its way",
            ("openai", "session.update", "reused ids"),
            READY + "say take-1-message take-1-message frame speech-1 native-input~audio~buffer.commit step-1-False "
            "native-input~audio~buffer.clear drop-1 frame fire-commit take-1-message take-1-message speech-1 force",
            _set(Microphone, "commit", _commit_all)),
    Finding("E30", "an unannounced response answers speech that was committed behind its request",
            ("openai", "settings", "no created"),
            READY + "say take-1-message frame speech-1 take-1-message stop-1 commit-1 step-1-False step-1-False "
            "step-1-False step-1-False run_silent",
            _set(response_begin, "_answer_earlier_speech", response_begin._answer_speech)),
    Finding("E31", "a standby upstream that refused speech without its transcript does not get its words",
            ("openai", "session.update", "no created"),
            "dialled-1 created-1 take-1-message frame speech-1 stop-1 commit-1 fire-rollover dialled-2 "
            "fire-unannounced take-2-message refuse-2 words-1-user~101 run_silent",
            _set(ledger, "_has_id", lambda *_args: False)),
    Finding("E32", "a late refusal of a commit hides a later commit", ("openai", "session.update", "no echo"),
            READY + "say frame speech-1 force take-1-message fire-commit stop-1 commit-1 "
            "native-input~audio~buffer.commit run_well",
            _set(user_turn.UserTurns, "set_by_hand", lambda self: setattr(self, "by_hand", self.subject))),
    Finding("E33", "audio before a clear that the lost upstream did not acknowledge reaches the next upstream", OPENAI,
            READY + "frame speech-1 native-input~audio~buffer.clear close-1 run_well",
            _set(Microphone, "_forget_cleared", lambda *_args: None)),
    Finding("E37", "an interruption concerns every earlier answer without an id", ("converse", "settings", "no ids"),
            HEARD + "frame run_well", _one_key_for_all),
    Finding("E38", "a late response without an id counts as an answer", ("converse", "settings", "no ids"),
            "dialled-1 created-1 take-1-message fire-rollover dialled-2 created-2 take-2-message inject-interrupt "
            "frame speech-2 stop-2 commit-2 own-2-message words-2-user_201 step-2-False step-2-False step-2-False "
            "step-2-False step-2-False step-2-False take-2-message step-2-True step-2-True step-2-True",
            _set(turn.Turn, "drop_unnamed", lambda _self: None)),
    Finding("E39", "a client's own response outside the conversation begins a turn that never ends", OPENAI,
            "native-outside run_well", _set(turn.Turn, "is_beside", lambda *_args: False)),
    Finding("E42", "a refused item of a client's own is awaited", OPENAI,
            READY + "native-input~audio~buffer.commit native-conversation.item.create take-1-message refuse-1 run_well",
            _set(upstream.Items, "reject", _reject_by_id)),
    Finding("E43", "a standby upstream lacks an item that it refused without its event",
            ("openai", "settings", "no causes"),
            "dialled-1 created-1 say take-1-message fire-rollover dialled-2 created-2 take-2-message refuse-2 close-1",
            _set(items, "refused_id", _named_id)),
    Finding("E44", "a request that was refused without its event is awaited", ("openai", "settings", "no causes"),
            READY + "inject-default refuse-1", _set(response_requests, "_is_about", _is_named)),
    Finding("E40", "a client's own response is not recognized without its metadata",
            ("openai", "settings", "no echo"), "native-outside run_well",
            _set(origin, "_beside_client_request", _by_metadata)),
    Finding("E41", "a client's own response that is not announced is a turn", ("openai", "settings", "no created"),
            "native-outside run_well", _set(turn.Turn, "begins_beside", lambda *_args: False)),
    Finding("E60", "the answer to a noise is taken for the first verbatim text", ("converse", "settings", "none"),
            COUGHED + "take-1-message run_well", _set(response_begin, "answers_request", lambda *_args: False)),
    Finding("E61", "the answer to a noise ends as the first verbatim text", ("converse", "settings", "none"),
            COUGHED + "step-1-False step-1-False step-1-False step-1-False step-1-False step-1-False take-1-message "
            "run_well", _set(response_origin, "answers_request", lambda *_args: False)),
    Finding("E62", "a client's own item without an id reaches the next upstream although it was refused", AS_IS,
            ASKED + "fire-rollover dialled-2 created-2 take-2-message take-2-message native-conversation.item.create "
            "fire-next~event lost-1 refuse-2 run_well", _set(passthrough, "_named", lambda item, _item_id: item)),
    Finding("E63", "a standby upstream keeps an item that the upstream in use refused",
            ("openai", "session.update", "no echo"),
            "dialled-1 created-1 take-1-message fire-rollover say dialled-2 created-2 take-2-message refuse-1",
            _set(ledger.Ledger, "refuse", _forget_only)),
    Finding("E64", "a client's own request outside the conversation begins a latency",
            ("openai", "session.update", "no echo"), READY + "native-outside refuse-1 fire-rollover frame run_well",
            _set(response_requests, "_create", _create_with_clock)),
    Finding("E65", "the repeated begin of a given text that speech overtook lets its text pass",
            ("openai", "session.update", "no echo"),
            READY + "frame speech-1 inject-interrupt stop-1 commit-1 own-1-message take-1-message repeat-1 run_well",
            _set(turn.Turn, "is_dropped", lambda *_args: False)),
    Finding("E66", "an answer to speech counts as a client's own response outside the conversation",
            ("openai", "settings", "no echo"), READY + "frame native-outside drop-1 say drop-1 run_well",
            _set(origin, "_beside_client_request", _beside_although_owed)),
    Finding("E67", "the end of an unannounced answer behind a call ends the next request",
            ("openai", "session.update", "no created"),
            "dialled-1 close-1 dialled-2 created-2 take-2-message frame speech-2 say stop-2 take-2-message fire-commit "
            "take-2-call+first step-2-False commit-2 unannounced-2-text+only end-2 run_silent",
            _set(turn.Turn, "note_output", lambda *_args: None)),
    Finding("E68", "a client's own response that has not ended keeps a request off, and its end is not noticed",
            ("openai", "settings", "no created"),
            READY + "say take-1-message take-1-message frame native-outside inject-queue fail-1-incomplete "
            "take-1-written step-1-True step-1-True step-1-True take-1-busy run_well",
            _set(turn.Turn, "ends_unseen", lambda *_args: False)),
)  # fmt: skip


def is_found(finding: Finding, seconds: float = 20.0) -> str:
    """Return the violation that its walk, or a search, meets when the mending is undone; "" if there is none."""
    assert finding.root in ROOTS
    with finding.undo():
        if finding.walk:
            return breaks(finding.root, actions_of(finding.walk))[0]
        found = Search(finding.root, max_found=1).run(seconds).found
        return found[0].words if found else ""


def main() -> int:
    """Print each finding. Return 1 if the explorer does not find one of them again."""
    missed = 0
    for finding in FINDINGS:
        sound = breaks(finding.root, actions_of(finding.walk))[0]
        words = is_found(finding)
        missed += not words or bool(sound)
        print(f"{'found ' if words else 'MISSED'}  {finding.number:3} {finding.words}: {words[:80]} {sound}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
