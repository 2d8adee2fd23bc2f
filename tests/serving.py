"""A router in this process behind real sockets, and what a client says to it."""

import contextlib

import orjson
from websockets.exceptions import ConnectionClosed

from fault_world import Served
from oracle import assert_message_of
from playbook import settings
from router.config import RouterConfig
from router.core import Router

WAIT_S = 5.0


@contextlib.contextmanager
def serving(profile="openai", **config):
    router = Router(RouterConfig(**config)).start()
    served = Served(router)
    try:
        yield router, served.url(profile)
    finally:
        served.close()
        router.close()


def receive_until(client, kind):
    """Every frame up to the first message of this type."""
    frames = []
    while True:
        frame = client.recv(timeout=WAIT_S)
        frames.append(frame if isinstance(frame, bytes) else orjson.loads(frame))
        if isinstance(frame, bytes):
            continue
        assert_message_of(client.request.path.strip("/"), frames[-1])
        if frames[-1]["type"] == kind:
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
