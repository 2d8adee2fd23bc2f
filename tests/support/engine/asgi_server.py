"""An ASGI server in memory: an event loop on a thread, and WebSockets whose client is the test."""

import asyncio
import contextlib
import queue
import threading

from actors.connections.asgi_handshake import AsgiHandshake
from actors.connections.base import ConnectionLimits
from actors.connections.crossing import Crossing
from tests.support.engine.dispatching import WAIT_S


class AsgiServer:
    """An event loop on a thread. `serve` makes a connection that the loop serves."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="asgi-server")
        self._thread.start()
        self.crossing = Crossing(self.loop)

    def serve(self, limits=None, *, offered=(), subprotocols=("token", "bearer"), first_text=None):
        """Accept a WebSocket. Return the connection and its client."""
        handshake = AsgiHandshake(self.crossing, offered=offered, peer="127.0.0.1:5555")
        connection = handshake.accept(
            first_text=first_text, subprotocols=subprotocols, limits=limits or ConnectionLimits()
        )
        client = AsgiClient(self.loop)
        client.carrying = self.run(connection.carry(client.next_event, client.take))
        return connection, client

    def run(self, coroutine):
        """Run a coroutine on the loop. Return its future."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_S)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class AsgiClient:
    """A client as the application of an ASGI server sees it. The test's methods may be called from any thread."""

    def __init__(self, loop):
        self._loop = loop
        self._events = asyncio.Queue()
        self._reads = asyncio.Event()
        self._reads.set()
        self._sent = queue.SimpleQueue()
        self.received_events = 0
        """The number of events that the connection has taken from the server."""
        self.error = None
        """The exception that the server's `send` raises, or None."""
        self.carrying = None

    # The test's side.

    def send(self, **event):
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def send_text(self, text):
        self.send(type="websocket.receive", text=text)

    def send_binary(self, data):
        self.send(type="websocket.receive", bytes=data, text=None)

    def leave(self, code=1000, reason=""):
        self.send(type="websocket.disconnect", code=code, reason=reason)

    def stop_reading(self):
        self._loop.call_soon_threadsafe(self._reads.clear)
        self.settle()

    def read_again(self):
        self._loop.call_soon_threadsafe(self._reads.set)

    def settle(self):
        """Wait until the loop has done all earlier work."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(done.set)
        assert done.wait(WAIT_S)

    def receive(self):
        """Return the next message of the connection, or its close event."""
        return self._sent.get(timeout=WAIT_S)

    def is_idle(self):
        return self._sent.empty()

    def wait_for_end(self):
        """Wait until the application's coroutine has returned."""
        return self.carrying.result(WAIT_S)

    def cancel(self):
        """Cancel the application's coroutine, as a server does when it stops."""
        self.carrying.cancel()

    # The server's side.

    async def next_event(self):
        event = await self._events.get()
        self.received_events += 1
        return event

    async def take(self, event):
        await self._reads.wait()
        if self.error is not None:
            raise self.error
        match event["type"]:
            case "websocket.send":
                self._sent.put(event["text"] if event.get("text") is not None else event["bytes"])
            case _:
                self._sent.put(event)


@contextlib.contextmanager
def asgi_server():
    """Run a server."""
    server = AsgiServer()
    try:
        yield server
    finally:
        server.close()
