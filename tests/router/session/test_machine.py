"""The machine, which looks inputs up in the tables."""

from tests.support.machine.playbook import Playbook, error


def test_a_session_does_nothing_after_its_end():
    book = Playbook().ready().upstream_closes().forget()
    book.client({"type": "InjectUserMessage", "content": "hello?"}, b"\0\0", "{").upstream(error("late"))
    assert book.commands == []
