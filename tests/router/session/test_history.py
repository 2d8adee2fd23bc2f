"""History: what a client may give back as the context of a later session."""

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


def given(flag, **agent):
    return {**settings(**agent), **({} if flag is None else {"flags": {"history": flag}})}


@pytest.mark.parametrize(("profile", "flag", "is_on"), FLAGS)
def test_every_text_is_followed_by_its_history_where_that_is_wanted(profile, flag, is_on):
    book = Playbook(profile, greeting="text").ready(given(flag, greeting="Welcome."))
    book.client({"type": "InjectUserMessage", "content": "hello"})
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), response_created())
    book.upstream(text_done("Hi."), response_done())
    completed = {"type": "conversation.item.input_audio_transcription.completed", "transcript": "Hm?"}
    book.upstream(completed)
    said = [text("assistant", "Welcome."), text("user", "hello"), text("assistant", "Hi."), text("user", "Hm?")]
    assert book.history == (said if is_on else [])


@pytest.mark.parametrize(("profile", "flag", "is_on"), FLAGS)
def test_a_call_is_history_once_it_is_answered(profile, flag, is_on):
    book = Playbook(profile).ready(given(flag)).upstream(response_created(), call_done(arguments='{"k":1}'))
    assert book.history == []
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    call = {"id": "call_1", "name": "lookup", "client_side": True, "arguments": '{"k":1}', "response": "42"}
    assert book.history == ([{"type": "History", "function_calls": [call]}] if is_on else [])


def test_the_line_that_shows_a_call_is_no_history():
    book = Playbook().ready(given(True)).upstream(response_created(), call_done())
    assert book.frames_to_client[-1]["content"] == "Function call: lookup({})"
    assert book.history == []


def test_what_was_history_is_the_context_of_another_session():
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


def test_a_client_that_says_nothing_of_history_before_settings_gets_its_profile_s():
    book = Playbook().opened().client({"type": "InjectUserMessage", "content": "early"}, SETTINGS)
    assert book.history == []
