"""Rows and joint rules."""

import pytest

from router.deepgram import messages as deepgram
from router.session.handlers.ignored import ignore
from router.session.state.states import Lifecycle
from router.session.tables import IllegalTransition, on


def test_a_state_that_a_row_does_not_list_is_refused():
    row = on(deepgram.KeepAlive, ignore)(Lifecycle.READY)

    with pytest.raises(IllegalTransition, match="the handler ignore chose ENDED, which its row does not list"):
        row.chosen(Lifecycle.ENDED)
