"""The ends of a session: a typed message, and then a close frame."""

import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.beginnings import asked
from tests.support.machine.playbook import SETTINGS, Playbook, response_created


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
def test_a_loss_without_a_restart_ends_the_session(kind, status, code, close_code):
    book = Playbook().opened().client(SETTINGS)
    book.upstream_is_lost(Loss(kind=kind, code=status, cause="cause"), Decision.TEAR_DOWN)
    assert book.frames_to_client[0]["code"] == code
    assert book.ending.code == close_code


def test_a_client_that_does_not_read_receives_the_reason_of_its_close():
    book = Playbook().ready().feed(messages.ClientOverflowed(3_000_000))
    assert book.frames_to_client[0]["code"] == "CLIENT_TOO_SLOW"
    assert book.ending.code == 1008


def test_a_client_that_is_gone_receives_nothing():
    closed = ConnectionClosed(ending=Ending.RESET, code=1006)
    book = Playbook().ready().feed(messages.ClientClosed(closed))
    assert book.commands == [messages.EndSession(1000, "")]


def test_a_client_that_leaves_cancels_its_answer():
    book = asked().upstream(response_created()).forget()
    book.feed(messages.ClientClosed(ConnectionClosed(ending=Ending.RESET, code=1006)))
    assert book.events_to_upstream == [{"type": "response.cancel", "response_id": "resp_1"}]
    assert book.ending is not None


def test_a_client_that_sends_no_settings_is_closed_with_the_reason():
    book = Playbook().opened().upstream_opens().fire(Wait.SETTINGS)
    (answer,) = book.frames_to_client
    assert (answer["type"], answer["code"]) == ("Error", "CLIENT_MESSAGE_TIMEOUT")
    assert "Settings" in answer["description"]
    assert book.ending.code == 1000


def test_a_client_with_settings_may_be_silent():
    assert "settings" not in Playbook().opened().client(SETTINGS).timers
    update = {"type": "session.update", "session": {"type": "realtime"}}
    assert "settings" not in Playbook().opened().client(update).timers


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_operator_ends_the_session_with_an_error_and_the_answer_is_cancelled(profile):
    book = asked(profile=profile).upstream(response_created()).forget().feed(messages.EndRequested())
    assert book.events_to_upstream[-1]["type"] == "response.cancel"
    assert (book.frames_to_client[-1]["type"], book.frames_to_client[-1]["code"]) == ("Error", "SESSION_ENDED")
    assert book.ending.code == 1000


def test_an_operator_ends_a_session_that_has_no_settings():
    book = Playbook().feed(messages.ClientOpened()).feed(messages.EndRequested())
    assert book.frames_to_client[-1]["code"] == "SESSION_ENDED"
