"""The ways to the end of a world.

The peers are silent, the microphone never stops, upstreams send events without end, or all peers do what they owe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors import messages
from router.config.model import Deadlines
from router.session.deadlines import Wait
from tests.explore.client_actions import FRAME
from tests.explore.engine_actions import IDLE_TIMERS, next_timer
from tests.explore.violation import Violation
from tests.explore.world import RESTARTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.explore.world import World

STEPS_TO_REST = 600
SOON_S = 30.0
"""The seconds within which the session dials another successor after one failed."""
ACKNOWLEDGEMENTS = "acknowledgements"
LONGEST_RESPONSE_S = Deadlines().response_s
LATER_S = float("inf")
PINGS = [{"type": "ping", "timestamp": 1}, {"type": "rate_limits.updated", "rate_limits": []}]
"""Events that are no progress: a keep-alive of some servers, and the use of the operator's account."""


def run_noisy(world: World) -> None:
    """Let time pass while no peer acts, except that the microphone never stops."""
    run_silent(world, is_noisy=True)


def run_pinging(world: World) -> None:
    """Let time pass while no peer acts, except that upstreams send events that are no progress."""
    # Without a deadline, or an upstream that may send, this end is that of silent peers.
    has_upstream = any(it.phase == "created" for it in world.upstreams.values())
    if has_upstream and not world.timers.keys() <= IDLE_TIMERS:
        run_silent(world, is_pinging=True)


def run_silent(world: World, *, is_noisy: bool = False, is_pinging: bool = False) -> None:
    """Let time pass while no peer acts. Every deadline expires, and every dial fails."""
    began_s, pinged = world.now_s, world.serving
    world.budget = dict.fromkeys(world.budget, 0)
    for _ in range(STEPS_TO_REST):
        world.budget["fault"] = 1
        if world.judge.has_ended:
            break
        if world.abandoned:
            world.act(("lost", world.abandoned[0][0]))
        elif world.dials:
            world.act(("no dial", world.dials[0]))
        elif world.work:
            world.act(("work", world.work[0]))
        else:
            timer = next_timer(world)
            if timer is None:
                break
            if is_noisy and timer == Wait.MICROPHONE.value:
                world.now_s = max(world.now_s, world.timers[timer])
                world.feed(messages.ClientBinaryReceived(FRAME))
            if is_pinging and _is_renewed(world, timer):
                if world.now_s - began_s > LONGEST_RESPONSE_S and world.serving == pinged:
                    raise Violation(f"i events without progress renew {timer} without end")
                continue
            world.act(("fire", timer))
            if world.serving != pinged:
                began_s, pinged = world.now_s, world.serving
    else:
        raise Violation("i the session does not come to rest while its peers are silent")
    world.judge.judge_rest()


def _is_renewed(world: World, timer: str) -> bool:
    """Let the upstreams send events that are no progress as a deadline expires. Return whether these renew it."""
    world.now_s = max(world.now_s, world.timers[timer])
    for generation in [it.generation for it in world.upstreams.values() if it.phase == "created"]:
        world.deliver(generation, PINGS)
    return world.timers.get(timer, LATER_S) > world.now_s


def run_well(world: World) -> None:
    """Let all peers do what they owe. A deadline expires only if nothing else can happen."""
    world.budget, world.is_well = dict.fromkeys(world.budget, 0), True
    spent = world.restarts.restarts_in_a_row + world.faults
    was_over = world.judge.has_ended and not world.is_sound
    _rest_well(world)
    if not world.judge.has_ended:
        world.judge.judge_well()
        _judge_account(world, has_dropped=world.has_dropped)
        _roll_over(world)
    elif spent < RESTARTS and not was_over and not world.judge.is_client_gone:
        raise Violation("ii the session ends although both peers behave well")


def _rest_well(world: World) -> None:
    for _ in range(STEPS_TO_REST):
        actions = world.actions()
        if not actions:
            break
        steps = [it for it in actions if not _is_silent_about(world, it)]
        if not steps:
            break
        world.act(next((it for it in steps if it[0] != "fire"), steps[0]))
    else:
        raise Violation("i the session does not come to rest although its peers behave well")
    world.judge.judge_rest()
    others = [] if world.judge.has_ended else [it for it in world.upstreams if it != world.serving]
    if others:
        raise Violation(f"i the upstreams {others} serve nothing, and remain")


def _is_silent_about(world: World, action: tuple[Any, ...]) -> bool:
    """Whether the action is one that some upstream never takes: some servers never send session.created."""
    is_second = action[0] == "created" and action[1] % 2 == 0
    is_never_sent = action[0] == "end" and not world.upstreams[action[1]].is_ending
    return action[0] == "announce" or is_never_sent or (is_second and world.quirk == "no created")


def _judge_account(world: World, *, has_dropped: bool) -> None:
    """Judge what the session itself reports as owed. A lost event is never acknowledged."""
    owed = world.session.describe()["owed"]
    assert isinstance(owed, dict)
    owed = {name: count for name, count in owed.items() if count and not (has_dropped and name == ACKNOWLEDGEMENTS)}
    if owed:
        raise Violation(f"i the session waits for {sorted(owed)} at rest")


def _roll_over(world: World) -> None:
    """Let the successor of the upstream in use take over."""
    before = world.serving
    if Wait.ROLLOVER.value not in world.timers:
        raise Violation("i no successor of the upstream is due")
    serving = world.upstreams[before]
    if serving.has_created and world.timers[Wait.ROLLOVER.value] > max(serving.expires_s, world.now_s + SOON_S):
        raise Violation("i the successor of the upstream is due behind the end of its session")
    world.budget["rollover"] = 1
    world.act(("fire", Wait.ROLLOVER.value))
    _rest_well(world)
    if world.serving == before:
        raise Violation("i the successor of the upstream never serves")
    _judge_account(world, has_dropped=False)


ENDS: dict[str, Callable[[World], None]] = {
    "run_silent": run_silent,
    "run_noisy": run_noisy,
    "run_pinging": run_pinging,
    "run_well": run_well,
}
"""The ways to the end of a world, by name."""
