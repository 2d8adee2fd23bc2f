"""What the embedding application has to say to a client's Settings."""

from types import MappingProxyType

import orjson
import pytest

from actors import messages
from router.session.handlers.configure_hook import merge
from router.session.work import ConfigureSession
from tests.support.machine.playbook import APPLIED, SETTINGS, Playbook, settings, user

CREATED = {"type": "session.created", "session": {}}
UPDATED = {"type": "session.updated", "session": {}}
KEY = "configure:"


def asked(given=SETTINGS):
    """A session whose application is being asked."""
    book = Playbook(is_configured_outside=True).opened().client(given)
    assert book.work[KEY] == messages.StartWork(KEY, ConfigureSession(given), 5.0, is_preparation=True)
    return book.forget()


def answered(book, result=None, failure=None):
    return book.performs(KEY, result, failure)


def configuration(book):
    (update,) = [event for event in book.events_to_upstream if event["type"] == "session.update"]
    return update["session"]


def test_the_upstream_is_configured_when_the_application_has_answered():
    book = asked().upstream_opens().upstream(CREATED)
    assert book.commands == []
    answered(book, {"agent": {"think": {"prompt": "You are Ada."}}})
    assert configuration(book)["instructions"] == "You are Ada."
    book.forget().upstream(UPDATED).expect(APPLIED)


def test_an_answer_that_comes_before_the_upstream_is_waited_with():
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
def test_where_it_has_nothing_to_say_or_nothing_of_sense_the_settings_stay(result):
    book = answered(asked().upstream_opens().upstream(CREATED), result)
    assert configuration(book)["instructions"] == "Be brief."


def test_its_answer_may_be_any_mapping():
    book = answered(asked().upstream_opens().upstream(CREATED), MappingProxyType({"agent": {"think": {"prompt": "X"}}}))
    assert configuration(book)["instructions"] == "X"


@pytest.mark.parametrize("kind", messages.WorkFailureKind)
def test_where_it_fails_the_settings_stay_and_the_call_goes_on(kind):
    book = asked().upstream_opens().upstream(CREATED)
    answered(book, failure=messages.WorkFailure(kind))
    assert configuration(book)["instructions"] == "Be brief."
    book.forget().upstream(UPDATED).expect(APPLIED)


def test_what_the_client_says_meanwhile_waits():
    book = asked().client({"type": "InjectUserMessage", "content": "hello"}, b"\0\0" * 480)
    book.expect(user("hello"))
    answered(book.upstream_opens().upstream(CREATED)).forget()
    book.upstream(UPDATED)
    kinds = [event["type"] for event in book.events_to_upstream]
    assert kinds == ["conversation.item.create", "input_audio_buffer.append"]


def test_a_client_s_own_session_update_is_laid_over_too():
    given = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
    book = answered(asked(given).upstream_opens().upstream(CREATED), {"session": {"instructions": "You are Ada."}})
    assert configuration(book)["instructions"] == "You are Ada."


def test_the_model_may_be_another_and_is_dialled_again():
    book = Playbook(is_configured_outside=True, models=("gpt-realtime-mini",)).opened().client(SETTINGS).forget()
    answered(book, {"agent": {"think": {"provider": {"model": "gpt-realtime-mini"}}}})
    (opened,) = [command for command in book.commands if isinstance(command, messages.OpenUpstream)]
    assert opened.route == "gpt-realtime-mini"


def test_settings_that_are_no_good_are_refused_before_anybody_is_asked():
    book = Playbook(is_configured_outside=True).opened().client({**settings(), "agent": "an id"})
    assert [orjson.loads(c.frame)["type"] for c in book.commands] == ["Error"]


def test_overrides_are_laid_over_dict_by_dict():
    given = {"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": {"f": 1}}
    overrides = {"a": {"c": [3]}, "d": None, "e": 2, "g": {"h": 1}, "i": None}
    assert merge(given, overrides) == {"a": {"b": 1, "c": [3]}, "e": 2, "g": {"h": 1}}
