"""Client messages in conversations: real sockets on both sides, the simulator as upstream."""

import math
from array import array

import pytest
from websockets.sync.client import connect

from router.audio.formats import LINEAR16_24K
from router.simulator import Fault, FaultAction, FaultPoint
from tests.support.machine.playbook import settings
from tests.support.processes.serving import apply_settings, receive_until, receive_until_audio, say, serving, simulating

pytestmark = pytest.mark.slow

GREETING = "Good morning, this is the garden centre. How can I help you?"
MS_PER_CHARACTER = 5
HUM = array("h", (int(9000 * math.sin(at / 20)) for at in range(LINEAR16_24K.rate))).tobytes()


@pytest.fixture
def simulator():
    with simulating(pace=0, ms_per_character=MS_PER_CHARACTER) as simulator:
        yield simulator


def texts(frames, role="assistant"):
    messages = [frame for frame in frames if isinstance(frame, dict) and frame["type"] == "ConversationText"]
    return [each["content"] for each in messages if each["role"] == role]


def kinds(frames):
    return ["audio" if isinstance(frame, bytes) else frame["type"] for frame in frames]


def audio_s(frames):
    return sum(len(frame) for frame in frames if isinstance(frame, bytes)) / 2 / LINEAR16_24K.rate


def spoken_s(text):
    return len(text) * MS_PER_CHARACTER / 1000


def assistant_items(simulator):
    """Wait for items of the assistant's in the conversation, and return their texts."""

    def items(connections):
        created = [event["item"] for it in connections for event in it.of_type("conversation.item.create")]
        return [item["content"][0]["text"] for item in created if item.get("role") == "assistant"]

    return simulator.wait_for(items)


def ask(client, question):
    say(client, type="InjectUserMessage", content=question)
    return receive_until(client, "AgentAudioDone")


def test_a_greeting_is_heard_and_remembered_once(simulator):
    with serving("converse", upstream=simulator.url) as (_, url), connect(url) as client:
        apply_settings(client, settings(greeting=GREETING))
        turn = receive_until(client, "AgentAudioDone")
        assert texts(turn) == [GREETING]
        assert kinds(turn).index("ConversationText") < kinds(turn).index("audio")
        assert audio_s(turn) == pytest.approx(spoken_s(GREETING), abs=0.01)
        assert assistant_items(simulator) == [GREETING]


def test_a_greeting_that_is_answered_before_it_was_heard_is_remembered_as_far_as_it_was(simulator):
    with serving("converse", upstream=simulator.url) as (_, url), connect(url) as client:
        apply_settings(client, settings(greeting=GREETING * 20))
        receive_until(client, "AgentAudioDone")
        assert 'I said: "Good' in texts(ask(client, "What did you say before?"))[0]
        whole, heard = assistant_items(simulator)
        assert whole == GREETING * 20
        assert whole.startswith(heard)


def test_a_greeting_whose_upstream_is_lost_over_it_is_heard_to_its_end(simulator):
    simulator.add_fault(Fault(point=FaultPoint.MID_AUDIO, action=FaultAction.RESET))
    with serving("converse", upstream=simulator.url) as (_, url), connect(url) as client:
        apply_settings(client, settings(greeting=GREETING))
        turn = receive_until(client, "AgentAudioDone")
        assert texts(turn) == [GREETING]
        assert kinds(turn).count("Warning") == 1
        assert audio_s(turn) >= spoken_s(GREETING) * 0.8
        assert assistant_items(simulator) == [GREETING]


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_injected_message_of_the_agent_is_heard_and_remembered(simulator, profile):
    with serving(profile, upstream=simulator.url) as (_, url), connect(url) as client:
        apply_settings(client)
        say(client, type="InjectAgentMessage", message="The roses are in.")
        turn = receive_until(client, "AgentAudioDone")
        assert texts(turn) == ["The roses are in."]
        assert audio_s(turn) == pytest.approx(spoken_s("The roses are in."), abs=0.01)
        assert assistant_items(simulator) == ["The roses are in."]


