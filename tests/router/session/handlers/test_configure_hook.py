"""The hook `configure`, which may change a client's Settings."""

from types import MappingProxyType

import orjson
import pytest

from actors import messages
from actors.restart import Loss, LossKind
from router.session.deadlines import Wait
from router.session.handlers.configure_hook import merge
from router.session.work import ConfigureSession
from tests.support.machine.playbook import APPLIED, SETTINGS, Playbook, settings, user

CREATED = {"type": "session.created", "session": {}}
UPDATED = {"type": "session.updated", "session": {}}
KEY = "configure:"


def asked(given=SETTINGS):
    """Return a session whose hook runs."""
    book = Playbook(is_configured_outside=True).opened().client(given)
    assert book.work[KEY] == messages.StartWork(KEY, ConfigureSession(given), 5.0, is_preparation=True)
    return book.forget()


def answered(book, result=None, failure=None):
    return book.performs(KEY, result, failure)


def configuration(book):
    (update,) = [event for event in book.events_to_upstream if event["type"] == "session.update"]
    return update["session"]


def test_the_upstream_is_configured_when_the_hook_has_returned():
    book = asked().upstream_opens().upstream(CREATED)
    assert book.commands == []
    answered(book, {"agent": {"think": {"prompt": "You are Ada."}}})
    assert configuration(book)["instructions"] == "You are Ada."
    book.forget().upstream(UPDATED).expect(APPLIED)


def test_a_result_that_comes_before_the_upstream_waits_for_it():
    book = answered(asked(), {"agent": {"think": {"prompt": "You are Ada."}}})
    book.upstream_opens().upstream(CREATED)
    assert configuration(book)["instructions"] == "You are Ada."


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        "no dict",
        {"agent": {"think": 5}},
        {"agent": "an id"},
        {"agent": {"think": {"prompt": object()}}},
        {"agent": {"greeting": "half a character: \ud83d"}},
        {1: 2},
        {"type": "KeepAlive"},
        {"type": "session.update"},
        {"type": None},
    ],
)
def test_an_empty_or_invalid_result_leaves_the_settings_as_they_are(result):
    book = answered(asked().upstream_opens().upstream(CREATED), result)
    assert configuration(book)["instructions"] == "Be brief."


def test_the_result_may_be_any_mapping():
    book = answered(asked().upstream_opens().upstream(CREATED), MappingProxyType({"agent": {"think": {"prompt": "X"}}}))
    assert configuration(book)["instructions"] == "X"


@pytest.mark.parametrize("kind", messages.WorkFailureKind)
def test_a_failure_leaves_the_settings_as_they_are_and_the_call_continues(kind):
    book = asked().upstream_opens().upstream(CREATED)
    answered(book, failure=messages.WorkFailure(kind))
    assert configuration(book)["instructions"] == "Be brief."
    book.forget().upstream(UPDATED).expect(APPLIED)


def test_the_client_s_input_waits_for_the_hook():
    book = asked().client({"type": "InjectUserMessage", "content": "hello"}, b"\0\0" * 480)
    book.expect(user("hello"))
    answered(book.upstream_opens().upstream(CREATED)).forget()
    book.upstream(UPDATED)
    kinds = [event["type"] for event in book.events_to_upstream]
    assert kinds == ["conversation.item.create", "input_audio_buffer.append"]


def test_the_overrides_change_a_client_s_own_session_update_too():
    given = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
    book = answered(asked(given).upstream_opens().upstream(CREATED), {"session": {"instructions": "You are Ada."}})
    assert configuration(book)["instructions"] == "You are Ada."


def test_the_hook_may_choose_another_model_which_is_dialled():
    book = Playbook(is_configured_outside=True, models=("gpt-realtime-mini",)).opened().client(SETTINGS).forget()
    answered(book, {"agent": {"think": {"provider": {"model": "gpt-realtime-mini"}}}})
    (opened,) = [command for command in book.commands if isinstance(command, messages.OpenUpstream)]
    assert opened.route == "gpt-realtime-mini"


def test_invalid_settings_are_refused_before_the_hook_runs():
    book = Playbook(is_configured_outside=True).opened().client({**settings(), "agent": "an id"})
    assert [orjson.loads(c.frame)["type"] for c in book.commands] == ["Error"]


def test_overrides_are_merged_dict_by_dict():
    given = {"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": {"f": 1}}
    overrides = {"a": {"c": [3]}, "d": None, "e": 2, "g": {"h": 1}, "i": None}
    assert merge(given, overrides) == {"a": {"b": 1, "c": [3]}, "e": 2, "g": {"h": 1}}


def test_no_dial_is_waited_for_while_the_hook_decides_after_the_upstream_was_lost():
    book = Playbook(is_configured_outside=True).opened().upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000))
    book.client(SETTINGS)
    assert Wait.DIAL.value not in book.timers
