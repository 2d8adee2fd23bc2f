"""The interface of a session to its handlers: History messages."""

import pytest

from tests.support.machine.playbook import (
    SETTINGS,
    Playbook,
    call_done,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
)

FLAGS = [("converse", None, True), ("converse", False, False), ("openai", None, False), ("openai", True, True)]


def text(role, content):
    return {"type": "History", "role": role, "content": content}


def with_flag(flag, **agent):
    return {**settings(**agent), **({} if flag is None else {"flags": {"history": flag}})}


@pytest.mark.parametrize(("profile", "flag", "is_on"), FLAGS)
def test_a_history_follows_every_text_where_the_client_wants_it(profile, flag, is_on):
    book = Playbook(profile, greeting="text").ready(with_flag(flag, greeting="Welcome."))
    book.client({"type": "InjectUserMessage", "content": "hello"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), response_created())
    book.upstream(text_done("Hi."), response_done())
    completed = {"type": "conversation.item.input_audio_transcription.completed", "transcript": "Hm?"}
    book.upstream(completed)
    expected = [text("assistant", "Welcome."), text("user", "hello"), text("assistant", "Hi."), text("user", "Hm?")]
    assert book.history == (expected if is_on else [])


@pytest.mark.parametrize(("profile", "flag", "is_on"), FLAGS)
def test_a_call_becomes_a_history_once_it_is_answered(profile, flag, is_on):
    book = Playbook(profile).ready(with_flag(flag)).upstream(response_created(), call_done(arguments='{"k":1}'))
    assert book.history == []
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    call = {"id": "call_1", "name": "lookup", "client_side": True, "arguments": '{"k":1}', "response": "42"}
    assert book.history == ([{"type": "History", "function_calls": [call]}] if is_on else [])


def test_the_text_that_shows_a_call_has_no_history():
    book = Playbook().ready(with_flag(True)).upstream(response_created(), call_done())
    assert book.frames_to_client[-1]["content"] == "Function call: lookup({})"
    assert book.history == []


def test_the_history_is_a_valid_context_of_another_session():
    book = Playbook("converse").ready().client({"type": "InjectUserMessage", "content": "hello"})
    book.upstream(response_created(), text_done("Let me see."), call_done())
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    again = Playbook("converse").opened().client(settings(context={"messages": book.history}))
    again.upstream({"type": "session.created"}).forget().upstream({"type": "session.updated"})
    kinds = [(event["item"]["type"], event["item"].get("role")) for event in again.events_to_upstream]
    assert kinds == [
        ("message", "user"),
        ("message", "assistant"),
        ("function_call", None),
        ("function_call_output", None),
    ]
    assert again.history == []


def test_before_settings_the_profile_decides_about_history():
    book = Playbook().opened().client({"type": "InjectUserMessage", "content": "early"}, SETTINGS)
    assert book.history == []
