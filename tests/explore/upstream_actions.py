"""The actions of an upstream that follows the protocol: take events, detect speech, answer, and transcribe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.session.state.states import Lifecycle
from tests.explore.responses import OWN_UNANNOUNCED
from tests.explore.upstream import COMMIT, LIFE_S, OPENED_UNIX_S
from tests.explore.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.explore.upstream import Upstream
    from tests.explore.world import World


def possible(world: World) -> list[tuple[Any, ...]]:
    """Return the actions that the upstreams may take now."""
    found: list[tuple[Any, ...]] = []
    for upstream in world.upstreams.values():
        found += upstream.actions()
        if world.budget["hold"] and upstream.may_hold:
            found.append(("hold", upstream.generation))
        is_asked = (
            upstream.generation in (*world.judge.asks, *world.judge.statements, *world.judge.own) or world.has_dropped
        )
        if upstream.may_answer_unannounced and not is_asked:
            found += [("unannounced", upstream.generation, kind) for kind in OWN_UNANNOUNCED]
    return found


def _created(world: World, generation: int) -> None:
    world.upstreams[generation].phase = "created"
    world.upstreams[generation].has_created = True
    created = {"type": "session.created", "session": {"expires_at": OPENED_UNIX_S + LIFE_S}}
    world.deliver(generation, [created])


def _take(world: World, generation: int, kind: str) -> None:
    upstream = world.upstreams[generation]
    event = upstream.queue[0]
    before = (upstream.active, upstream.outside)
    events = upstream.take(kind)
    if not upstream.speech:
        world.judge.speaking.pop(generation, None)
    if events and events[0]["type"] == "error":
        world.judge.refused(generation, event)
        # If the commit that crossed the detector's is lost, the refusal of a later one shows nothing.
        is_shown = upstream.owes_answer and not upstream.has_lost_commit
        if event["type"] == "input_audio_buffer.commit" and is_shown:
            world.judge.is_not_by_hand(generation)
        world.judge.refusing = event
        if not world.is_sound:
            world.judge.loses_commit(event)
    elif event["type"] == COMMIT:
        world.judge.is_committed(event["event_id"], events[0]["item_id"], generation)
    after(world, upstream, before, events)
    world.judge.refusing = None


def _hold(world: World, generation: int) -> None:
    world.spend("hold")
    world.upstreams[generation].hold()


def _updated(world: World, generation: int) -> None:
    world.deliver(generation, [world.upstreams[generation].held.pop(0)])


def _own(world: World, generation: int, kind: str) -> None:
    upstream = world.upstreams[generation]
    after(world, upstream, (None, upstream.outside), upstream.own(kind))


def _unannounced(world: World, generation: int, kind: str) -> None:
    upstream = world.upstreams[generation]
    upstream.own_unannounced(kind)
    world.judge.begins(upstream.active)
    _step(world, generation, is_outside=False)


def _step(world: World, generation: int, is_outside: bool) -> None:
    upstream = world.upstreams[generation]
    before = (upstream.active, upstream.outside)
    events = upstream.step(is_outside=is_outside)
    is_over = (upstream.active, upstream.outside)[is_outside] is None
    if is_over and events[0]["type"] != "response.done":
        world.judge.is_seen(before[is_outside], generation)
        world.judge.ends(before[is_outside], generation, "completed")
        return world.deliver(generation, events)
    return after(world, upstream, before, events)


def _trail(world: World, generation: int) -> None:
    upstream = world.upstreams[generation]
    before = (upstream.active, upstream.outside)
    after(world, upstream, before, upstream.trail())


def _end(world: World, generation: int) -> None:
    world.deliver(generation, world.upstreams[generation].end_late())


def after(world: World, upstream: Upstream, before: tuple[Any, Any], events: list[dict[str, Any]]) -> None:
    after = (upstream.active, upstream.outside)
    for old, new in zip(before, after, strict=True):
        if new is not None and new is not old:
            world.judge.begins(new)
        # Without response.created a response may have begun of which no event was sent.
        if new is not None and upstream.is_named(new, events):
            world.judge.is_seen(new, upstream.generation)
        if old is not None and new is None:
            world.judge.ends(old, upstream.generation, events[-1]["response"]["status"])
    world.deliver(upstream.generation, events)


def _speech(world: World, generation: int) -> None:
    world.judge.cut_off()
    world.judge.speaking[generation] = world.now_s
    world.judge.has_missed_commit = False
    voices = world.judge.voices
    world.deliver(generation, world.upstreams[generation].hear("speech"))
    if generation == world.serving:
        if world.judge.is_replayed and world.judge.voices != voices:
            raise Violation("v the client is told twice that the user has begun to speak")
        world.judge.is_voice_shown, world.judge.is_replayed = world.judge.voices != voices, False


def _stop(world: World, generation: int) -> None:
    world.judge.stopped_s = world.now_s
    world.judge.speaking.pop(generation, None)
    is_heard = generation == world.serving and world.session.state.lifecycle is Lifecycle.READY
    world.judge.is_utterance_due = is_heard and world.session.context.profile.component_messages
    world.deliver(generation, world.upstreams[generation].hear("stop"))
    if world.judge.is_utterance_due:
        raise Violation("v the end of the user's speech is not told")


def _commit(world: World, generation: int) -> None:
    upstream = world.upstreams[generation]
    # A commit of the client's own that crosses the detector's may have been the one that was answered.
    # So may one that the upstream lost.
    is_of_client = any(event["type"] == "input_audio_buffer.commit" for event in upstream.queue)
    if not is_of_client and not upstream.has_lost_commit:
        world.judge.asked(upstream.speech, generation)
    else:
        world.judge.is_excused = True
        world.judge.crossed = (upstream.speech, generation) if is_of_client else ("", 0)
        world.judge.crossed_words = ""
    world.deliver(generation, upstream.hear("commit"))


def _words(world: World, generation: int, item: str) -> None:
    world.judge.is_transcribed(item)
    world.deliver(generation, world.upstreams[generation].transcribe(item, "said"))


ACTS: dict[str, Callable[..., None]] = {
    "created": _created,
    "announce": _created,
    "take": _take,
    "hold": _hold,
    "updated": _updated,
    "own": _own,
    "unannounced": _unannounced,
    "step": _step,
    "trail": _trail,
    "end": _end,
    "speech": _speech,
    "stop": _stop,
    "commit": _commit,
    "words": _words,
}
