"""An upstream with a script: hostile, slow, or out of order. Its server runs in the test's process."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

WAIT_S = 5.0

Say = Callable[[dict[str, Any]], None]
Script = Callable[[Say, dict[str, Any]], None]
"""A function that is called with each client event, sends events by `say`, and raises `Hangup` to close with 1000."""


class Hangup(Exception):  # noqa: N818 - it is no failure
    """The script closes the connection."""


class ScriptedUpstream:
    """A server of OpenAI's protocol: it accepts sessions and acknowledges items, and leaves the rest to its script."""

    def __init__(self, script: Script) -> None:
        self.connections = 0
        """Handshakes so far."""
        self.events: list[dict[str, Any]] = []
        """The events of all clients, without the microphone's audio."""
        self._script = script
        self._server = serve(self._handle, "127.0.0.1", 0, max_size=None, compression=None)
        self._thread = threading.Thread(target=self._server.serve_forever, name="scripted upstream")
        self._thread.start()

    @property
    def url(self) -> str:
        """The address to dial."""
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/v1/realtime"

    def close(self) -> None:
        """Stop listening, and end every connection."""
        self._server.shutdown()
        self._thread.join(WAIT_S)

    def _handle(self, connection: ServerConnection) -> None:
        self.connections += 1

        def say(event: dict[str, Any]) -> None:
            connection.send(json.dumps({"event_id": "e", **event}))

        with contextlib.suppress(ConnectionClosed, Hangup):
            say({"type": "session.created", "session": {"id": "s"}})
            for frame in connection:
                event = json.loads(frame)
                if event["type"] != "input_audio_buffer.append":
                    self.events.append(event)
                self._answer(say, event)

    def _answer(self, say: Say, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            say({"type": "session.updated", "session": {}})
        elif event["type"] == "conversation.item.create":
            say({"type": "conversation.item.added", "item": event["item"]})
        self._script(say, event)


@contextlib.contextmanager
def scripted(script: Script = lambda _say, _event: None) -> Iterator[ScriptedUpstream]:
    """Run a scripted upstream during the block."""
    upstream = ScriptedUpstream(script)
    try:
        yield upstream
    finally:
        upstream.close()
