"""Helpers for the tests of an application that embeds a router: whole sessions in memory, without port, key or sleep.

`calls`   `CallHarness` and its calls, whose clients and upstreams are scripted
`probes`  actors that record the messages that they receive

`pytest_plugins = ["router.testing"]` in a `conftest.py` gives the fixtures:

- `switchboard`: calls in memory through a router of its own; for another router use `CallHarness(router)`
- `simulator`: an OpenAI Realtime server that does not listen and answers at once
- `probe`: an actor that records messages

The application has to install pytest itself. docs/embedding.md has the recipe.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from actors.connections.handover import HandshakeRefused
from actors.dispatcher import Dispatcher
from router.simulator import Simulator, SimulatorConfig
from router.testing.calls import SETTINGS, Call, CallHarness, ScriptedClient, ScriptedUpstream
from router.testing.probes import Probe, ProbeRef

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "SETTINGS",
    "Call",
    "CallHarness",
    "HandshakeRefused",
    "Probe",
    "ProbeRef",
    "ScriptedClient",
    "ScriptedUpstream",
]


def __getattr__(name: str) -> Any:
    """Return a class under its name of the previous version, with a `DeprecationWarning`."""
    if name == "Switchboard":
        warnings.warn("router.testing.Switchboard is called CallHarness now", DeprecationWarning, stacklevel=2)
        return CallHarness
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@pytest.fixture
def switchboard() -> Iterator[CallHarness]:
    """Yield a `CallHarness` for calls in memory, with a router of default settings."""
    with CallHarness() as harness:
        yield harness


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Yield a running simulator, to pass as the upstream to `CallHarness.call`."""
    simulator = Simulator(SimulatorConfig(pace=0)).start(listens=False)
    yield simulator
    simulator.close()


@pytest.fixture
def probe() -> Iterator[ProbeRef]:
    """Yield an actor that records messages, on a separate dispatcher."""
    dispatcher = Dispatcher("probes").start()
    ref = Probe.begin(dispatcher)
    yield ref
    ref.stop()
    dispatcher.stop()
