"""A router in this process behind real sockets, and what a client says to it."""

import contextlib
import socket
import threading

import orjson
from websockets.exceptions import ConnectionClosed

from actors.connections.client import HandshakeRefused
from playbook import settings
from router.config import RouterConfig
from router.core import Router

WAIT_S = 5.0


class Served:
    """A router behind the smallest HTTP server that can give a socket away: one thread, one request at a time."""

    def __init__(self, router, profile):
        self._router, self._profile = router, profile
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._thread = threading.Thread(target=self._serve, name="served")
        self._thread.start()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._accept(connection)

    def _accept(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(65536)
        environ = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "werkzeug.socket": connection}
        for line in head.decode().splitlines()[1:-1]:
            name, _, value = line.partition(": ")
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        try:
            self._router.accept(environ, self._profile)
        except HandshakeRefused as refused:
            connection.sendall(f"HTTP/1.1 {int(refused.status)} No\r\nContent-Length: 0\r\n\r\n".encode())

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@contextlib.contextmanager
def serving(profile="openai", **config):
    router = Router(RouterConfig(**config)).start()
    served = Served(router, profile)
    try:
        yield router, served.url
    finally:
        served.close()
        router.close()


def receive_until(client, kind):
    """Every frame up to the first message of this type."""
    frames = []
    while True:
        frame = client.recv(timeout=WAIT_S)
        frames.append(frame if isinstance(frame, bytes) else orjson.loads(frame))
        if not isinstance(frame, bytes) and frames[-1]["type"] == kind:
            return frames


def say(client, **message):
    client.send(orjson.dumps(message).decode())


def apply_settings(client, given=None):
    client.send(orjson.dumps(given or settings()).decode())
    return receive_until(client, "SettingsApplied")


def closing(client):
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.recv(timeout=WAIT_S)
    return client.close_code
