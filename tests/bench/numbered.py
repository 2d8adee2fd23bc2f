"""An upstream, as a process, that records the arrival of each microphone frame of each caller.

A frame repeats its number. If a session moves, it uses another connection, and the frames of both connections count
together. The arguments are the duration of a dial, because a real upstream is on another machine, the pieces of an
answer, and the seconds between two pieces of 100 ms.
"""

import asyncio
import base64
import contextlib
import itertools
import logging
import re
import struct
import sys
import time

import orjson
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from tests.bench.orders import say
from tests.bench.speech import Shape, Voice
from tests.bench.stub import DEFAULT_SESSION

FRAME_BYTES = 960
"""20 ms at 24 kHz, which the router does not convert."""
NUMBER = struct.Struct("<I")
DELTA_S = 0.1
"""The audio of one delta."""
WORDS = " la"
"""The words of one delta. They are too long for it, so the rest of a cut answer always has words."""
SHAPE = Shape()


def frame(number):
    """Return the frame with a number."""
    return NUMBER.pack(number) * (FRAME_BYTES // NUMBER.size)


class Heard:
    """The microphone audio of one caller, over all of its connections."""

    def __init__(self):
        self.arrived_s = {}
        self.connections = 0
        self._last_s, self._last_connection = 0.0, 1
        self.switches = []
        """For each move, the seconds from the last new frame over one connection to the first one over the next."""
        self.answered = []
        """The times at which the upstream sent the first audio of an answer."""

    def take(self, audio, now_s, connection=1):
        """Record the new frames in a piece of audio. A piece may begin or end within a frame."""
        before = len(self.arrived_s)
        for at in range(0, len(audio) - len(audio) % NUMBER.size, NUMBER.size):
            self.arrived_s.setdefault(NUMBER.unpack_from(audio, at)[0], now_s)
        if len(self.arrived_s) > before:
            if connection > self._last_connection:
                self.switches.append(now_s - self._last_s)
            self._last_s, self._last_connection = now_s, connection

    def report(self):
        """Return the missing frames up to the last one, and each pause as its begin and its length."""
        order = sorted(self.arrived_s)
        missing = order[-1] + 1 - len(order) if order else 0
        times_s = sorted(self.arrived_s.values())
        pauses = [(one, other - one) for one, other in itertools.pairwise(times_s) if other - one > 0.03]
        return {
            "frames": len(order),
            "missing": missing,
            "pauses": pauses,
            "switches": self.switches,
            "answered": self.answered,
        }


class Upstream:
    """All callers, by the number in their instructions (`bench 17`)."""

    def __init__(self, dial_s, deltas, pace_s):
        self.heard = {}
        self._dial_s = dial_s
        self._deltas = deltas
        self._pace_s = pace_s
        self._tasks = set()

    async def refuse_nothing(self, _connection, _request):
        """Delay the handshake, and accept it."""
        await asyncio.sleep(self._dial_s)

    async def talk(self, connection):
        """Serve one connection, until its session leaves it."""
        with contextlib.suppress(ConnectionClosed):
            await self._talk(connection)

    async def _talk(self, connection):
        await send(connection, type="session.created", session=DEFAULT_SESSION)
        heard = voice = None
        own = 0
        async for text in connection:
            event = orjson.loads(text)
            match event["type"]:
                case "input_audio_buffer.append" if heard is not None:
                    heard.take(base64.b64decode(event["audio"]), time.monotonic(), own)
                case "session.update":
                    if heard is None:
                        number = int(re.search(r"bench (\d+)", event["session"]["instructions"])[1])
                        heard = self.heard.setdefault(number, Heard())
                        heard.connections += 1
                        own = heard.connections
                        voice = Voice(number * 10_000 + heard.connections, SHAPE)
                    await send(connection, type="session.updated", session=DEFAULT_SESSION | event["session"])
                case "conversation.item.create":
                    await send(connection, type="conversation.item.added", item=event["item"])
                case "response.create":
                    task = asyncio.create_task(self._answer(connection, voice, heard))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def _answer(self, connection, voice, heard):
        """Speak one answer."""
        with contextlib.suppress(ConnectionClosed):
            await self._speak(connection, voice, heard)

    async def _speak(self, connection, voice, heard):
        for event in voice.opening():
            await send(connection, **event)
        due_s = time.monotonic()
        heard.answered.append(due_s)
        for _ in range(self._deltas):
            await send(connection, **voice.words(WORDS))
            await connection.send(voice.delta().decode())
            due_s += self._pace_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        for event in voice.closing():
            await send(connection, **event)


async def send(connection, **event):
    """Send one event."""
    await connection.send(orjson.dumps({"event_id": f"event_{time.monotonic_ns()}", **event}).decode())


async def main():
    """Serve until the input ends. Print a report for each line of the input."""
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # a connection that its session left is no failure
    upstream = Upstream(float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with serve(
        upstream.talk, "127.0.0.1", 0, compression=None, ping_interval=None, process_request=upstream.refuse_nothing
    ) as server:
        say({"port": server.sockets[0].getsockname()[1]})
        while await reader.readline():
            say({"heard": {number: it.report() for number, it in upstream.heard.items()}})


if __name__ == "__main__":
    asyncio.run(main())
