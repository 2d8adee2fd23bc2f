"""The actions of the client: text, audio, answers to calls, updates, and OpenAI events of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from router.session.state.states import Lifecycle
from tests.explore.knowledge import OWN
from tests.explore.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.explore.world import World

FRAME = bytes(960)
"""20 ms of the microphone."""
OUTSIDE = "outside"
"""The native event that requests a response outside the conversation."""
CLASSIFY = {"type": "response.create", "response": {"conversation": "none", "metadata": {"topic": "weather"}}}
NATIVE = (
    *("response.create", "input_audio_buffer.commit", "input_audio_buffer.clear", "response.cancel", OUTSIDE),
    *("conversation.item.create", "conversation.item.delete", "session.update"),
)
"""OpenAI events that a client of `/openai` may send as they are."""


UPDATES: dict[str, dict[str, Any]] = {
    "update": {"type": "UpdatePrompt", "prompt": "Be kind."},
    "speak": {"type": "UpdateSpeak", "speak": {"provider": {"type": "open_ai", "voice": "cedar"}}},
    "think": {"type": "UpdateThink", "think": {"provider": {"type": "open_ai"}, "prompt": "Be quick."}},
}
"""The client's updates, by the kind of action."""


def possible(world: World) -> list[tuple[Any, ...]]:
    """Return the actions that the client may take now."""
    found = [(kind,) for kind in ("say", "frame", "update", "force", "leave") if world.budget[kind]]
    found += [("answer", call) for call, state in world.judge.calls.items() if state == "requested"]
    if world.budget["inject"]:
        found += [("inject", behavior) for behavior in ("default", "interrupt", "queue")]
    if world.budget["update"]:
        found += [("speak",), ("think",)]
    if world.budget["native"] and world.session.context.profile.openai_events:
        found += [
            ("native", kind) for kind in NATIVE if kind != "conversation.item.delete" or world.judge.knowledge.own
        ]
    return found


def _say(world: World) -> None:
    world.spend("say")
    world.judge.now_s = world.now_s
    world.asked += 1
    text = f"Question {world.asked}?"
    world.judge.asked(text)
    world.judge.interrupt()
    world.from_client({"type": "InjectUserMessage", "content": text})


def _frame(world: World) -> None:
    world.spend("frame")
    world.judge.is_cleared = world.judge.is_clearing = world.judge.is_clear_newest = False
    # Frames before the first upstream is ready are kept for it.
    world.judge.early_frames += not world.serving
    if world.judge.is_manual:
        world.judge.sends_audio()
    is_due = world.session.state.lifecycle is Lifecycle.READY and world.serving in world.upstreams
    commands = world.feed(messages.ClientBinaryReceived(FRAME))
    if is_due and not any(isinstance(it, messages.SendToUpstream) for it in commands):
        raise Violation("ii a frame of the microphone reaches no upstream")


def _update(world: World) -> None:
    _send_update(world, "update")


def _speak(world: World) -> None:
    _send_update(world, "speak")


def _think(world: World) -> None:
    _send_update(world, "think")


def _send_update(world: World, kind: str) -> None:
    world.spend("update")
    world.judge.updates += 1
    world.from_client(UPDATES[kind])


def _force(world: World) -> None:
    world.spend("force")
    # With a detector the session requests an answer to a turn that the detector may end, too.
    world.judge.is_excused |= not world.judge.is_manual
    is_open = _has_open_turn(world)
    world.from_client({"type": "ForceEndTurn"})
    if is_open and _has_open_turn(world):
        raise Violation("ii the client ends the user's turn, and nothing is committed")


def _has_open_turn(world: World) -> bool:
    """Whether the user speaks, and no commit is on its way."""
    upstream = world.upstreams.get(world.serving)
    if upstream is None or world.session.state.lifecycle is not Lifecycle.READY or not upstream.keeps_audio:
        return False
    if world.judge.is_manual:
        return world.judge.has_uncommitted and not world.judge.unanswered_commits
    is_spoken = world.serving in world.judge.speaking and not world.judge.has_missed_commit
    is_spoken &= not (upstream.has_lost_commit or world.judge.has_lost_clear)  # the session still awaits that one
    return is_spoken and not any(event["type"] == "input_audio_buffer.commit" for event in upstream.queue)


def _inject(world: World, behavior: str) -> None:
    world.spend("inject")
    world.judge.given_texts.add("Mind the gap.")
    # A turn that speaks a given text begins with that text.
    world.judge.clocks.append(("Mind the gap.", world.now_s))
    if behavior == "interrupt":
        world.judge.replace()
    world.judge.injected += 1
    world.from_client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": behavior})


def _native(world: World, kind: str) -> None:
    world.spend("native")
    if kind == OUTSIDE:
        world.judge.unsent.append("response.create")
        return world.from_client(CLASSIFY)
    world.judge.unsent.append(kind)
    if kind in ("conversation.item.create", "conversation.item.delete", "session.update"):
        world.judge.updates += kind == "session.update"
        return world.from_client({"type": kind, **_fields_of(world, kind)})
    world.judge.is_excused = True
    world.judge.own_commits += kind == "input_audio_buffer.commit"
    world.judge.has_own_commit |= kind == "input_audio_buffer.commit"
    world.judge.is_request_due |= kind == "response.create" and world.judge.has_own_commit and world.is_sound
    if kind == "input_audio_buffer.clear":
        world.judge.forgets_audio()
    world.judge.is_cancelling |= kind == "response.cancel"
    if kind not in ("input_audio_buffer.commit", "input_audio_buffer.clear"):
        world.is_sound = world.is_orderly = False
    world.judge.is_clearing = kind == "input_audio_buffer.clear"
    return world.from_client({"type": kind})


def _fields_of(world: World, kind: str) -> dict[str, Any]:
    if kind == "session.update":
        return {"session": {"type": "realtime", "instructions": "Be quick."}}
    if kind == "conversation.item.delete":
        return {"item_id": next(reversed(world.judge.knowledge.own))}
    world.asked += 1
    content = [{"type": "input_text", "text": f"{OWN} {world.asked}."}]
    # A client may leave the id of its item out.
    named = {"id": f"own_{world.asked}"} if world.asked % 2 else {}
    return {"item": {**named, "type": "message", "role": "user", "content": content}}


def _answer(world: World, call_id: str) -> None:
    world.judge.calls[call_id] = "answered"
    world.judge.asked(call_id)
    world.from_client({"type": "FunctionCallResponse", "id": call_id, "name": "lookup", "content": "42"})


def _leave(world: World) -> None:
    world.spend("leave")
    world.judge.is_client_gone = True
    world.feed(messages.ClientClosed(ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)))


ACTS: dict[str, Callable[..., None]] = {
    "say": _say,
    "frame": _frame,
    "update": _update,
    "speak": _speak,
    "think": _think,
    "force": _force,
    "inject": _inject,
    "native": _native,
    "answer": _answer,
    "leave": _leave,
}
