"""The benchmark of a host application runs, and leaves nothing behind."""

import pytest

from tests.bench import hosting
from tests.support.processes.further import first_and_further

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("server", first_and_further({name: name for name in hosting.COMMANDS}))
def test_pages_are_served_beside_calls_and_no_thread_is_held(server):
    found = hosting.measure(sessions=2, seconds=0.5, rounds=1, server=server)

    assert len(found.alone) == len(found.beside) == 0.5 * hosting.PER_S
    assert found.lost == []
    assert found.held == 0
    assert bool(found.late_beside) == (server != "gunicorn")
