"""Random calls of two backends, with losses and deaths: each question is seen once, and the last one is answered."""

import itertools
import json

import pytest
from hypothesis import given, settings, strategies

from tests.router.fronts.failover.test_machine import answers
from tests.support.machine.two_backends import DEEPGRAM, OPENAI, TwoBackends
from tests.support.processes.further import examples

ACTIONS = ("ask", "ask at a death", "serve", "answer", "lose", "die", "move")
STEPS = strategies.lists(strategies.sampled_from(ACTIONS), min_size=4, max_size=14)
ORDERS = strategies.lists(strategies.sampled_from([OPENAI, DEEPGRAM]), min_size=1, max_size=4)


class Walk:
    """One call, and the two backends as far as a call needs them."""

    def __init__(self, front, order):
        self.call = TwoBackends(front).settles()
        self._order = itertools.cycle(order)
        self._position = None
        """The backend of the upstream in use; None while it is dialled."""
        self._owed = []
        """The questions that the upstream in use has to answer."""
        self.asked, self.seen, self.answered = [], [], []
        self._texts = {}

    def act(self, action):
        match action:
            case "ask":
                self._ask(lambda frame: self.call.says(frame["type"], content=frame["content"]))
            case "ask at a death":
                self._ask(lambda frame: self._leave(journal=[json.dumps(frame)]))
            case "serve" if self._position is None:
                self._position = next(self._order)
                self.call.opens(self._position)
                if self._position == DEEPGRAM:
                    self.call.hears("Welcome", request_id="r")
                else:
                    self.call.hears("session.created")
            case "answer" if self._owed:
                self._answer(self._owed.pop(0))
            case "lose":
                self.call.loses()
                self._position, self._owed = None, []
            case "die" | "move":
                self._leave(is_planned=action == "move")
        self._run()

    def _ask(self, send):
        frame = {"type": "InjectUserMessage", "content": f"Question {len(self.asked)}?"}
        self.asked.append(frame["content"])
        send(frame)

    def _leave(self, **how):
        self._note()
        self.call.moved(**how)
        self._position, self._owed = None, []

    def _note(self):
        frames, self.call.client = self.call.client, []
        for frame in frames:
            if frame["type"] == "ConversationText":
                (self.seen if frame["role"] == "user" else self.answered).append(frame["content"])

    def _run(self):
        """Let the upstream in use take all that it was sent."""
        while self.call.upstream and self._position is not None:
            frame = self.call.upstream.pop(0)
            match frame["type"]:
                case "Settings":
                    self.call.hears("SettingsApplied")
                case "session.update":
                    self.call.hears("session.updated")
                case "InjectUserMessage":
                    self.call.hears("ConversationText", role="user", content=frame["content"])
                    self._owed.append(frame["content"])
                case "conversation.item.create":
                    self.call.hears("conversation.item.added", item=frame["item"])
                    if frame["item"].get("role") == "user":
                        self._newest = frame["item"]["content"][0]["text"]
                case "response.create":
                    self._owed.append(self._newest)
        self._note()

    def _answer(self, question):
        if self._position == DEEPGRAM:
            self.call.hears("ConversationText", role="assistant", content=f"Answer to {question}").hears(
                "AgentAudioDone"
            )
        else:
            answers(self.call, f"Answer to {question}")

    def rest(self):
        """Serve the call without further faults until nothing is owed."""
        for _ in range(2 * len(ACTIONS) + 2 * len(self.asked)):
            self.act("serve")
            self.act("answer")


@pytest.mark.parametrize("front", ["converse", "deepgram"])
@settings(max_examples=examples(25), deadline=None)
@given(order=ORDERS, steps=STEPS)
def test_each_question_is_seen_once_and_the_last_one_is_answered(front, order, steps):
    walk = Walk(front, order)
    for action in steps:
        walk.act(action)
    walk.act("ask")
    walk.rest()
    assert walk.seen == walk.asked
    assert walk.answered[-1:] == [f"Answer to {walk.asked[-1]}"]
