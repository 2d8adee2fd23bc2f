"""An upstream with a script: hostile, slow, or out of order. Its server runs in the test's process."""

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

WAIT_S = 5.0

Item = dict[str, Any]
Say = Callable[[dict[str, Any]], None]
Script = Callable[[Say, dict[str, Any]], None]
"""A function of `say` and a client's event. It sends events by `say`, and raises `Hangup` to close with 1000."""


_numbers = itertools.count()


class Hangup(Exception):  # noqa: N818 - it is no failure
    """Raised by a script to close the connection."""


def with_their_ids(item: Item) -> Item:
    """Acknowledge an item under the id that its client gave it, as OpenAI does."""
    return item


def with_another_id(item: Item) -> Item:
    """Acknowledge an item under an id that the upstream chooses."""
    return {**item, "id": f"mock_{item.get('id')}"}


def without_id(item: Item) -> Item:
    """Acknowledge an item without its id."""
    return {key: value for key, value in item.items() if key != "id"}


def with_their_own_id_alone(_item: Item) -> Item:
    """Acknowledge an item with an id that the upstream chooses, and without any other field."""
    return {"id": f"mock_{next(_numbers)}"}


def without_item(_item: Item) -> Item:
    """Acknowledge an item without any of its fields."""
    return {}


class ScriptedUpstream:
    """A server of OpenAI's protocol that accepts sessions and acknowledges items. Its script does the rest.

    Without `is_announced` the server sends no session.created. `acknowledged` returns the item of an acknowledgement,
    or None for no acknowledgement. `is_applied` tells whether the events so far suffice for session.updated.
    """

    def __init__(
        self,
        script: Script,
        *,
        is_announced: bool = True,
        acknowledged: Callable[[Item], Item | None] = with_their_ids,
        is_applied: Callable[[list[dict[str, Any]]], bool] = lambda events: events[-1]["type"] == "session.update",
    ) -> None:
        self.connections = 0
        """The number of handshakes so far."""
        self.headers: list[dict[str, str]] = []
        """The headers of each handshake, by their names in lower case."""
        self.events: list[dict[str, Any]] = []
        """The events of all clients, without the microphone's audio."""
        self.audio: list[str] = []
        """The microphone audio of all clients, in base64."""
        self._script = script
        self._is_announced = is_announced
        self._acknowledged = acknowledged
        self._is_applied = is_applied
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
        request = connection.request
        self.headers.append({name.lower(): value for name, value in request.headers.raw_items()} if request else {})
        events: list[dict[str, Any]] = []

        def say(event: dict[str, Any]) -> None:
            connection.send(json.dumps({"event_id": "e", **event}))

        with contextlib.suppress(ConnectionClosed, Hangup):
            if self._is_announced:
                say({"type": "session.created", "session": {"id": "s"}})
            for frame in connection:
                event = json.loads(frame)
                if event["type"] == "input_audio_buffer.append":
                    self.audio.append(event["audio"])
                else:
                    self.events.append(event)
                    events.append(event)
                    if self._is_applied(events):
                        say({"type": "session.updated", "session": {}})
                self._answer(say, event)

    def _answer(self, say: Say, event: dict[str, Any]) -> None:
        if event["type"] == "conversation.item.create":
            item = self._acknowledged(event["item"])
            if item is not None:
                say({"type": "conversation.item.added", "item": item})
        self._script(say, event)


@contextlib.contextmanager
def scripted(script: Script = lambda _say, _event: None, **manners: Any) -> Iterator[ScriptedUpstream]:
    """Run a scripted upstream during the block. `manners` are its other arguments."""
    upstream = ScriptedUpstream(script, **manners)
    try:
        yield upstream
    finally:
        upstream.close()
