"""Inputs that change nothing."""

import pytest

from tests.support.machine.playbook import Playbook, error


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_keep_alive_is_neither_answered_nor_forwarded(profile):
    Playbook(profile).ready().client({"type": "KeepAlive"}).expect()


def test_an_event_of_an_unknown_type_is_counted_and_ignored():
    book = Playbook().ready().upstream({"type": "response.dance"}, {"type": "response.dance", "response": 7})
    book.expect()
    assert book.session.describe()["ignored"] == 2


def test_an_unreadable_event_is_logged_once_for_each_type():
    book = Playbook("converse").ready()
    for _ in range(3):
        book.upstream({"type": "response.output_text.done", "text": None, "item_id": "i"})
        book.upstream({"type": "from.the.future"})
        book.upstream(error("oh", param=5))
    logged = [line for line in book.logged if "ignored" in line]
    assert len(logged) == 3
    assert book.session.state.unknown_types == {"response.output_text.done", "from.the.future", "error"}


def test_the_number_of_remembered_unknown_types_is_bounded():
    book = Playbook("converse").ready()
    for number in range(1000):
        book.upstream({"type": f"noise.{number}"})
    assert len(book.session.state.unknown_types) <= 100
    assert len([line for line in book.logged if "ignored" in line]) <= 101
