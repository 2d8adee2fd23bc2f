"""Recordings of the guarded sessions of these tests: the replay of each one is exact."""

import pytest

from router.recording.header import guard_written
from tests.router.guard.test_machine import GuardedBook
from tests.support.machine.recorded import recorded_tests

BEGINS = {GuardedBook: lambda book, *_: (book.machine, book.session, {"guard": guard_written(book.guard)})}


@pytest.fixture(autouse=True)
def recordings_are_exact(request):
    """Record the sessions of a test, and replay them when it has passed."""
    with recorded_tests(request, BEGINS):
        yield
