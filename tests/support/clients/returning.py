"""A client of Deepgram's protocol that asks for a resume token, and comes back with the token."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import orjson
from websockets.sync.client import ClientConnection, connect

from tests.support.machine.playbook import settings
from tests.support.processes.serving import WAIT_S, receive_until, say


@contextlib.contextmanager
def call(url: str, token: str | None = None) -> Iterator[tuple[ClientConnection, dict[str, Any]]]:
    """Connect, and yield the client with its `Welcome`."""
    with connect(f"{url}?resume={token or 'new'}") as client:
        yield client, orjson.loads(client.recv(timeout=WAIT_S))


def apply(client: ClientConnection) -> list[Any]:
    """Send Settings, and return everything up to `SettingsApplied`."""
    client.send(orjson.dumps(settings()).decode())
    return receive_until(client, "SettingsApplied")


def ask(client: ClientConnection, text: str) -> str:
    """Hold a turn in text, and return the agent's words."""
    say(client, type="InjectUserMessage", content=text)
    frames = receive_until(client, "AgentAudioDone")
    texts = [it for it in frames if isinstance(it, dict) and it["type"] == "ConversationText"]
    return " ".join(it["content"] for it in texts if it["role"] == "assistant")


def cut(client: ClientConnection) -> None:
    """End the connection without a close frame, as a lost network does."""
    # Without the shutdown the stream stays open as long as the client's thread waits in `recv`.
    client.socket.shutdown(socket.SHUT_RDWR)
    client.socket.close()
