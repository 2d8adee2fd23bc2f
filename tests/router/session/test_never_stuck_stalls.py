"""A network that stalls for a moment and then delivers everything cuts no turn in two.

The tests hold whole conversations with a strict upstream in virtual time. A late frame arrives in order, as with TCP.
"""

import pytest

from actors import messages
from tests.support.machine.simulation import FRAME_S, SILENCE, TONE, Simulation, texts

SPEECH_S = 3.0
SPOKEN_AT_S = 1.2
"""The start of the stall, in the middle of the user's speech."""

STALLS_S = (0.7, 2.0)
DIRECTIONS = ("from the client", "to the upstream", "from the upstream")

PROFILES = pytest.mark.parametrize("profile", ["openai", "converse"])


class StalledCall(Simulation):
    """A call in which one direction delivers nothing for a while."""

    def __init__(self, profile, direction, stall_s, **agent):
        super().__init__(profile, transcription_delay_s=0.2, agent=agent)
        self._direction = direction
        self._stalled_from_s = self.now_s + 2.0 + SPOKEN_AT_S
        self._stalled_until_s = self._stalled_from_s + stall_s
        self.run(2.0)

    def _late_s(self, direction, delay_s):
        """Return the delay of a frame in this direction that would take `delay_s`."""
        due_s = self.now_s + delay_s
        is_stalled = direction == self._direction and self._stalled_from_s <= due_s < self._stalled_until_s
        return self._stalled_until_s - self.now_s if is_stalled else delay_s

    def speak(self, speech_s, silence_s):
        frames = [TONE] * round(speech_s / FRAME_S) + [SILENCE] * round(silence_s / FRAME_S)
        for at, frame in enumerate(frames, 1):
            heard = messages.ClientBinaryReceived(frame)
            delay_s = self._late_s("from the client", at * FRAME_S + self._latency_s)
            self._in(delay_s, lambda heard=heard: self._handle(heard))

    def _perform(self, command):
        if isinstance(command, messages.SendToUpstream):
            delay_s = self._late_s("to the upstream", self._latency_s)
            frame, generation = command.frame, command.generation
            self._in(delay_s, lambda: self._upstream(generation, lambda line: line.receive(frame)))
        else:
            super()._perform(command)

    def _deliver(self, generation, text):
        self._in(self._late_s("from the upstream", self._latency_s), lambda: self._arrive(generation, text))

    def _arrive(self, generation, text):
        if generation in self._upstreams:
            self._handle(messages.UpstreamTextReceived(generation, text))


def assert_one_turn(call):
    assert sum(it["type"] == "UserStartedSpeaking" for it in call.received) == 1
    assert len(list(texts(call, "user"))) == 1
    assert sum(it["type"] == "AgentAudioDone" for it in call.received) == 1
    assert not call.closed


@PROFILES
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("stall_s", STALLS_S)
def test_a_stall_in_mid_speech_leaves_it_one_turn(profile, direction, stall_s):
    call = StalledCall(profile, direction, stall_s)
    call.speak(SPEECH_S, 1.5)
    call.run(30.0)
    assert_one_turn(call)


@PROFILES
def test_without_a_stall_it_is_one_turn_too(profile):
    call = StalledCall(profile, "from the client", 0.0)
    call.speak(SPEECH_S, 1.5)
    call.run(30.0)
    assert_one_turn(call)


@PROFILES
def test_a_push_to_talk_client_that_lets_go_is_answered(profile):
    call = StalledCall(profile, "from the client", 0.0)
    call.speak(SPEECH_S, 0.0)
    call.run(30.0)
    assert_one_turn(call)
