"""The client's part of a recording, played to a server in real time: `switchboard replay FILE --against URL`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from actors import messages
from actors.connections.blocking import BlockingClient, CallError, HungUp
from router.errors import RouterError
from router.recording.transcript import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.recording.reader import RecordedStep, Recording

DIAL_S: Final = 10.0


class ServerError(RouterError):
    """A failed dial to the server that a recording should be played to."""


def play(recording: Recording, url: str, token: str | None, say: Callable[[str], None]) -> None:
    """Send what the recorded client sent, each frame at its time, and print the types of both sides' messages.

    Raises:
        ServerError: the server cannot be called.
        RecordingError: the recording is torn.
    """
    headers = {"Authorization": f"Token {token}"} if token else {}
    try:
        client = BlockingClient(url, headers=headers, timeout_s=DIAL_S, uses_proxy=False)
    except CallError as error:
        raise ServerError(f"{url} {error}") from None
    began_s = time.monotonic()
    try:
        for at_s, step in _timed(recording.steps()):
            _receive_until(client, began_s, at_s, say)
            if isinstance(step.message, messages.ClientTextReceived):
                say(_line(began_s, "──▶", step.message.text))
                client.send(step.message.text)
            elif isinstance(step.message, messages.ClientBinaryReceived):
                say(_line(began_s, "──▶", step.message.data))
                client.send(step.message.data)
    except HungUp as ended:
        say(f"{time.monotonic() - began_s:9.3f}  closed: {ended.code} {ended.reason}".rstrip())
    finally:
        client.close()


def _timed(steps: Iterator[RecordedStep]) -> Iterator[tuple[float, RecordedStep]]:
    """Yield each step of the session with the seconds since the first step; skip inputs that came after the end."""
    first_s: float | None = None
    for step in steps:
        if not step.is_late:
            first_s = step.now_s if first_s is None else first_s
            yield step.now_s - first_s, step


def _receive_until(client: BlockingClient, began_s: float, at_s: float, say: Callable[[str], None]) -> None:
    while (left_s := began_s + at_s - time.monotonic()) > 0:
        try:
            say(_line(began_s, "◀──", client.receive(left_s)))
        except TimeoutError:
            return


def _line(began_s: float, way: str, frame: str | bytes) -> str:
    _, _, kind = kind_of(messages.SendToClient(frame)).partition(" ")
    size = f"{len(frame)} bytes" if isinstance(frame, bytes) else f"{len(frame)} characters"
    name = "audio" if isinstance(frame, bytes) else kind or "text"
    return f"{time.monotonic() - began_s:9.3f}  {way} {name}, {size}"
