"""The relay of a session between a client of the OpenAI Realtime API and an upstream, which replaces a lost upstream.

Most events pass unchanged in both directions, even unknown ones. `from_client`, `from_upstream` and `streams` handle
the events that change the relay's memory, and the events that the relay changes or drops.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from actors import messages as engine
from actors.restart import LossKind
from router import closes
from router.fronts.call_limits import Wire
from router.fronts.realtime import (
    from_client,
    from_upstream,
    permission,
    recovery,
    requests,
    second_upstream,
    streams,
    value,
)
from router.fronts.realtime.relay import Context, Timer
from router.fronts.realtime.turn_reports import Reports
from router.fronts.realtime.wire import Event, MalformedError, RefusedError, new_event, read_client, read_upstream
from router.session.handlers import limits
from router.translation import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.fronts.front import Call
    from router.fronts.realtime.marks import Marks
    from router.session.state.limited import Limit

_RESPONSE: Final = "response."

ACTIVE: Final = frozenset(
    {
        requests.COMMIT,
        requests.CREATE_ITEM,
        requests.CREATE_RESPONSE,
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
    }
)
"""Events that end a silence: the client's texts and requests, and the upstream's reports of the user's speech."""

_OF_AGENT: Final = frozenset({streams.CREATED, streams.DONE})
"""The upstream's reports of the agent's speech."""


class RealtimeRelay:
    """The machine of one relayed session."""

    def __init__(self, call: Call) -> None:
        options = call.session.context.options
        query, policy, bound = call.query, options.policy, call.bound or {}
        # If the client's secret names a model, that model counts: the URL of the secret's holder may name another one.
        named = bound.get("model", query.get("model"))
        requested = named if policy is None or not isinstance(named, str | None) else policy.model(named)
        wire = Wire(lambda: self.context.is_busy, self._warn_of_limit, self._end_at_limit, self._speak)
        model = options.model_for(requested if isinstance(requested, str) else None)
        # Use the session's own meter, because the session reads the events that come after the end.
        reports = Reports(options, model, call.session.context.meter)
        self.context = Context(call.config, call.session, wire, reports, is_noticed=query.get("notices") == "1")
        if call.memory:
            value.fill(self.context, call.memory)
            permission.force(self.context)
        else:
            permission.configure(self.context, call.bound)

    # The interface of a machine.

    def handle(self, message: engine.Input, now_s: float) -> list[engine.Command]:
        """Take an input, and return the commands that follow."""
        context = self.context
        context.now_s = now_s
        is_over = context.has_ended and type(message) is not engine.ClientAdopted
        if is_over or not self._take(message):
            return []
        _rest(context)
        if not context.has_ended:
            context.commands += list(context.limits.settle(now_s))
        commands, context.commands = context.commands, []
        return commands

    def _take(self, message: engine.Input) -> bool:
        """Take an input of the upstream in use, the standby upstream or the client.

        Return False for an input of another upstream, or of a type that the relay does not handle.
        """
        context, take = self.context, _TAKES.get(type(message))
        generation = getattr(message, "generation", context.state.generation)
        second = context.state.standby
        if second is not None and generation == second.generation:
            second_upstream.take(context, second, message)
        elif take is not None and generation == context.state.generation:
            take(context, message)
        else:
            return False
        return True

    def _warn_of_limit(self, limit: Limit) -> list[engine.Command]:
        # The API has no event for a warning except `error`, which a client does not expect here.
        context = self.context
        context.log(logging.INFO, f"the call is near its limit {limit.code}")
        if context.is_noticed:
            context.tell(new_event("switchboard.limit_near", code=limit.code.lower(), message=limit.warning))
        return []

    def _end_at_limit(self, limit: Limit) -> list[engine.Command]:
        _end_at_limit(self.context, limit)
        return []

    def _speak(self, text: str) -> list[engine.Command]:
        commands = self.context.commands
        before = len(commands)
        recovery.remark(self.context, text)
        spoken = commands[before:]
        del commands[before:]
        return spoken

    # Another process.

    @property
    def marks(self) -> Marks:
        """The object whose attributes show when the memory has to be stored."""
        return self.context.marks

    @property
    def can_move(self) -> bool:
        """Whether a move at this moment interrupts no turn and no request."""
        return self.context.can_move

    def memory(self, *, is_brief: bool = False) -> bytes:
        """Return the memory. Call this between two inputs; see `Remembering.memory`."""
        return value.written(self.context, is_brief=is_brief)

    # Facts.

    def held_bytes(self) -> int:
        """Return the bytes that are kept for another upstream."""
        state = self.context.state
        kept = (state.waiting, state.unanswered, state.speech, state.items)
        return sum(each.held_bytes for each in kept)

    def describe(self) -> engine.Facts:
        """Return a few facts about the session."""
        state = self.context.state
        return {
            "profile": "realtime",
            "lifecycle": state.stage.value,
            "generation": state.generation,
            "items": len(state.items),
            "responses": len(state.responses),
            "waiting": len(state.waiting),
        }


