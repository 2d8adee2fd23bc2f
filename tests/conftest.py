"""No test leaves an actor, a thread or a warning behind."""

import threading

import pykka
import pytest
from hypothesis import settings

from tests.support.processes.further import examples

pytest_plugins = [
    "router.testing",
    "tests.support.processes.collected_tests",
    "tests.support.processes.fast_or_slow",
    "tests.support.processes.interrupts",
    "tests.support.processes.side_by_side",
]

# Of a property that names no number. Hypothesis has a profile of its own where CI is set.
settings.register_profile("plain", max_examples=examples(settings().max_examples))
settings.load_profile("plain")


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    """Fail a test after which an actor lives or a thread runs that did not before."""
    before = set(threading.enumerate())
    yield
    actors = pykka.ActorRegistry.get_all()
    pykka.ActorRegistry.stop_all(block=False)
    threads = _still_running(set(threading.enumerate()) - before)
    assert actors == [], f"actors left: {actors}"
    assert not threads, f"threads left: {threads}"


def _still_running(threads):
    """Give threads that are ending the time to do so."""
    for thread in threads:
        thread._started.wait(2.0)  # enumerate() lists those, too, that another thread is starting right now
        thread.join(2.0)
    return [thread for thread in threads if thread.is_alive()]
