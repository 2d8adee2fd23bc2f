"""The leg to the upstream: a WebSocket dialled with websocket-client.

`dial` blocks: it runs on a thread of the connector pool. This module knows no message, and shows no credential.
"""

from __future__ import annotations

import email.utils
import enum
import functools
import re
import socket
import ssl
import threading
import time
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import websocket

from actors.connections.base import ConnectionLimits
from actors.connections.buffered_socket import BufferedSocket
from actors.connections.cookies import no_cookies
from actors.connections.stream import StreamConnection

SWITCHING_PROTOCOLS: Final = 101


class DialTarget(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream to dial. Its header values and the URL's query are never shown."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 10.0
    """The time for everything together: DNS, TCP, proxy, TLS and the WebSocket handshake."""
    ca_file: str | None = None
    """Certificates (PEM) to trust instead of the system's."""
    limits: ConnectionLimits = ConnectionLimits()
    position: int | None = None
    """The index of the upstream in the configured list; None if it is not in the list."""
    key: int = 0
    """The index, among the upstream's keys, of the key that `headers` holds."""

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return f"DialTarget({shown_url(self.url)!r}, headers=[{names}], timeout_s={self.timeout_s:g})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", shown_url(self.url)), ("timeout_s", self.timeout_s)]


class DialFailure(enum.Enum):
    """The way in which a dial failed."""

    TIMEOUT = "timed out"
    DNS = "host not found"
    TCP = "not reachable"
    TLS = "no TLS"
    HTTP_STATUS = "refused"
    HANDSHAKE = "no WebSocket handshake"
    BUSY = "too many dials wait"
    """The dial was not begun, because no thread was free in time."""


