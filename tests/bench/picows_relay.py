"""For comparison: a bare relay on picows, with compiled frames. `python -m tests.bench.picows_relay UPSTREAM_URL PORT`.

It runs on asyncio, as the bare relay runs on uvloop, and forwards every frame both ways.
"""

import asyncio
import sys

from picows import WSListener, WSMsgType, ws_connect, ws_create_server


class Leg(WSListener):
    """One end of a call. Its frames wait until the other end has connected."""

    def __init__(self):
        self.other = None
        self._transport = None
        self._waiting = []

    def on_ws_connected(self, transport):
        """Receive the frames of the other end from now on."""
        self._transport = transport

    def join(self, other):
        """Forward frames to the other end."""
        self.other = other
        for kind, payload, is_last in self._waiting:
            other.send(kind, payload, is_last)

    def send(self, kind, payload, is_last):
        """Send a frame of the other end."""
        self._transport.send(kind, payload, is_last)

    def on_ws_frame(self, transport, frame):
        """Forward a frame. A close frame ends both ends."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif self.other is None:
            self._waiting.append((frame.msg_type, frame.get_payload_as_bytes(), frame.fin))
        else:
            self.other.send(frame.msg_type, frame.get_payload_as_memoryview(), frame.fin)

    def on_ws_disconnected(self, _transport):
        """End the other end, too."""
        if self.other is not None and self.other._transport is not None:
            self.other._transport.disconnect()


async def relay(upstream_url, port):
    """Serve until the process is ended."""
    tasks = set()

    async def dial(client):
        _, upstream = await ws_connect(Leg, upstream_url)
        upstream.join(client)
        client.join(upstream)

    def on_client(_request):
        client = Leg()
        task = asyncio.get_running_loop().create_task(dial(client))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return client

    server = await ws_create_server(on_client, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(sys.argv[1], int(sys.argv[2])))
