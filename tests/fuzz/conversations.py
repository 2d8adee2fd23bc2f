"""The target `Session.handle`: conversations of any inputs, which end in silence or with a question.

The inputs are those that the engine may give: running timers and work, opened generations, and their losses with
the verdict of the real policy. Frames have any content. Then virtual time passes until the session comes to rest. A
question to a good upstream must be answered within `PATIENCE_S`, or the session must end.
"""

import itertools
import time

import orjson

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import POLICY, Decision, Loss, LossKind, Verdict
from router.deepgram.blocks import Function
from router.session.machine import Session
from router.session.profile import PROFILES
from router.session.state.states import Lifecycle
from tests.fuzz import mutations, seeds
from tests.support.machine.options import session_options
from tests.support.machine.playbook import SETTINGS, delta, item_added, response_created, response_done, transcribed

PATIENCE_S = 600.0
"""A time in seconds that is longer than any chain of deadlines."""

TALK_S = 0.9
TALKS = 150
"""The number of microphone frames after a question, and the seconds between two of them."""

MAX_FIRED = 3_000
"""The most deadlines within which a session has to come to rest."""

LOSSES = (
    Loss(kind=LossKind.CLOSED, code=1000),
    Loss(kind=LossKind.CLOSED, code=1006),
    Loss(kind=LossKind.CLOSED, code=1013),
    Loss(kind=LossKind.HTTP, code=429),
    Loss(kind=LossKind.NOT_DIALLED, cause="dial"),
)
GONE = ConnectionClosed(ending=Ending.RESET, code=1006)
EARLY_SESSIONS = ("session.created", "session.updated")
COME_UP = (
    ("report",),
    ("open", 0),
    *(("upstream", 0, orjson.dumps({"type": kind, "session": {}}).decode()) for kind in EARLY_SESSIONS),
)
"""The steps by which an abandoned upstream is reported lost, and the next one becomes ready."""

SPEECH = (
    {"type": "input_audio_buffer.speech_started", "item_id": "well", "audio_start_ms": 0},
    {"type": "input_audio_buffer.speech_stopped", "item_id": "well", "audio_end_ms": 900},
    {"type": "input_audio_buffer.committed", "item_id": "well"},
    item_added("well", content=[{"type": "input_audio"}]),
    transcribed("", "u"),
    transcribed("Well?", "well"),
)
"""The events of a spoken question. The transcript of an earlier noise comes before that of the question."""

ANSWERING = ("create_response", "interrupt_response")

ENDS = ("speech", "silence", "question", "question", "question while talking", "next upstream", "hang up", "drain")

OPTIONS = (
    {},
    {},
    {"g711": (True,)},
    {"turn_detection": "manual"},
    {"interrupted_answer": "stop"},
    {"is_configured_outside": True},
    {"early_messages": 2, "audio_ahead_s": 1.0, "ledger_tokens": 100},
)
"""The options of sessions that differ from the defaults."""

GREETED = {**SETTINGS, "agent": {**SETTINGS["agent"], "greeting": "Welcome."}}
MANUAL = {**SETTINGS, "agent": {**SETTINGS["agent"], "turn_detection": "manual"}}
OWN = {"type": "session.update", "session": {"type": "realtime"}}
FIRST = {"openai": (SETTINGS, SETTINGS, GREETED, MANUAL, OWN, OWN), "converse": (SETTINGS, SETTINGS, GREETED, MANUAL)}
"""The messages that open a session, by profile."""


class StuckError(AssertionError):
    """A question was not answered in time, and the session did not end."""


_ABSENT = object()


def _within(value, *keys):
    """Return a field of nested objects, or `_ABSENT`."""
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return _ABSENT
        value = value[key]
    return value


