"""The relay of Deepgram's Voice Agent, as a scripted session."""

import pytest

from tests.support.machine.relay_book import RelayBook


@pytest.fixture
def book():
    """A relay before its Settings."""
    return RelayBook()
