"""The seam between an event loop and the dispatchers. It knows no message and no connection."""

from __future__ import annotations

import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from actors.dispatcher import Dispatcher


class Side(Protocol):
    """A connection, as a `Crossing` uses it.

    The dispatcher's thread calls `deliver`, and the event loop's thread calls `look`.
    """

    @property
    def dispatcher(self) -> Dispatcher | None:
        """The dispatcher of the connection; None before it is open."""

    def deliver(self) -> None:
        """Handle the events from the loop, on the dispatcher's thread."""

    def look(self) -> None:
        """Handle the messages from the dispatcher, on the loop's thread."""

    def lose(self) -> None:
        """Note that the loop is closed. Any thread may call this method."""


class Crossing:
    """The seam between one event loop and the dispatchers: it wakes either side once for many connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._for_loop: deque[Side] = deque()
        self._is_loop_woken = False
        self._for_dispatchers: list[Side] = []

    def wake_loop(self, connection: Side) -> None:
        """Make the loop call a connection's `look`. Any thread may call this method."""
        self._for_loop.append(connection)
        # A loop may be closed between a wake-up and the `look` that it requested.
        if self._is_loop_woken and not self.loop.is_closed():
            return
        self._is_loop_woken = True
        try:
            self.loop.call_soon_threadsafe(self._look)
        except RuntimeError:  # the loop is closed, and with it every socket of the server
            self._lose_all()

    def wake_dispatcher(self, connection: Side) -> None:
        """Make the connection's dispatcher call `deliver` after this turn of the loop.

        Call this method on the loop's thread.
        """
        if not self._for_dispatchers:
            self.loop.call_soon(self._pass_on)
        self._for_dispatchers.append(connection)

    def _lose_all(self) -> None:
        # The connections of other threads are among them.
        with contextlib.suppress(IndexError):
            while True:
                self._for_loop.popleft().lose()

    def _look(self) -> None:
        # The flag comes first: a connection that is appended after it wakes the loop again.
        self._is_loop_woken = False
        while self._for_loop:
            self._for_loop.popleft().look()

    def _pass_on(self) -> None:
        connections, self._for_dispatchers = self._for_dispatchers, []
        grouped: dict[Dispatcher, list[Side]] = {}
        for connection in connections:
            # A connection that is not open yet delivers its events at `open`.
            if connection.dispatcher is not None:
                grouped.setdefault(connection.dispatcher, []).append(connection)
        for dispatcher, its in grouped.items():
            dispatcher.call_soon(partial(_deliver_all, its))


def _deliver_all(connections: Iterable[Side]) -> None:
    for connection in connections:
        connection.deliver()
