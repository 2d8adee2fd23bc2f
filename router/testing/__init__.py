"""For the tests of an application that embeds a router: whole sessions in memory, with no port, no key and no sleep.

`pytest_plugins = ["router.testing"]` in a `conftest.py` gives the fixtures:

`switchboard`  a router of the test's own, whose calls go over memory; `CallHarness(router)` is one for another router
`simulator`    an OpenAI Realtime server that listens nowhere, and answers as fast as it is heard
`probe`        an actor that records what it is told

pytest itself is the application's to install. docs/embedding.md has the recipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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


@pytest.fixture
def switchboard() -> Iterator[CallHarness]:
    """Calls over memory, through a router with its defaults."""
    with CallHarness() as board:
        yield board


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """An upstream that is no script: hand it to `CallHarness.call`."""
    simulator = Simulator(SimulatorConfig(pace=0)).start(listens=False)
    yield simulator
    simulator.close()


@pytest.fixture
def probe() -> Iterator[ProbeRef]:
    """An actor to be plugged in where another was."""
    dispatcher = Dispatcher("probes").start()
    ref = Probe.begin(dispatcher)
    yield ref
    ref.stop()
    dispatcher.stop()
