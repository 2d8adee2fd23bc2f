"""The waiting of the canary: for a frame, for an error, for the end of a step's time."""

import pytest

from actors.connections.blocking import HungUp
from router.command.canary.conversation import Conversation, StepFailed


class Client:
    """A call whose frames are given. Then it ends, or falls silent."""

    def __init__(self, *frames, end=None):
        self._frames = list(frames)
        self._end = end or TimeoutError()
        self.sent = []

    def send(self, kind, **fields):
        self.sent.append((kind, fields))

    def receive(self, _timeout_s):
        if not self._frames:
            raise self._end
        return self._frames.pop(0)


def conversation(*frames, end=None):
    talk = Conversation(Client(*frames, end=end), 5.0, lambda: 0.0)
    talk.begin_step()
    return talk


def said(role, content):
    return {"type": "ConversationText", "role": role, "content": content}


def test_a_question_is_a_message_of_the_user():
    talk = conversation()
    talk.ask("hello")
    assert talk.client.sent == [("InjectUserMessage", {"content": "hello"})]


def test_the_frames_before_the_expected_one_are_kept():
    talk = conversation(said("user", "hi"), b"\0\0", said("assistant", "Hello."), {"type": "AgentDone"})
    assert talk.wait_for("AgentDone") == {"type": "AgentDone"}
    assert talk.reply == "Hello."
    assert talk.is_answered
    assert talk.audio_s == pytest.approx(1 / 24000)
    assert talk.is_silent


def test_sound_is_not_silence():
    talk = conversation(b"\0\1")
    talk.receive("audio")
    assert not talk.is_silent


def test_the_line_that_shows_a_function_call_is_no_reply():
    talk = conversation(said("assistant", "Function call: f({})"), said("assistant", "Sunny."), {"type": "AgentDone"})
    talk.wait_for("AgentDone")
    assert talk.reply == "Sunny."


def test_an_end_without_words_is_no_answer():
    talk = conversation({"type": "AgentDone"}, said("assistant", "Hello."))
    talk.wait_for("AgentDone")
    talk.receive("text")
    assert not talk.is_answered


def test_a_new_turn_forgets_the_frames_so_far():
    talk = conversation(said("assistant", "Once"))
    talk.receive("text")
    talk.begin_turn()
    assert talk.reply == ""


def test_an_error_fails_the_step_with_its_description_and_code():
    talk = conversation({"type": "Error", "description": "refused", "code": "invalid_api_key"})
    with pytest.raises(StepFailed, match="refused") as caught:
        talk.wait_for("SettingsApplied")
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (TimeoutError(), "no AgentDone came within 5 s"),
        (HungUp(1011, "UPSTREAM_CLOSED"), "the call ended (1011, UPSTREAM_CLOSED) before AgentDone"),
        (HungUp(1006, ""), "the call ended (1006) before AgentDone"),
    ],
)
def test_an_end_fails_the_step_with_a_sentence(end, sentence):
    with pytest.raises(StepFailed) as caught:
        conversation(end=end).wait_for("AgentDone")
    assert str(caught.value) == sentence
