"""Both ends of a WebSocket's opening handshake, as bytes in and out. They suffice for the benchmark's own peers."""

import base64
import hashlib
import os

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
END = b"\r\n\r\n"


class Refused(ConnectionError):  # noqa: N818 - named for what happened
    """The peer answered the handshake with another status than 101."""


class Asking:
    """The client's end of a handshake."""

    def __init__(self, host, port, path, headers=()):
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        self.opening = "\r\n".join(lines).encode() + END
        """The request that the client sends."""
        self._data = b""

    def feed(self, data):
        """Return the answer and the bytes after the head, once the head is complete; else None. Raises Refused."""
        self._data += data
        if END not in self._data:
            return None
        head, _, rest = self._data.partition(END)
        status = head.split(b"\r\n")[0]
        if b" 101 " not in status:
            raise Refused(status.decode(errors="replace"))
        return b"", rest


class Answering:
    """The server's end of a handshake."""

    opening = b""

    def __init__(self):
        self._data = b""

    def feed(self, data):
        """Return the answer and the bytes after the head, once the head is complete; else None."""
        self._data += data
        if END not in self._data:
            return None
        head, _, rest = self._data.partition(END)
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        key = next(value for name, value in headers.items() if name.lower() == b"sec-websocket-key")
        token = base64.b64encode(hashlib.sha1(key.strip() + ACCEPT_GUID).digest())  # noqa: S324 - RFC 6455 says so
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + token + END
        )
        return answer, rest
