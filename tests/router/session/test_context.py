"""The interface of a session to its handlers: History messages."""

import json
import logging

import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from router.logs.limits import MAX_LINE_CHARS, MAX_LINES, WINDOW_S
from tests.support.machine.playbook import (
    SETTINGS,
    Playbook,
    call_done,
    error,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
)
from tests.support.machine.timed_playbook import TimedPlaybook

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
    again.upstream({"type": "session.created"})
    kinds = [(event["item"]["type"], event["item"].get("role")) for event in again.events_to_upstream[1:]]
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


# Log lines.

GONE = ConnectionClosed(ending=Ending.RESET, code=1006)


def logged(commands):
    return [it.text for it in commands if isinstance(it, messages.Log) and it.level >= logging.WARNING]


def test_an_upstream_s_errors_write_a_few_short_lines():
    session = Playbook("converse").ready().session
    complaint = error("c1", "m" * 8000)
    lines = []
    for at in range(1000):
        lines += logged(session.handle(messages.UpstreamTextReceived(1, json.dumps(complaint)), 1001.0 + at / 1000))
    assert len(lines) == MAX_LINES
    assert max(map(len, lines)) <= MAX_LINE_CHARS + 1
    (line,) = logged(session.handle(messages.UpstreamTextReceived(1, json.dumps(complaint)), 1001.0 + WINDOW_S))
    assert line.endswith(f"(and {1000 - MAX_LINES} more of this kind)")


def test_the_end_of_a_session_states_how_many_lines_were_left_out():
    session = Playbook("converse").ready().session
    for _ in range(15):
        session.handle(messages.UpstreamTextReceived(1, json.dumps(error("c1"))), 1001.0)
    lines = logged(session.handle(messages.ClientClosed(GONE), 1002.0))
    assert lines == ["the upstream sent an err… (and 5 more of this kind)"]


# Long texts.

MOST_TEXT_BYTES = 1024 * 1024
"""A Python client accepts no longer message, in any number of frames."""


def longest_text(book):
    frames = (it.frame for _, it in book.performed if isinstance(it, messages.SendToClient))
    return max(len(frame.encode()) for frame in frames if isinstance(frame, str))


def test_no_history_of_a_call_is_longer_than_a_client_accepts():
    book = TimedPlaybook("converse").ready().types("Q").begins("resp_1")
    call = {"call_id": "call_1", "name": "read", "arguments": '{"a":"' + "x" * 300_000 + '"}', "response_id": "resp_1"}
    book.upstream({"type": "response.function_call_arguments.done", **call}).ends("resp_1")
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "read", "content": "y" * 950_000})
    assert longest_text(book) <= MOST_TEXT_BYTES
    assert book.session.describe()["over_bounds"] == 1


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_long_answer_is_sent_whole_in_messages_that_a_client_accepts(profile):
    words = "word " * 260_000
    book = TimedPlaybook(profile).ready().types("Q").begins("resp_1", "item_1")
    book.says(words).ends("resp_1")
    assert longest_text(book) <= MOST_TEXT_BYTES
    assert "".join("".join(book.texts()).split()) == "word" * 260_000


def test_an_error_repeats_the_beginning_of_a_long_field_alone():
    audio = {**SETTINGS["audio"], "input": {"encoding": "x" * 900_000, "sample_rate": 24_000}}
    (answer,) = Playbook("converse").opened().client({**SETTINGS, "audio": audio}).frames_to_client
    assert answer["code"] == "INVALID_SETTINGS"
    assert answer["description"].startswith("`audio.input.encoding` is xxx")
    assert len(answer["description"]) == MAX_LINE_CHARS + 1
