"""A blocking client and a blocking server over `websockets`, for commands. They need no dispatcher."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect
from websockets.sync.server import serve

from actors.connections.close_codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from websockets.sync.connection import Connection

_REASONS: Final = {401: "it wants another token", 403: "it refuses this client", 404: "it has no such path"}


class CallError(Exception):
    """A call that could not begin.

    The text is a sentence without its subject. The command prints the address of the server as the subject.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        """The HTTP status of a server that refused."""


class HeaderError(CallError):
    """A header that cannot be sent. The text does not show its value, which may be a credential."""


class HungUp(Exception):  # noqa: N818 - the regular end of a call, too
    """The end of the connection, with the peer's close code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class BlockingConnection:
    """A WebSocket connection without a dispatcher. One thread may receive while other threads send."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, frame: str | bytes) -> None:
        """Send a text or binary message; raises `HungUp`."""
        try:
            self._connection.send(frame)
        except ConnectionClosed as error:
            raise _hung_up(error) from None

    def receive(self, timeout_s: float | None) -> str | bytes:
        """Return the next message.

        Args:
            timeout_s: the longest wait in seconds; None for no limit.

        Raises:
            TimeoutError: no message came in time.
            HungUp: the connection has ended.
        """
        try:
            return self._connection.recv(timeout_s)
        except ConnectionClosed as error:
            raise _hung_up(error) from None

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """End the connection, and wait for the peer's close frame."""
        self._connection.close(code, reason)


class BlockingClient(BlockingConnection):
    """One call."""

    def __init__(self, url: str, *, headers: Mapping[str, str], timeout_s: float, uses_proxy: bool) -> None:
        """Dial; raises `CallError`."""
        for name, value in headers.items():
            # The library's own error has the whole value, which may be a credential.
            if not value.isprintable() or not value.isascii():
                raise HeaderError(f"was not called: the header {name} has a line break or a character outside ASCII")
        dialled = contextlib.ExitStack()
        try:
            # Use a context manager: from websockets 17 on, `connect` warns of any other use.
            connection = dialled.enter_context(
                connect(
                    url,
                    additional_headers=headers,
                    open_timeout=timeout_s,
                    close_timeout=timeout_s,
                    max_size=None,
                    compression=None,
                    proxy=True if uses_proxy else None,
                )
            )
        except InvalidStatus as error:
            status = error.response.status_code
            reason = _REASONS.get(status)
            raise CallError(f"answered HTTP {status}" + (f": {reason}" if reason else ""), status) from error
        except TimeoutError as error:
            raise CallError(f"did not answer within {timeout_s:g} s") from error
        except OSError as error:
            raise CallError(f"cannot be reached: {error.strerror or error}") from error
        except (WebSocketException, ValueError) as error:
            raise CallError(f"is no WebSocket server: {error}") from error
        super().__init__(connection)


class BlockingServer:
    """A listener whose connections are handled on threads of their own, within a `with` block."""

    def __init__(self, host: str, port: int, handle: Callable[[BlockingConnection], None]) -> None:
        """Listen; raises `OSError`."""
        self._server = serve(
            lambda connection: handle(BlockingConnection(connection)),
            host,
            port,
            max_size=None,
            compression=None,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="listener")
        name, number = self._server.socket.getsockname()[:2]
        self.url = f"ws://[{name}]:{number}" if ":" in name else f"ws://{name}:{number}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()


def _hung_up(error: ConnectionClosed) -> HungUp:
    return HungUp(error.rcvd.code, error.rcvd.reason) if error.rcvd else HungUp(CloseCode.ABNORMAL_CLOSURE, "")
