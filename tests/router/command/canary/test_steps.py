"""The steps, with a call whose frames are given: each finds the fault that it is there for."""

import pytest

from router.command.canary import steps
from router.command.canary.conversation import Conversation, StepFailed
from tests.router.command.canary.test_conversation import Client, said

SOUND = b"\1\0" * 24000 * 5
DONE = {"type": "AgentDone"}
REQUEST = {
    "type": "FunctionCallRequest",
    "functions": [{"id": "1", "name": "get_weather", "arguments": '{"city": "Paris"}', "client_side": True}],
}


class Microphone:
    def __init__(self, *_, **__):
        pass

    def open(self):
        pass

    def speak(self, samples):
        assert samples

    def close(self):
        pass


class Stage:
    def __init__(self, *, dials_again=True):
        self.cuts = 0
        self.dials_again = dials_again
        self.dials = 1

    def cut_upstream(self):
        self.cuts += 1

    def wait_for_dial(self, dials, timeout_s):
        assert (dials, timeout_s) == (1, 5.0)
        return 0.25 if self.dials_again else None


@pytest.fixture(autouse=True)
def no_thread(monkeypatch):
    monkeypatch.setattr(steps, "Microphone", Microphone)
    monkeypatch.setattr(Client, "send_audio", lambda *_: None, raising=False)


def call(*frames):
    talk = Conversation(Client(*frames), 5.0, lambda: 0.0)
    talk.begin_step()
    return steps.Call(talk, Stage(), detects_turns=True)


def test_a_text_without_a_reply_fails():
    with pytest.raises(StepFailed, match="no end of the agent's turn came"):
        steps.answer_text(call(said("user", "hi"), DONE))


def test_speech_without_words_fails():
    with pytest.raises(StepFailed, match="transcript of the spoken question is empty"):
        steps.answer_speech(call({"type": "UserStartedSpeaking"}, said("user", " ")))


def test_a_silent_reply_to_speech_fails():
    frames = ({"type": "UserStartedSpeaking"}, said("user", steps.SPOKEN), said("assistant", "Paris."), b"\0\0", DONE)
    with pytest.raises(StepFailed, match="no sound"):
        steps.answer_speech(call(*frames))


def test_a_transcript_of_other_words_fails():
    frames = ({"type": "UserStartedSpeaking"}, said("user", "Thank you."), said("assistant", "Hm."), SOUND, DONE)
    with pytest.raises(StepFailed, match='and transcribed as "Thank you'):
        steps.answer_speech(call(*frames))


def test_speech_with_its_words_and_a_reply_with_sound_passes():
    frames = ({"type": "UserStartedSpeaking"}, said("user", steps.SPOKEN), said("assistant", "Paris."), SOUND, DONE)
    assert steps.answer_speech(call(*frames))["transcript"] == steps.SPOKEN


def test_a_function_call_is_answered_by_its_id():
    step = call(REQUEST, said("assistant", "Sunny, 21 degrees."), DONE)
    facts = steps.call_function(step)
    assert (facts["function"], facts["arguments"]) == ("get_weather", {"city": "Paris"})
    assert facts["reply"] == "Sunny, 21 degrees."
    assert step.conversation.client.sent[-1] == (
        "FunctionCallResponse",
        {"id": "1", "name": "get_weather", "content": steps.FORECAST},
    )


def test_a_reply_that_does_not_follow_from_the_function_s_answer_fails():
    with pytest.raises(StepFailed, match="does not follow from the answer of the function"):
        steps.call_function(call(REQUEST, said("assistant", "It is sunny."), DONE))


def test_words_before_the_function_s_answer_do_not_count():
    early = said("assistant", "I guess 21 degrees; one moment.")
    with pytest.raises(StepFailed, match="does not follow"):
        steps.call_function(call(early, REQUEST, said("assistant", "It is sunny."), DONE))


def test_a_call_of_another_function_fails():
    other = {**REQUEST, "functions": [{**REQUEST["functions"][0], "name": "get_time"}]}
    with pytest.raises(StepFailed, match="get_time was called in place of get_weather"):
        steps.call_function(call(other, said("assistant", "21"), DONE))


def test_arguments_that_are_no_json_fail():
    broken = {**REQUEST, "functions": [{**REQUEST["functions"][0], "arguments": "{"}]}
    with pytest.raises(StepFailed, match="not JSON"):
        steps.call_function(call(broken, said("assistant", "Sunny."), DONE))


def test_an_agent_that_does_not_fall_silent_fails():
    frames = (SOUND, {"type": "UserStartedSpeaking"}, SOUND, {"type": "UtteranceEnd"})
    with pytest.raises(StepFailed, match="went on speaking"):
        steps.interrupt(call(*frames))


def test_a_story_that_is_over_before_the_interruption_fails(monkeypatch):
    step = call(b"\1\0" * 2400, {"type": "UserStartedSpeaking"})
    times = iter([0.0, 0.0, 0.0, 1.0])
    monkeypatch.setattr(step.conversation, "now_s", lambda: next(times))
    with pytest.raises(StepFailed, match=r"over after 0\.1 s"):
        steps.interrupt(step)


def test_an_interrupted_agent_answers_the_question():
    frames = (SOUND, {"type": "UserStartedSpeaking"}, DONE, {"type": "UtteranceEnd"}, said("user", steps.SPOKEN))
    facts = steps.interrupt(call(*frames, DONE, said("assistant", "Paris."), DONE))
    assert (facts["transcript"], facts["reply"]) == (steps.SPOKEN, "Paris.")


RESTARTED = {"type": "Warning", "code": "UPSTREAM_RESTARTED"}
WHOLE = ", ".join(map(str, range(1, steps.LAST_NUMBER + 1)))


def test_the_upstream_is_cut_off_once_the_answer_has_begun():
    step = call(said("user", "?"), SOUND, RESTARTED, said("assistant", WHOLE), DONE)
    facts = steps.survive_restart(step)
    assert (facts["reply"], facts["restarted_after_s"]) == (WHOLE, 0.25)
    assert step.stage.cuts == 1


def test_an_answer_that_ends_with_the_restart_fails():
    step = call(said("user", "?"), SOUND, RESTARTED, said("assistant", WHOLE[:44]), DONE)
    with pytest.raises(StepFailed, match="not whole: it lacks 14, 15"):
        steps.survive_restart(step)


def test_a_restart_that_dials_no_upstream_fails():
    step = call(said("user", "?"), SOUND, RESTARTED, said("assistant", WHOLE), DONE)
    step.stage.dials_again = False
    with pytest.raises(StepFailed, match="no other one was dialled"):
        steps.survive_restart(step)


def test_the_wav_that_ships_has_a_question_of_two_seconds():
    assert 1.5 < len(steps.waves.read(steps.QUESTION_WAV)) / 32000 < 3
