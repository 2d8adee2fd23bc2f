"""The leg to the client: a WebSocket accepted from a WSGI request, with simple-websocket's handshake.

This module knows no route, and no protocol above WebSocket.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any, Final, Self

import simple_websocket
from wsproto.utilities import RemoteProtocolError

from actors.connections import frames, handover
from actors.connections.base import AcceptedConnection, ConnectionLimits, Detached
from actors.connections.handover import HandshakeRefused
from actors.connections.stream import StreamConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

logger = logging.getLogger(__name__)

SUBPROTOCOLS: Final = ("token", "bearer", "realtime")
"""The subprotocols that browsers offer beside their credential: a browser cannot send an Authorization header."""

_KEY_BYTES: Final = 16
"""The length of a decoded Sec-WebSocket-Key (RFC 6455, 4.1)."""

_HANDSHAKE_KEYS: Final = (
    "HTTP_UPGRADE",
    "HTTP_CONNECTION",
    "HTTP_SEC_WEBSOCKET_KEY",
    "HTTP_SEC_WEBSOCKET_VERSION",
    "HTTP_SEC_WEBSOCKET_PROTOCOL",
)
"""The headers that the library's handshake gets.

HTTP_SEC_WEBSOCKET_EXTENSIONS is not among them. permessage-deflate is declined, because it costs CPU and some 300 kB a
session on audio that does not compress (docs/decisions/0002-frames-of-our-own.md).
"""


class ClientConnection(StreamConnection, AcceptedConnection):
    """The connection to a client. `accept` makes it."""

    __slots__ = ("_given_back", "subprotocol")

    def __init__(
        self, sock: socket.socket, *, subprotocol: str | None, limits: ConnectionLimits, is_lent: bool = False
    ) -> None:
        super().__init__(sock, is_server=True, limits=limits)
        self.subprotocol = subprotocol
        """The subprotocol that was selected from the client's offer; None if there is none."""
        self._given_back = threading.Event() if is_lent else None

    @classmethod
    def continued(
        cls, sock: socket.socket, unread: bytes, unsent: bytes, limits: ConnectionLimits | None = None
    ) -> Self:
        """Return the connection whose stream was detached from another one (`Detached`)."""
        connection = cls(sock, subprotocol=None, limits=limits or ConnectionLimits())
        connection._parser.feed(unread)
        if unsent:
            connection._writer.keep_rest(unsent, 0)
        return connection

    @property
    def is_detachable(self) -> bool:
        """Whether another process could continue the stream: not with TLS, because its state is in this process."""
        return self._given_back is None and self._tls is None

    @property
    def can_detach(self) -> bool:
        """Whether `detach` would succeed now."""
        return self.is_detachable and self._rests() is not None

    def detach(self) -> Detached | None:
        """Hand the stream over to another process; see `Connection.detach`."""
        rests = self._rests() if self.is_detachable else None
        if rests is None:
            return None
        self._part()
        self._watch_for(0)
        return Detached(self._sock.detach(), *rests)

    def wait_until_given_back(self) -> None:
        """Wait until the server may have its socket back; return at once if the socket was taken over.

        Any thread may call this method.
        """
        if self._given_back is not None:
            self._given_back.wait()

    def _hang_up(self) -> None:
        super()._hang_up()
        # The dispatcher does not run and will not release the socket: the server's thread must not wait for it.
        if self._given_back is not None:
            self._given_back.set()

    def _release(self) -> None:
        if self._given_back is None:
            super()._release()
            return
        self._watch_for(0)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # the server's own response goes nowhere, as after a hand-over
        self._given_back.set()

    def answer(self, response: bytes, first_text: str | None = None) -> None:
        """Send the answer to the handshake, and a first message after it, in one write.

        Call this before any other send. If the socket does not take all bytes at once, the rest leaves after `open`.
        """
        if first_text is not None:
            first = frames.text_frames(first_text, mask=False, max_frame_bytes=self._limits.max_frame_bytes)
            response = b"".join([response, *first])
        try:
            taken_bytes = self.transmit(response)
        except OSError as error:  # the first read after `open` reports the end
            logger.debug("handshake not answered: %s", error)
            return
        if taken_bytes < len(response):
            self._writer.keep_rest(response, taken_bytes)


