"""Rows and joint rules."""

import pytest

from router.deepgram import messages as deepgram
from router.session.handlers.ignored import ignore
from router.session.state.states import Lifecycle
from router.session.tables import IllegalTransition, Rule, on, rows

READY, ENDED, CONNECTING = Lifecycle.READY, Lifecycle.ENDED, Lifecycle.CONNECTING


def test_a_row_without_a_next_state_stays():
    row = on(deepgram.KeepAlive, ignore)(READY)
    assert (row.state, row.next_state, row.instead) == (READY, READY, ())


def test_a_handler_may_choose_the_states_of_its_row():
    row = on(deepgram.KeepAlive, ignore, CONNECTING, may_stay=True, instead=(ENDED,))(READY)
    assert [row.chosen(state) for state in (CONNECTING, READY, ENDED)] == [CONNECTING, READY, ENDED]


def test_a_state_that_a_row_does_not_list_is_refused():
    row = on(deepgram.KeepAlive, ignore)(READY)

    with pytest.raises(IllegalTransition, match="the handler ignore chose ENDED, which its row does not list"):
        row.chosen(ENDED)


def test_a_later_row_replaces_an_earlier_one():
    shared = on(deepgram.KeepAlive, ignore)
    table = rows(READY, shared, on(deepgram.ForceEndTurn, ignore), on(deepgram.KeepAlive, ignore, ENDED))
    assert {kind: row.next_state for kind, row in table.items()} == {
        deepgram.KeepAlive: ENDED,
        deepgram.ForceEndTurn: READY,
    }


@pytest.mark.parametrize("may_stay", [True, False])
def test_a_rule_may_stay_only_where_it_says_so(may_stay):
    rule = Rule(bool, lambda _: None, state=CONNECTING, next_state=READY, may_stay=may_stay)
    assert rule.chosen(READY) is READY
    if may_stay:
        assert rule.chosen(CONNECTING) is CONNECTING
    else:
        with pytest.raises(IllegalTransition):
            rule.chosen(CONNECTING)
    with pytest.raises(IllegalTransition):
        rule.chosen(ENDED)
