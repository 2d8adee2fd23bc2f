"""The pool on which upstreams are dialled."""

import queue

import pytest

from actors.connector import RECENT_OUTCOMES, Connector


@pytest.fixture
def connector():
    connector = Connector(threads=2)
    yield connector
    connector.close(timeout_s=5)


def test_the_latest_outcomes_are_kept_in_order(connector):
    results = queue.SimpleQueue()
    for number in range(RECENT_OUTCOMES + 6):
        connector.submit(lambda number=number: 1 // (number % 2), results.put)
    for _ in range(RECENT_OUTCOMES + 6):
        results.get(timeout=5)
    outcomes = connector.outcomes()
    assert len(outcomes) == RECENT_OUTCOMES
    assert sum(outcome.is_ok for outcome in outcomes) in range(30, 35)
    assert [outcome.at_s for outcome in outcomes] == sorted(outcome.at_s for outcome in outcomes)


def test_an_outcome_is_kept_before_the_caller_gets_the_result(connector):
    seen = queue.SimpleQueue()
    connector.submit(lambda: None, lambda _result: seen.put(connector.outcomes()))
    (outcome,) = seen.get(timeout=5)
    assert outcome.is_ok
