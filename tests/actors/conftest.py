"""A dispatcher of the test's own."""

import pytest

from actors.dispatcher import Dispatcher


@pytest.fixture
def dispatcher():
    dispatcher = Dispatcher("test-dispatcher").start()
    yield dispatcher
    assert dispatcher.stop()
    assert dispatcher.failures == 0
