"""The memory of the session's side: what a relay of Deepgram gets to know of a call."""

import json

import pytest

from actors import messages as engine
from router.fronts.failover.sides import is_restart_warning
from tests.router.fronts.failover.test_machine import answers, at_deepgram, at_openai, created
from tests.support.machine.two_backends import DEEPGRAM, TwoBackends, types

LOOK = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}


def settings_for_deepgram(call):
    """Let the call move to Deepgram, and return the Settings that Deepgram got."""
    call.take()
    call.loses().deepgram()
    return next(it for it in call.upstream if isinstance(it, dict) and it["type"] == "Settings")


def messages_of(settings):
    return settings["agent"].get("context", {}).get("messages", [])


def calls_look(front="converse"):
    """Return a call whose agent has called a function that the client runs."""
    call = at_openai(front, think={"prompt": "Be brief.", "functions": [LOOK]})
    call.says("InjectUserMessage", content="Please look")
    item = next(it for it in call.upstream if it["type"] == "conversation.item.create")["item"]
    call.hears("conversation.item.added", item=item)
    call.hears("response.created", response={"id": "resp_2"})
    done = {"response_id": "resp_2", "item_id": "item_2", "output_index": 0, "name": "look", "call_id": "call_1"}
    call.hears("response.function_call_arguments.done", **done, arguments="{}")
    return call.hears("response.done", response={"id": "resp_2", "status": "completed", "output": []})


def test_a_function_that_waits_for_its_output_is_cancelled_by_the_move_and_its_late_output_is_dropped():
    call = calls_look()
    settings = settings_for_deepgram(call)
    assert types(call.client) == ["Warning", "FunctionCallCancelled"]
    assert messages_of(settings)[-1] == {"type": "History", "role": "assistant", "content": "Hello Ada."}
    call.take()
    call.says("FunctionCallResponse", id="call_1", name="look", content="seen")
    assert call.take() == ([], [])
    call.loses().openai().take()
    call.says("FunctionCallResponse", id="call_1", name="look", content="seen")
    assert call.take()[1] == []


@pytest.mark.parametrize(("given", "written"), [({"content": "seen"}, "seen"), ({"result": [1]}, '{"result":[1]}')])
def test_an_output_that_the_lost_upstream_had_is_part_of_the_context(given, written):
    call = calls_look()
    call.says("FunctionCallResponse", id="call_1", name="look", **given)
    (record,) = messages_of(settings_for_deepgram(call))[-1]["function_calls"]
    assert record["response"] == written


def test_the_text_that_shows_a_function_to_the_component_is_no_text_of_the_agent_s():
    call = calls_look("openai")
    assert any("Function call: " in it.get("content", "") for it in call.client if isinstance(it, dict))
    call.says("FunctionCallResponse", id="call_1", name="look", content="seen")
    answers(call, "I see the sea.")
    texts = [it.get("content") for it in messages_of(settings_for_deepgram(call))]
    assert texts[-1] == "I see the sea."
    assert not any("Function call: " in (text or "") for text in texts)


def test_changes_of_the_settings_are_part_of_the_next_ones_and_an_owed_acknowledgement_comes():
    call = at_openai()
    call.says("UpdatePrompt", prompt="Be kind.")
    settings = settings_for_deepgram(call)
    assert settings["agent"]["think"]["prompt"] == "Be kind."
    assert types(call.client).count("PromptUpdated") == 1


def test_speech_that_no_upstream_would_answer_is_not_heard_again():
    call = at_openai()
    call.hears("input_audio_buffer.speech_started", item_id="item_5", audio_start_ms=0)
    call.feed(engine.ClientBinaryReceived(bytes(4800)))
    call.hears("input_audio_buffer.speech_stopped", item_id="item_5", audio_end_ms=100)
    call.hears("input_audio_buffer.committed", item_id="item_5", previous_item_id=None)
    call.hears(
        "conversation.item.input_audio_transcription.completed", item_id="item_5", transcript="", content_index=0
    )
    answers(call, "Pardon?")
    settings_for_deepgram(call)
    assert not any(isinstance(it, bytes) for it in call.upstream)


def test_speech_in_progress_is_heard_again():
    call = at_openai()
    call.hears("input_audio_buffer.speech_started", item_id="item_5", audio_start_ms=0)
    call.feed(engine.ClientBinaryReceived(bytes(4800)))
    settings_for_deepgram(call)
    assert sum(len(it) for it in call.upstream if isinstance(it, bytes)) == 4800


def test_speech_whose_repetition_no_upstream_has_noticed_yet_is_heard_again():
    call = at_deepgram()
    call.hears("UserStartedSpeaking")
    call.feed(engine.ClientBinaryReceived(bytes(4800)))
    call.loses().openai()
    settings_for_deepgram(call)
    assert sum(len(it) for it in call.upstream if isinstance(it, bytes)) == 4800


def test_settings_that_come_while_deepgram_serves_have_only_its_fields():
    call = TwoBackends("converse")
    call.opens(DEEPGRAM).hears("Welcome", request_id="r").settles(idleTimeoutMs=9000)
    (settings,) = call.take()[1]
    assert "idleTimeoutMs" not in settings["agent"]


def test_a_question_before_any_upstream_has_applied_the_settings_is_asked_at_each_side():
    call = TwoBackends("converse").settles(greeting="Hi.")
    call.says("InjectUserMessage", content="One?").says("InjectUserMessage", content="Two?")
    settings = settings_for_deepgram(call)
    assert settings["agent"]["greeting"] == "Hi."
    assert messages_of(settings) == [{"type": "History", "role": "user", "content": "One?"}]
    assert call.upstream[-1] == {"type": "InjectUserMessage", "content": "Two?"}
    back = TwoBackends("converse").settles().says("InjectUserMessage", content="One?")
    back.loses().opens(DEEPGRAM).loses().openai()
    assert [text for _, text in created(back.upstream)] == ["One?"]
    assert [it["content"] for it in back.client if it["type"] == "ConversationText"] == ["One?"]


def test_late_usage_of_a_lost_upstream_names_its_model():
    call = at_openai()
    model = call.session.state.model
    generation = call.generation
    settings_for_deepgram(call)
    usage = {"total_tokens": 3, "input_tokens": 1, "output_tokens": 2}
    event = {"type": "response.done", "response": {"id": "resp_9", "status": "completed", "output": [], "usage": usage}}
    report = call.session.read_late(engine.UpstreamTextReceived(generation, json.dumps(event)))
    assert report.notification.model == model != ""


def test_messages_that_the_session_refuses_are_not_remembered():
    call = TwoBackends("converse")
    call.says("InjectUserMessage", content="too early")
    call.settles().loses().deepgram()
    assert not any(it["type"] == "InjectUserMessage" for it in call.upstream)


def test_the_warning_of_a_restart_is_told_from_other_frames():
    assert is_restart_warning('{"type":"Warning","description":"x","code":"UPSTREAM_RESTARTED"}')
    assert not is_restart_warning('{"type":"ConversationText","role":"user","content":"UPSTREAM_RESTARTED"}')
    assert not is_restart_warning(b"")