def test_an_injected_message_may_interrupt_and_may_be_refused(simulator):
    with serving("converse", upstream=simulator.url) as (_, url), connect(url) as client:
        apply_settings(client, settings(greeting=GREETING * 20))
        receive_until_audio(client)
        say(client, type="InjectAgentMessage", message="Now?")
        assert kinds(receive_until(client, "InjectionRefused"))[-1] == "InjectionRefused"
        say(client, type="InjectAgentMessage", message="Stop.", behavior="interrupt")
        receive_until(client, "UserStartedSpeaking")
        rest = receive_until(client, "ConversationText")
        assert texts(rest) == ["Stop."]


def test_a_prompt_that_is_added_is_obeyed_and_survives_a_restart(simulator):
    with serving("converse", upstream=simulator.url) as (_, url), connect(url) as client:
        apply_settings(client)
        say(client, type="UpdatePrompt", prompt='From now on say exactly: "Aye, captain."')
        receive_until(client, "PromptUpdated")
        assert texts(ask(client, "Are you there?")) == ["Aye, captain."]
        simulator.add_fault(Fault(point=FaultPoint.RESPONSE_CREATE, action=FaultAction.RESET))
        assert texts(ask(client, "And now?")) == ["Aye, captain."]


def test_functions_that_replace_others_are_called(simulator):
    tide = {"name": "get_tide", "description": "Tell the tide in a harbour"}
    with serving("converse", upstream=simulator.url) as (_, url), connect(url) as client:
        apply_settings(client)
        say(client, type="UpdateThink", think={"provider": {"type": "open_ai"}, "functions": [tide]})
        receive_until(client, "ThinkUpdated")
        say(client, type="InjectUserMessage", content="How is the tide in the harbour?")
        (call,) = receive_until(client, "FunctionCallRequest")[-1]["functions"]
        assert call["name"] == "get_tide"


def test_another_voice_after_the_first_audio_comes_with_another_upstream_that_knows_the_conversation(simulator):
    with serving("converse", upstream=simulator.url) as (router, url), connect(url) as client:
        apply_settings(client)
        ask(client, "My name is Ada.")
        say(client, type="UpdateSpeak", speak={"provider": {"type": "open_ai", "voice": "cedar"}})
        say(client, type="UpdatePrompt", prompt="Be kind.")
        receive_until(client, "PromptUpdated")
        receive_until(client, "SpeakUpdated")
        assert "Ada" in texts(ask(client, "What is my name?"))[0]
        (info,) = router.sessions()
        assert info.generation == 2


def test_the_listen_block_may_be_changed_at_any_time(simulator):
    with serving("converse", upstream=simulator.url) as (_, url), connect(url) as client:
        apply_settings(client)
        say(client, type="UpdateListen", listen={"provider": {"type": "deepgram", "language": "fr"}})
        assert kinds(receive_until(client, "ListenUpdated"))[-1] == "ListenUpdated"


@pytest.mark.parametrize("turn_detection", ["server_vad", "semantic_vad", "manual"])
def test_a_turn_that_the_client_ends_is_answered_without_a_silence(simulator, turn_detection):
    with serving(upstream=simulator.url, turn_detection=turn_detection) as (_, url), connect(url) as client:
        apply_settings(client)
        client.send(HUM)
        if turn_detection != "manual":
            receive_until(client, "UserStartedSpeaking")
        say(client, type="ForceEndTurn")
        turn = receive_until(client, "AgentAudioDone")
        assert len(texts(turn, "user")) == len(texts(turn)) == 1


def test_settings_may_name_an_agent_of_the_configuration_with_variables_in_the_url(simulator):
    agents = {"support": {"greeting": "Hello {{name}}.", "think": {"prompt": "You sell bread."}}}
    with serving("converse", upstream=simulator.url, agents=agents) as (_, url):
        with connect(f"{url}?name=Ada") as client:
            say(client, type="Settings", audio={}, agent="support")
            assert texts(receive_until(client, "AgentAudioDone")) == ["Hello Ada."]
            (update,) = simulator.connections[0].of_type("session.update")
            assert update["session"]["instructions"] == "You sell bread."
        with connect(url) as client:
            say(client, type="Settings", audio={}, agent="supprot")
            assert receive_until(client, "Error")[-1]["code"] == "INVALID_AGENT_ID"
