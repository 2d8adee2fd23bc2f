"""Moves sessions under load: `python -m tests.bench.moves` reloads a server while callers talk.

Each caller sends its microphone all the time, and sometimes asks a question. Three figures count: the microphone frames
that reach no upstream, the longest pause of a microphone at its upstream during a move, and the longest silence within
an answer, after all received audio was played.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import os
import re
import signal
import statistics
import sys
import tempfile
import time

import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.bench.children import Child
from tests.bench.numbered import DELTA_S, frame
from tests.support.processes.children import RUN_PY, child

CALLERS = 50
MOVES = 1000
DIAL_S = 0.3
FRAME_S = 0.02
ANSWER_S = 1.5
PACE = 2.0
"""The speed at which an answer comes, in multiples of its own speed."""
PAUSE_S = 1.0
"""The seconds from the end of an answer's playback to the next question."""
BYTES_PER_S = 48_000
QUIET_S = 6.0
"""The seconds without a move in which the same figures are measured."""
MOVE_S = 60.0
DRAIN_S = 30
BOUND_S = 0.040
MODEL_WARNING = "MODEL_NOT_AVAILABLE"


@dataclasses.dataclass
class Caller:
    """One caller, with a record of its answers and failures."""

    number: int
    sent: int = 0
    answers: int = 0
    is_answered: bool = False
    """Whether any audio of an answer has come."""
    silences: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    """Each silence within an answer: its end, and its length."""
    told: list[str] = dataclasses.field(default_factory=list)
    """The codes of warnings and errors."""
    close: int | None = None

    async def call(self, url, is_over):
        """Talk until `is_over`."""
        try:
            async with connect(url, compression=None, ping_interval=None, max_size=None) as connection:
                await self._begin(connection)
                microphone = asyncio.create_task(self._speak(connection, is_over))
                with contextlib.suppress(asyncio.CancelledError):
                    await self._converse(connection, is_over)
                await microphone
        except ConnectionClosed as closed:
            self.close = closed.rcvd.code if closed.rcvd else 1006

    async def _begin(self, connection):
        audio = {"encoding": "linear16", "sample_rate": 24000}
        settings = {
            "type": "Settings",
            "audio": {"input": audio, "output": audio},
            "agent": {"think": {"provider": {"type": "open_ai"}, "prompt": f"bench {self.number}"}},
        }
        await connection.send(orjson.dumps(settings).decode())
        await self._read_until(connection, "SettingsApplied")

    async def _speak(self, connection, is_over):
        due_s = time.monotonic() + FRAME_S * (self.number % 20) / 20
        while not is_over.is_set():
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await connection.send(frame(self.sent))
            self.sent += 1
            due_s += FRAME_S

    async def _converse(self, connection, is_over):
        await asyncio.sleep(PAUSE_S * (self.number % 10) / 10)
        while not is_over.is_set():
            await connection.send('{"type":"InjectUserMessage","content":"Go on."}')
            played_s = await self._read_until(connection, "AgentAudioDone")
            self.answers += 1
            await asyncio.sleep(max(0.0, played_s - time.monotonic()) + PAUSE_S)

    async def _read_until(self, connection, kind):
        """Read until a message of this type. Return the time at which the playback of the audio so far ends."""
        played_s = None
        while True:
            received = await connection.recv()
            now_s = time.monotonic()
            if isinstance(received, bytes):
                self.is_answered = True
                if played_s is not None and now_s > played_s:
                    self.silences.append((now_s, now_s - played_s))
                played_s = max(now_s, played_s or 0.0) + len(received) / BYTES_PER_S
                continue
            message = orjson.loads(received)
            if message["type"] in ("Warning", "Error") and message["code"] != MODEL_WARNING:
                self.told.append(message["code"])
            if message["type"] == kind:
                return played_s or now_s


@dataclasses.dataclass
class Figures:
    """The figures of a measurement."""

    moves: int = 0
    lost_sessions: int = 0
    seconds: float = 0.0
    frames: int = 0
    missing: int = 0
    closes: int = 0
    told: dict[str, int] = dataclasses.field(default_factory=dict)
    quiet_pauses_ms: list[float] = dataclasses.field(default_factory=list)
    """The longest pause of each microphone without a move, beyond the length of a frame."""
    pauses_ms: list[float] = dataclasses.field(default_factory=list)
    """The pause of a microphone at each move, beyond the length of a frame."""
    silence_ms: float = 0.0
    quiet_silence_ms: float = 0.0
    answers: int = 0

    def __str__(self):
        cuts = statistics.quantiles(self.pauses_ms, n=1000, method="inclusive") if len(self.pauses_ms) > 1 else []
        median, late, most = (cuts[499], cuts[989], max(self.pauses_ms)) if cuts else (0.0, 0.0, 0.0)
        quiet = max(self.quiet_pauses_ms, default=0.0)
        sessions = f"{self.lost_sessions} sessions lost, {self.closes} closed, {self.answers} answers"
        around = f"median {median:.0f} ms, p99 {late:.0f} ms, longest {most:.0f} ms"
        lines = [
            f"{self.moves} moves in {self.seconds:.0f} s: {sessions}, warnings and errors: {self.told or 'none'}",
            f"{self.frames} frames of microphones, {self.missing} missing",
            f"pause of a microphone at a move: {around}; without a move: longest {quiet:.0f} ms",
            f"silence within an answer: {self.silence_ms:.0f} ms; without a move: {self.quiet_silence_ms:.0f} ms",
        ]
        return "\n".join(lines)


