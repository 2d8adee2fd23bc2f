"""The standby upstream: the relay dials it before the present upstream's session ends.

The relay switches over to the standby between two turns.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors import messages as engine
from router.fronts.realtime import recovery
from router.fronts.realtime.relay import Context, Standby, Timer
from router.fronts.realtime.wire import MalformedError, read_upstream

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CREATED: Final = "session.created"


def dial(context: Context) -> None:
    """Dial a standby upstream, unless there is one, the session drains, or no upstream serves."""
    state = context.state
    if state.standby is not None or state.is_draining or not context.is_ready:
        return
    context.log(logging.INFO, f"upstream {state.generation} is to be replaced")
    state.standby = Standby(state.next_generation())
    context.commands.append(engine.OpenUpstream(state.standby.generation, context.model, is_standby=True))
    context.start(Timer.STANDBY, context.config.deadlines.dial_s + context.config.deadlines.session_created_s)


def take(context: Context, standby: Standby, message: engine.Input) -> None:
    """Take an input of the standby upstream."""
    handler = _TAKES.get(type(message))
    if handler is not None:
        handler(context, standby, message)


def _opened(_context: Context, standby: Standby, opened: engine.UpstreamOpened) -> None:
    standby.opened = opened


def _text(context: Context, standby: Standby, received: engine.UpstreamTextReceived) -> None:
    try:
        event = read_upstream(received.text)
    except MalformedError:
        drop(context)
        return
    if event.kind == CREATED:
        context.cancel(Timer.STANDBY)
        standby.created = event
    elif event.kind == "error":
        drop(context)


def _lost(context: Context, _standby: Standby, _lost: engine.UpstreamLost) -> None:
    context.state.standby = None
    _try_later(context)


def drop(context: Context) -> None:
    """Close a standby upstream that did not begin its session, and try again later."""
    standby, context.state.standby = context.state.standby, None
    if standby is not None:
        context.commands.append(engine.CloseUpstream(standby.generation))
        _try_later(context)


def _try_later(context: Context) -> None:
    context.cancel(Timer.STANDBY)
    context.start(Timer.ROLLOVER, context.config.deadlines.rollover_interval_s)


def switch_over(context: Context) -> None:
    """Put the standby in place of the upstream in use, if the standby has begun its session and no question is open."""
    state = context.state
    if state.standby is None or state.standby.created is None or not context.is_ready or context.is_busy:
        return
    context.stop_waiting()
    context.commands.append(engine.CloseUpstream(state.generation))
    recovery.interrupt(context)
    _promote(context, state.standby, is_rollover=True)


def _promote(context: Context, standby: Standby, *, is_rollover: bool) -> None:
    state = context.state
    state.standby, state.is_rollover = None, is_rollover
    recovery.begin(context, standby.generation)
    if standby.opened is not None:
        recovery.opened(context, standby.opened)
    if standby.created is not None:
        recovery.created(context, standby.created)


def lost(context: Context, message: engine.UpstreamLost) -> None:
    """Replace a lost upstream: by the standby if that has begun its session, or else by a newly dialled one."""
    standby = context.state.standby
    if standby is not None and standby.created is not None:
        context.stop_waiting()
        context.state.held_error = context.state.last_error = None
        recovery.interrupt(context)
        _promote(context, standby, is_rollover=False)
        return
    if standby is not None:
        context.state.standby = None
        context.cancel(Timer.STANDBY)
        context.commands.append(engine.CloseUpstream(standby.generation))
    recovery.lost(context, message)


_TAKES: Final[dict[type, Callable[[Context, Standby, Any], None]]] = {
    engine.UpstreamOpened: _opened,
    engine.UpstreamTextReceived: _text,
    engine.UpstreamLost: _lost,
}
"""The inputs of a standby upstream, and the handler of each. Other inputs change nothing."""
