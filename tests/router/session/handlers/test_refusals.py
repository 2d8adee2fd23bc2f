"""Unreadable client messages, and upstream errors that end a connection."""

import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from tests.support.machine.playbook import SETTINGS, Playbook, error, user

KEY = "sk-secret-0123456789"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ("{}", "type"),
        ('{"type": 7}', "type"),
        ('{"type": "Nonsense"}', "Nonsense"),
        ('{"type": "Settings", "audio": 5, "agent": {}}', "audio"),
        ('{"type": "Settings", "audio": {}, "agent": []}', "agent"),
        ('{"type": "Settings", "audio": {"input": {"sample_rate": "fast"}}, "agent": {}}', "audio.input.sample_rate"),
        ('{"type": "Settings", "audio": {}, "agent": {"think": {"prompt": 5}}}', "agent.think"),
        ('{"type": "InjectUserMessage"}', "content"),
        ('{"type": "InjectUserMessage", "content": null}', "content"),
        ('{"type": "UpdatePrompt"}', "prompt"),
        ('{"type": "UpdateThink", "think": {"prompt": 5}}', "think"),
    ],
)
@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_unreadable_message_is_answered_by_field_and_the_session_continues(profile, message, field):
    book = Playbook(profile).ready().client(message)
    (answer,) = book.frames_to_client
    assert (answer["type"], answer["code"]) == ("Error", "UNPARSABLE_CLIENT_MESSAGE")
    assert field in answer["description"]
    book.forget().client({"type": "InjectUserMessage", "content": "still here"})
    book.expect(user("still here"), upstream=[{"type": "conversation.item.create"}])


def test_an_error_before_the_close_explains_it():
    book = Playbook().opened().client(SETTINGS)
    book.upstream(error("invalid_api_key", f"Incorrect API key provided: {KEY}"))
    loss = Loss(kind=LossKind.REFUSED, cause="invalid_api_key", is_fatal=True)
    assert book.commands == [messages.AbandonUpstream(1, loss)]
    book.forget().upstream_is_lost(loss, Decision.TEAR_DOWN)
    assert book.frames_to_client[0]["code"] == "invalid_api_key"
    assert book.ending.code == 1000


def test_an_expired_session_is_abandoned_at_once():
    book = Playbook().ready().upstream(error("session_expired"))
    assert [(c.generation, c.loss.cause, c.loss.is_fatal) for c in book.commands] == [(1, "session_expired", False)]
