"""The faults of an upstream, and its late frames. The budget of a walk permits only a few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from actors import messages
from actors.restart import Loss, LossKind
from router.session.handlers.items import CUT_EVENT_ID
from router.session.state.states import Lifecycle
from tests.explore.upstream import CAUSE, COMMIT
from tests.explore.upstream_actions import after
from tests.explore.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.explore.world import World

LOSS = Loss(kind=LossKind.CLOSED, code=1000)
DIAL_FAILED = Loss(kind=LossKind.NOT_DIALLED, cause="refused")


def possible(world: World) -> list[tuple[Any, ...]]:
    """Return the faults that may happen now."""
    if not world.budget["fault"]:
        return []
    found: list[tuple[Any, ...]] = [("no dial", generation) for generation in world.dials]
    for generation, upstream in world.upstreams.items():
        found.append(("close", generation))
        if upstream.queue:
            found += [("refuse", generation)] * upstream.may_refuse + [("drop", generation)]
            if upstream.queue[0]["type"] == "conversation.item.create":
                found.append(("other id", generation))
        if upstream.active is not None:
            found += [("fail", generation, status) for status in ("failed", "incomplete", "cancelled")]
        if upstream.may_repeat:
            found.append(("repeat", generation))
        found += [("no words", generation, item, how) for item in upstream.untranscribed for how in ("", "failed")]
    return found


def late(world: World) -> list[tuple[Any, ...]]:
    """Return the actions that deliver a late frame of the last upstream that was lost or closed."""
    if world.gone is None or not world.budget["late"]:
        return []
    is_abandoned = any(generation == world.gone.generation for generation, _ in world.abandoned)
    return [("late", how) for how in world.gone.late() if how != "step" or not is_abandoned]


def _no_dial(world: World, generation: int) -> None:
    world.spend("fault")
    world.dials.remove(generation)
    world.lose(generation, DIAL_FAILED)


def _close(world: World, generation: int) -> None:
    world.spend("fault")
    world.lose(generation, LOSS)


def _refuse(world: World, generation: int) -> None:
    upstream, event = world.upstreams[generation], world.upstreams[generation].queue[0]
    world.spend("fault", is_orderly=event["type"] == "response.create")
    is_in_use = generation == world.session.state.upstream.generation
    if is_in_use:
        world.judge.refused(generation, event)
        world.judge.refuses_clear(event)
        world.judge.refuses_question(event)
        world.judge.loses_commit(event)
        world.judge.knowledge.deny(event, generation)
    else:
        # An item that a standby refuses is missing in its conversation alone.
        world.judge.lacks(generation, event)
    # An error without its cause may come in place of session.created.
    is_named = (event.get("event_id") is not None and world.quirk != "no causes") or upstream.has_created
    world.judge.is_refusal_due = is_in_use and is_named and event.get("event_id") != CUT_EVENT_ID
    world.judge.refusing = event
    world.deliver(generation, upstream.refuse())
    world.judge.refusing = None
    if world.judge.is_refusal_due:
        raise Violation(f"ii an upstream refuses {event['type']}, and the client is not told")


def _drop(world: World, generation: int) -> None:
    world.spend("fault")
    upstream = world.upstreams[generation]
    event = upstream.ignore()
    world.has_dropped = True
    upstream.has_lost_commit |= event["type"] == "input_audio_buffer.commit"
    world.judge.has_lost_clear |= event["type"] == "input_audio_buffer.clear"
    world.judge.refused(generation, event)
    world.judge.loses_commit(event)


def _other_id(world: World, generation: int) -> None:
    world.spend("fault")
    # Speech under another id is told apart from the upstream's own by nobody.
    world.has_dropped = True
    world.deliver(generation, world.upstreams[generation].acknowledge_otherwise())


def _repeat(world: World, generation: int) -> None:
    world.spend("fault")
    upstream = world.upstreams[generation]
    assert upstream.last is not None
    world.deliver(generation, [upstream.last])


def _fail(world: World, generation: int, status: str) -> None:
    world.spend("fault")
    upstream = world.upstreams[generation]
    before = (upstream.active, upstream.outside)
    after(world, upstream, before, upstream.fail(status))


def _no_words(world: World, generation: int, item: str, how: str) -> None:
    world.spend("fault")
    if not how:
        world.judge.is_noise(item)
    is_heard = generation == world.serving and world.session.state.lifecycle is Lifecycle.READY
    world.judge.is_warning_due = how == "failed" and is_heard
    world.deliver(generation, world.upstreams[generation].transcribe(item, how))
    if world.judge.is_warning_due:
        raise Violation("ii a transcript fails, and the client is not warned")


def _late(world: World, how: str) -> None:
    world.spend("late")
    gone, world.gone = world.gone, None
    assert gone is not None
    # The supervisor has not reported the loss of an abandoned upstream yet.
    is_abandoned = any(generation == gone.generation for generation, _ in world.abandoned)
    cancelled, taken = gone.active, gone.queue[0] if how == "take" else {"type": ""}
    for event in gone.say_late(how):
        if is_abandoned and event["type"] == "input_audio_buffer.committed" and taken["type"] == COMMIT:
            world.judge.is_committed(taken["event_id"], event["item_id"], gone.generation)
        if is_abandoned and how == "words":
            world.judge.is_transcribed(event["item_id"])
        frame = messages.UpstreamTextReceived(
            gone.generation, orjson.dumps({name: event[name] for name in event if name != CAUSE}).decode()
        )
        if is_abandoned:
            world.judge.knowledge.sees(event, gone.generation)
            if not world.judge.is_repeated_clear(event, gone.generation):
                world.judge.upstream_ends_commit(event)
            if (event.get("response") or {}).get("status") == "cancelled" and cancelled is not None:
                world.judge.is_late_cancelled(cancelled, gone.generation)
            world.feed(frame)
            continue
        leaked = [it for it in world.handle(frame) if not isinstance(it, (messages.Log, messages.Notify))]
        if leaked:
            raise Violation(f"ix {event['type']} of an earlier upstream causes {type(leaked[0]).__name__}")


ACTS: dict[str, Callable[..., None]] = {
    "no dial": _no_dial,
    "close": _close,
    "refuse": _refuse,
    "drop": _drop,
    "other id": _other_id,
    "repeat": _repeat,
    "fail": _fail,
    "no words": _no_words,
    "late": _late,
}
