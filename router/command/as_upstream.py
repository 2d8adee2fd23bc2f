"""A recording played to a router, in the part of the upstream: `switchboard replay FILE --as-upstream HOST:PORT`."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from actors import messages
from actors.connections.blocking import BlockingConnection, BlockingServer, HungUp
from actors.connections.close_codes import CloseCode
from router.config.provenance import FLAGS
from router.errors import ConfigError
from router.recording import notation
from router.recording.transcript import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from router.recording.reader import RecordedStep, Recording

PATIENCE_S: Final = 10.0
"""The longest wait, in seconds, for the messages that the recorded router had sent before a cue."""

LAST_S: Final = 600.0
"""The longest wait, in seconds, for the end of a connection after its last cue."""

_AUDIO: Final = "input_audio_buffer.append"
_NAME: Final = re.compile(r"(^|_)id$|^metadata$")
"""The keys whose values are ids. A session makes its own ids, and expects them in the messages of its upstream."""


class Cue(NamedTuple):
    """A message of the recorded upstream, or its close, that is played to the router."""

    awaited: int
    """The number of messages that the recorded router had sent before the cue, without those that carry audio."""
    delay_s: float
    """The time, in seconds, since the previous message of the router or the upstream."""
    frame: str | bytes | None
    """The message, or None for the close."""
    code: int = CloseCode.NORMAL_CLOSURE


class Part:
    """The cues of one recorded upstream, and the messages that the router sent to it."""

    def __init__(self, opened_s: float) -> None:
        self.cues: list[Cue] = []
        self.sent: list[str | bytes] = []
        """The messages of the recorded router, without those that carry audio."""
        self.last_s = opened_s

    def add(self, now_s: float, frame: str | bytes | None, code: int = CloseCode.NORMAL_CLOSURE) -> None:
        """Add a cue at the time `now_s` of the recording. A `frame` of None is the close with `code`."""
        self.cues.append(Cue(len(self.sent), max(0.0, now_s - self.last_s), frame, code))
        self.last_s = max(self.last_s, now_s)


def parts_of(steps: Iterable[RecordedStep]) -> list[Part]:
    """Return the parts of the upstreams whose dial succeeded, in the order of the dials.

    Raises:
        NotationError: a line is damaged.
    """
    parts: dict[int, Part] = {}
    for step in steps:
        message = step.message
        part = parts.get(getattr(message, "generation", 0))
        if isinstance(message, messages.UpstreamOpened):
            parts[message.generation] = Part(step.now_s)
        elif part is not None and isinstance(message, messages.UpstreamTextReceived):
            part.add(step.now_s, message.text)
        elif part is not None and isinstance(message, messages.UpstreamBinaryReceived):
            part.add(step.now_s, message.data)
        elif part is not None and isinstance(message, messages.UpstreamLost):
            part.add(step.now_s, None, message.loss.code or CloseCode.INTERNAL_ERROR)
        try:
            _count_sent(parts, step)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise notation.NotationError(f"line {step.line} is damaged: {error}") from None
    return [part for _, part in sorted(parts.items())]


def _count_sent(parts: dict[int, Part], step: RecordedStep) -> None:
    out = step.outcome.get("out")
    for command in out if isinstance(out, list) else []:
        part = parts.get(command.get("generation", 0)) if command.get("do") == "SendToUpstream" else None
        frame = notation.read_frame(command["frame"]) if part is not None else b""
        if part is not None and _counts(frame):
            part.sent.append(frame)
            part.last_s = step.now_s


def _counts(frame: str | bytes) -> bool:
    kind = kind_of(messages.SendToUpstream(frame, 0))
    return _AUDIO not in kind and kind != "SendToUpstream"


def names_of(recorded: str | bytes, present: str | bytes) -> dict[str, str]:
    """Return a map from the ids in the recorded message to those in the present message.

    It contains only ids that differ.
    """
    try:
        pairs = [(orjson.loads(recorded), orjson.loads(present), False)]
    except orjson.JSONDecodeError:
        return {}
    found: dict[str, str] = {}
    while pairs:
        one, other, names = pairs.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            pairs += [(one[key], other[key], names or _NAME.search(key) is not None) for key in one.keys() & other]
        elif isinstance(one, list) and isinstance(other, list):
            pairs += [(each, its, names) for each, its in zip(one, other, strict=False)]
        elif names and isinstance(one, str) and isinstance(other, str) and one != other:
            found[one] = other
    return found


def renamed(frame: str | bytes, names: Mapping[str, str]) -> str | bytes:
    """Return a text message with its ids replaced by `names`; a binary message unchanged."""
    if isinstance(frame, bytes):
        return frame
    for one, other in names.items():
        frame = frame.replace(orjson.dumps(one).decode(), orjson.dumps(other).decode())
    return frame


def play(recording: Recording, address: str, say: Callable[[str], None]) -> None:
    """Listen, and play to each connection the part of the next upstream. Return when all parts have ended.

    Raises:
        ConfigError: the address cannot be used.
        NotationError: a line is damaged.
        RecordingError: the recording is torn.
    """
    stage = _Stage(parts_of(recording.steps()), say)
    host, _, port = address.rpartition(":")
    try:
        server = BlockingServer(host.strip("[]") or "127.0.0.1", _port(port), stage.take)
    except (OSError, ValueError) as error:
        raise ConfigError(source=FLAGS, name="--as-upstream", problem=f"cannot be listened on: {error}") from error
    with server:
        say(f"listening on {server.url}, for a router with this --upstream: {len(stage.parts)} connections")
        stage.wait()


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:  # noqa: PLR2004 - the highest port
        raise ValueError(f"{port} is no port")
    return port


class _Stage:
    """The distribution of the parts among the connections. Each connection has its own thread."""

    def __init__(self, parts: list[Part], say: Callable[[str], None]) -> None:
        self.parts = parts
        self._say = say
        self._lock = threading.Lock()
        self._taken = 0
        self._left = len(parts)
        self._is_over = threading.Event()

    def wait(self) -> None:
        """Wait until every part was played and its connection has ended."""
        if self.parts:
            self._is_over.wait()

    def take(self, connection: BlockingConnection) -> None:
        """Play the next part to a connection. Close the connection with 1013 if no part is left."""
        with self._lock:
            number, self._taken = self._taken, self._taken + 1
        if number >= len(self.parts):
            connection.close(CloseCode.TRY_AGAIN_LATER, "the recording has no further upstream")
            return
        try:
            _Player(connection, number + 1, self.parts[number], self._say).play()
        except HungUp as ended:
            self._say(f"connection {number + 1} closed: {ended.code} {ended.reason}".rstrip())
        finally:
            with self._lock:
                self._left -= 1
                if not self._left:
                    self._is_over.set()


class _Player:
    def __init__(self, connection: BlockingConnection, number: int, part: Part, say: Callable[[str], None]) -> None:
        self._connection = connection
        self._part = part
        self._names: dict[str, str] = {}
        """A map from the recorded router's ids to those of the present router."""
        self._number = number
        self._say = say
        self._received = 0
        self._began_s = time.monotonic()

    def play(self) -> None:
        for cue in self._part.cues:
            self._await(cue.awaited)
            self._receive_for(cue.delay_s)
            if cue.frame is None:
                self._connection.close(cue.code)
                raise HungUp(cue.code, "")
            frame = renamed(cue.frame, self._names)
            self._tell("◀──", frame)
            self._connection.send(frame)
        self._receive_for(LAST_S)
        self._connection.close()

    def _await(self, count: int) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while self._received < count and self._receive(until_s):
            pass
        if self._received < count:
            self._say(f"connection {self._number}: {count - self._received} messages of the router are missing")
            self._received = count

    def _receive_for(self, duration_s: float) -> None:
        until_s = time.monotonic() + duration_s
        while self._receive(until_s):
            pass

    def _receive(self, until_s: float) -> bool:
        """Wait for a message until the monotonic time `until_s`, and return whether one came."""
        try:
            frame = self._connection.receive(max(0.0, until_s - time.monotonic()))
        except TimeoutError:
            return False
        if _counts(frame):
            if self._received < len(self._part.sent):
                self._names.update(names_of(self._part.sent[self._received], frame))
            self._received += 1
        self._tell("──▶", frame)
        return True

    def _tell(self, way: str, frame: str | bytes) -> None:
        kind = kind_of(messages.SendToClient(frame)).partition(" ")[2]
        now_s = time.monotonic() - self._began_s
        self._say(f"{now_s:9.3f}  {self._number} {way} {kind or 'audio'}, {len(frame)} long")
