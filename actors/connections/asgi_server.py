"""The end of a passage at the ASGI server: it receives and sends on the server's event loop.

Everything runs on the loop. Messages that arrive go to the connection of `asgi`. This module knows no listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from actors.connections import frames
from actors.connections.base import ConnectionClosed, Ending
from actors.connections.close_codes import CloseCode, is_wire_code
from actors.connections.crossing import Side
from actors.connections.passage import CaughtUp, Close, CloseSent, Drained, End, Probe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from actors.connections.crossing import Crossing
    from actors.connections.passage import Event, Item, Passage

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

logger = logging.getLogger(__name__)

CUT_CLOSE_S: Final = 1.0
"""The seconds for sending a close frame to a client that was cut off, and that may not read it."""


class Carried(Side, Protocol):
    """The connection whose messages the server's end carries."""

    subprotocol: str | None

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines about the connection."""

    @property
    def cut_code(self) -> int | None:
        """The close code if the connection has ended and dropped its unsent messages, or else None."""

    def note_arrival(self) -> bool:
        """Record that an ASGI event waits for the dispatcher.

        Return True if no delivery was due yet. Then the caller must wake the dispatcher.
        """


class ServerEnd:
    """The server's end of one passage: it calls `receive` and `send` of the ASGI server."""

    def __init__(self, connection: Carried, crossing: Crossing, passage: Passage, receive: Receive, send: Send) -> None:
        self._connection = connection
        self._crossing = crossing
        self._passage = passage
        self._receive = receive
        self._send = send
        self._is_open_at_server = False
        self._finished: asyncio.Future[None] = crossing.loop.create_future()
        self._output: asyncio.Future[None] | None = None
        """The future on which the sender waits for a message; None while it sends."""
        self._room: asyncio.Future[None] | None = None
        """The future on which the receiver waits until the dispatcher has read; None while it receives."""

    @property
    def waits_for_room(self) -> bool:
        """Whether `receive` is not called because the dispatcher has to read first. Any thread may read this."""
        return self._room is not None

    async def carry(self) -> None:
        """Accept the WebSocket, and carry its messages until the client or the session ends it."""
        loop, connection = self._crossing.loop, self._connection
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._send({"type": "websocket.accept", "subprotocol": connection.subprotocol, "headers": []})
            self._is_open_at_server = True
            tasks = [loop.create_task(self._receive_all()), loop.create_task(self._send_all())]
            self.look()
            await self._finished
        except OSError as error:  # the client is gone already
            self._note("not accepted", error)
        finally:
            # The server may also cancel this coroutine, or close its loop without an end of it.
            connection.lose()
            with contextlib.suppress(RuntimeError):
                for task in tasks:
                    task.cancel()
        if self._is_open_at_server:
            await self._close_in_time()

    def look(self) -> None:
        """Wake each task whose wait is over, and end `carry` if the connection has a `cut_code`.

        The sender waits for new messages, and the receiver for room in the passage.
        """
        if self._output is not None and self._passage.has_outgoing:
            _wake(self._output)
        if self._room is not None and self._passage.has_room:
            _wake(self._room)
        if self._connection.cut_code is not None:
            _wake(self._finished)

    async def _receive_all(self) -> None:
        try:
            while (event := await self._receive())["type"] != "websocket.disconnect":
                data = event.get("bytes")
                self._arrive(event.get("text") or "" if data is None else bytes(data))
                if self._passage.is_full:
                    await self._wait_for_room()
        except Exception as error:  # noqa: BLE001 - of the server or of middleware: the connection is lost
            self._note("receive failed", error)
            self._arrive(reset())
        else:
            self._is_open_at_server = False
            self._arrive(_gone(event))

    async def _wait_for_room(self) -> None:
        self._room = self._crossing.loop.create_future()
        # The dispatcher may have made room just before.
        if not self._passage.has_room:
            await self._room
        self._room = None

    async def _send_all(self) -> None:
        try:
            while not isinstance(item := await self._next(), End):
                await self._send_item(item)
        except Exception as error:  # noqa: BLE001 - the client is gone: `receive` reports the same
            self._note("send failed", error)
            self._arrive(reset())
        else:
            _wake(self._finished)

    async def _next(self) -> Item:
        while (item := self._passage.begin()) is None:
            self._output = self._crossing.loop.create_future()
            # The dispatcher may have put an entry before it saw the future. Its wake-up follows then.
            await self._output
            self._output = None
        return item

    async def _send_item(self, item: Item) -> None:
        if isinstance(item, Probe):
            self._arrive(CaughtUp())
        elif isinstance(item, Close):
            self._is_open_at_server = False
            await self._send(close_event(item.code, item.reason))
            self._arrive(CloseSent())
        else:
            await self._send({"type": "websocket.send", "text" if isinstance(item, str) else "bytes": item})
            if self._passage.note_taken(item):
                self._arrive(Drained())

    def _arrive(self, event: Event) -> None:
        self._passage.arrive(event)
        if self._connection.note_arrival():
            self._crossing.wake_dispatcher(self._connection)

    async def _close_in_time(self) -> None:
        """Send the close frame through the server, within `CUT_CLOSE_S`.

        If the server has closed the connection already, it refuses the frame, and the refusal is ignored.
        """
        code = self._connection.cut_code
        closing = close_event(CloseCode.INTERNAL_ERROR if code is None else code)
        with contextlib.suppress(Exception):  # sent already, gone, or full: the server's own deadlines end it
            await asyncio.wait_for(self._send(closing), CUT_CLOSE_S)

    def _note(self, problem: str, error: Exception) -> None:
        logger.debug("%s: %s: %s", self._connection, problem, error, extra=self._connection.log_fields)


def reset() -> ConnectionClosed:
    """Return the end of a connection without a close frame."""
    return ConnectionClosed(ending=Ending.RESET, code=CloseCode.ABNORMAL_CLOSURE)


def close_event(code: int, reason: str = "") -> dict[str, Any]:
    """Return the ASGI event that closes a WebSocket.

    A code that may not stand in a close frame becomes 1000, and a long reason is cut.
    """
    wire_code = int(code) if is_wire_code(code) else int(CloseCode.NORMAL_CLOSURE)
    return {"type": "websocket.close", "code": wire_code, "reason": frames.shorten(reason).decode()}


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _gone(event: dict[str, Any]) -> ConnectionClosed:
    code = event.get("code") or CloseCode.NO_STATUS_RCVD
    if code == CloseCode.ABNORMAL_CLOSURE:
        return reset()
    return ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=code, reason=event.get("reason") or "")
