"""Names below `.fault.test` are resolved by the tests' own routes."""

import gc
import socket

import pytest

from tests.support.faults import world


@pytest.fixture(autouse=True, scope="module")
def quiet_collector():
    """Keep what earlier tests have made out of collections: to go through it stops every thread for 0.1 to 0.3 s.

    On a busy machine it is twice as long, and an upstream under test counts as silent after 0.5 s.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def routes(monkeypatch):
    """Resolve the names of worlds."""
    monkeypatch.setattr(socket, "getaddrinfo", world.resolve)
