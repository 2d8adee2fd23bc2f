"""A program: OpenAI's Python SDK on a router. It sends the events that it reads, and prints those that it gets.

Arguments: `sync` or `async`, and the base URL. Each line of the input is an event; its end closes the connection.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from openai import AsyncOpenAI, OpenAI
from websockets.exceptions import ConnectionClosed

KEY = "sk-of-the-client-0123456789"


def show(event) -> None:
    """Print an event."""
    print(json.dumps(event if isinstance(event, dict) else event.to_dict()), flush=True)


def closed(error: ConnectionClosed) -> dict[str, Any]:
    """Return the end of a connection, as an event."""
    received = error.rcvd
    return {"type": "closed", "code": received.code if received else 1006}


def converse(base_url: str, lines: Iterable[str], show: Callable[[Any], None] = show) -> None:
    """Hold a conversation with the synchronous client: send each line, and show each event."""
    client = OpenAI(api_key=KEY, base_url=base_url)
    with client.realtime.connect(model="gpt-realtime") as connection:

        def send() -> None:
            for line in lines:
                connection.send(json.loads(line))
            connection.close()

        threading.Thread(target=send, daemon=True).start()
        try:
            while True:
                show(connection.recv())
        except ConnectionClosed as error:
            show(closed(error))


async def converse_async(base_url: str) -> None:
    """Hold a conversation with the asynchronous client."""
    client = AsyncOpenAI(api_key=KEY, base_url=base_url)
    loop = asyncio.get_running_loop()
    async with client.realtime.connect(model="gpt-realtime") as connection:

        async def send() -> None:
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                await connection.send(json.loads(line))
            await connection.close()

        sending = asyncio.create_task(send())
        try:
            while True:
                show(await connection.recv())
        except ConnectionClosed as error:
            show(closed(error))
        sending.cancel()


if __name__ == "__main__":
    way, address = sys.argv[1:]
    if way == "sync":
        converse(address, sys.stdin)
    else:
        asyncio.run(converse_async(address))
    # A thread may wait for the input.
    sys.stdout.flush()
    os._exit(0)
