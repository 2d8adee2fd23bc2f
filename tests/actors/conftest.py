"""A dispatcher of the test's own, and an engine on it."""

import pytest

from actors.dispatcher import Dispatcher
from tests.support.engine.sessions import EngineHarness


@pytest.fixture
def dispatcher():
    dispatcher = Dispatcher("test-dispatcher").start()
    yield dispatcher
    assert dispatcher.stop()
    assert dispatcher.failures == 0


@pytest.fixture
def engine(dispatcher):
    engine = EngineHarness(dispatcher)
    yield engine
    engine.close()