# Inputs.


def _open(context: Context, _opened: engine.ClientOpened) -> None:
    context.commands += list(context.limits.begin(context.now_s))
    recovery.dial(context)


def _client_text(context: Context, received: engine.ClientTextReceived) -> None:
    context.marks.was_audio = False
    try:
        event = permission.admitted(context, read_client(received.text))
    except RefusedError as refused:
        context.tell(new_event("error", error=refused.error))
        return
    if event.kind in ACTIVE:
        context.limits.mark_active(context.now_s)
    from_client.take(context, event)


def _client_binary(context: Context, _received: engine.ClientBinaryReceived) -> None:
    message = "Binary messages are not supported: events are JSON in text frames."
    context.refuse("invalid_event", message, event_id=None)


def _client_closed(context: Context, _closed: engine.ClientClosed) -> None:
    _end(context, closes.HUNG_UP)


def _overflowed(context: Context, overflowed: engine.ClientOverflowed) -> None:
    context.log(logging.WARNING, f"the client does not read: {overflowed.dropped_bytes} bytes dropped")
    description = "the client does not read its messages"
    recovery.fail(context, errors.final_error("CLIENT_TOO_SLOW", description))


def _end_requested(context: Context, _requested: engine.EndRequested) -> None:
    description = "an operator ended the session"
    recovery.fail(context, errors.final_error("SESSION_ENDED", description))


def _upstream_text(context: Context, received: engine.UpstreamTextReceived) -> None:
    try:
        event = read_upstream(received.text)
    except MalformedError as problem:
        context.log(logging.ERROR, f"the upstream sent a malformed frame: {problem}")
        context.abandon(str(problem), kind=LossKind.MALFORMED)
        return
    if event.kind in ACTIVE or event.kind in _OF_AGENT:
        context.limits.mark_active(context.now_s, is_agent=event.kind in _OF_AGENT)
    if not event.kind.startswith(_RESPONSE) or not context.is_ready:
        from_upstream.take(context, event)
        return
    from_upstream.deliver_error(context)
    _STREAMS.get(event.kind, streams.take)(context, event)


def _upstream_binary(context: Context, _received: engine.UpstreamBinaryReceived) -> None:
    context.log(logging.WARNING, "the upstream sent bytes, which the protocol has not")


# Limits, and time.


def _end_at_limit(context: Context, limit: Limit) -> None:
    recovery.fail(context, limits.final_error(limit.code))


def _fired(context: Context, fired: engine.TimerFired) -> None:
    if context.limits.is_own(fired):
        context.commands += list(context.limits.fire(fired, context.now_s))
        return
    timer = Timer(fired.name)
    _DUE.get(timer, _silent)(context, timer)


def _silent(context: Context, timer: Timer) -> None:
    cause = timer.value.rpartition(".")[2]
    context.log(logging.WARNING, f"the upstream is abandoned: the deadline {cause} expired")
    context.abandon(cause)


def _no_answer(context: Context, timer: Timer) -> None:
    # Some servers begin a response when the previous one has ended.
    if context.active is not None:
        context.start(timer, context.config.deadlines.first_event_s)
    else:
        _silent(context, timer)


def _no_next_event(context: Context, timer: Timer) -> None:
    # The timer is not restarted with each event, because an answer has hundreds of events.
    left_s = context.state.event_s + context.config.deadlines.next_event_s - context.now_s
    if left_s > 0:
        context.start(timer, left_s)
    elif any(response.runs_tool for response in context.state.responses.values()):
        context.start(timer, context.config.deadlines.next_event_s)
    else:
        _silent(context, timer)


def _no_ack(context: Context, timer: Timer) -> None:
    context.state.is_ack_awaited = False
    # Use a loop: a client may have sent thousands of such events at once.
    for sent in [it for it in context.state.unanswered if it.request is None]:
        left_s = _ack_left_s(context, sent)
        if left_s > 0:
            context.state.is_ack_awaited = True
            context.start(timer, left_s)
            return
        if not _do_without_ack(context, sent):
            _silent(context, timer)
            return


