"""The reports of the engine: expired deadlines, finished work, dials and losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors import messages
from router.session.deadlines import Wait
from router.session.handlers.user_speech import MAX_FILLED_S
from router.session.state.states import Lifecycle
from tests.explore.upstream import LIFE_S, OPENED_UNIX_S, Upstream
from tests.explore.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.explore.world import World

IDLE_TIMERS = frozenset({Wait.ROLLOVER.value})
"""Timers that run although the session owes nothing."""
OWN_TIMERS = frozenset({Wait.ROLLOVER.value, Wait.MICROPHONE.value, Wait.MANUAL_COMMIT.value, Wait.PLAYBACK.value})
"""Timers that expire without a fault of any peer."""
LATE = {"no created": frozenset({Wait.UNANNOUNCED.value})}
"""Further timers of this kind, by the quirk of the upstream."""
MAY_REST = frozenset({Wait.ITEM_ACK.value, Wait.ASK_AGAIN.value, Wait.MANUAL_COMMIT.value, Wait.PLAYBACK.value})
"""Timers at whose end nothing may follow.

The end of the first two opens a gate of a request, which may have another gate. At the end of the third the client may
have committed or cleared its audio by itself. An interruption drops the audio that waits for the end of the fourth.
"""


def reports(world: World) -> list[tuple[Any, ...]]:
    """Return the losses, dials and work that the engine may report."""
    found: list[tuple[Any, ...]] = [("lost", generation) for generation, _ in world.abandoned]
    found += [("dialled", generation) for generation in world.dials]
    return found + [("work", key) for key in world.work]


def deadlines(world: World) -> list[tuple[Any, ...]]:
    """Return the deadlines that may expire next."""
    timer = next_timer(world)
    found: list[tuple[Any, ...]] = [("fire", timer)] if timer is not None else []
    # The upstream may have been opened long ago: its rollover is due at any time.
    idle = [name for name in world.timers if name in IDLE_TIMERS and name != timer and world.budget["rollover"]]
    return found + [("fire", name) for name in idle]


def next_timer(world: World) -> str | None:
    """Return the deadline that expires first, or None."""
    timers = {name: due_s for name, due_s in world.timers.items() if name not in IDLE_TIMERS}
    if not timers and world.timers and world.budget["rollover"]:
        return min(world.timers, key=world.timers.__getitem__)
    return min(timers, key=timers.__getitem__) if timers else None


def _fire(world: World, name: str) -> None:
    due_s = world.timers.pop(name)
    # An idle timer may expire at any time: the clock stays before the deadlines that come first.
    is_ahead = name in IDLE_TIMERS and not world.timers.keys() <= IDLE_TIMERS
    world.now_s = world.now_s if is_ahead else max(world.now_s, due_s)
    _judge_deadline(world, name)
    has_all_events = world.is_sound and name == Wait.NEXT_EVENT.value and not _is_speaking(world)
    world.judge.expires(name, world.now_s)
    if name in IDLE_TIMERS:
        world.spend("rollover")
    if name not in OWN_TIMERS | LATE.get(world.quirk, frozenset()):
        if world.is_sound and world.is_well:
            raise Violation(f"i {name} expires although both peers behave well")
        world.is_sound = world.is_orderly = world.judge.is_request_due = False
    commands = world.feed(messages.TimerFired(name))
    if has_all_events and any(isinstance(it, messages.AbandonUpstream) for it in commands):
        raise Violation("i next_event expires behind the last event of a response")
    is_followed = any(not isinstance(it, (messages.Log, messages.Notify)) for it in commands)
    # A session that is not ready yet notes that its rollover is due.
    is_noted = _is_rolling(world) or world.session.state.lifecycle is not Lifecycle.READY
    if not is_followed and name not in MAY_REST and not (name in IDLE_TIMERS and is_noted):
        raise Violation(f"i {name} expires, and nothing follows")


def _is_speaking(world: World) -> bool:
    """Whether the upstream in use has a response to finish."""
    serving = world.upstreams.get(world.serving)
    return serving is None or serving.active is not None or serving.outside is not None or serving.is_ending


def _judge_deadline(world: World, name: str) -> None:
    """Judge that the event for which a deadline waits has not come."""
    serving = world.upstreams.get(world.serving)
    if serving is None or world.session.state.lifecycle is not Lifecycle.READY:
        return
    if name == Wait.FIRST_EVENT.value and world.is_sound:
        is_awaited = (
            world.serving in (*world.judge.asks, *world.judge.statements, *world.judge.own) or serving.owes_answer
        )
        if not is_awaited:
            raise Violation("i first_event expires, and no response is awaited")
    if name == Wait.NEXT_EVENT.value and _is_awaited(world, serving):
        raise Violation("i next_event expires, and the requested response has not begun")
    if name == Wait.COMMIT.value and not world.judge.unanswered_commits:
        since_s = world.judge.speaking.get(world.serving, 0.0)
        if since_s and world.now_s - since_s < MAX_FILLED_S:
            raise Violation("i commit expires, and the user speaks")


def _is_awaited(world: World, serving: Upstream) -> bool:
    """Whether the upstream in use has a request whose response it has not begun, and has no other response to end."""
    is_busy = serving.is_ending or not (serving.active is serving.outside is serving.unended is None)
    return world.serving in world.judge.asks and not is_busy and not world.has_dropped


def _is_rolling(world: World) -> bool:
    return bool(world.dials or world.abandoned) or len(world.upstreams) > 1


def _work(world: World, key: str) -> None:
    world.work.remove(key)
    world.feed(messages.WorkDone(key, "done"))


def _dialled(world: World, generation: int) -> None:
    world.dials.remove(generation)
    world.upstreams[generation] = upstream = Upstream(generation, world.quirk)
    upstream.phase, upstream.expires_s = "opened", world.now_s + LIFE_S
    world.feed(messages.UpstreamOpened(generation, 0, OPENED_UNIX_S))


def _lost(world: World, generation: int) -> None:
    loss = next(loss for number, loss in world.abandoned if number == generation)
    world.abandoned = [it for it in world.abandoned if it[0] != generation]
    world.lose(generation, loss)


ACTS: dict[str, Callable[..., None]] = {"fire": _fire, "work": _work, "dialled": _dialled, "lost": _lost}
