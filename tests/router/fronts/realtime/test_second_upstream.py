"""An upstream that takes over before another one's session ends."""

import pytest

from actors import messages as engine
from actors.restart import Decision
from router.fronts.realtime.relay import Timer
from router.session.reports import UpstreamTookOver
from tests.support.machine.realtime_book import RealtimeBook


@pytest.fixture
def book():
    """A book whose standby upstream is dialled."""
    book = RealtimeBook().ready()
    book.client("session.update", session={"instructions": "1"}).server("session.updated", session={})
    book.fire(Timer.ROLLOVER)
    assert book.generation == 2
    return book


def kinds(events):
    return [event["type"] for event in events]


def took_over(book):
    facts = [it.notification for it in book.others if isinstance(it, engine.Notify)]
    return [fact for fact in facts if isinstance(fact, UpstreamTookOver)]


def test_an_idle_session_moves_when_the_standby_upstream_has_begun(book):
    book.take()
    book.open()
    assert engine.CloseUpstream(1) in book.others
    sent, upstream = book.sent, book.upstream
    assert (kinds(sent), kinds(upstream)) == ([], ["session.update"])
    assert [fact.is_rollover for fact in took_over(book)] == [True]


def test_the_upstream_in_use_serves_until_then(book):
    book.take()
    book.generation = 1
    book.ask().begin().write("One").finish("One")
    assert kinds(book.take()[0])[-1] == "response.done"


def test_a_standby_upstream_that_fails_is_tried_again_later(book):
    book.lose()
    assert engine.StartTimer(Timer.ROLLOVER.value, 10.0) in book.others
    assert book.fire(Timer.ROLLOVER).generation == 3


@pytest.mark.parametrize("frame", ["{", '{"type":"error","error":{"code":"invalid_api_key"}}'])
def test_a_standby_upstream_that_refuses_is_closed(book, frame):
    book.feed(engine.UpstreamTextReceived(2, frame))
    assert engine.CloseUpstream(2) in book.others
    assert book.sent == [] or book.sent[-1]["type"] != "error"


def test_a_standby_upstream_that_is_late_is_closed(book):
    book.fire(Timer.STANDBY)
    assert engine.CloseUpstream(2) in book.others


def test_a_lost_upstream_is_replaced_by_the_standby_one(book):
    book.generation = 1
    book.ask().begin().write("One")
    book.generation = 2
    book.open().take()
    book.generation = 1
    book.lose(Decision.TEAR_DOWN)
    assert book.ending is None
    sent, upstream = book.take()
    assert kinds(sent)[-1] == "response.done"
    assert kinds(upstream) == ["session.update"]
    assert not took_over(book), "not before its configuration is acknowledged"


def test_a_lost_upstream_whose_standby_has_not_begun_is_replaced_as_ever(book):
    book.generation = 1
    book.lose()
    assert engine.CloseUpstream(2) in book.others
    assert book.generation == 3


def test_an_operator_may_move_a_session():
    book = RealtimeBook().ready().feed(engine.MoveRequested())
    assert [it.is_standby for it in book.others if isinstance(it, engine.OpenUpstream)] == [True]
    assert book.feed(engine.MoveRequested()).generation == 2, "there is one"
