"""A router in this process behind real sockets, and functions for its clients."""

import contextlib

import orjson
from websockets.exceptions import ConnectionClosed

from router.config.model import RouterConfig
from router.core import Router
from router.simulator import Simulator, SimulatorConfig
from tests.support.data.oracle import assert_message_of
from tests.support.faults.world import Served, judge
from tests.support.machine.playbook import settings

WAIT_S = 5.0


@contextlib.contextmanager
def serving(profile="openai", *, hooks=None, **config):
    router = Router(RouterConfig(**config), **(hooks or {})).start()
    served = Served(router)
    try:
        yield router, served.url(profile)
    finally:
        served.close()
        router.close(drain_s=0)


@contextlib.contextmanager
def simulating(**config):
    """Run a simulator, and judge all events that it received at the end."""
    with Simulator(SimulatorConfig(**config)) as simulator:
        yield simulator
    judge(simulator)


def receive_until(client, kind):
    """Return every frame up to the first message of this type."""
    return _receive_until(client, lambda frame: not isinstance(frame, bytes) and frame["type"] == kind)


def receive_until_audio(client):
    """Return every frame up to the first audio of the agent."""
    return _receive_until(client, lambda frame: isinstance(frame, bytes))


def _receive_until(client, is_last):
    frames = []
    while not frames or not is_last(frames[-1]):
        frame = client.recv(timeout=WAIT_S)
        frames.append(frame if isinstance(frame, bytes) else orjson.loads(frame))
        if not isinstance(frame, bytes):
            assert_message_of(client.request.path.partition("?")[0].strip("/"), frames[-1])
    return frames


def say(client, **message):
    client.send(orjson.dumps(message).decode())


def apply_settings(client, given=None):
    client.send(orjson.dumps(given or settings()).decode())
    return receive_until(client, "SettingsApplied")


def closing(client):
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.recv(timeout=WAIT_S)
    return client.close_code
