"""Every end: a typed message, then a close frame."""

import orjson
import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.playbook import SETTINGS, Playbook, error

KEY = "sk-secret-0123456789"


@pytest.mark.parametrize(
    ("code", "reason", "expected", "close_code"),
    [
        (1000, "", "UPSTREAM_CLOSED", 1011),
        (1006, "", "UPSTREAM_CLOSED", 1011),
        (1013, "insufficient_quota.insufficient_quota", "insufficient_quota", 1000),
        (3000, "invalid_request_error.invalid_api_key", "invalid_api_key", 1000),
    ],
)
@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_upstream_that_closes_ends_the_session_with_an_error(profile, code, reason, expected, close_code):
    book = Playbook(profile).ready().upstream_closes(code, reason)
    assert (book.frames_to_client[0]["type"], book.frames_to_client[0]["code"]) == ("Error", expected)
    assert book.ending.code == close_code
    assert book.commands[-1] is book.ending


def test_what_the_upstream_said_before_it_closed_explains_the_close():
    book = Playbook().opened().client(SETTINGS)
    book.upstream(error("invalid_api_key", f"Incorrect API key provided: {KEY}"))
    loss = Loss(kind=LossKind.REFUSED, cause="invalid_api_key", is_fatal=True)
    assert book.commands == [messages.AbandonUpstream(1, loss)]
    book.forget().upstream_is_lost(loss, Decision.TEAR_DOWN)
    assert book.frames_to_client[0]["code"] == "invalid_api_key"
    assert book.ending.code == 1000


@pytest.mark.parametrize(
    ("kind", "status", "code", "close_code"),
    [
        (LossKind.HTTP, 401, "UPSTREAM_UNAUTHORIZED", 1000),
        (LossKind.HTTP, 503, "UPSTREAM_UNAVAILABLE", 1011),
        (LossKind.NOT_DIALLED, None, "UPSTREAM_UNAVAILABLE", 1011),
        (LossKind.SILENT, None, "UPSTREAM_TIMEOUT", 1011),
        (LossKind.MALFORMED, None, "UPSTREAM_PROTOCOL_ERROR", 1011),
        (LossKind.FAILED, None, "INTERNAL_SERVER_ERROR", 1011),
    ],
)
def test_a_loss_that_is_not_made_good_ends_the_session(kind, status, code, close_code):
    book = Playbook().opened().client(SETTINGS)
    book.upstream_is_lost(Loss(kind=kind, code=status, cause="cause"), Decision.TEAR_DOWN)
    assert book.frames_to_client[0]["code"] == code
    assert book.ending.code == close_code


@pytest.mark.parametrize("frame", ["not json", "[]", '{"no": "type"}'])
def test_an_upstream_that_sends_a_malformed_frame_is_given_up(frame):
    book = Playbook().ready().upstream(frame)
    assert [(c.generation, c.loss.kind) for c in book.commands] == [(1, LossKind.MALFORMED)]


def test_an_upstream_that_sends_a_binary_frame_is_given_up():
    book = Playbook().ready().feed(messages.UpstreamBinaryReceived(1, b"x"))
    assert [(c.generation, c.loss.kind) for c in book.commands] == [(1, LossKind.MALFORMED)]


def test_a_client_that_does_not_read_is_told_why_it_is_closed():
    book = Playbook().ready().feed(messages.ClientOverflowed(3_000_000))
    assert book.frames_to_client[0]["code"] == "CLIENT_TOO_SLOW"
    assert book.ending.code == 1008


def test_a_client_that_is_gone_is_told_nothing():
    closed = ConnectionClosed(ending=Ending.RESET, code=1006)
    book = Playbook().ready().feed(messages.ClientClosed(closed))
    assert book.commands == [messages.EndSession(1000, "")]


def test_nothing_follows_an_end():
    book = Playbook().ready().upstream_closes().forget()
    book.client({"type": "InjectUserMessage", "content": "hello?"}, b"\0\0", "{").upstream(error("late"))
    assert book.commands == []


# Errors that the session survives.


def test_an_error_keeps_the_upstream_s_code():
    book = Playbook().ready().upstream(error("weird_code", "it is odd", param="item.content"))
    book.expect({"type": "Error", "description": "it is odd (item.content)", "code": "weird_code"})


def test_an_error_without_a_code_goes_by_its_type():
    book = Playbook().ready().upstream(error(None, "hm", type="server_error"))
    book.expect({"type": "Error", "description": "hm", "code": "server_error"})


@pytest.mark.parametrize(
    "code", ["response_cancel_not_active", "input_audio_buffer_commit_empty", "item_truncate_invalid_item_id"]
)
def test_benign_races_are_absorbed(code):
    Playbook().ready().upstream(error(code)).expect()


def test_a_credential_in_an_error_is_redacted():
    book = Playbook(redact=lambda text: text.replace(KEY, "[redacted]")).ready()
    book.upstream(error("odd", f"bad key {KEY}"))
    assert book.frames_to_client[0]["description"] == "bad key [redacted]"


def test_a_client_that_sends_no_settings_is_told_what_is_missing_and_let_go():
    book = Playbook().opened().upstream_opens().fire(Wait.SETTINGS)
    (answer,) = book.frames_to_client
    assert (answer["type"], answer["code"]) == ("Error", "CLIENT_MESSAGE_TIMEOUT")
    assert "Settings" in answer["description"]
    assert book.ending.code == 1000


def test_once_there_are_settings_a_client_may_be_silent():
    assert "settings" not in Playbook().opened().client(SETTINGS).timers
    update = {"type": "session.update", "session": {"type": "realtime"}}
    assert "settings" not in Playbook().opened().client(update).timers


def test_an_event_of_an_unknown_type_is_passed_over():
    book = Playbook().ready().upstream({"type": "response.dance"}, {"type": "response.dance", "response": 7})
    book.expect()
    assert book.session.describe()["ignored"] == 2


def test_the_upstream_that_was_got_ready_is_told_nothing_more_behind_the_end():
    book = Playbook().ready().fire(Wait.ROLLOVER)
    generation = book.session.state.standby.generation
    book.upstream_closes().forget()
    created = orjson.dumps({"type": "session.created"}).decode()
    book.feed(messages.UpstreamTextReceived(generation, created)).expect()
