"""What a caller hears, transcribed and compared with the text: whole, interrupted, continued, and on the telephone."""

import os
import signal
import sys

import pytest

from router.audio.convert import converted
from router.audio.formats import LINEAR16_24K, Format, Recording
from router.config.model import Deadlines
from router.config.upstream import Upstream
from router.simulator import Fault, FaultAction, FaultPoint
from tests.support.clients.questioners import differing
from tests.support.clients.speech import words_of
from tests.support.clients.voice_agent import PATHS, voice_agent
from tests.support.clients.wire_client import WireClient
from tests.support.machine.playbook import SETTINGS
from tests.support.processes.children import router, workers_of
from tests.support.processes.serving import serving

pytestmark = [pytest.mark.voice, pytest.mark.alone]

PROFILES = pytest.mark.parametrize("profile", ["openai", "converse"])
TIMEOUT_S = 60.0
BYTES_PER_S = 48_000
TEXT = (
    "The captain looked at the sea and did not say a word. My name is Robert, and I live in a small house near the "
    "river. Every evening he climbed the stairs."
)
"""An answer of sentences that are recognized to the word."""
QUESTION = "What is the weather in Paris?"
ANSWER = "Hello! How can I help you today?"


class Caller:
    """A client that speaks and listens, in one format."""

    def __init__(self, client, encoding, rate):
        self.client = client
        self.format = Format(encoding, rate)
        audio = {"encoding": encoding, "sample_rate": rate}
        client.say("Settings", **{**SETTINGS, "audio": {"input": audio, "output": audio | {"container": "none"}}})
        client.wait_for("SettingsApplied", timeout_s=TIMEOUT_S)

    def speak(self, sound, *, pause_s=0.0):
        """Send PCM at 24 kHz in the client's format, in frames of 20 ms."""
        data = converted(Recording(sound, LINEAR16_24K), self.format)
        size = self.format.size_bytes(20)
        for at in range(0, len(data), size):
            self.client.send_audio(data[at : at + size])
            if pause_s:
                self.client.hear(pause_s)

    def listen(self):
        """Return the texts of each side and the audio, up to the end of the agent's turn."""
        texts, audio = {"user": [], "assistant": []}, b""
        for frame in self.client.wait_for("AgentAudioDone", timeout_s=TIMEOUT_S):
            if isinstance(frame, bytes):
                audio += frame
            elif frame["type"] == "ConversationText":
                texts[frame["role"]].append(frame["content"])
        return {role: " ".join(parts) for role, parts in texts.items()}, audio

    def heard_before(self, kind):
        """Return the audio that was played, at real time, when a message of this type came."""
        self.client.wait_for(kind, timeout_s=TIMEOUT_S)
        frames = list(zip(self.client.times_s, self.client.frames, strict=True))
        stopped_s = next(at for at, frame in frames if isinstance(frame, dict) and frame["type"] == kind)
        sound = [(at, frame) for at, frame in frames if isinstance(frame, bytes) and at <= stopped_s]
        played_bytes = int((stopped_s - sound[0][0]) * BYTES_PER_S) // 2 * 2
        return b"".join(frame for _, frame in sound)[:played_bytes]


def call(profile, simulator, encoding="linear16", rate=24_000, *, g711=None):
    """Serve a router before the simulator, and return the context of a caller."""
    upstream = Upstream(url=simulator.url, g711=g711)
    return _Call(serving(profile, upstreams=(upstream,), deadlines=Deadlines()), encoding, rate)


class _Call:
    def __init__(self, served, encoding, rate):
        self._served, self._format = served, (encoding, rate)

    def __enter__(self):
        _, url = self._served.__enter__()
        self._client = WireClient(url).__enter__()
        return Caller(self._client, *self._format)

    def __exit__(self, *failure):
        self._client.__exit__(*failure)
        self._served.__exit__(*failure)


@PROFILES
def test_a_spoken_question_is_understood_and_the_answer_is_heard_to_the_word(profile, simulator, speech):
    simulator.script(answers=[ANSWER])
    with call(profile, simulator) as caller:
        caller.speak(speech.say(QUESTION))
        texts, audio = caller.listen()
        assert words_of(texts["user"]) == words_of(QUESTION)
        assert texts["assistant"] == ANSWER
        assert speech.hear(audio) == words_of(ANSWER)
        # The same call goes on: a name is remembered.
        caller.speak(speech.say("My name is Robert."))
        assert caller.listen()[0]["assistant"] == "Nice to meet you, Robert. I will remember that."
        caller.speak(speech.say("What is my name?"))
        assert speech.hear(caller.listen()[1]) == words_of("Your name is Robert.")


