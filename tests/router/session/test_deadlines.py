"""The waits of a session, and their lengths."""

import tracemalloc

import pytest

from router.session import transitions
from router.session.deadlines import Wait, length_s
from tests.support.machine.options import session_options
from tests.support.machine.playbook import Playbook


def test_every_wait_has_a_length_and_a_handler():
    assert set(transitions.DEADLINES) == set(Wait)
    without = {Wait.ROLLOVER, Wait.STANDBY, Wait.PLAYBACK, Wait.MICROPHONE, Wait.CALL, Wait.SILENCE, Wait.DRAIN}
    for wait in set(Wait) - without:
        assert length_s(wait, session_options().deadlines) > 0


def test_a_length_leaves_nothing_in_memory():
    deadlines = session_options().deadlines
    tracemalloc.start()
    try:
        length_s(Wait.SETTINGS, deadlines)
        before_bytes, _ = tracemalloc.get_traced_memory()
        for _ in range(200):
            length_s(Wait.SETTINGS, deadlines)
        left_bytes = tracemalloc.get_traced_memory()[0] - before_bytes
    finally:
        tracemalloc.stop()
    assert left_bytes < 1_000  # a name for each call would take 60 bytes each


@pytest.mark.parametrize(
    ("life_s", "expected"),
    [(3600, 3540), (100, 90), (None, 3300), (-5, 3300), (8, 3300), (1.7e12, 3300)],
    ids=["an hour", "a short life", "absent", "past", "implausibly near", "milliseconds"],
)
def test_the_next_upstream_is_dialled_in_time_and_clocks_are_not_trusted_blindly(life_s, expected):
    book = Playbook().opened().upstream_opens()
    session = {} if life_s is None else {"expires_at": int(book.unix_s) + life_s}
    book.upstream({"type": "session.created", "session": session})
    assert book.timers["rollover"] == pytest.approx(expected)
