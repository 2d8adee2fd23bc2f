"""A world: a session with its client, its upstreams, its timers and the judge, as one value that can be copied.

An action is a tuple. `World.actions` returns all that may happen next, and `World.act` lets one of them happen. Nothing
in a world depends on the real time or on chance, so the same actions lead to the same world.
"""

import copyreg
import io
import pickle
from types import MappingProxyType
from typing import Any

import orjson

from actors import messages, restart
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Loss, LossKind
from router.config.model import RouterConfig
from router.deepgram.messages import Settings
from router.session import transitions
from router.session.deadlines import Wait
from router.session.handlers.items import CUT_EVENT_ID
from router.session.handlers.user_speech import MAX_FILLED_S
from router.session.machine import Session
from router.session.options import SessionOptions
from router.session.profile import PROFILES, Profile
from router.session.state.states import Lifecycle
from router.session.tables import Row
from router.session.work import WorkKind, split_key
from tests.explore.account import judge_tables
from tests.explore.judge import Judge
from tests.explore.upstream import LIFE_S, OPENED_UNIX_S, OWN_UNANNOUNCED, Response, Upstream, decoded
from tests.explore.violation import Violation
from tests.support.machine.options import session_options
from tests.support.machine.playbook import SESSION_ID, SETTINGS

START_S = 1e9
"""The time at which the clock starts. A number above half of it is a time; a smaller number is a duration."""
FRAME = bytes(960)
"""20 ms of the microphone."""
LOSS = Loss(kind=LossKind.CLOSED, code=1000)
DIAL_FAILED = Loss(kind=LossKind.NOT_DIALLED, cause="refused")
OPTIONS = session_options()
RESTARTS = RouterConfig().limits.restarts if hasattr(RouterConfig().limits, "restarts") else 3
FUNCTION = {"name": "lookup", "description": "Look it up", "parameters": {"type": "object", "properties": {}}}
IDLE_TIMERS = frozenset({Wait.ROLLOVER.value})
"""Timers that run although the session owes nothing."""
OWN_TIMERS = frozenset({Wait.ROLLOVER.value, Wait.MICROPHONE.value})
"""Timers that expire without a fault of any peer."""
LATE = {"no created": frozenset({Wait.UNANNOUNCED.value})}
"""Further timers of this kind, by the quirk of the upstream."""
MAY_REST = frozenset({Wait.ITEM_ACK.value, Wait.ASK_AGAIN.value})
"""Timers whose end opens a gate of a request. The request may have another gate."""
STEPS_TO_REST = 600
SOON_S = 30.0
"""The seconds within which the session dials another successor after one failed."""
ACKNOWLEDGEMENTS = "acknowledgements"

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
        self.judge = Judge()
        self.asked = 0
        self.is_sound = True
        """No fault has happened, and no deadline has expired except those of `OWN_TIMERS`."""
        self.is_well = False
        """All peers do what they owe from now on."""
        self.faults = 0
        self.has_dropped = False
        """An upstream has lost an event of the session."""
        self.inputs: list[messages.Input] | None = None
        """Every input so far, if the world is recorded; else None."""

    def open(self) -> "World":
        """Open the client's connection, and configure the session."""
        self._feed(messages.ClientOpened())
        if not self.timers:
            raise Violation("i the client's first message is awaited, and no deadline runs")
        think = {**SETTINGS["agent"]["think"], "functions": [FUNCTION]}
        if self.opening == "settings":
            self._client({**SETTINGS, "agent": {**SETTINGS["agent"], "think": think}})
        else:
            tools = [{"type": "function", **FUNCTION}]
            audio = {
                "input": {"transcription": {"model": "gpt-realtime-whisper"}, "turn_detection": {"type": "server_vad"}}
            }
            self._client({"type": "session.update", "session": {"type": "realtime", "tools": tools, "audio": audio}})
        return self

    # What may happen.

    def actions(self) -> list[tuple[Any, ...]]:
        """Return all actions that may happen next."""
        if self.judge.has_ended:
            return []
        found: list[tuple[Any, ...]] = [("lost", generation) for generation, _ in self.abandoned]
        found += [("dialled", generation) for generation in self.dials]
        found += [("work", key) for key in self.work]
        for upstream in self.upstreams.values():
            found += upstream.actions()
            if self.budget["hold"] and upstream.may_hold:
                found.append(("hold", upstream.generation))
            is_asked = upstream.generation in (*self.judge.asks, *self.judge.statements) or self.has_dropped
            if upstream.may_answer_unannounced and not is_asked:
                found += [("unannounced", upstream.generation, kind) for kind in OWN_UNANNOUNCED]
        timer = self._next_timer()
        if timer is not None:
            found.append(("fire", timer))
        # The upstream may have been opened long ago: its rollover is due at any time.
        idle = [name for name in self.timers if name in IDLE_TIMERS and name != timer and self.budget["rollover"]]
        found += [("fire", name) for name in idle]
        if self.gone is not None and self.budget["late"]:
            is_abandoned = any(generation == self.gone.generation for generation, _ in self.abandoned)
            found += [("late", how) for how in self.gone.late() if how != "step" or not is_abandoned]
        return found + self._client_actions() + self._faults()

    def _next_timer(self) -> str | None:
        timers = {name: due_s for name, due_s in self.timers.items() if name not in IDLE_TIMERS}
        if not timers and self.timers and self.budget["rollover"]:
            return min(self.timers, key=self.timers.__getitem__)
        return min(timers, key=timers.__getitem__) if timers else None

    def _client_actions(self) -> list[tuple[Any, ...]]:
        found = [(kind,) for kind in ("say", "frame", "update", "force", "leave") if self.budget[kind]]
        found += [("answer", call) for call, state in self.judge.calls.items() if state == "requested"]
        if self.budget["inject"]:
            found += [("inject", behavior) for behavior in ("default", "interrupt", "queue")]
        if self.budget["native"] and self.session.context.profile.openai_events:
            found += [("native", kind) for kind in NATIVE]
        return found

    def _faults(self) -> list[tuple[Any, ...]]:
        if not self.budget["fault"]:
            return []
        found: list[tuple[Any, ...]] = [("no dial", generation) for generation in self.dials]
        for generation, upstream in self.upstreams.items():
            found.append(("close", generation))
            if upstream.queue:
                found += [("refuse", generation)] * upstream.may_refuse + [("drop", generation)]
                if upstream.queue[0]["type"] == "conversation.item.create":
                    found.append(("other id", generation))
            if upstream.active is not None:
                found += [("fail", generation, status) for status in ("failed", "incomplete", "cancelled")]
            # Where responses are not announced, a repeated event is the begin of another one. A delta is more text.
            kind = upstream.last["type"] if upstream.last is not None else ""
            if kind and not kind.endswith("transcript.delta") and self.quirk != "no created":
                found.append(("repeat", generation))
            found += [("no words", generation, item, how) for item in upstream.untranscribed for how in ("", "failed")]
        return found

    # What happens.

    def act(self, action: tuple[Any, ...]) -> None:
        """Let an action happen.

        Raises:
            Violation: an invariant does not hold.
        """
        kind, *rest = action
        getattr(self, "_act_" + kind.replace(" ", "_"))(*rest)
        self.judge_now()

    def judge_now(self) -> None:
        """Judge the world as it is."""
        if self.judge.has_ended:
            return
        if Wait.STANDBY.value in self.timers and not self._others():
            raise Violation("i a deadline waits for a standby upstream that is gone")
        judge_tables(self)
        if not self.judge.owed:
            return
        leads_on = set(self.timers) - IDLE_TIMERS or self.dials or self.abandoned or self.work
        if not leads_on:
            raise Violation(f"i {[it.text for it in self.judge.owed]} is owed, and no deadline runs")

    def _others(self) -> set[int]:
        """Return the generations of all upstreams except the one in use."""
        known = {*self.upstreams, *self.dials, *(generation for generation, _ in self.abandoned)}
        return known - {self.session.state.upstream.generation}

    def _spend(self, kind: str) -> None:
        self.budget[kind] -= 1
        self.faults += kind == "fault"
        self.is_sound &= kind not in ("fault", "late")

    # Time and the engine.

    def _act_fire(self, name: str) -> None:
        due_s = self.timers.pop(name)
        # An idle timer may expire at any time: the clock stays before the deadlines that come first.
        is_ahead = name in IDLE_TIMERS and not self.timers.keys() <= IDLE_TIMERS
        self.now_s = self.now_s if is_ahead else max(self.now_s, due_s)
        self._judge_deadline(name)
        has_all_events = self.is_sound and name == Wait.NEXT_EVENT.value and not self._is_speaking()
        self.judge.expires(name, self.now_s)
        if name in IDLE_TIMERS:
            self._spend("rollover")
        if name not in OWN_TIMERS | LATE.get(self.quirk, frozenset()):
            if self.is_sound and self.is_well:
                raise Violation(f"i {name} expires although both peers behave well")
            self.is_sound = False
        commands = self._feed(messages.TimerFired(name))
        if has_all_events and any(isinstance(it, messages.AbandonUpstream) for it in commands):
            raise Violation("i next_event expires behind the last event of a response")
        is_followed = any(not isinstance(it, (messages.Log, messages.Notify)) for it in commands)
        # A session that is not ready yet notes that its rollover is due.
        is_noted = self._is_rolling() or self.session.state.lifecycle is not Lifecycle.READY
        if not is_followed and name not in MAY_REST and not (name in IDLE_TIMERS and is_noted):
            raise Violation(f"i {name} expires, and nothing follows")

    def _is_speaking(self) -> bool:
        """Whether the upstream in use has a response to finish."""
        serving = self.upstreams.get(self.serving)
        return serving is None or serving.active is not None or serving.outside is not None

    def _judge_deadline(self, name: str) -> None:
        """Judge that the event for which a deadline waits has not come."""
        serving = self.upstreams.get(self.serving)
        if serving is None or self.session.state.lifecycle is not Lifecycle.READY:
            return
        if name == Wait.FIRST_EVENT.value and self.is_sound:
            is_awaited = self.serving in (*self.judge.asks, *self.judge.statements) or serving.owes_answer
            if not is_awaited:
                raise Violation("i first_event expires, and no response is awaited")
        if name == Wait.COMMIT.value and not self.judge.unanswered_commits:
            since_s = self.judge.speaking.get(self.serving, 0.0)
            if since_s and self.now_s - since_s < MAX_FILLED_S:
                raise Violation("i commit expires, and the user speaks")

    def _is_rolling(self) -> bool:
        return bool(self.dials or self.abandoned) or len(self.upstreams) > 1

    def _act_work(self, key: str) -> None:
        self.work.remove(key)
        self._feed(messages.WorkDone(key, "done"))

    def _act_dialled(self, generation: int) -> None:
        self.dials.remove(generation)
        self.upstreams[generation] = upstream = Upstream(generation, self.quirk)
        upstream.phase, upstream.expires_s = "opened", self.now_s + LIFE_S
        self._feed(messages.UpstreamOpened(generation, 0, OPENED_UNIX_S))

    def _act_no_dial(self, generation: int) -> None:
        self._spend("fault")
        self.dials.remove(generation)
        self._lose(generation, DIAL_FAILED)

    def _act_lost(self, generation: int) -> None:
        loss = next(loss for number, loss in self.abandoned if number == generation)
        self.abandoned = [it for it in self.abandoned if it[0] != generation]
        self._lose(generation, loss)

    def _act_late(self, how: str) -> None:
        self._spend("late")
        gone, self.gone = self.gone, None
        assert gone is not None
        # The supervisor has not reported the loss of an abandoned upstream yet.
        is_abandoned = any(generation == gone.generation for generation, _ in self.abandoned)
        cancelled = gone.active
        for event in gone.say_late(how):
            if is_abandoned and how == "words":
                self._transcribed(event["item_id"])
            frame = messages.UpstreamTextReceived(gone.generation, orjson.dumps(event).decode())
            if is_abandoned:
                self.judge.knowledge.sees(event, gone.generation)
                self.judge.upstream_ends_commit(event)
                if (event.get("response") or {}).get("status") == "cancelled" and cancelled is not None:
                    self.judge.is_late_cancelled(cancelled, gone.generation)
                self._feed(frame)
                continue
            leaked = [it for it in self._handle(frame) if not isinstance(it, (messages.Log, messages.Notify))]
            if leaked:
                raise Violation(f"ix {event['type']} of an earlier upstream causes {type(leaked[0]).__name__}")

    def _lose(self, generation: int, loss: Loss) -> None:
        self._forget(generation)
        self.judge.loses(generation)
        if generation == self.session.state.upstream.generation:
            verdict = restart.decide(loss, self.restarts, restarts=RESTARTS, upstreams=1, is_draining=False, jitter=0.0)
        else:
            verdict = restart.Verdict(decision=restart.Decision.RESTART)
        self._feed(messages.UpstreamLost(generation, loss, verdict))

    # The client.

    def _act_say(self) -> None:
        self._spend("say")
        self.asked += 1
        text = f"Question {self.asked}?"
        self.judge.asked(text)
        self.judge.interrupt()
        self._client({"type": "InjectUserMessage", "content": text})

    def _act_frame(self) -> None:
        self._spend("frame")
        self.judge.is_cleared = False
        # Frames before the first upstream is ready are kept for it.
        self.judge.early_frames += not self.serving
        is_due = self.session.state.lifecycle is Lifecycle.READY and self.serving in self.upstreams
        commands = self._feed(messages.ClientBinaryReceived(FRAME))
        if is_due and not any(isinstance(it, messages.SendToUpstream) for it in commands):
            raise Violation("ii a frame of the microphone reaches no upstream")

    def _act_update(self) -> None:
        self._spend("update")
        self.judge.updates += 1
        self._client({"type": "UpdatePrompt", "prompt": "Be kind."})

    def _act_force(self) -> None:
        self._spend("force")
        self.judge.is_excused = True
        is_open = self._has_open_turn()
        self._client({"type": "ForceEndTurn"})
        if is_open and self._has_open_turn():
            raise Violation("ii the client ends the user's turn, and nothing is committed")

    def _has_open_turn(self) -> bool:
        """Whether the user speaks, and no commit is on its way."""
        upstream = self.upstreams.get(self.serving)
        if upstream is None or self.session.state.lifecycle is not Lifecycle.READY or not upstream.has_audio:
            return False
        is_spoken = self.serving in self.judge.speaking and not self.judge.has_missed_commit
        is_spoken &= not upstream.has_lost_commit  # the session still awaits that one
        return is_spoken and all(event["type"] != "input_audio_buffer.commit" for event in upstream.queue)

    def _act_inject(self, behavior: str) -> None:
        self._spend("inject")
        self.judge.given_texts.add("Mind the gap.")
        if behavior == "interrupt":
            self.judge.replace()
        self.judge.injected += 1
        self._client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": behavior})

    def _act_native(self, kind: str) -> None:
        self._spend("native")
        self.judge.unsent.append(kind)
        self.judge.is_excused = True
        self.judge.is_cancelling |= kind == "response.cancel"
        self.is_sound &= kind in ("input_audio_buffer.commit", "input_audio_buffer.clear")
        self.judge.is_clearing = kind == "input_audio_buffer.clear"
        self._client({"type": kind})

    def _act_answer(self, call_id: str) -> None:
        self.judge.calls[call_id] = "answered"
        self.judge.asked(call_id)
        self._client({"type": "FunctionCallResponse", "id": call_id, "name": "lookup", "content": "42"})

    def _act_leave(self) -> None:
        self._spend("leave")
        self.judge.is_client_gone = True
        self._feed(messages.ClientClosed(ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)))

    def _client(self, message: dict[str, Any]) -> None:
        self._feed(messages.ClientTextReceived(orjson.dumps(message).decode()))

    # The upstreams.

    def _act_created(self, generation: int) -> None:
        self.upstreams[generation].phase = "created"
        self.upstreams[generation].has_created = True
        created = {"type": "session.created", "session": {"expires_at": OPENED_UNIX_S + LIFE_S}}
        self._deliver(generation, [created])

    _act_announce = _act_created

    def _act_take(self, generation: int, kind: str) -> None:
        upstream = self.upstreams[generation]
        event = upstream.queue[0]
        before = (upstream.active, upstream.outside)
        events = upstream.take(kind)
        if not upstream.speech:
            self.judge.speaking.pop(generation, None)
        if events and events[0]["type"] == "error":
            self.judge.refused(generation, event)
            if event["type"] == "input_audio_buffer.commit" and upstream.owes_answer:
                self.judge.is_not_by_hand(generation)
        self._after(upstream, before, events)

    def _act_hold(self, generation: int) -> None:
        self._spend("hold")
        self.upstreams[generation].hold()

    def _act_updated(self, generation: int) -> None:
        self._deliver(generation, [self.upstreams[generation].held.pop(0)])

    def _act_own(self, generation: int, kind: str) -> None:
        upstream = self.upstreams[generation]
        self._after(upstream, (None, upstream.outside), upstream.own(kind))

    def _act_unannounced(self, generation: int, kind: str) -> None:
        upstream = self.upstreams[generation]
        upstream.own_unannounced(kind)
        self.judge.begins(upstream.active)
        self._act_step(generation, is_outside=False)

    def _act_step(self, generation: int, is_outside: bool) -> None:
        upstream = self.upstreams[generation]
        before = (upstream.active, upstream.outside)
        events = upstream.step(is_outside=is_outside)
        is_over = (upstream.active, upstream.outside)[is_outside] is None
        if is_over and events[0]["type"] != "response.done":
            self.judge.is_seen(before[is_outside], generation)
            self.judge.ends(before[is_outside], generation, "completed")
            return self._deliver(generation, events)
        return self._after(upstream, before, events)

    def _act_fail(self, generation: int, status: str) -> None:
        self._spend("fault")
        upstream = self.upstreams[generation]
        before = (upstream.active, upstream.outside)
        self._after(upstream, before, upstream.fail(status))

    def _act_trail(self, generation: int) -> None:
        upstream = self.upstreams[generation]
        before = (upstream.active, upstream.outside)
        self._after(upstream, before, upstream.trail())

    def _after(self, upstream: Upstream, before: tuple[Any, Any], events: list[dict[str, Any]]) -> None:
        after = (upstream.active, upstream.outside)
        for old, new in zip(before, after, strict=True):
            if new is not None and new is not old:
                self.judge.begins(new)
            # Without response.created a response may have begun of which no event was sent.
            if new is not None and upstream.is_named(new, events):
                self.judge.is_seen(new, upstream.generation)
            if old is not None and new is None:
                self.judge.ends(old, upstream.generation, events[-1]["response"]["status"])
        self._deliver(upstream.generation, events)

    def _act_speech(self, generation: int) -> None:
        self.judge.cut_off()
        self.judge.speaking[generation] = self.now_s
        self.judge.has_missed_commit = False
        voices = self.judge.voices
        self._deliver(generation, self.upstreams[generation].hear("speech"))
        if generation == self.serving:
            if self.judge.is_replayed and self.judge.voices != voices:
                raise Violation("v the client is told twice that the user has begun to speak")
            self.judge.is_voice_shown, self.judge.is_replayed = self.judge.voices != voices, False

    def _act_stop(self, generation: int) -> None:
        self.judge.speaking.pop(generation, None)
        is_heard = generation == self.serving and self.session.state.lifecycle is Lifecycle.READY
        self.judge.is_utterance_due = is_heard and self.session.context.profile.component_messages
        self._deliver(generation, self.upstreams[generation].hear("stop"))
        if self.judge.is_utterance_due:
            raise Violation("v the end of the user's speech is not told")

    def _act_commit(self, generation: int) -> None:
        upstream = self.upstreams[generation]
        # A commit of the client's own that crosses the detector's may have been the one that was answered.
        # So may one that the upstream lost.
        is_client_s = any(event["type"] == "input_audio_buffer.commit" for event in upstream.queue)
        if not is_client_s and not upstream.has_lost_commit:
            self.judge.asked(upstream.speech, generation)
        else:
            self.judge.is_excused = True
            self.judge.crossed = (upstream.speech, generation) if is_client_s else ("", 0)
        self._deliver(generation, upstream.hear("commit"))

    def _act_words(self, generation: int, item: str) -> None:
        self._transcribed(item)
        self._deliver(generation, self.upstreams[generation].transcribe(item, "said"))

    def _transcribed(self, item: str) -> None:
        for question in self.judge.owed:
            if question.text == item:
                question.transcript = f"Said {item}."

    def _act_no_words(self, generation: int, item: str, how: str) -> None:
        self._spend("fault")
        if not how:
            self.judge.owed = [it for it in self.judge.owed if it.text != item]  # it was a noise
        is_heard = generation == self.serving and self.session.state.lifecycle is Lifecycle.READY
        self.judge.is_warning_due = how == "failed" and is_heard
        self._deliver(generation, self.upstreams[generation].transcribe(item, how))
        if self.judge.is_warning_due:
            raise Violation("ii a transcript fails, and the client is not warned")

    def _act_close(self, generation: int) -> None:
        self._spend("fault")
        self._lose(generation, LOSS)

    def _act_refuse(self, generation: int) -> None:
        self._spend("fault")
        upstream, event = self.upstreams[generation], self.upstreams[generation].queue[0]
        is_in_use = generation == self.session.state.upstream.generation
        if is_in_use:
            self.judge.refused(generation, event)
            self.judge.knowledge.deny(event, generation)
        else:
            # An item that a standby refuses is missing in its conversation alone.
            self.judge.lacks(generation, event)
        is_named = event.get("event_id") is not None or upstream.has_created
        self.judge.is_refusal_due = is_in_use and is_named and event.get("event_id") != CUT_EVENT_ID
        self._deliver(generation, upstream.refuse())
        if self.judge.is_refusal_due:
            raise Violation(f"ii an upstream refuses {event['type']}, and the client is not told")

    def _act_drop(self, generation: int) -> None:
        self._spend("fault")
        upstream = self.upstreams[generation]
        event = upstream.ignore()
        self.has_dropped = True
        upstream.has_lost_commit |= event["type"] == "input_audio_buffer.commit"
        self.judge.refused(generation, event)

    def _act_other_id(self, generation: int) -> None:
        self._spend("fault")
        # Speech under another id is told apart from the upstream's own by nobody.
        self.has_dropped = True
        self._deliver(generation, self.upstreams[generation].acknowledge_otherwise())

    def _act_repeat(self, generation: int) -> None:
        self._spend("fault")
        upstream = self.upstreams[generation]
        assert upstream.last is not None
        self._deliver(generation, [upstream.last])

    def _deliver(self, generation: int, events: list[dict[str, Any]]) -> None:
        for event in events:
            upstream = self.upstreams.get(generation)
            if upstream is None:
                return  # the session closed it in the meantime
            upstream.last = event
            self.judge.knowledge.sees(event, generation)
            self.judge.upstream_answers_update(event, generation)
            if generation == self.serving:
                self.judge.upstream_ends_commit(event)
            if event["type"] == "input_audio_buffer.cleared":
                self.judge.is_cleared = self.judge.is_clearing
            elif event["type"] == "response.output_audio_transcript.delta" and self.session.context.profile.sentences:
                self.judge.upstream_words(upstream.text_of(event["response_id"]))
            elif event["type"] == "response.output_audio.delta":
                self.judge.upstream_speaks(event["item_id"], upstream.text_of(event["response_id"]))
            elif event["type"] == "response.function_call_arguments.done":
                self.judge.upstream_calls(event["call_id"], generation)
            self._feed(messages.UpstreamTextReceived(generation, orjson.dumps(event).decode()))

    # The session.

    def _feed(self, message: messages.Input) -> list[messages.Command]:
        if self.inputs is not None:
            self.inputs.append(message)
        commands = self._handle(message)
        for command in commands:
            self._perform(command)
        link = self.session.state.upstream.generation
        if link != self.serving and self.session.state.lifecycle is Lifecycle.READY:
            self.serving = link
            self.judge.takes_over(link)
            if self.quirk != "reused ids":
                # An interruption may meet two answers of one id, and neither is told apart by anybody.
                self.judge.judge_conversation(link)
        return commands

    def _handle(self, message: messages.Input) -> list[messages.Command]:
        self.judge.is_holding |= any(upstream.untranscribed for upstream in self.upstreams.values())
        try:
            return self.session.handle(message, self.now_s)
        except Exception as error:
            raise Violation(f"crash {error!r}") from error

    def _perform(self, command: messages.Command) -> None:
        match command:
            case messages.SendToClient(str() as frame):
                self.judge.sent_to_client(orjson.loads(frame))
            case messages.SendToClient():
                self.judge.sent_audio()
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
                    self._act_work(key)
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

    def _forget(self, generation: int) -> None:
        gone = self.upstreams.pop(generation, None)
        self.gone = gone if gone is not None and gone.phase == "created" else self.gone

    def _close(self, generation: int) -> None:
        self._forget(generation)
        self.dials = [it for it in self.dials if it != generation]
        self.abandoned = [it for it in self.abandoned if it[0] != generation]
        self.judge.loses(generation)

    # To the end.

    def run_noisy(self) -> None:
        """Let time pass while no peer acts, except that the microphone never stops."""
        self.run_silent(is_noisy=True)

    def run_silent(self, *, is_noisy: bool = False) -> None:
        """Let time pass while no peer acts. Every deadline expires, and every dial fails."""
        self.budget = dict.fromkeys(self.budget, 0)
        for _ in range(STEPS_TO_REST):
            self.budget["fault"] = 1
            if self.judge.has_ended:
                break
            if self.abandoned:
                self.act(("lost", self.abandoned[0][0]))
            elif self.dials:
                self.act(("no dial", self.dials[0]))
            elif self.work:
                self.act(("work", self.work[0]))
            else:
                timer = self._next_timer()
                if timer is None:
                    break
                if is_noisy and timer == Wait.MICROPHONE.value:
                    self.now_s = max(self.now_s, self.timers[timer])
                    self._feed(messages.ClientBinaryReceived(FRAME))
                self.act(("fire", timer))
        else:
            raise Violation("i the session does not come to rest while its peers are silent")
        self.judge.judge_rest()

    def run_well(self) -> None:
        """Let all peers do what they owe. A deadline expires only if nothing else can happen."""
        self.budget, self.is_well = dict.fromkeys(self.budget, 0), True
        spent = self.restarts.restarts_in_a_row + self.faults
        was_over = self.judge.has_ended and not self.is_sound
        self._rest_well()
        if not self.judge.has_ended:
            self.judge.judge_well()
            self._judge_account(has_dropped=self.has_dropped)
            self._roll_over()
        elif spent < RESTARTS and not was_over and not self.judge.is_client_gone:
            raise Violation("ii the session ends although both peers behave well")

    def _rest_well(self) -> None:
        for _ in range(STEPS_TO_REST):
            actions = self.actions()
            if not actions:
                break
            steps = [it for it in actions if not self._is_silent_about(it)]
            if not steps:
                break
            self.act(next((it for it in steps if it[0] != "fire"), steps[0]))
        else:
            raise Violation("i the session does not come to rest although its peers behave well")
        self.judge.judge_rest()
        others = [] if self.judge.has_ended else [it for it in self.upstreams if it != self.serving]
        if others:
            raise Violation(f"i the upstreams {others} serve nothing, and remain")

    def _is_silent_about(self, action: tuple[Any, ...]) -> bool:
        """Whether the action is one that some upstream never takes: some servers never send session.created."""
        is_second = action[0] == "created" and action[1] % 2 == 0
        return action[0] == "announce" or (is_second and self.quirk == "no created")

    def _judge_account(self, *, has_dropped: bool) -> None:
        """Judge what the session itself reports as owed. A lost event is never acknowledged."""
        owed = self.session.describe()["owed"]
        assert isinstance(owed, dict)
        owed = {name: count for name, count in owed.items() if count and not (has_dropped and name == ACKNOWLEDGEMENTS)}
        if owed:
            raise Violation(f"i the session waits for {sorted(owed)} at rest")

    def _roll_over(self) -> None:
        """Let the successor of the upstream in use take over."""
        before = self.serving
        if Wait.ROLLOVER.value not in self.timers:
            raise Violation("i no successor of the upstream is due")
        serving = self.upstreams[before]
        if serving.has_created and self.timers[Wait.ROLLOVER.value] > max(serving.expires_s, self.now_s + SOON_S):
            raise Violation("i the successor of the upstream is due behind the end of its session")
        self.budget["rollover"] = 1
        self.act(("fire", Wait.ROLLOVER.value))
        self._rest_well()
        if self.serving == before:
            raise Violation("i the successor of the upstream never serves")
        self._judge_account(has_dropped=False)