class World:
    """A session, its engine, and the time."""

    max_fired = MAX_FIRED

    def __init__(self, profile, how):
        tools = (Function(name="order"),)
        options = session_options(tools=tools, is_reported=True, **OPTIONS[how])
        self.session = Session("s", PROFILES[profile], options)
        self.now_s = 1000.0
        self.due_s = {}
        self.working = []
        self.opened, self.dialled, self.abandoned = set(), {}, {}
        self.has_ended = False
        self.texts = []
        self.detects = {}
        """Whether each upstream has to detect turns and answer them."""
        self.to_upstream = []
        self.longest_s = 0.0
        self.upstream = None
        """The good upstream, or None before there is one."""

    def handle(self, message):
        """Feed an input, and perform the commands."""
        if self.has_ended:
            return
        began_s = time.thread_time()
        commands = self.session.handle(message, self.now_s)
        self.longest_s = max(self.longest_s, time.thread_time() - began_s)
        for command in commands:
            assert not self.has_ended or isinstance(command, messages.Log), f"{command} after the end"
            self._perform(command)

    def _perform(self, command):
        match command:
            case messages.StartTimer(name, delay_s):
                assert 0 <= delay_s < 1e6, command
                self.due_s[name] = self.now_s + delay_s
            case messages.CancelTimer(name):
                self.due_s.pop(name, None)
            case messages.StartWork(key):
                assert key not in self.working, f"{key} runs twice"
                self.working.append(key)
            case messages.CancelWork(key):
                self.working.remove(key)
            case messages.OpenUpstream(generation):
                assert generation not in self.dialled, command
                self.dialled[generation] = command
            case messages.CloseUpstream(generation):
                self._forget(generation)
            case messages.AbandonUpstream(generation, loss):
                assert generation in self.dialled, f"{command} to none"
                self.abandoned[generation] = loss
            case messages.SendToUpstream(frame, generation, is_binary):
                assert generation in self.dialled, f"{frame[:100]} to none"
                if not is_binary:
                    self._send(orjson.loads(frame), generation)
            case messages.SendToClient(str() as frame):
                self.texts.append(self.read(frame))
            case messages.SendToClient(bytes()):
                self.texts.append({"type": "audio"})
            case messages.EndSession():
                self.has_ended = True

    def _send(self, event, generation):
        detection = _within(event, "session", "audio", "input", "turn_detection")
        if event.get("type") == "session.update" and detection is not _ABSENT:
            is_whole = isinstance(detection, dict) and detection.get("type") in ("server_vad", "semantic_vad")
            self.detects[generation] = is_whole and all(detection.get(it) is True for it in ANSWERING)
        if self.upstream is not None:
            self.upstream.take(event, generation)

    def read(self, frame):
        """Return the message in a frame to the client."""
        return orjson.loads(frame)

    def result_of(self, _key):
        """Return the result of finished work."""
        return "done"

    def _position(self, _generation):
        """Return the position of an upstream in the list of upstreams."""
        return 0

    def _forget(self, generation):
        self.dialled.pop(generation, None)
        self.opened.discard(generation)
        self.abandoned.pop(generation, None)

    # The engine.

    def open(self, generation):
        """Report that a dial has succeeded."""
        if generation in self.dialled and generation not in self.opened | set(self.abandoned):
            self.opened.add(generation)
            self.handle(messages.UpstreamOpened(generation, self._position(generation), 1_700_000_000.0 + self.now_s))

    def lose(self, generation, loss, decision=None):
        """Report a loss, with a verdict of the policy."""
        if generation not in self.dialled:
            return
        command = self.dialled[generation]
        self._forget(generation)
        if decision is None:
            decision = next(decision for _, applies, decision in POLICY if applies(loss))
        if command.is_standby and decision is Decision.LEAVE:
            decision = Decision.RESTART
        self.handle(messages.UpstreamLost(generation, loss, Verdict(decision=decision)))

    def fire(self, name):
        """Let a deadline expire."""
        if self.due_s.pop(name, None) is not None:
            self.handle(messages.TimerFired(name))

    def advance(self, until_s):
        """Let time pass, in which only deadlines expire."""
        for _ in range(self.max_fired):
            name = min(self.due_s, key=self.due_s.__getitem__, default=None)
            if self.has_ended or name is None or self.due_s[name] > until_s:
                self.now_s = max(self.now_s, until_s)
                return
            self.now_s = max(self.now_s, self.due_s[name])
            self.fire(name)
        raise StuckError(f"deadlines without an end: {sorted(self.due_s)}")

    def settle(self, until_s):
        """Let time pass. Deadlines expire, abandoned upstreams are reported lost, work fails, and dials succeed."""
        for _ in range(self.max_fired):
            if self.has_ended:
                return
            if self.abandoned:
                generation, loss = next(iter(self.abandoned.items()))
                self.lose(generation, loss, Decision.RESTART)
                continue
            if self.working:
                failure = messages.WorkFailure(messages.WorkFailureKind.TIMED_OUT)
                self.handle(messages.WorkDone(self.working.pop(0), failure=failure))
                continue
            if self.upstream is not None and self.upstream.act():
                continue
            name = min(self.due_s, key=self.due_s.__getitem__, default=None)
            if name is None or self.due_s[name] > until_s:
                self.now_s = max(self.now_s, until_s)
                return
            self.now_s = max(self.now_s, self.due_s[name])
            self.fire(name)
        raise StuckError(f"the session does not come to rest: {sorted(self.due_s)}")