def accept(
    environ: Mapping[str, Any],
    *,
    first_text: str | None = None,
    subprotocols: Sequence[str] = SUBPROTOCOLS,
    limits: ConnectionLimits | None = None,
    kind: type[ClientConnection] = ClientConnection,
) -> AcceptedConnection:
    """Accept the WebSocket that a request asks for. This runs on the WSGI server's thread, and does not wait.

    `first_text` leaves together with the answer, so that the client does not wait for a dispatcher's turn. The selected
    subprotocol is the first in the client's order that is in `subprotocols`; there may be none. `kind` is the class of
    the new connection.

    From here on the socket belongs to the router. The application may return any response, because the server writes
    the response to a dead socket. If the socket is only lent (`handover.is_lent`), the application returns after
    `wait_until_given_back`. If the client is gone already, the listener gets `on_closed` after `open`.

    Raises:
        HandshakeRefused: nothing was written; the caller has to answer in plain HTTP.
    """
    if handover.has_own_handshake(environ):
        own: AcceptedConnection = environ[handover.HANDSHAKE].accept(
            first_text=first_text, subprotocols=subprotocols, limits=limits
        )
        return own
    _check(environ)
    served = handover.served_socket(environ)
    handshake = _shake_hands(environ, subprotocols)
    # The socket is taken only now: until here a refusal can be answered in plain HTTP.
    is_lent = handover.is_lent(served)
    sock = served if is_lent and isinstance(served, socket.socket) else handover.take(served)
    connection = kind(sock, subprotocol=handshake.subprotocol, limits=limits or ConnectionLimits(), is_lent=is_lent)
    connection.answer(handshake.response, first_text)
    return connection


# The handshake.


def _check(environ: Mapping[str, Any]) -> None:
    for is_right, status, description, headers in _RULES:
        if not is_right(environ):
            raise HandshakeRefused(status, description, headers)


def _has_token(environ: Mapping[str, Any], key: str, token: str) -> bool:
    return token in (part.strip().lower() for part in environ.get(key, "").split(","))


def _is_get_1_1(environ: Mapping[str, Any]) -> bool:
    is_old = environ.get("SERVER_PROTOCOL") in ("HTTP/0.9", "HTTP/1.0")
    return environ.get("REQUEST_METHOD") == "GET" and not is_old


def _has_key(environ: Mapping[str, Any]) -> bool:
    try:
        key = base64.b64decode(environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(key) == _KEY_BYTES


def _has_no_body(environ: Mapping[str, Any]) -> bool:
    # The bytes of a body would be taken for frames.
    return environ.get("CONTENT_LENGTH", "") in ("", "0") and "HTTP_TRANSFER_ENCODING" not in environ


_VERSION: Final = (("Sec-WebSocket-Version", "13"),)

_Rule = tuple["Callable[[Mapping[str, Any]], bool]", int, str, tuple[tuple[str, str], ...]]

_RULES: Final[tuple[_Rule, ...]] = (
    (lambda e: _has_token(e, "HTTP_UPGRADE", "websocket"), 426, "a WebSocket is served here", ()),
    (lambda e: _has_token(e, "HTTP_CONNECTION", "upgrade"), 400, "no 'Connection: Upgrade'", ()),
    (_has_no_body, 400, "a WebSocket begins with a request without a body", ()),
    (_is_get_1_1, 400, "a WebSocket begins with a GET request of HTTP/1.1", ()),
    (
        lambda e: str(e.get("HTTP_SEC_WEBSOCKET_VERSION", "")).strip() == "13",
        426,
        "Sec-WebSocket-Version is not 13",
        _VERSION,
    ),
    (_has_key, 400, "no Sec-WebSocket-Key of 16 bytes in base64", ()),
)
"""The rules of RFC 6455, 4.2.1: condition, and status, description and headers of the refusal.

The first rule that fails gives the answer: a request that is no upgrade at all is refused as such, and not for its key.
A 426 should have an Upgrade header, but an application must not send hop-by-hop headers (PEP 3333).
"""


class _Handshake(simple_websocket.Server):  # type: ignore[misc]
    """simple-websocket's handshake. Its answer is kept and not written: the socket is taken only after all checks."""

    def __init__(self, environ: dict[str, Any], subprotocols: Sequence[str]) -> None:
        self.response = b""
        super().__init__(environ | {"werkzeug.socket": self}, subprotocols=list(subprotocols), thread_class=_NoThread)
        self.sock = self.environ = None  # both hold this object, which would wait for the garbage collector

    def send(self, data: bytes) -> int:
        """Collect the answer instead of writing it to the socket."""
        self.response += data
        return len(data)


class _NoThread:
    """A thread that does nothing, in place of simple-websocket's reader, because a dispatcher reads."""

    name = "none"

    def __init__(self, target: Callable[[], None]) -> None:
        """Accept the arguments of a Thread."""

    def start(self) -> None:
        """Start nothing."""


def _shake_hands(environ: Mapping[str, Any], subprotocols: Sequence[str]) -> _Handshake:
    headers = {key: environ[key] for key in _HANDSHAKE_KEYS if key in environ}
    # wsproto requires a host and decodes it as IDNA. Nothing here depends on its value.
    headers["HTTP_HOST"] = "localhost"
    try:
        return _Handshake(headers, subprotocols)
    except (RemoteProtocolError, simple_websocket.ConnectionError) as error:
        raise HandshakeRefused(400, str(error)) from None
