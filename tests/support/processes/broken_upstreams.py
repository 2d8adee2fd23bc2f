"""Seven upstreams that cannot carry a call, each broken in its own way."""

import contextlib
import http
import json
import socket
import ssl
import threading

import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

CREATED = json.dumps({"type": "session.created", "event_id": "e", "session": {"id": "s"}})


@contextlib.contextmanager
def refused():
    """Yield an address at which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"ws://127.0.0.1:{port}/v1/realtime"


@contextlib.contextmanager
def silent():
    """Accept connections, and answer nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/realtime"


@contextlib.contextmanager
def serving(handler, scheme="ws", **options):
    """Run a WebSocket server in this process."""
    with serve(handler, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, name="broken upstream")
        thread.start()
        try:
            yield f"{scheme}://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime"
        finally:
            server.shutdown()
            thread.join()


def with_status(status):
    """Answer the upgrade with an HTTP status."""

    def answer(connection, _request):
        return connection.respond(http.HTTPStatus(status), "no\n")

    return serving(lambda _: None, process_request=answer)


def closes_with_1000():
    """Open the session, read one event, and close."""

    def handle(connection):
        with contextlib.suppress(ConnectionClosed):
            connection.send(CREATED)
            connection.recv()

    return serving(handle)


def garbage():
    """Send text that is no event."""

    def handle(connection):
        with contextlib.suppress(ConnectionClosed):
            connection.send("<html>")
            connection.recv()

    return serving(handle)


def wrong_certificate():
    """Serve TLS with a certificate that no client trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return serving(lambda _: None, "wss", ssl=context)


BROKEN = {
    "refused": (refused, "not reachable (Connection refused); start the upstream"),
    "401": (lambda: with_status(401), "refused the router's credential (HTTP 401); check OPENAI_API_KEY"),
    "429": (lambda: with_status(429), "refused (HTTP 429); the account has too many calls"),
    "silent": (silent, "s); the host accepts connections and does not answer"),
    "closes 1000": (closes_with_1000, "the upstream closed the connection (1000); look into the log"),
    "garbage": (garbage, "the upstream sent a frame that is not an event; a server that is no Realtime API listens"),
    "wrong certificate": (
        wrong_certificate,
        "no TLS (unable to get local issuer certificate); name the certificate of its issuer",
    ),
}
"""Each broken upstream by its name, with words of the sentence that a user reads."""
