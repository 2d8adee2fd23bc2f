"""The bare relay, for comparison: on `websockets` and uvloop, it forwards every message and parses none.

`python -m tests.bench.relay UPSTREAM_URL PORT`. Written as the library's documentation suggests; compression is off
on both legs, as in the router.
"""

import asyncio
import sys

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def forward(source, target):
    """Forward every message in order. If one connection ends, end the other."""
    async for message in source:
        await target.send(message)
    await target.close()


async def relay(upstream_url, port):
    """Serve until the process is ended."""

    async def on_client(client):
        async with connect(upstream_url, compression=None, max_size=None) as upstream:
            await asyncio.gather(forward(client, upstream), forward(upstream, client), return_exceptions=True)

    async with serve(on_client, "127.0.0.1", port, compression=None, max_size=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(relay(sys.argv[1], int(sys.argv[2])))
