"""A session of the simulated Voice Agent."""

import json

import pytest

from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from router.simulator.commands import Close, Hang, Pause, Reset, Send, SendBinary, SendRaw, StartTimer
from router.simulator.deepgram.session import ANSWER_TIMER, EXPIRY_TIMER, DeepgramSession
from router.simulator.faults import FaultPlan

SETTINGS = {"type": "Settings", "audio": {"input": {"encoding": "linear16", "sample_rate": 8000}}, "agent": {}}
LOUD, QUIET = b"\x00\x20" * 1600, b"\x00\x00" * 8000


class Talk:
    """A session, and its commands."""

    def __init__(self, *faults, transcripts=()):
        self.observed = []
        scripted = list(transcripts)
        self.session = DeepgramSession(
            SimulatorConfig(pace=0),
            FaultPlan(faults),
            lambda: scripted.pop(0) if scripted else None,
            number=1,
            observe=self.observed.append,
        )
        self.commands = self.session.open()

    def send(self, kind, **fields):
        self.commands = self.session.receive(json.dumps({"type": kind, **fields}))
        return self.run()

    def begin(self, **agent):
        return self.send("Settings", audio=SETTINGS["audio"], agent=agent)

    def hear(self, data):
        self.commands = self.session.receive_binary(data)
        return self.run()

    def run(self):
        """Let the timers of the answer fire, and return the types of what was sent."""
        at = 0
        while at < len(self.commands):
            if self.commands[at] == StartTimer(ANSWER_TIMER, 0.0):
                self.commands += self.session.fire(ANSWER_TIMER)
            at += 1
        return self.types

    @property
    def events(self):
        return [command.event for command in self.commands if isinstance(command, Send)]

    @property
    def types(self):
        return [event["type"] for event in self.events]


def test_a_client_is_welcomed_and_greeted():
    talk = Talk()
    assert talk.types == ["Welcome"]
    assert talk.begin(greeting="Hello. Well.") == [
        "SettingsApplied",
        *["ConversationText", "History"] * 2,
        "AgentAudioDone",
    ]
    assert any(isinstance(command, SendBinary) for command in talk.commands)


def test_a_text_is_answered_and_the_context_is_remembered():
    talk = Talk()
    context = {"messages": [{"type": "History", "role": "user", "content": "I like tea"}]}
    talk.begin(context=context)
    types = talk.send("InjectUserMessage", content="What do you remember?")
    assert types[:4] == ["ConversationText", "History", "ConversationText", "History"]
    assert talk.events[2]["content"] == "You said before: I like tea."


def test_speech_is_a_turn_and_interrupts_the_agent():
    talk = Talk(transcripts=["Good morning"])
    talk.begin()
    assert talk.hear(LOUD) == ["UserStartedSpeaking"]
    assert talk.hear(QUIET)[0] == "ConversationText"
    assert talk.events[0]["content"] == "Good morning"
    talk.commands = talk.session.receive(json.dumps({"type": "InjectUserMessage", "content": "more"}))
    talk.commands = talk.session.receive_binary(LOUD)
    assert talk.types == ["UserStartedSpeaking", "AgentAudioDone"]


def test_a_function_is_called_and_its_output_is_repeated():
    talk = Talk()
    talk.begin(think={"functions": [{"name": "get_weather"}]})
    assert talk.send("InjectUserMessage", content="How is the weather?")[-1] == "FunctionCallRequest"
    (call,) = talk.events[-1]["functions"]
    assert talk.send("FunctionCallResponse", id="other", name="x", content="") == []
    types = talk.send("FunctionCallResponse", id=call["id"], name="get_weather", content="Sunny")
    assert types[:2] == ["History", "ConversationText"]
    assert talk.events[1]["content"] == "Here is what I found: Sunny"


def test_updates_are_acknowledged_and_history_can_be_switched_off():
    talk = Talk()
    talk.commands = talk.session.receive(json.dumps(SETTINGS | {"flags": {"history": False}}))
    assert talk.send("UpdatePrompt", prompt="x") == ["PromptUpdated"]
    assert talk.send("UpdateThink", think={"functions": [{"name": "look"}]}) == ["ThinkUpdated"]
    assert talk.send("InjectUserMessage", content="look") == ["ConversationText", "FunctionCallRequest"]
    assert talk.send("KeepAlive") == []
    assert talk.send("InjectAgentMessage", message="Hm") == ["ConversationText", "AgentAudioDone"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no JSON", "UNPARSABLE_CLIENT_MESSAGE"),
        ('{"type":"KeepAlive"}', "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"),
        ('{"type":"Settings","audio":{},"agent":{"x":1}}', "UNPARSABLE_CLIENT_MESSAGE"),
    ],
)
def test_a_mistake_is_fatal_and_closes_without_a_code(text, code):
    talk = Talk()
    talk.commands = talk.session.receive(text)
    assert talk.events[0]["code"] == code
    assert talk.commands[-1] == Close(1005, "")
    assert talk.session.receive(json.dumps(SETTINGS)) == []


def test_a_second_settings_is_fatal_and_so_is_the_end_of_the_session_s_time():
    talk = Talk()
    talk.begin()
    assert talk.begin() == ["Error"]
    other = Talk()
    other.commands = other.session.fire(EXPIRY_TIMER)
    assert other.events[0]["code"] == "MAXIMUM_SESSION_LENGTH_REACHED"


@pytest.mark.parametrize(
    ("action", "command"),
    [
        (FaultAction.CLOSE, Close(1011, "")),
        (FaultAction.RESET, Reset()),
        (FaultAction.HANG, Hang()),
        (FaultAction.MALFORMED, SendRaw("{")),
        (FaultAction.DELAY, Pause(0.5)),
    ],
)
def test_a_fault_happens_at_its_point(action, command):
    talk = Talk(Fault(point=FaultPoint.MID_TEXT, action=action, code=1011, text="{", delay_s=0.5))
    talk.begin(greeting="Hello.")
    assert command in talk.commands


def test_a_request_can_be_swallowed_or_refused():
    talk = Talk(Fault(point=FaultPoint.SESSION_UPDATE, action=FaultAction.SWALLOW))
    assert talk.begin() == []
    other = Talk(Fault(point=FaultPoint.ITEM_CREATE, action=FaultAction.ERROR, error_code="FAILED_TO_THINK"))
    other.begin()
    assert other.send("InjectUserMessage", content="x") == ["Error"]
