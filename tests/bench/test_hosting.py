"""The benchmark of a host application runs, and leaves nothing behind."""

import pytest

from tests.bench import hosting

pytestmark = pytest.mark.slow


def test_pages_are_served_beside_calls_and_no_thread_is_held():
    alone, beside, lost, held = hosting.measure(sessions=2, seconds=0.5, rounds=1)

    assert len(alone) == len(beside) == 0.5 * hosting.PER_S
    assert lost == []
    assert held == 0
