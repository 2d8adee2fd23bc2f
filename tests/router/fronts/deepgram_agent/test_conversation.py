"""The turn in progress of a relayed session, and what a restored upstream repeats."""

import json

import pytest

from router.fronts.deepgram_agent.conversation import Awaited, Conversation

CALL = {"id": "c1", "name": "look", "arguments": "{}", "client_side": True}


@pytest.fixture
def conversation():
    return Conversation(8)


def take(conversation, kind, **fields):
    return conversation.take({"type": kind, **fields})


def say(conversation, role, content):
    return take(conversation, "ConversationText", role=role, content=content)


def test_a_turn_lasts_from_the_question_to_the_end_of_the_answer(conversation):
    assert not conversation.is_in_turn
    conversation.send({"type": "InjectUserMessage", "content": "one?"})
    assert conversation.is_in_turn
    for step in (lambda: say(conversation, "user", "one?"), lambda: say(conversation, "assistant", "One.")):
        step()
        assert conversation.is_in_turn
    take(conversation, "AgentAudioDone")
    assert (conversation.is_in_turn, conversation.awaited) == (False, None)


def test_speech_and_a_greeting_are_turns_too(conversation):
    conversation.take_audio()
    assert (conversation.is_in_turn, conversation.awaited) == (True, Awaited.OUTPUT)
    take(conversation, "UserStartedSpeaking")
    conversation.take_audio()
    assert conversation.awaited is Awaited.SPEECH
    take(conversation, "AgentAudioDone")
    assert (conversation.is_in_turn, conversation.awaited) == (True, Awaited.SPEECH)


def test_an_end_of_an_answer_before_the_echo_of_a_text_leaves_its_deadline(conversation):
    say(conversation, "assistant", "Hello.")
    conversation.send({"type": "InjectUserMessage", "content": "one?"})
    take(conversation, "AgentAudioDone")
    assert conversation.awaited is Awaited.ANSWER


def test_cancelled_functions_are_not_awaited(conversation):
    take(conversation, "FunctionCallRequest", functions=[CALL])
    assert conversation.awaited is Awaited.FUNCTION
    take(conversation, "FunctionCallCancelled", functions=[{"id": "c1"}])
    assert (conversation.awaited, conversation.memory.calls) == (Awaited.ANSWER, {})


@pytest.mark.parametrize("kinds", [("ConversationText", "History"), ("History", "ConversationText")])
def test_what_the_next_upstream_repeats_is_kept_from_the_client(conversation, kinds):
    say(conversation, "user", "one?")
    conversation.lose()
    (again,) = conversation.resume()
    assert json.loads(again) == {"type": "InjectUserMessage", "content": "one?"}
    assert not any(take(conversation, kind, role="user", content="one? ") for kind in kinds)
    assert say(conversation, "assistant", "One.")
    assert say(conversation, "user", "one?")


def test_unknown_messages_pass_and_change_nothing(conversation):
    assert take(conversation, "Tomorrow")
    assert conversation.take({})
    assert (conversation.awaited, conversation.is_renewed) == (None, False)


def test_calls_that_time_out_are_answered_with_an_error(conversation):
    take(conversation, "FunctionCallRequest", functions=[CALL])
    ((answer,),) = (conversation.failed_calls("timed out"),)
    assert json.loads(json.loads(answer)["content"]) == {"error": "look timed out"}
    assert conversation.awaited is Awaited.ANSWER