NATIVE = ("response.create", "input_audio_buffer.commit", "input_audio_buffer.clear", "response.cancel")
"""OpenAI events that a client of `/openai` may send as they are."""


# Copies.

_UNCHANGED = (SessionOptions, Profile, Row, Settings, MappingProxyType)
"""The types whose objects never change. The only mapping proxy of a session is the empty one."""

_SHARED: dict[int, Any] = {}


def _share(value: Any) -> Any:
    _SHARED[id(value)] = value
    return _shared, (id(value),)


def _shared(number: int) -> Any:
    return _SHARED[number]


class _Pickler(pickle.Pickler):
    """A pickler that shares the parts of a session that never change."""

    dispatch_table = copyreg.dispatch_table | dict.fromkeys(_UNCHANGED, _share)


def frozen(world: World) -> bytes:
    """Return a copy of a world, as bytes."""
    world.session._rows = {}  # it follows from the state, and is long
    buffer = io.BytesIO()
    _Pickler(buffer, 5).dump(world)
    _restore(world)
    return buffer.getvalue()


def thawed(copy: bytes) -> World:
    """Return the world of a copy."""
    world: World = pickle.loads(copy)  # noqa: S301 - our own bytes
    _restore(world)
    return world


def _restore(world: World) -> None:
    world.session._rows = transitions.LIFECYCLE[world.session.state.lifecycle]


__all__ = ["Response", "Violation", "World", "frozen", "thawed"]
