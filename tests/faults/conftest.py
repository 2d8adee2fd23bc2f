"""Names below `.fault.test` are resolved by the tests' own routes."""

import socket

import pytest

import fault_world


@pytest.fixture(autouse=True)
def routes(monkeypatch):
    """Resolve the names of worlds."""
    monkeypatch.setattr(socket, "getaddrinfo", fault_world.resolve)
