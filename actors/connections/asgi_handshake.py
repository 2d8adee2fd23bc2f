"""The handshake with a client whose socket an ASGI server owns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.connections.asgi import AsgiConnection
from actors.connections.base import ConnectionLimits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.connections.crossing import Crossing


class AsgiHandshake:
    """The handshake with one client of an ASGI server.

    `router.asgi` puts this object into the environ of each WebSocket request, under the key `handover.HANDSHAKE`. The
    router calls `accept` on a thread of a pool. The server's event loop calls `abandon`.
    """

    def __init__(self, crossing: Crossing, *, offered: Iterable[str], peer: str) -> None:
        self._crossing = crossing
        self._offered = tuple(offered)
        self._peer = peer
        self._is_abandoned = False
        self.connection: AsgiConnection | None = None
        """The connection, once the router has accepted it."""

    def accept(
        self, *, first_text: str | None, subprotocols: Iterable[str], limits: ConnectionLimits | None
    ) -> AsgiConnection:
        """Accept the request; see `actors.connections.client.accept`.

        The ASGI server accepts the WebSocket later, when `router.asgi` awaits `AsgiConnection.carry`.
        """
        selected = next((name for name in self._offered if name in subprotocols), None)
        self.connection = AsgiConnection(
            self._crossing,
            peer=self._peer,
            subprotocol=selected,
            limits=limits or ConnectionLimits(),
            first_text=first_text,
        )
        if self._is_abandoned:
            self.connection.lose()
        return self.connection

    def abandon(self) -> None:
        """Note that the client is gone. The router may not have accepted the request yet."""
        self._is_abandoned = True
        if self.connection is not None:
            self.connection.lose()
