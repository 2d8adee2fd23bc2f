"""Responses begin: requested ones, and those of the upstream's own."""

import pytest

from actors import messages
from actors.restart import Loss, LossKind
from router.session.deadlines import Wait
from router.session.handlers.response_begin import UNASKED_S
from router.session.state.turn import MAX_UNASKED
from tests.support.machine.beginnings import answering
from tests.support.machine.playbook import STARTED, Playbook, delta, response_created, response_done, text_done

SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}


@pytest.mark.parametrize("wait", [Wait.NEXT_EVENT, Wait.RESPONSE])
def test_an_upstream_that_falls_silent_in_an_answer_is_abandoned(wait):
    book = answering().fire(wait)
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.SILENT, cause=wait.value))]


def test_a_numbered_response_is_played_although_an_earlier_one_of_that_number_was_interrupted():
    book = answering().upstream(delta(b"\1\1"), SPEECH_STARTED, COMMITTED, response_done()).forget()
    book.upstream(response_created(), delta(b"\2\2")).expect(STARTED, b"\2\2")


def begun_unasked(pause_s):
    """Return a session whose upstream began and ended as many responses by itself as may be remembered."""
    book = Playbook("converse").ready()
    for at in range(MAX_UNASKED):
        book.after(pause_s).upstream(response_created(f"own_{at}"), response_done(f"own_{at}"))
    return book


def abandoned(book):
    return [command for command in book.commands if isinstance(command, messages.AbandonUpstream)]


def test_an_upstream_that_begins_one_response_after_the_other_by_itself_is_abandoned():
    (command,) = abandoned(begun_unasked(UNASKED_S / MAX_UNASKED - 0.01))
    assert command.loss.kind is LossKind.MALFORMED


def test_an_upstream_that_speaks_by_itself_now_and_then_is_kept():
    assert not abandoned(begun_unasked(UNASKED_S / (MAX_UNASKED - 1) + 0.01))


def test_a_response_of_the_upstream_s_own_restores_no_restart_budget():
    book = Playbook("converse").ready().upstream(response_created(), text_done("Hello?"), response_done())
    assert not [command for command in book.commands if isinstance(command, messages.ResetRestartBudget)]
