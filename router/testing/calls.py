"""Calls over memory: a client and an upstream that a test plays, and a real router between them."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode, urlsplit

import orjson

from actors.connections.base import ConnectionClosed
from actors.connections.close_codes import CloseCode
from actors.connections.memory import MemoryPeer, memory_link, memory_pair
from router.core import Router

if TYPE_CHECKING:
    from collections.abc import Mapping
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
"""What a client begins with, unless a test gives it something else."""

NOWHERE: Final = "ws://nowhere.invalid/v1/realtime"


class CallHarness:
    """Places calls through a router, which opens no port and dials nobody. Its methods wait: not for a dispatcher.

    Without a router it makes one of its own, and closes it at the end. One that is given keeps its functions and hooks,
    and is left as it was found, but started.
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
    ) -> Call:
        """Begin a session. Its upstream is `simulator`, or else what the test says in `Call.upstream`.

        Raises:
            HandshakeRefused: the router does not take it; `status` is the HTTP status that a client would get.
        """
        call = Call(self.router, profile, simulator, _environ(headers or {}, query or {}))
        self._calls.append(call)
        return call

    def close(self) -> None:
        """End every call; and the router, if it is our own."""
        for call in self._calls:
            call.hang_up()
        if self._owns_router:
            self.router.close(drain_s=0)


def _environ(headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, Any]:
    given = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    asked = {"REQUEST_METHOD": "GET", "HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}
    return {**asked, **given, "QUERY_STRING": urlencode(query), "REMOTE_ADDR": "127.0.0.1"}


class Call:
    """One session: its client, its upstream, and its actors."""

    def __init__(self, router: Router, profile: str, simulator: Simulator | None, environ: dict[str, Any]) -> None:
        self._router = router
        self._simulator = simulator
        self._dialled: queue.SimpleQueue[MemoryPeer] = queue.SimpleQueue()
        self.targets: list[DialTarget] = []
        """What was dialled: URL and headers."""
        connection, peer = memory_pair()

        def open_it(first_text: str) -> Connection:
            connection.send_text(first_text)
            return connection

        self.session_id, _ = router.begin(environ, profile, open_it, dialler=self._dial)
        self.client = ScriptedClient(peer)

    @property
    def actors(self) -> dict[str, Ref]:
        """The session's actors at this moment: `client`, `translator`, `upstream 1` and so on."""
        return self._router.actors_of(self.session_id)

    @property
    def translator(self) -> Ref:
        """The actor that holds the session machine: ask it to `Describe`, tell it any input."""
        actors = self.actors
        if "translator" not in actors:
            raise AssertionError("the session has ended")
        return actors["translator"]

    def upstream(self) -> ScriptedUpstream:
        """The next upstream that the session has dialled; the first, at first. Waits for it."""
        try:
            return ScriptedUpstream(self._dialled.get(timeout=TIMEOUT_S))
        except queue.Empty:
            raise AssertionError("no upstream is dialled") from None

    def hang_up(self) -> None:
        """End the call as a client does, and wait until nothing is left of it."""
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


class _Scripted:
    """One end of a call, in JSON."""

    def __init__(self, peer: MemoryPeer) -> None:
        self.peer = peer
        """For what a script cannot say: resets, half-closes, raw bytes."""
        self.received: list[dict[str, Any] | bytes] = []
        """Everything that came, in order."""

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        self.peer.send_text(orjson.dumps({"type": kind, **fields}).decode())

    def receive(self) -> dict[str, Any] | bytes:
        """Return the next message, or the next audio. Waits for it.

        Raises:
            AssertionError: the other side closed; it says how.
            TimeoutError: nothing came in time.
        """
        frame = self.peer.receive(TIMEOUT_S)
        if isinstance(frame, ConnectionClosed):
            raise AssertionError(f"closed with {frame.code} {frame.reason}")  # noqa: TRY004 - for a test to fail with
        told: dict[str, Any] | bytes = frame if isinstance(frame, bytes) else orjson.loads(frame)
        self.received.append(told)
        return told

    def wait_for(self, kind: str) -> dict[str, Any]:
        """Return the next message of a type; what comes before it stands in `received`."""
        while True:
            told = self.receive()
            if isinstance(told, dict) and told["type"] == kind:
                return told

    def wait_for_close(self) -> ConnectionClosed:
        """Return how the other side closed; what comes before it stands in `received`."""
        while not isinstance(frame := self.peer.receive(TIMEOUT_S), ConnectionClosed):
            self.received.append(frame if isinstance(frame, bytes) else orjson.loads(frame))
        return frame

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the close handshake. Harmless when it is closed."""
        self.peer.close(code, reason)


class ScriptedClient(_Scripted):
    """A client of the voice agent."""

    def settle(self, settings: Mapping[str, Any] = SETTINGS) -> None:
        """Send Settings. They apply when the upstream has taken them: a scripted one when it has said hello."""
        self.peer.send_text(orjson.dumps(settings).decode())

    def start(self, settings: Mapping[str, Any] = SETTINGS) -> None:
        """Send Settings, and wait until they apply: with a simulator."""
        self.settle(settings)
        self.wait_for("SettingsApplied")

    def say(self, text: str) -> None:
        """Say something, as text."""
        self.send("InjectUserMessage", content=text)

    def send_audio(self, pcm: bytes) -> None:
        """Send a piece of microphone audio."""
        self.peer.send_binary(pcm)


class ScriptedUpstream(_Scripted):
    """An OpenAI Realtime server that says what a test has it say."""

    def say_hello(self) -> dict[str, Any]:
        """Say that there is a session; acknowledge the `session.update` that follows, and return it."""
        self.send("session.created", session={})
        update = self.wait_for("session.update")
        self.send("session.updated", session={})
        return update

    def take_item(self) -> dict[str, Any]:
        """Acknowledge the next item, and return it."""
        item: dict[str, Any] = self.wait_for("conversation.item.create")["item"]
        self.send("conversation.item.added", item=item)
        return item

    def answer(self, text: str, **usage: int) -> None:
        """Wait until a response is asked for, and answer in text."""
        self.wait_for("response.create")
        ids = {"response_id": "resp", "item_id": "item"}
        self.send("response.created", response={"id": "resp", "status": "in_progress"})
        self.send("response.output_text.done", text=text, **ids)
        self.send("response.done", response={"id": "resp", "status": "completed", "usage": usage})
