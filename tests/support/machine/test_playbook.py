"""A script that a session does not follow fails with the trace, marked where the two part."""

import pytest

from tests.support.machine.playbook import (
    AUDIO_DONE,
    Playbook,
    assistant,
    response_created,
    response_done,
    text_done,
    user,
)

ITEM = {"type": "conversation.item.create"}
QUESTION = {"type": "InjectUserMessage", "content": "Hello."}


def asked():
    return Playbook().ready().client(QUESTION)


def failure(book, *to_client, **expected):
    """What a failed expectation says."""
    with pytest.raises(AssertionError) as failed:
        book.expect(*to_client, **expected)
    return str(failed.value)


def marked(text):
    return [line for line in text.splitlines() if line.startswith("!!")]


def test_what_was_expected_is_taken():
    book = asked().expect(user("Hello."), upstream=[ITEM])
    assert book.expect() is book


def test_another_message_to_the_client_is_marked_behind_what_led_to_it():
    text = failure(asked(), user("Bye."), upstream=[ITEM])
    assert text.startswith("message 1 to the client is not the expected one\n")
    assert marked(text) == ["!!  << client    ConversationText role='user' content='Hello.'"]
    assert "    differs in   ['content']: 'Hello.', expected 'Bye.'" in text
    assert text.index(">> client    InjectUserMessage content='Hello.'") < text.index("!!")


def test_another_event_to_the_upstream_is_marked():
    text = failure(asked(), user("Hello."), upstream=[{**ITEM, "item": {"role": "assistant"}}])
    assert text.startswith("message 1 to the upstream is not the expected one\n")
    assert marked(text)[0].startswith("!!  << upstream  conversation.item.create ")
    assert "    differs in   ['item']['role']: 'user', expected 'assistant'" in text


def test_of_two_differences_the_one_that_came_first_is_marked():
    book = asked()
    text = failure(book, user("Bye."), upstream=[{"type": "response.create"}])
    compared = [packet for packet in book.trace[book._taken :] if packet.way == "<<"]
    assert {packet.peer for packet in compared} == {"client", "upstream"}
    assert marked(text) == [f"!!  {compared[0]}"]


def test_what_did_not_come_is_said():
    text = failure(asked(), user("Hello."), assistant("Hi."), upstream=[ITEM])
    assert text.startswith("message 2 to the client is missing\n")
    assert marked(text) == ["!!  << client    nothing"]
    assert text.endswith("expected     ConversationText role='assistant' content='Hi.'")


def test_what_nobody_expected_is_said():
    text = failure(asked(), upstream=[ITEM])
    assert text.startswith("message 1 to the client is one too many\n")
    assert text.endswith("expected     nothing more") or "expected     nothing more\n" in text


def test_the_trace_shows_a_little_of_what_was_taken_before_and_not_all():
    book = asked()
    for number in range(9):
        book.upstream(response_created(f"r{number}"), text_done(f"Answer {number}."), response_done(f"r{number}"))
        book.forget()
    text = failure(book, AUDIO_DONE)
    assert "Answer 8." in text
    assert "Answer 0." not in text