class Run:
    """One measurement: upstream, server and callers."""

    def __init__(self, callers, moves, dial_s, workers=2, *, answer_s=ANSWER_S, pace=PACE, drain_s=DRAIN_S):
        self._callers = [Caller(number) for number in range(callers)]
        self._reloads = -(-moves // callers)
        self._upstream = (dial_s, round(answer_s / DELTA_S), DELTA_S / pace)
        self._drain_s = drain_s
        self._workers = workers
        self._windows = []
        """The begin and the end of each reload."""

    def measure(self):
        """Return the figures."""
        with contextlib.ExitStack() as stack:
            upstream = stack.enter_context(Child(["-m", "tests.bench.numbered", *self._upstream]))
            port = upstream.hear(30)["port"]
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            flags = ("--port", "0", "--upstream", f"ws://127.0.0.1:{port}/v1/realtime", "--drain-s", str(self._drain_s))
            server = stack.enter_context(
                child(
                    sys.executable,
                    RUN_PY,
                    *flags,
                    "--workers",
                    str(self._workers),
                    env={"TMPDIR": folder},
                    is_fresh=True,
                )
            )
            url = server.wait_for(r"(ws://127\.0\.0\.1:\d+/openai)")[1]
            server.wait_for_lines(r"worker \d+ serves", self._workers)
            asyncio.run(self._talk(url, server))
            upstream.tell(report=1)
            return self._figures(upstream.hear(60)["heard"], server.output)

    async def _talk(self, url, server):
        is_over = asyncio.Event()
        calls = [asyncio.create_task(it.call(url, is_over)) for it in self._callers]
        while not all(it.is_answered for it in self._callers) and not any(it.done() for it in calls):  # noqa: ASYNC110 - one loop, and no signal
            await asyncio.sleep(0.1)
        self._began_s = time.monotonic()
        await asyncio.sleep(QUIET_S)
        for number in range(1, self._reloads + 1):
            before_s = time.monotonic()
            os.kill(server.pid, signal.SIGHUP)
            await asyncio.to_thread(server.wait_for_lines, "sessions moved, ", number * self._workers, timeout_s=MOVE_S)
            await asyncio.sleep(0.5)
            self._windows.append((before_s, time.monotonic()))
        is_over.set()
        await asyncio.wait(calls, timeout=MOVE_S)

    def _figures(self, heard, output):
        found = re.findall(r"(\d+) sessions moved, (\d+) were lost", output)
        figures = Figures(
            moves=sum(int(moved) for moved, _ in found),
            lost_sessions=sum(int(lost) for _, lost in found),
            seconds=self._windows[-1][1] - self._windows[0][0],
            frames=sum(it.sent for it in self._callers),
            closes=sum(it.close is not None for it in self._callers),
            answers=sum(it.answers for it in self._callers),
        )
        for caller in self._callers:
            report = heard[str(caller.number)]
            # The last frames may be on their way when the call ends.
            figures.missing += report["missing"] + max(0, caller.sent - report["frames"] - report["missing"] - 5)
            quiet = self._longest(report["pauses"], (self._began_s, self._windows[0][0]))
            figures.quiet_pauses_ms.append(quiet * 1000)
            figures.pauses_ms += [max(0.0, it - FRAME_S) * 1000 for it in report["switches"]]
            for code in caller.told:
                figures.told[code] = figures.told.get(code, 0) + 1
            for ended_s, length_s in caller.silences:
                if ended_s < self._windows[0][0]:
                    figures.quiet_silence_ms = max(figures.quiet_silence_ms, length_s * 1000)
                else:
                    figures.silence_ms = max(figures.silence_ms, length_s * 1000)
        return figures

    @staticmethod
    def _longest(pauses, window):
        within = [length_s - FRAME_S for begin_s, length_s in pauses if window[0] <= begin_s <= window[1]]
        return max(within, default=0.0)


def complaints(figures, bound_ms=BOUND_S * 1000):
    """Return a sentence for each figure that misses its bound."""
    quiet_ms = max(figures.quiet_pauses_ms, default=0.0)
    if figures.missing:
        yield f"{figures.missing} frames of microphones are missing"
    if figures.lost_sessions or figures.closes:
        yield f"{figures.lost_sessions} sessions were lost, and {figures.closes} closed"
    if figures.told:
        yield f"callers were told {figures.told}"
    if figures.silence_ms - figures.quiet_silence_ms > bound_ms:
        yield f"an answer paused for {figures.silence_ms:.0f} ms"
    late = sorted(figures.pauses_ms)[int(len(figures.pauses_ms) * 0.99) - 1] if figures.pauses_ms else 0.0
    if late - quiet_ms > bound_ms:
        yield f"one microphone in a hundred paused for {late:.0f} ms"


def main():
    """Run, print the figures, and judge them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.moves", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--callers", type=int, default=CALLERS)
    parser.add_argument("--moves", type=int, default=MOVES)
    parser.add_argument("--dial-s", type=float, default=DIAL_S, help="the time that a dial takes (0.3)")
    parser.add_argument("--answer-s", type=float, default=ANSWER_S, help="the length of an answer (1.5)")
    parser.add_argument("--pace", type=float, default=PACE, help="of an answer, 1 for real time (2)")
    parser.add_argument("--drain-s", type=float, default=DRAIN_S, help="of the router (30)")
    options = parser.parse_args()
    way = {"answer_s": options.answer_s, "pace": options.pace, "drain_s": options.drain_s}
    figures = Run(options.callers, options.moves, options.dial_s, **way).measure()
    print(figures)
    found = list(complaints(figures))
    for complaint in found:
        print(complaint, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
