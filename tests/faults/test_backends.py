"""Random faults of both backends during one call: each question is answered once, or the call ends with an `Error`."""

import random
import time

import pytest

from router.simulator import Fault, FaultAction, FaultPoint
from tests.sockets.test_two_backends import AUDIO, THINK, WEATHER, place, texts
from tests.support.processes.further import further

pytestmark = pytest.mark.slow

SHARED = (
    *(FaultPoint.CONNECT, FaultPoint.SESSION_UPDATE, FaultPoint.SESSION_UPDATED, FaultPoint.ITEM_CREATE),
    *(FaultPoint.ITEM_ACKED, FaultPoint.MID_AUDIO, FaultPoint.BEFORE_RESPONSE_DONE, FaultPoint.FUNCTION_CALL),
    *(FaultPoint.FUNCTION_OUTPUT, FaultPoint.BETWEEN_TURNS),
)
POINTS = {
    "openai": (*SHARED, FaultPoint.RESPONSE_CREATE, FaultPoint.RESPONSE_CREATED, FaultPoint.MID_TRANSCRIPT),
    "deepgram": (*SHARED, FaultPoint.MID_TEXT),
}
QUESTIONS = ("My name is Ada", "I like tea", "What is the weather in Paris?", "And the sea", "Ships are big")
PATIENCE_S = 20.0
LOOK_S = 0.01


def faults(chance, backend):
    """Return faults of one backend: single ones, and often the end of all its connections for a while."""
    found = [
        Fault(point=chance.choice(POINTS[backend]), action=FaultAction.CLOSE, code=1011, skip=chance.randrange(9))
        for _ in range(chance.randrange(4))
    ]
    if chance.random() < 0.6:
        lasts = {"skip": chance.randrange(4), "times": chance.choice((2, 3, 5, 0))}
        found.append(Fault(point=FaultPoint.CONNECT, action=FaultAction.RESET, **lasts))
    return tuple(found)


class Caller:
    """A client that asks, and runs the function."""

    def __init__(self, client):
        self.client = client
        self._run = set()

    @property
    def is_closed(self):
        return self.client.close_code is not None

    def ask(self, question):
        """Ask, and wait for the end of the answer or of the call."""
        before = len(texts(self.client, "assistant"))
        self.client.send("InjectUserMessage", content=question)
        ends_s = time.monotonic() + PATIENCE_S
        while not (self.is_closed or self._is_answered(before)):
            assert time.monotonic() < ends_s, f"{question} is not answered: {self.client.received.types[-25:]}"
            self._run_functions()
            time.sleep(LOOK_S)

    def _is_answered(self, before):
        frames = [it for it in self.client.received.frames if isinstance(it, dict)]
        kinds = [it["type"] for it in frames if it["type"] in ("ConversationText", "AgentAudioDone")]
        return len(texts(self.client, "assistant")) > before and kinds[-1] == "AgentAudioDone"

    def _run_functions(self):
        for request in self.client.received.of("FunctionCallRequest"):
            for function in request["functions"]:
                if function["id"] not in self._run:
                    self._run.add(function["id"])
                    answer = {"id": function["id"], "name": function["name"], "content": "it is sunny"}
                    self.client.send("FunctionCallResponse", **answer)


@pytest.mark.parametrize("seed", [*range(4), *(further(seed) for seed in range(4, 60))])
def test_each_question_is_answered_once_whatever_the_backends_do(seed):
    chance = random.Random(seed)  # noqa: S311
    given = {f"{backend}_faults": faults(chance, backend) for backend in POINTS}
    questions = [chance.choice(QUESTIONS) for _ in range(4)]
    with place(**given) as here, here.calling(chance.choice(("", "/deepgram"))) as client:
        client.send("Settings", audio=AUDIO, agent={"think": {**THINK, "functions": [WEATHER]}})
        caller = Caller(client)
        client.wait_until("answer", lambda: "SettingsApplied" in client.received.types or caller.is_closed)
        for question in questions:
            if not caller.is_closed:
                caller.ask(question)
        types = client.received.types
        assert (types.count("Welcome"), types.count("SettingsApplied")) in ((1, 1), (1, 0), (0, 0))
        if caller.is_closed:
            assert types.count("Error") == 1
        else:
            assert texts(client, "user") == questions