class GoodUpstream:
    """An upstream that acknowledges everything and answers each request, from now on."""

    def __init__(self, world):
        self._world = world
        self._numbers = itertools.count()
        self._agenda = []
        self._greeted = set(world.opened)
        self._answering = {}

    def act(self):
        """Take one step. Return whether there was one."""
        world = self._world
        for generation in sorted(world.dialled):
            if generation not in world.opened and generation not in world.abandoned:
                world.open(generation)
                return True
            if generation not in self._greeted:
                self._greeted.add(generation)
                self._say(generation, {"type": "session.created", "session": {}})
                return True
        if not self._agenda:
            return False
        generation, event = self._agenda.pop(0)
        self._say(generation, event)
        return True

    def _say(self, generation, event):
        if generation in self._world.opened and generation not in self._world.abandoned:
            self._world.handle(messages.UpstreamTextReceived(generation, orjson.dumps(event).decode()))

    def take(self, event, generation):
        """Answer an event of the session."""
        said = []
        match event["type"]:
            case "session.update":
                said = [{"type": "session.updated", "session": {}}]
            case "conversation.item.create":
                item = event["item"] if isinstance(event.get("item"), dict) else {}
                said = [{"type": "conversation.item.added", "item": {"type": "message", "role": "user", **item}}]
            case "input_audio_buffer.commit":
                number = next(self._numbers)
                said = [
                    {"type": "input_audio_buffer.committed", "item_id": f"speech_{number}"},
                    item_added(f"speech_{number}", content=[{"type": "input_audio"}]),
                    {
                        "type": "conversation.item.input_audio_transcription.completed",
                        "item_id": f"speech_{number}",
                        "transcript": "Yes.",
                    },
                ]
            case "response.create":
                said = self._answer(event)
        self._agenda += [(generation, it) for it in said]

    def _answer(self, event):
        number = next(self._numbers)
        response_id, item_id = f"good_{number}", f"good_item_{number}"
        given = event.get("response") if isinstance(event.get("response"), dict) else {}
        created = response_created(response_id)
        if given.get("metadata") is not None:
            created["response"]["metadata"] = given["metadata"]
        item = {"id": item_id, "type": "message", "role": "assistant"}
        text = {"response_id": response_id, "item_id": item_id}
        return [
            created,
            {"type": "response.output_item.added", "response_id": response_id, "item": item},
            {"type": "response.output_audio_transcript.delta", **text, "delta": f"Good {number}."},
            delta(bytes(4800), response_id),
            {"type": "response.output_audio_transcript.done", **text, "transcript": f"Good {number}."},
            response_done(response_id),
        ]