@PROFILES
def test_a_caller_who_interrupts_has_heard_the_beginning_of_the_answer(profile, simulator, speech):
    interruption = speech.say("What did you say?")
    simulator.script(answers=[TEXT])
    with call(profile, simulator) as caller:
        caller.client.say("InjectUserMessage", content="Tell me about the captain.")
        caller.client.wait_until(lambda frame: isinstance(frame, bytes), "audio", TIMEOUT_S)
        caller.client.hear(5.0)
        caller.speak(interruption)
        heard = speech.hear(caller.heard_before("UserStartedSpeaking"))
        said = caller.listen()[0]["assistant"]
    # The last word may be cut off in its middle, and costs the one before it.
    whole = words_of(TEXT)
    assert 8 <= len(heard) < len(whole)
    assert heard[:-2] == whole[: len(heard) - 2]
    # The upstream kept the words that were heard, give or take the one in which the caller began to speak.
    kept = words_of(said.split('"')[1])
    assert kept == whole[: len(kept)]
    assert abs(len(kept) - len(heard)) <= 2


@PROFILES
@pytest.mark.parametrize("skip", [2, 7, 13])
def test_a_restart_in_mid_answer_loses_no_word_and_doubles_none(profile, skip, simulator, speech):
    simulator.script(answers=[TEXT])
    fault = Fault(point=FaultPoint.MID_AUDIO, action=FaultAction.RESET, skip=skip)
    simulator.add_fault(fault)
    known = len(simulator.connections)
    with call(profile, simulator) as caller:
        caller.client.say("InjectUserMessage", content="Tell me about the captain.")
        texts, audio = caller.listen()
    assert len(simulator.connections) == known + 2
    assert words_of(texts["assistant"]) == words_of(TEXT)
    assert speech.hear(audio) == words_of(TEXT)


@pytest.mark.parametrize("g711", [True, False])
def test_a_call_on_the_telephone_is_understood_and_heard_to_the_word(g711, simulator, speech):
    simulator.script(answers=[ANSWER, TEXT])
    with call("converse", simulator, "mulaw", 8_000, g711=g711) as caller:
        caller.speak(speech.say(QUESTION))
        texts, audio = caller.listen()
        assert words_of(texts["user"]) == words_of(QUESTION)
        assert speech.hear(audio, "mulaw", 8_000) == words_of(ANSWER)
        caller.client.say("InjectUserMessage", content="And now?")
        assert speech.hear(caller.listen()[1], "mulaw", 8_000) == words_of(TEXT)


def test_speech_that_is_replayed_after_a_loss_is_understood(simulator, speech):
    simulator.add_fault(Fault(point=FaultPoint.COMMITTED, action=FaultAction.CLOSE, code=1011))
    known = len(simulator.connections)
    with call("converse", simulator) as caller:
        # In real time: a router keeps the speech from its start on, which it has to know while the speech comes.
        caller.speak(speech.say(QUESTION)[: -BYTES_PER_S // 4], pause_s=0.02)
        assert "weather in Paris" in caller.listen()[0]["assistant"]
    assert len(simulator.connections) == known + 2


MOST_WORDS = 2
"""The words of a cut answer that the death of a worker may lose or repeat."""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("heard_s", [1.0, 4.0, 7.0])
def test_an_answer_whose_worker_is_killed_is_heard_to_the_end(path, heard_s, simulator, speech):
    simulator.script(answers=[TEXT, ANSWER])
    with router("--upstream", simulator.url, "--workers", "2") as process, voice_agent(process.address, path) as agent:
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        agent.start()
        agent.send("InjectUserMessage", content="Tell me about the captain.")
        agent.wait_for_audio(int(heard_s * BYTES_PER_S))
        workers = workers_of(process.address)
        os.kill(max(workers, key=workers.get), signal.SIGKILL)
        agent.wait_for_turn()
        heard = speech.hear(agent.received.audio)
        assert "SESSION_RECOVERED" in [it["code"] for it in agent.received.of("Warning")]
        assert differing(" ".join(heard), " ".join(words_of(TEXT))) <= MOST_WORDS, heard
        before = len(agent.received.audio)
        agent.send("InjectUserMessage", content="And now?")
        agent.wait_for_turn()
        assert speech.hear(agent.received.audio[before:]) == words_of(ANSWER)
