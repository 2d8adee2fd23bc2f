"""Calls in memory: a scripted client, a real router, and a scripted upstream."""

from __future__ import annotations

import queue
import warnings
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode, urlsplit

import orjson

from actors.connections.base import ConnectionClosed
from actors.connections.close_codes import CloseCode
from actors.connections.memory import MemoryPeer, memory_link, memory_pair
from router.core import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from actors.actor import Ref
    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from router.simulator import Simulator

TIMEOUT_S: Final = 5.0

SETTINGS: Final[dict[str, Any]] = {
    "type": "Settings",
    "audio": {
        "input": {"encoding": "linear16", "sample_rate": 24000},
        "output": {"encoding": "linear16", "sample_rate": 24000},
    },
    "agent": {"think": {"provider": {"type": "open_ai"}, "prompt": "Be brief."}},
}
"""The default Settings that `ScriptedClient` sends."""

NOWHERE: Final = "ws://nowhere.invalid/v1/realtime"
"""The configured upstream. With it the router starts no simulator.

The harness replaces each dial, so the router never connects to this address.
"""


class CallHarness:
    """Calls through a router that opens no port and dials no server. The methods block the test's thread.

    Without a given router the harness makes one, and `close` closes it. A given router keeps its functions and hooks,
    and `close` leaves it running.
    """

    def __init__(self, router: Router | None = None, **settings: Any) -> None:
        self._owns_router = router is None
        self.router = router or Router(**{"upstream": NOWHERE, **settings})
        self._calls: list[Call] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(
        self,
        profile: str = "converse",
        *,
        simulator: Simulator | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        path: str = "",
    ) -> Call:
        """Start a session. Its upstream is `simulator`.

        Without a simulator the test plays the upstream through `Call.upstream`.

        A `path` selects the settings of that route in the configuration (`[[routes]]`).

        Raises:
            HandshakeRefused: the router refuses the session; `status` is the HTTP status that a client would get.
        """
        call = Call(self.router, profile, simulator, _environ(headers or {}, query or {}, path))
        self._calls.append(call)
        return call

    def close(self) -> None:
        """End every call, and the router if the harness made it."""
        for call in self._calls:
            call.hang_up()
        if self._owns_router:
            self.router.close(drain_s=0)


