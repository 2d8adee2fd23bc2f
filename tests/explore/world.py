"""A world: a session with its client, its upstreams, its timers and the judge, as one value that can be copied.

An action is a tuple of its kind and its details. `World.actions` returns all that may happen next, and `World.act` lets
one of them happen. Nothing in a world depends on the real time or on chance, so the same actions lead to the same
world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from actors import messages, restart
from router.config.model import RouterConfig
from router.session.deadlines import Wait
from router.session.machine import Session
from router.session.profile import PROFILES
from router.session.state.states import Lifecycle
from router.session.work import WorkKind, split_key
from tests.explore import client_actions, engine_actions, fault_actions, upstream_actions
from tests.explore.account import judge_tables
from tests.explore.engine_actions import IDLE_TIMERS
from tests.explore.judge import Judge
from tests.explore.upstream import CAUSE, decoded, length_ms, text_of_audio
from tests.explore.violation import Violation
from tests.support.machine.options import session_options
from tests.support.machine.playbook import SESSION_ID, SETTINGS

if TYPE_CHECKING:
    from actors.restart import Loss
    from tests.explore.upstream import Upstream

START_S = 1e9
"""The time at which the clock starts. A number above half of it is a time; a smaller number is a duration."""
OPTIONS = session_options()
RESTARTS = RouterConfig().limits.restarts if hasattr(RouterConfig().limits, "restarts") else 3
FUNCTION = {"name": "lookup", "description": "Look it up", "parameters": {"type": "object", "properties": {}}}

BUDGET = {
    "say": 2,
    "frame": 2,
    "inject": 1,
    "update": 1,
    "force": 1,
    "native": 2,
    "hold": 1,
    "fault": 2,
    "rollover": 1,
    "late": 1,
    "leave": 1,
}
"""The number of times that each kind of action may happen in one walk."""


class World:
    """One state of a session and of all its peers."""

    def __init__(self, profile: str, opening: str, quirk: str, budget: dict[str, int] | None = None) -> None:
        self.session = Session(SESSION_ID, PROFILES[profile], OPTIONS)
        self.opening = opening
        self.quirk = quirk
        self.budget = dict(BUDGET if budget is None else budget)
        self.now_s = START_S
        self.timers: dict[str, float] = {}
        self.work: list[str] = []
        self.dials: list[int] = []
        """The generations that are being dialled."""
        self.abandoned: list[tuple[int, Loss]] = []
        """The generations that the session abandoned, with the loss that the supervisor has yet to report."""
        self.upstreams: dict[int, Upstream] = {}
        self.gone: Upstream | None = None
        """The upstream that was lost or closed last. Frames of it may still arrive."""
        self.serving = 0
        """The generation that serves the session."""
        self.restarts = restart.History()
        self.judge = Judge(is_manual=opening == "manual")
        self.asked = 0
        self.is_sound = True
        """No fault has happened, and no deadline has expired except those of `OWN_TIMERS`."""
        self.is_orderly = True
        """The same, but an upstream may have refused requests for responses."""
        self.is_well = False
        """All peers do what they owe from now on."""
        self.faults = 0
        self.has_dropped = False
        """An upstream has lost an event of the session."""
        self.inputs: list[messages.Input] | None = None
        """Every input so far, if the world is recorded; else None."""

    def open(self) -> World:
        """Open the client's connection, and configure the session."""
        self.feed(messages.ClientOpened())
        if not self.timers:
            raise Violation("i the client's first message is awaited, and no deadline runs")
        think = {**SETTINGS["agent"]["think"], "functions": [FUNCTION]}
        if self.opening in ("settings", "manual"):
            detection = {"turn_detection": "manual"} if self.opening == "manual" else {}
            self.from_client({**SETTINGS, "agent": {**SETTINGS["agent"], **detection, "think": think}})
        else:
            tools = [{"type": "function", **FUNCTION}]
            audio = {
                "input": {"transcription": {"model": "gpt-realtime-whisper"}, "turn_detection": {"type": "server_vad"}}
            }
            self.from_client(
                {"type": "session.update", "session": {"type": "realtime", "tools": tools, "audio": audio}}
            )
        return self

    def actions(self) -> list[tuple[Any, ...]]:
        """Return all actions that may happen next."""
        if self.judge.has_ended:
            return []
        found = engine_actions.reports(self) + upstream_actions.possible(self) + engine_actions.deadlines(self)
        return found + fault_actions.late(self) + client_actions.possible(self) + fault_actions.possible(self)

    def act(self, action: tuple[Any, ...]) -> None:
        """Let an action happen.

        Raises:
            Violation: an invariant does not hold.
        """
        kind, *rest = action
        ACTS[kind](self, *rest)
        self.judge_now()

    def judge_now(self) -> None:
        """Judge the world as it is."""
        if self.judge.has_ended:
            return
        if Wait.STANDBY.value in self.timers and not self._others():
            raise Violation("i a deadline waits for a standby upstream that is gone")
        judge_tables(self)
        self._judge_client()
        if not self.judge.owed:
            return
        leads_on = set(self.timers) - IDLE_TIMERS or self.dials or self.abandoned or self.work
        if not leads_on:
            raise Violation(f"i {[it.text for it in self.judge.owed]} is owed, and no deadline runs")

    def _judge_client(self) -> None:
        """Judge that the client's audio is committed, and its own request behind its own commit is sent."""
        judge, upstream = self.judge, self.upstreams.get(self.serving)
        if upstream is None or self.session.state.lifecycle is not Lifecycle.READY:
            return
        if judge.has_uncommitted and Wait.MANUAL_COMMIT.value not in self.timers:
            raise Violation("i audio of the client's is not committed, and no deadline runs")
        is_asked = judge.active or judge.asks or judge.statements or judge.own
        is_spoken = judge.speaking or judge.unanswered_commits or upstream.speech or upstream.owes_answer
        is_behind = judge.owed or judge.injected > 0 or judge.updates > 0
        if judge.is_request_due and not (is_asked or is_spoken or is_behind):
            raise Violation("ii a client's own request behind its own commit waits for nothing")

    def _others(self) -> set[int]:
        """Return the generations of all upstreams except the one in use."""
        known = {*self.upstreams, *self.dials, *(generation for generation, _ in self.abandoned)}
        return known - {self.session.state.upstream.generation}

    def spend(self, kind: str, *, is_orderly: bool = False) -> None:
        """Count an action against the budget of the walk. `is_orderly` means that it is the refusal of a request."""
        self.budget[kind] -= 1
        self.faults += kind == "fault"
        if kind in ("fault", "late"):
            self.is_sound = self.judge.is_request_due = False
            self.is_orderly &= is_orderly

    # The session.

    def from_client(self, message: dict[str, Any]) -> None:
        """Feed a message of the client."""
        self.feed(messages.ClientTextReceived(orjson.dumps(message).decode()))

    def deliver(self, generation: int, events: list[dict[str, Any]]) -> None:
        """Show events of an upstream to the judge, and feed them to the session."""
        for event in events:
            upstream = self.upstreams.get(generation)
            if upstream is None:
                return  # the session closed it in the meantime
            upstream.last = event
            self.judge.knowledge.sees(event, generation)
            self.judge.upstream_answers_update(event, generation)
            is_repeated = self.judge.is_repeated_clear(event, generation)
            if generation == self.serving and not is_repeated:
                self.judge.upstream_ends_commit(event)
            if event["type"] == "input_audio_buffer.cleared" and not is_repeated:
                self.judge.is_cleared = self.judge.is_clearing and not self.judge.clears
            elif event["type"] == "response.output_audio_transcript.delta" and self.session.context.profile.sentences:
                self.judge.upstream_words(upstream.text_of(event))
            elif event["type"] == "response.output_audio.delta":
                length = length_ms(event["delta"])
                self.judge.upstream_speaks(event.get("item_id"), upstream.text_of(event), length)
            elif event["type"] == "response.function_call_arguments.done":
                self.judge.upstream_calls(event["call_id"], generation)
            self.feed(messages.UpstreamTextReceived(generation, frame_of(event)))

    def feed(self, message: messages.Input) -> list[messages.Command]:
        """Feed an input to the session, and perform the commands that it causes."""
        if self.inputs is not None:
            self.inputs.append(message)
        commands = self.handle(message)
        for command in commands:
            self._perform(command)
        link = self.session.state.upstream.generation
        if link != self.serving and self.session.state.lifecycle is Lifecycle.READY:
            self.serving = link
            self.judge.takes_over(link)
            # An interruption may meet two answers of one id, and neither is told apart by anybody. The client gets the
            # text of audio that waits later.
            if self.quirk != "reused ids" and not self.judge.has_waiting_audio:
                self.judge.judge_conversation(link)
        return commands

    def handle(self, message: messages.Input) -> list[messages.Command]:
        """Return the commands that an input causes, and perform none of them."""
        self.judge.now_s = self.now_s
        self.judge.has_waiting_audio = Wait.PLAYBACK.value in self.timers
        self.judge.is_holding |= self.judge.has_waiting_audio
        self.judge.is_holding |= any(upstream.untranscribed for upstream in self.upstreams.values())
        try:
            return self.session.handle(message, self.now_s)
        except Exception as error:
            raise Violation(f"crash {error!r}") from error

    def _perform(self, command: messages.Command) -> None:
        match command:
            case messages.SendToClient(str() as frame):
                self.judge.sent_to_client(orjson.loads(frame))
            case messages.SendToClient(bytes() as audio):
                self.judge.sent_audio(text_of_audio(audio))
            case messages.SendToUpstream(frame, generation):
                event = decoded(frame)
                is_there = generation in self.upstreams or any(it[0] == generation for it in self.abandoned)
                if not is_there:
                    raise Violation(f"ix {event['type']} is sent to an upstream that is gone")
                self.judge.sent_upstream(event, generation)
                if generation in self.upstreams:
                    upstream = self.upstreams[generation]
                    if event["type"] == "response.cancel" and upstream.named(event) is not None:
                        self.judge.rejects(upstream.named(event))
                    upstream.receive(event)
            case messages.StartTimer(name, delay_s):
                self.timers[name] = self.now_s + delay_s
            case messages.CancelTimer(name):
                self.timers.pop(name, None)
            case messages.StartWork(key):
                self.work.append(key)
                if split_key(key)[0] is WorkKind.AUDIO:
                    ACTS["work"](self, key)
            case messages.CancelWork(key):
                self.work.remove(key)
            case messages.OpenUpstream(generation):
                self.dials.append(generation)
            case messages.CloseUpstream(generation):
                self._close(generation)
            case messages.AbandonUpstream(generation, loss):
                self._close(generation)
                self.abandoned.append((generation, loss))
            case messages.ResetRestartBudget():
                self.restarts.turn_completed()
            case messages.EndSession():
                self.judge.has_ended = True

    def lose(self, generation: int, loss: Loss) -> None:
        """Report the loss of an upstream, with the supervisor's verdict."""
        self._forget(generation)
        self.judge.loses(generation)
        if generation == self.session.state.upstream.generation:
            verdict = restart.decide(loss, self.restarts, restarts=RESTARTS, upstreams=1, is_draining=False, jitter=0.0)
        else:
            verdict = restart.Verdict(decision=restart.Decision.RESTART)
        self.feed(messages.UpstreamLost(generation, loss, verdict))

    def _forget(self, generation: int) -> None:
        gone = self.upstreams.pop(generation, None)
        self.gone = gone if gone is not None and gone.phase == "created" else self.gone

    def _close(self, generation: int) -> None:
        self._forget(generation)
        self.dials = [it for it in self.dials if it != generation]
        self.abandoned = [it for it in self.abandoned if it[0] != generation]
        self.judge.loses(generation)


def frame_of(event: dict[str, Any]) -> str:
    """Return an event as the session receives it."""
    return orjson.dumps({name: value for name, value in event.items() if name != CAUSE}).decode()


ACTS = engine_actions.ACTS | client_actions.ACTS | upstream_actions.ACTS | fault_actions.ACTS
"""The functions of all actions, by kind."""