class DialError(Exception):
    """A dial that failed. The text holds no credential: no header's value, no query, no word of the server's answer."""

    def __init__(
        self,
        kind: DialFailure,
        status: int | None = None,
        detail: str = "",
        *,
        url: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(kind, status, detail)
        self.kind = kind
        self.status = status
        """The HTTP status, if the server answered the upgrade with a status other than 101."""
        self.retry_after_s = retry_after_s
        """The seconds of the answer's `Retry-After`; None without that header."""
        self.detail = detail
        self.url = shown_url(url)

    def __str__(self) -> str:
        status = f"HTTP {self.status}" if self.status is not None else ""
        facts = ", ".join(fact for fact in (status, self.detail) if fact)
        where = f"{self.url}: " if self.url else ""
        return f"{where}{self.kind.value}" + (f" ({facts})" if facts else "")


class UpstreamConnection(StreamConnection):
    """The connection to an upstream. `dial` makes it."""

    __slots__ = ("_early",)

    def __init__(self, sock: socket.socket, *, limits: ConnectionLimits | None = None, early: bytes = b"") -> None:
        super().__init__(sock, is_server=False, limits=limits)
        self._early = early
        """The bytes after the answer to the handshake that were received together with that answer."""

    def _receive(self) -> bytes | None:
        if self._early:
            early, self._early = self._early, b""
            return early
        return StreamConnection._receive(self)  # noqa: SLF001 - `super()` makes an object at each read

    def _read_pending(self) -> None:
        if self._early and self._dispatcher is not None and not (self._is_ended or self._is_paused):
            self._dispatcher.call_soon(self._read_more)
        else:
            super()._read_pending()


class _Client(websocket.WebSocket):
    """websocket-client's class, whose handshake is read from a buffer."""

    @property  # type: ignore[override] # it has every method of a socket that the library calls
    def sock(self) -> BufferedSocket | None:
        """The socket of the dial; None before it is connected."""
        return self._buffered

    @sock.setter
    def sock(self, sock: socket.socket | None) -> None:
        self._buffered = None if sock is None else BufferedSocket(sock)


def dial(target: DialTarget) -> UpstreamConnection:
    """Dial within `target.timeout_s` in total, whatever the server does. This blocks: never call it on a dispatcher.

    No redirect is followed, and no cookie is sent or kept. A proxy is used if the environment names one.

    Raises:
        DialError: the dial failed; `kind` is the way in which it failed.
    """
    attempt = _Attempt(target)
    attempt.run()
    if attempt.failure is not None:
        raise attempt.failure
    assert attempt.sock is not None  # noqa: S101 - for the type checker
    return UpstreamConnection(attempt.sock.sock, limits=target.limits, early=attempt.sock.rest)


class _Attempt:
    """One dial on a thread of its own, so that `dial` can abandon it.

    websocket-client has a time-out for each operation, but none for the whole dial. A slow name server or several dead
    addresses can take longer than a time-out. A server that sends its answer byte by byte never runs into a time-out.
    An abandoned thread ends with the operation that it hangs in, and closes its socket.
    """

    def __init__(self, target: DialTarget) -> None:
        self.target = target
        self.sock: BufferedSocket | None = None
        self.failure: DialError | None = None
        self._client: _Client | None = None
        self._lock = threading.Lock()
        self._is_abandoned = False

    def run(self) -> None:
        """Dial, and wait at most `target.timeout_s` for the end of the dial."""
        thread = threading.Thread(target=self._dial, name="dial", daemon=True)
        thread.start()
        thread.join(self.target.timeout_s)
        with self._lock:
            if self.sock is None and self.failure is None:
                self._abandon()

    def _abandon(self) -> None:
        self._is_abandoned = True  # a socket that the thread still gets, it closes itself
        self.failure = _timed_out(self.target)
        sock = self._client.sock if self._client is not None else None
        if sock is not None:
            _hang_up(sock.sock)

    def _dial(self) -> None:
        sock, failure = None, None
        try:
            with no_cookies():
                sock = self._connect()
        except Exception as error:  # noqa: BLE001 - the caller raises it, on its thread
            failure = _to_dial_error(error, self.target, self._status())
        with self._lock:
            if not self._is_abandoned:
                self.sock, self.failure = sock, failure
                return
        if sock is not None:
            sock.close()

    def _connect(self) -> BufferedSocket:
        target = self.target
        # The library does only the handshake: it validates no frame, and needs no lock.
        self._client = client = _Client(
            sslopt=_tls_options(target), skip_utf8_validation=True, enable_multithread=False
        )
        # This object is unused and holds the client: the two would wait for the garbage collector.
        client.frame_buffer = None  # type: ignore[assignment]
        client.settimeout(target.timeout_s)
        client.connect(  # type: ignore[no-untyped-call]
            target.url,
            header=[_header(name, value) for name, value in target.headers],
            timeout=target.timeout_s,
            # A redirect would send the credential to another host.
            redirect_limit=0,
            suppress_origin=True,
        )
        sock, client.sock = client.sock, None
        assert sock is not None  # noqa: S101 - connect() would have raised
        try:
            _check_response(client.handshake_response, target)
        except Exception:
            sock.close()
            raise
        return sock

    def _status(self) -> int | None:
        response = self._client.handshake_response if self._client is not None else None
        return response.status if response is not None else None


def _check_response(response: Any, target: DialTarget) -> None:
    # With redirect_limit=0 some versions of websocket-client take a redirect for a success.
    if response.status != SWITCHING_PROTOCOLS:
        raise websocket.WebSocketException("not switched")
    if response.headers.get("sec-websocket-extensions"):
        raise _UnfitError("the server selected an extension that was not offered")
    offered = (value for name, value in target.headers if name.lower() == "sec-websocket-protocol")
    selected = response.headers.get("sec-websocket-protocol")
    if selected and selected not in [name.strip() for value in offered for name in value.split(",")]:
        raise _UnfitError("the server selected a subprotocol that was not offered")


class _UnfitError(Exception):
    """The router refuses to dial a target, or refuses the upstream's answer to the handshake.

    The router wrote the error's text itself, so a log may show it.
    """

    def __init__(self, description: str, kind: DialFailure = DialFailure.HANDSHAKE) -> None:
        super().__init__(description)
        self.kind = kind


def _header(name: str, value: str) -> str:
    if any(character in name + value for character in "\r\n\0"):
        raise _UnfitError(f"header {name!r} has a line break")
    return f"{name}: {value}"


def _tls_options(target: DialTarget) -> dict[str, Any]:
    return {"context": _tls_context(target.ca_file)} if target.url.startswith("wss:") else {}


@functools.lru_cache(maxsize=8)
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    # Cached: to read the system's certificates takes longer than the rest of a dial.
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise _UnfitError(f"no certificates in {ca_file}: {error.strerror}", DialFailure.TLS) from None


def _hang_up(sock: socket.socket) -> None:
    # Use no close(): another thread reads from the socket, and another file could get the descriptor's number at once.
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return


_KINDS: Final[tuple[tuple[tuple[type[BaseException], ...], DialFailure], ...]] = (
    ((websocket.WebSocketBadStatusException,), DialFailure.HTTP_STATUS),
    ((websocket.WebSocketTimeoutException, TimeoutError), DialFailure.TIMEOUT),
    ((websocket.WebSocketAddressException, socket.gaierror), DialFailure.DNS),
    ((ssl.SSLError,), DialFailure.TLS),
    ((websocket.WebSocketProxyException,), DialFailure.TCP),
    ((ConnectionResetError, BrokenPipeError), DialFailure.HANDSHAKE),
    ((OSError,), DialFailure.TCP),
)
"""The failure that each exception of the libraries means, subclasses first.

Any other exception is a failed handshake.
"""


def _to_dial_error(error: Exception, target: DialTarget, status: int | None) -> DialError:
    status = getattr(error, "status_code", status)
    if status not in (None, SWITCHING_PROTOCOLS):
        headers = getattr(error, "resp_headers", None) or {}
        retry_after_s = _retry_after_s(headers.get("retry-after"), time.time())
        return DialError(DialFailure.HTTP_STATUS, status, url=target.url, retry_after_s=retry_after_s)
    kind = _kind(error)
    if kind is DialFailure.TIMEOUT:
        return _timed_out(target)
    return DialError(kind, detail=_detail(error), url=target.url)


def _retry_after_s(value: str | None, now_s: float) -> float | None:
    """Return the seconds of a `Retry-After`, a number or a date (RFC 9110, 10.2.3); None for any other value."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None


def _timed_out(target: DialTarget) -> DialError:
    return DialError(DialFailure.TIMEOUT, detail=f"{target.timeout_s:.3g} s", url=target.url)


def _kind(error: Exception) -> DialFailure:
    if isinstance(error, _UnfitError):
        return error.kind
    return next((kind for types, kind in _KINDS if isinstance(error, types)), DialFailure.HANDSHAKE)


def _detail(error: Exception) -> str:
    """Return the words about `error` that may be shown: the text of a library's error may quote headers and bodies."""
    match error:
        case _UnfitError():
            return str(error)
        case ssl.SSLCertVerificationError():
            return error.verify_message
        case ssl.SSLError():
            return error.reason or type(error).__name__
        case OSError():
            return error.strerror or type(error).__name__
    return _DETAILS.get(type(error), type(error).__name__)


_DETAILS: Final[dict[type[Exception], str]] = {
    websocket.WebSocketException: "the answer is not one to a WebSocket handshake",
    websocket.WebSocketConnectionClosedException: "the server hung up",
    websocket.WebSocketProxyException: "the proxy refused",
    websocket.WebSocketAddressException: "no address",
    ValueError: "invalid URL",
}


def shown_url(url: str) -> str:
    """Return `url` as it may be shown: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an invalid URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if url else ""
