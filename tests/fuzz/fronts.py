"""The target `fronts`: the machines of the other routes, and the guard around each kind of machine.

Their inputs are those of the target `session`, except that the upstream of a Deepgram route sends its own messages. A
conversation ends in silence, after which the machine comes to rest, or the client hangs up.
"""

import orjson

from actors import messages
from router.config.guard import Guard, Rule
from router.fronts.as_openai.machine import TwoBackendRelay
from router.fronts.deepgram_agent.guarded import DeepgramDialect
from router.fronts.deepgram_agent.machine import DeepgramRelay
from router.fronts.failover.deepgram_settings import for_deepgram
from router.fronts.realtime.guarded import RealtimeDialect
from router.guard.inputs import KEY
from router.guard.machine import GuardedMachine
from router.guard.relay import GuardedRelay
from router.guard.rules import judge
from router.session.machine import Session
from router.session.profile import PROFILES
from tests.fuzz import mutations, seeds
from tests.fuzz.conversations import COME_UP, FIRST, OWN, Conversation, World
from tests.support.machine.options import session_options
from tests.support.machine.realtime_world import make_relay

GUARD = Guard(rules=(Rule(expression="parcel|Hello", action="replace"), Rule(expression="order", action="block")))
FOR_AGENT = [
    {"type": "Welcome", "request_id": "r"},
    {"type": "SettingsApplied"},
    {"type": "ConversationText", "role": "user", "content": "Where is my parcel?"},
    {"type": "ConversationText", "role": "assistant", "content": "Hello. It is on its way."},
    {"type": "History", "role": "assistant", "content": "Hello."},
    {"type": "UserStartedSpeaking"},
    {"type": "AgentThinking", "content": "Hm."},
    {"type": "AgentStartedSpeaking", "total_latency": 0.5, "tts_latency": 0.1, "ttt_latency": 0.4},
    {"type": "AgentAudioDone"},
    {"type": "FunctionCallRequest", "functions": [{"id": "c", "name": "f", "arguments": "{}", "client_side": True}]},
    {"type": "FunctionCallResponse", "id": "c", "name": "f", "content": "done"},
    {"type": "PromptUpdated"},
    {"type": "SpeakUpdated"},
    {"type": "InjectionRefused", "message": "no"},
    {"type": "Warning", "code": "W", "description": "oh"},
    {"type": "Error", "code": "E", "description": "oh"},
]
"""Messages of Deepgram's Voice Agent to its client."""


def _session(profile="openai"):
    return Session("s", PROFILES[profile], session_options())


FRONTS = {
    "realtime": (make_relay, seeds.UPSTREAM),
    "realtime with a guard": (
        lambda: GuardedRelay(make_relay(), GUARD, "s", RealtimeDialect()),
        seeds.UPSTREAM,
    ),
    "session with a guard": (lambda: GuardedMachine(_session(), GUARD, "s"), seeds.UPSTREAM),
    "converse with a guard": (lambda: GuardedMachine(_session("converse"), GUARD, "s"), seeds.UPSTREAM),
    "two backends": (
        lambda: TwoBackendRelay(make_relay(), 1, lambda it: for_deepgram(it, {}, 24_000)),
        [*seeds.UPSTREAM, *FOR_AGENT],
    ),
    "deepgram": (lambda: DeepgramRelay(session_options()), FOR_AGENT),
    "deepgram with a guard": (
        lambda: GuardedRelay(DeepgramRelay(session_options()), GUARD, "s", DeepgramDialect()),
        FOR_AGENT,
    ),
}
"""The machine and the messages of its upstream, by the name of the front."""


class FrontWorld(World):
    """A machine of a front, its engine, and the time."""

    max_fired = 10_000  # Deepgram gets a KeepAlive every few seconds

    def __init__(self, front):
        super().__init__("openai", 0)
        self.session = FRONTS[front][0]()
        self.checks = {}
        """The texts that the guard checks, by the key of the work."""

    def _perform(self, command):
        if isinstance(command, messages.StartWork) and command.key.startswith(KEY):
            self.checks[command.key] = command.work
        super()._perform(command)

    def _position(self, generation):
        # An upstream of two backends is OpenAI's at first, and then Deepgram's.
        return (generation + 1) % 2

    def read(self, frame):
        # A relay passes a message on that it does not read, whatever the upstream sent.
        return {"type": "text", "frame": frame}

    def result_of(self, key):
        """Return the result of finished work."""
        return judge(GUARD.rules, self.checks.pop(key)) if key in self.checks else "done"


class Fronts(Conversation):
    """A target: any inputs to the machine of a front, and then silence, or the client hangs up."""

    name = "fronts"

    def draw(self, random):
        front = random.choice(sorted(FRONTS))
        steps = [("front", front), ("client opened",)]
        first = random.choice([*FIRST["converse"], OWN])
        steps += [("client", orjson.dumps(first).decode()), *COME_UP]
        if FRONTS[front][1] is not seeds.UPSTREAM:
            steps += [("upstream", 0, orjson.dumps(it).decode()) for it in FOR_AGENT[:2]]
        corpus = FRONTS[front][1]
        for _ in range(random.choice((5, 30, 100, 200))):
            step = self._step(random)
            if step[0] == "upstream":
                text = mutations.text_of(mutations.mutated(random.choice(corpus), random), random)
                step = ("upstream", step[1], text) if random.random() < 0.5 else self._whole(corpus, step[1], random)
            steps.append(step)
            if step[0] in ("lose", "fire") and random.random() < 0.7:
                steps += COME_UP
        return [*steps, ("end", random.choice(("silence", "hang up")))]

    def _whole(self, corpus, back, random):
        return "upstream", back, orjson.dumps(random.choice(corpus)).decode()

    def world(self, step):
        return FrontWorld(step[1])
