"""The used tokens, in shared memory."""

import pytest

from router.access import spent
from router.access.spent import FullError, SpentTokens
from tests.support.processes.forked import status_of_fork

NOW_S = 1_000_000.0


def test_a_token_is_spent_once_and_again_after_it_was_restored():
    tokens = SpentTokens()
    assert tokens.spend("a", NOW_S + 30, NOW_S)
    assert tokens.spend("b", NOW_S + 30, NOW_S)
    assert not tokens.spend("a", NOW_S + 30, NOW_S)
    tokens.restore("a")
    tokens.restore("unknown")
    assert tokens.spend("a", NOW_S + 30, NOW_S)
    assert not tokens.spend("b", NOW_S + 30, NOW_S)


@pytest.mark.slow
def test_a_token_that_another_process_has_spent_is_spent():
    tokens = SpentTokens()

    def spend():
        assert tokens.spend("a", NOW_S + 30, NOW_S)

    assert status_of_fork(spend) == 0
    assert not tokens.spend("a", NOW_S + 30, NOW_S)


def test_the_memory_is_bounded_and_a_full_one_refuses_until_tokens_expire(monkeypatch):
    monkeypatch.setattr(spent, "MAX_TOKENS", 3)
    tokens = SpentTokens()
    for number in range(3):
        assert tokens.spend(str(number), NOW_S + number + 1, NOW_S)
    with pytest.raises(FullError):
        tokens.spend("late", NOW_S + 9, NOW_S)
    assert not tokens.spend("2", NOW_S + 9, NOW_S)
    assert tokens.spend("late", NOW_S + 9, NOW_S + 2)