def _ack_left_s(context: Context, sent: requests.Sent) -> float:
    limit_s = context.config.deadlines.item_ack_s
    # The output of a function is acknowledged after the response that called it (upstream 3.4).
    return limit_s if context.state.responses else sent.sent_s + limit_s - context.now_s


def _do_without_ack(context: Context, sent: requests.Sent) -> bool:
    """Count an unacknowledged event as done, if some servers send no acknowledgement for its type.

    Return False if the missing acknowledgement means that the upstream is silent.
    """
    state = context.state
    if sent.kind == requests.CREATE_ITEM and state.event_s > sent.sent_s:
        # The upstream has answered a later event.
        state.unanswered.remove(sent)
        item = state.items.put(sent.event.child("item"), state.generation, _place_of(sent))
        from_client.add(context, item, is_done=True)
        return True
    if sent.kind in requests.ABOUT_ITEMS:
        # Some servers acknowledge no truncation (upstream 12.4).
        state.unanswered.remove(sent)
        from_client.answer_late(context, sent)
        return True
    return False


def _place_of(sent: requests.Sent) -> str | None:
    return sent.event.string("previous_item_id") or sent.behind


def _error_is_due(context: Context, _timer: Timer) -> None:
    from_upstream.deliver_error(context)


def _rollover_is_due(context: Context, _timer: Timer) -> None:
    second_upstream.dial(context)


def _standby_is_late(context: Context, _timer: Timer) -> None:
    second_upstream.drop(context)


def _move(context: Context, _requested: engine.MoveRequested) -> None:
    second_upstream.dial(context)


def _is_acquitted(context: Context, _timer: Timer) -> None:
    context.acquit()


def _drain_is_over(context: Context, _timer: Timer) -> None:
    for response in list(context.state.responses.values()):
        from_client.close_response(context, response_id=response.id, status="incomplete", reason=None)
    _end(context, closes.DRAINED_OPENAI)


def _drain(context: Context, drain: engine.DrainBegan) -> None:
    context.state.is_draining = True
    context.state.stays_idle = drain.keeps_idle
    context.start(Timer.DRAIN, drain.deadline_s)


def _rest(context: Context) -> None:
    """End a draining session, or switch over to the standby upstream, if no question is open."""
    state = context.state
    if context.has_ended:
        return
    if state.is_draining and not state.stays_idle and not context.is_busy:
        _end(context, closes.DRAINED_OPENAI)
    else:
        second_upstream.switch_over(context)


def _end(context: Context, close: closes.Close) -> None:
    if context.is_ready:
        for response in context.state.responses.values():
            event = new_event(requests.CANCEL_RESPONSE, response_id=response.id)
            context.send(event)  # the rest of the response would only cost tokens
    context.notify(context.reports.audio(), context.reports.turn(is_whole=False))
    context.end(close.code, close.reason)


_TAKES: Final[dict[type, Callable[[Context, Any], None]]] = {
    engine.ClientOpened: _open,
    engine.ClientAdopted: recovery.adopt,
    engine.ClientTextReceived: _client_text,
    engine.ClientBinaryReceived: _client_binary,
    engine.ClientOverflowed: _overflowed,
    engine.ClientClosed: _client_closed,
    engine.EndRequested: _end_requested,
    engine.UpstreamOpened: recovery.opened,
    engine.UpstreamTextReceived: _upstream_text,
    engine.UpstreamBinaryReceived: _upstream_binary,
    engine.UpstreamLost: second_upstream.lost,
    engine.TimerFired: _fired,
    engine.DrainBegan: _drain,
    engine.MoveRequested: _move,
}
"""The inputs that the relay takes, and the handler of each. Other inputs change nothing."""

_STREAMS: Final[dict[str, Callable[[Context, Event], None]]] = {
    streams.CREATED: streams.begin,
    streams.DONE: streams.end,
}
"""The handlers of the events that begin and end a response. Other events of responses go to `streams.take`."""

_DUE: Final[dict[Timer, Callable[[Context, Timer], None]]] = {
    Timer.ANSWER: _no_answer,
    Timer.NEXT: _no_next_event,
    Timer.ACK: _no_ack,
    Timer.ERROR: _error_is_due,
    Timer.ROLLOVER: _rollover_is_due,
    Timer.DRAIN: _drain_is_over,
    Timer.STANDBY: _standby_is_late,
    Timer.ADOPTION: _is_acquitted,
}
"""The handlers of timers that have fired. Any other timer means that the upstream is silent."""
