"""A recording played to a server in real time: `switchboard replay FILE --against URL`.

A server whose first message is `session.created` is an upstream. The command plays the recorded router to an upstream.
To any other server, such as a router, it plays the recorded client. So it does with each recording of a relay.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from actors import messages
from actors.connections.blocking import BlockingClient, CallError, HungUp
from router.command.as_upstream import names_of, renamed
from router.errors import RouterError
from router.fronts.table import FRONTS
from router.recording import notation
from router.recording.transcript import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from router.recording.reader import RecordedStep, Recording

DIAL_S: Final = 10.0
GREETING_S: Final = 1.0
"""The longest wait, in seconds, for the first message of the server. Upstreams and routers send it at once."""

_OF_AN_UPSTREAM: Final = "session.created"


class ServerError(RouterError):
    """A failed dial to the server to which a recording should be played."""


def play(recording: Recording, url: str, token: str | None, say: Callable[[str], None]) -> None:
    """Send the recorded messages, each at its time. Print the types of the messages in both directions.

    Raises:
        ServerError: the server cannot be called.
        NotationError: a line is damaged.
        RecordingError: the recording is torn.
    """
    front = FRONTS[recording.header.front]
    # Deepgram takes its keys as `Token`, and OpenAI as `Bearer`. A router takes either.
    scheme = "Token" if front.is_relay and front.name.startswith("deepgram") else "Bearer"
    server = _Server(url, {"Authorization": f"{scheme} {token}"} if token else {}, say)
    try:
        server.dial()
        is_for_router = server.greeting != _OF_AN_UPSTREAM or front.is_relay
        for at_s, step in _timed(recording.steps()):
            server.receive_until(at_s)
            if is_for_router:
                server.send_all(_of_client(step.message))
            else:
                _play_router(server, step)
    except HungUp as ended:
        server.tell(f"closed: {ended.code} {ended.reason}".rstrip())
    finally:
        server.close()


def _timed(steps: Iterator[RecordedStep]) -> Iterator[tuple[float, RecordedStep]]:
    """Yield each step of the session with the seconds since the first step. Skip inputs after the session's end."""
    first_s: float | None = None
    for step in steps:
        if not step.is_late:
            first_s = step.now_s if first_s is None else first_s
            yield step.now_s - first_s, step


def _of_client(message: messages.Input) -> list[str | bytes]:
    if isinstance(message, messages.ClientTextReceived):
        return [message.text]
    return [message.data] if isinstance(message, messages.ClientBinaryReceived) else []


def _play_router(server: _Server, step: RecordedStep) -> None:
    """Send the messages that the recorded router sent in a step.

    Each further upstream of the recording gets a new connection.
    """
    message = step.message
    if isinstance(message, messages.UpstreamOpened) and message.generation > 1:
        server.dial()
    elif isinstance(message, messages.UpstreamTextReceived):
        server.note_recorded(message.text)
    out = step.outcome.get("out")
    try:
        commands = [command for command in (out if isinstance(out, list) else []) if command["do"] == "SendToUpstream"]
        frames = [_text(notation.read_frame(command["frame"])) for command in commands]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise notation.NotationError(f"line {step.line} is damaged: {error}") from None
    server.send_all(frames)


def _text(frame: str | bytes) -> str:
    # The session writes its events as UTF-8, and the engine sends them as text.
    return frame.decode() if isinstance(frame, bytes) else frame


class _Server:
    """The server, and a map from the recorded upstream's ids to those of the server."""

    def __init__(self, url: str, headers: dict[str, str], say: Callable[[str], None]) -> None:
        self._url = url
        self._headers = headers
        self._say = say
        self._client: BlockingClient | None = None
        self._began_s = time.monotonic()
        self._names: dict[str, str] = {}
        self._recorded: dict[str, list[str]] = defaultdict(list)
        self._present: dict[str, list[str]] = defaultdict(list)
        self.greeting = ""
        """The type of the server's first message; empty if it sent none."""

    def dial(self) -> None:
        """Open a connection in place of the previous one, and wait for the first message.

        Raises:
            ServerError: the server cannot be called.
        """
        self.close()
        try:
            self._client = BlockingClient(self._url, headers=self._headers, timeout_s=DIAL_S, uses_proxy=False)
        except CallError as error:
            raise ServerError(f"{self._url} {error}") from None
        began_s = time.monotonic()
        self.greeting = self._receive(GREETING_S) or ""
        # The time of the recording does not advance during the dial.
        self._began_s += time.monotonic() - began_s

    def note_recorded(self, text: str) -> None:
        """Record a message of the recorded upstream.

        If it is the nth message of its type, match its ids with those in the server's nth message of that type.
        """
        self._note(text, self._recorded)

    def receive_until(self, at_s: float) -> None:
        """Receive messages until the time `at_s` of the recording."""
        while (left_s := self._began_s + at_s - time.monotonic()) > 0 and self._receive(left_s) is not None:
            pass

    def send_all(self, frames: Sequence[str | bytes]) -> None:
        """Send messages."""
        for recorded in frames:
            frame = renamed(recorded, self._names)
            self._print("──▶", frame)
            if self._client is not None:
                self._client.send(frame)

    def tell(self, text: str) -> None:
        """Print a line with the time since the beginning of the playing."""
        self._say(f"{time.monotonic() - self._began_s:9.3f}  {text}")

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    def _receive(self, timeout_s: float) -> str | None:
        """Return the type of the next message, or None if none came in time."""
        if self._client is None:
            return None
        try:
            frame = self._client.receive(timeout_s)
        except TimeoutError:
            return None
        self._print("◀──", frame)
        if isinstance(frame, str):
            self._note(frame, self._present)
        return _kind(frame)

    def _note(self, text: str, seen: dict[str, list[str]]) -> None:
        kind = _kind(text)
        at = len(seen[kind])
        seen[kind].append(text)
        recorded, present = self._recorded[kind], self._present[kind]
        if at < len(recorded) and at < len(present):
            self._names.update(names_of(recorded[at], present[at]))

    def _print(self, way: str, frame: str | bytes) -> None:
        size = f"{len(frame)} bytes" if isinstance(frame, bytes) else f"{len(frame)} characters"
        self.tell(f"{way} {_kind(frame)}, {size}")


def _kind(frame: str | bytes) -> str:
    if isinstance(frame, bytes):
        return "audio"
    return kind_of(messages.SendToClient(frame)).partition(" ")[2] or "text"
