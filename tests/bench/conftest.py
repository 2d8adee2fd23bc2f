"""Short laps for tests that ask whether the benchmark runs, and not how long a message takes."""

import pytest

from tests.bench import talking


@pytest.fixture
def short_talks(monkeypatch):
    """Let the callers talk for a moment before the measured window and behind it, and not for 2 s."""
    for name in ("FIRST_TALK_S", "WARM_UP_S", "TAIL_S"):
        monkeypatch.setattr(talking, name, 0.2)
