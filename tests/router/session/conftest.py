"""Recordings of the playbooks of these tests: the replay of each one is exact."""

import pytest

from tests.support.machine.playbook import Playbook
from tests.support.machine.recorded import recorded_tests


@pytest.fixture(autouse=True)
def recordings_are_exact(request):
    """Record the playbooks of a test, and replay them when it has passed."""
    with recorded_tests(request, {Playbook: lambda book, *_: (book.session, book.session, {})}):
        yield