def _environ(headers: Mapping[str, str], query: Mapping[str, str], path: str) -> dict[str, Any]:
    given = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    upgrade = {"REQUEST_METHOD": "GET", "HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}
    return {**upgrade, **given, "PATH_INFO": path, "QUERY_STRING": urlencode(query), "REMOTE_ADDR": "127.0.0.1"}


class Call:
    """One session: its client, its upstream, and its actors."""

    def __init__(self, router: Router, profile: str, simulator: Simulator | None, environ: dict[str, Any]) -> None:
        self._router = router
        self._simulator = simulator
        self._dialled: queue.SimpleQueue[MemoryPeer] = queue.SimpleQueue()
        self.targets: list[DialTarget] = []
        """The URL and the headers of each dial, in order."""
        connection, peer = memory_pair()

        def open_connection(first_text: str | None) -> Connection:
            if first_text is not None:
                connection.send_text(first_text)
            return connection

        self.session_id, _ = router.begin(environ, profile, open_connection, dialler=self._dial)
        self.client = ScriptedClient(peer)

    @property
    def actors(self) -> dict[str, Ref]:
        """The actors of the session at this moment: `client`, `translator`, `upstream 1` and so on."""
        return self._router.actors_of(self.session_id)

    @property
    def translator(self) -> Ref:
        """The actor that feeds the session machine. A test may `ask` it `Describe`, or `tell` it any input."""
        actors = self.actors
        if "translator" not in actors:
            raise AssertionError("the session has ended")
        return actors["translator"]

    def upstream(self) -> ScriptedUpstream:
        """Wait for the session's next dial, and return the dialled upstream, which the test scripts.

        The first call returns the first upstream.
        """
        try:
            return ScriptedUpstream(self._dialled.get(timeout=TIMEOUT_S))
        except queue.Empty:
            raise AssertionError(f"no upstream was dialled within {TIMEOUT_S:g} s") from None

    def hang_up(self) -> None:
        """Close the connection as a client does, and wait until the actors of the session have stopped."""
        self.client.close()
        for ref in self.actors.values():
            ref.actor_stopped.wait(TIMEOUT_S)

    def _dial(self, target: DialTarget) -> Connection:
        self.targets.append(target)
        if self._simulator is None:
            connection, peer = memory_pair()
            self._dialled.put(peer)
            return connection
        ours, theirs = memory_link()
        query = dict(part.split("=", 1) for part in urlsplit(target.url).query.split("&") if "=" in part)
        self._simulator.serve(theirs, {name.lower(): value for name, value in target.headers}, query)
        return ours


def _former(name: str, now: str) -> Callable[..., Any]:
    """Make a method under a former name, which warns and calls the method `now`."""

    def method(self: Any, *args: Any, **given: Any) -> Any:
        warnings.warn(f"{type(self).__name__}.{name} is called {now} now", DeprecationWarning, stacklevel=2)
        return getattr(self, now)(*args, **given)

    return method


class _Scripted:
    """One end of a call, which sends and receives JSON."""

    def __init__(self, peer: MemoryPeer) -> None:
        self.peer = peer
        """The connection in memory, for resets, half-closes and raw bytes."""
        self.received: list[dict[str, Any] | bytes] = []
        """Every message and every piece of audio that the test has received, in order."""

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        self.peer.send_text(orjson.dumps({"type": kind, **fields}).decode())

    def receive(self) -> dict[str, Any] | bytes:
        """Wait for the next message, or the next audio, and return it.

        Raises:
            AssertionError: the router closed the connection; the text has its code and reason.
            TimeoutError: no message came in time.
        """
        frame = self.peer.receive(TIMEOUT_S)
        if isinstance(frame, ConnectionClosed):
            raise AssertionError(f"closed with {frame.code} {frame.reason}")  # noqa: TRY004 - for a test to fail with
        message: dict[str, Any] | bytes = frame if isinstance(frame, bytes) else orjson.loads(frame)
        self.received.append(message)
        return message

    def wait_for(self, kind: str) -> dict[str, Any]:
        """Wait for the next message of a type, and return it. The messages before it are in `received`."""
        while True:
            message = self.receive()
            if isinstance(message, dict) and message["type"] == kind:
                return message

    def wait_for_close(self) -> ConnectionClosed:
        """Wait until the router closes the connection, and return its close.

        The messages before it are in `received`.
        """
        while not isinstance(frame := self.peer.receive(TIMEOUT_S), ConnectionClosed):
            self.received.append(frame if isinstance(frame, bytes) else orjson.loads(frame))
        return frame

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the close handshake. On a closed connection do nothing."""
        self.peer.close(code, reason)


class ScriptedClient(_Scripted):
    """A client of the voice agent, whose messages the test sends."""

    def send_settings(self, settings: Mapping[str, Any] = SETTINGS) -> None:
        """Send Settings.

        The session applies them when the upstream accepts them. A `ScriptedUpstream` accepts them in `open_session`.
        """
        self.peer.send_text(orjson.dumps(settings).decode())

    def start(self, settings: Mapping[str, Any] = SETTINGS) -> None:
        """Send Settings, and wait for `SettingsApplied`. Use it for calls with a simulator."""
        self.send_settings(settings)
        self.wait_for("SettingsApplied")

    def say(self, text: str) -> None:
        """Send a text of the user as `InjectUserMessage`."""
        self.send("InjectUserMessage", content=text)

    def send_audio(self, pcm: bytes) -> None:
        """Send a piece of microphone audio."""
        self.peer.send_binary(pcm)

    settle = _former("settle", "send_settings")


class ScriptedUpstream(_Scripted):
    """An OpenAI Realtime server, whose events the test sends."""

    def open_session(self) -> dict[str, Any]:
        """Send `session.created`, acknowledge the `session.update` that follows, and return that update."""
        self.send("session.created", session={})
        update = self.wait_for("session.update")
        self.send("session.updated", session={})
        return update

    def acknowledge_item(self) -> dict[str, Any]:
        """Acknowledge the next `conversation.item.create`, and return its item."""
        item: dict[str, Any] = self.wait_for("conversation.item.create")["item"]
        self.send("conversation.item.added", item=item)
        return item

    def answer(self, text: str, **usage: int) -> None:
        """Wait for a `response.create`, and answer it with a text. `usage` becomes the usage of the response."""
        self.wait_for("response.create")
        ids = {"response_id": "resp", "item_id": "item"}
        self.send("response.created", response={"id": "resp", "status": "in_progress"})
        self.send("response.output_text.done", text=text, **ids)
        self.send("response.done", response={"id": "resp", "status": "completed", "usage": usage})

    say_hello = _former("say_hello", "open_session")
    take_item = _former("take_item", "acknowledge_item")
