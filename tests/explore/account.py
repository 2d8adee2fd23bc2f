"""Invariant xii: the states that a session reports (`Session.describe`) agree with what its peers have done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.session.state.states import Lifecycle, ResponseState, UserTurnState
from tests.explore.violation import require

if TYPE_CHECKING:
    from tests.explore.world import World

_SPOKEN = frozenset({UserTurnState.SPEAKING.value, UserTurnState.STOPPED.value})


def judge_tables(world: World) -> None:
    """Judge the states that the session reports. After a fault, judge only commits, requests and the user's audio."""
    if world.session.state.lifecycle is not Lifecycle.READY or world.serving not in world.upstreams:
        return
    facts = world.session.describe()
    _judge_microphone(world, facts)
    if world.judge.is_replayed and not world.judge.unanswered_commits:
        shown = facts["user_turn"]
        require(shown == UserTurnState.SPEAKING.value, f"xii replayed speech is not heard, and the session is {shown}")
    _judge_commits(world, str(facts["user_turn"]))
    if world.is_orderly:
        _judge_request(world, str(facts["response"]))
    if world.faults or not world.is_sound:
        return
    _judge_response(world, str(facts["response"]))
    _judge_user_turn(world, str(facts["user_turn"]))


def _judge_response(world: World, shown: str) -> None:
    judge, serving = world.judge, world.serving
    running = [it for key, it in judge.active.items() if key[0] == serving and it.text not in judge.rejected]
    if running:
        require(shown == ResponseState.ACTIVE.value, f"xii a response is active, and the session counts it as {shown}")


def _judge_request(world: World, shown: str) -> None:
    """Judge that the upstream in use has a request that has neither begun a response nor been refused."""
    is_asked = world.serving in (*world.judge.asks, *world.judge.statements, *world.judge.own)
    # The judge takes an upstream's own answer for the requested one, as a session without metadata has to.
    is_asked |= any(event["type"] == "response.create" for event in world.upstreams[world.serving].queue)
    is_requested = shown == ResponseState.REQUESTED.value
    require(is_asked or not is_requested, "xii the session counts a response as requested that is not")


def _judge_user_turn(world: World, shown: str) -> None:
    judge, serving = world.judge, world.serving
    if judge.unanswered_commits:
        return
    if serving in judge.speaking:
        require(shown == UserTurnState.SPEAKING.value, f"xii the user speaks, and the session is {shown}")
    elif world.upstreams[serving].speech:
        require(shown == UserTurnState.STOPPED.value, f"xii speech has stopped, and the session is {shown}")


def _judge_commits(world: World, shown: str) -> None:
    is_committing = bool(world.judge.unanswered_commits)
    is_shown = shown == UserTurnState.COMMITTING.value
    require(is_committing == is_shown, f"xii commits by hand: {is_committing}, and the session is {shown}")


def _judge_microphone(world: World, facts: dict[str, Any]) -> None:
    """Judge that audio of the microphone may be dropped only while the user does not speak, and then always."""
    if world.opening != "settings":
        return
    phase, owed = facts["user_turn"], facts["owed"]
    is_idle = phase == UserTurnState.IDLE.value and not owed["answers_to_speech"]
    may_drop = world.session.may_drop_audio()
    require(may_drop or not is_idle, "xii the user does not speak, and no audio may be dropped")
    require(not may_drop or phase not in _SPOKEN, "xii the user speaks, and audio may be dropped")