def _is_answered(texts):
    """Whether the client has an answer, as text or as audio."""
    return any(it["type"] == "audio" or it.get("role") == "assistant" for it in texts)


class Conversation:
    """A target: any inputs to a session, and then silence, or a question to a good upstream."""

    name = "session"

    def __init__(self):
        self.longest_s = 0.0
        """The longest call of `handle` in all conversations, in seconds."""

    # A step is a tuple of texts and numbers: it is printed as the reproduction.

    def draw(self, random):
        profile = random.choice(("openai", "converse"))
        steps = [("profile", profile, random.randrange(len(OPTIONS))), ("client opened",)]
        if random.random() < 0.95:
            first = random.choice(FIRST[profile])
            text = orjson.dumps(first).decode()
            if random.random() < 0.3:
                odd = mutations.mutated(random.choice(seeds.SETTINGS_OF_ALL_KINDS), random)
                text = mutations.text_of(odd, random)
            steps += [("client", text), *COME_UP]
        for _ in range(random.choice((5, 30, 100, 200))):
            steps.append(self._step(random))
            # An engine dials, and an upstream begins, by themselves.
            if steps[-1][0] in ("lose", "fire") and random.random() < 0.7:
                steps += COME_UP
        return [
            *steps,
            ("end", random.choice(ENDS)),
        ]

    def _step(self, random):
        match random.choices(range(9), (18, 40, 8, 14, 6, 5, 3, 6, 2))[0]:
            case 0:
                return "client", self._text(seeds.CLIENT, random)
            case 1:
                return "upstream", random.choice((0, 0, 0, 0, 0, 1, 2)), self._text(seeds.UPSTREAM, random)
            case 2:
                return "audio", random.choice((0, 1, 960, 4800))
            case 3:
                return "fire", random.randrange(100)
            case 4:
                return "lose", random.choice((0, 0, 0, 1)), random.randrange(len(LOSSES))
            case 5:
                return "open", random.choice((0, 0, 1))
            case 6:
                return "work", random.randrange(3)
            case 7:
                return "pass", random.choice((0.01, 0.3, 1.0, 20.0))
            case 8:
                return (random.choice(("caught up", "caught up", "overflowed", "binary", "drain")),)

    def _text(self, corpus, random):
        message = random.choice(corpus)
        if random.random() < 0.5:
            return orjson.dumps(message).decode()
        return mutations.text_of(mutations.mutated(message, random), random)

    def size(self, steps):
        """Return the number of inputs."""
        return len(steps)

    def check(self, steps):
        begin, *others = steps
        world = self.world(begin)
        for step in others:
            getattr(self, f"_take_{step[0].replace(' ', '_')}")(world, *step[1:])
        self.longest_s = max(self.longest_s, world.longest_s)

    def world(self, step):
        """Return the world that the first step of a conversation describes."""
        _, profile, how = step
        return World(profile, how)

    def _take_client_opened(self, world):
        world.handle(messages.ClientOpened())

    def _take_client(self, world, text):
        world.handle(messages.ClientTextReceived(text))

    def _take_audio(self, world, size):
        world.handle(messages.ClientBinaryReceived(bytes(size)))

    def _take_upstream(self, world, back, text):
        generation = self._generation(world, back)
        if generation in world.opened and generation not in world.abandoned:
            world.handle(messages.UpstreamTextReceived(generation, text))

    def _take_fire(self, world, number):
        # Those that are due before it fire first: time has one direction.
        due_s = sorted(world.due_s.values())
        if due_s:
            world.advance(due_s[number % len(due_s)])

    def _take_lose(self, world, back, number):
        if world.abandoned:
            generation, loss = next(iter(world.abandoned.items()))
            world.lose(generation, loss)
        else:
            world.lose(self._generation(world, back), LOSSES[number])

    def _take_report(self, world):
        if world.abandoned:
            self._take_lose(world, 0, 0)

    def _take_open(self, world, back):
        world.open(self._generation(world, back))

    def _take_work(self, world, number):
        if world.working:
            key = world.working.pop(0)
            failure = messages.WorkFailure(messages.WorkFailureKind.REFUSED) if number == 1 else None
            world.handle(messages.WorkDone(key, world.result_of(key) if failure is None else None, failure))

    def _take_caught_up(self, world):
        world.handle(messages.ClientCaughtUp())

    def _take_overflowed(self, world):
        world.handle(messages.ClientOverflowed(1000))

    def _take_binary(self, world):
        generation = self._generation(world, 0)
        if generation in world.opened and generation not in world.abandoned:
            world.handle(messages.UpstreamBinaryReceived(generation, b"x"))

    def _take_drain(self, world):
        world.handle(messages.DrainBegan(30.0))

    def _take_pass(self, world, duration_s):
        world.advance(world.now_s + duration_s)

    def _generation(self, world, back):
        newest_first = sorted(world.dialled, reverse=True)
        return newest_first[back] if back < len(newest_first) else -1

    # The end.

    def _take_end(self, world, how):
        if world.has_ended:
            return
        getattr(self, f"_end_with_{how.replace(' ', '_')}")(world)

    def _end_with_silence(self, world):
        world.settle(world.now_s + PATIENCE_S)

    def _end_with_hang_up(self, world):
        world.handle(messages.ClientClosed(GONE))
        assert world.has_ended, "a session outlives its client"

    def _end_with_drain(self, world):
        world.handle(messages.DrainBegan(30.0))
        world.upstream = GoodUpstream(world)
        world.settle(world.now_s + PATIENCE_S)
        assert world.has_ended, "a drain has no end"

    def _end_with_question_while_talking(self, world):
        self._end_with_question(world, microphone=bytes(4800))

    def _end_with_speech(self, world):
        """Commit speech at an upstream that then sends nothing except the late transcript of an earlier noise."""
        generation = world.session.state.upstream.generation
        if world.session.state.lifecycle is not Lifecycle.READY or not world.detects.get(generation):
            return
        said = len(world.texts)
        for event in SPEECH:
            if world.has_ended or generation not in world.opened or generation in world.abandoned:
                return
            world.handle(messages.UpstreamTextReceived(generation, orjson.dumps(event).decode()))
        world.upstream = GoodUpstream(world)
        world.settle(world.now_s + PATIENCE_S)
        if not world.has_ended and not _is_answered(world.texts[said:]):
            raise StuckError(f"speech has no answer: {world.session.describe()}, waits {sorted(world.due_s)}")

    def _end_with_next_upstream(self, world):
        for generation in sorted(world.dialled):
            world.lose(generation, LOSSES[0], Decision.RESTART)
        self._end_with_question(world)

    def _end_with_question(self, world, microphone=b""):
        world.upstream = GoodUpstream(world)
        if world.session.state.lifecycle is Lifecycle.AWAITING_SETTINGS:
            world.handle(messages.ClientTextReceived(orjson.dumps(SETTINGS).decode()))
        world.settle(world.now_s + 1.0)
        said = len(world.texts)
        world.handle(messages.ClientTextReceived('{"type":"InjectUserMessage","content":"Well?"}'))
        refused = {it.get("code") for it in world.texts[said:] if it["type"] == "Error"}
        for _ in range(TALKS if microphone else 0):
            world.handle(messages.ClientBinaryReceived(microphone))
            world.settle(world.now_s + TALK_S)
        world.settle(world.now_s + PATIENCE_S)
        if world.has_ended or refused:
            return
        if not _is_answered(world.texts[said:]):
            facts = world.session.describe()
            raise StuckError(f"the question has no answer after {PATIENCE_S:g} s: {facts}, waits {sorted(world.due_s)}")
