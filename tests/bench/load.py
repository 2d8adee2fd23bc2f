"""Callers: each sends a microphone frame every 20 ms and listens; a process of its own.

`python load.py router|relay|direct PORT SESSIONS`. To the router they speak Deepgram's protocol on /openai; through the
bare relay, or directly to the stub, a single `session.update` and then the same binary frames.
"""

import sys
import time
from array import array

import orjson
import speech
import wire

READY_TIMEOUT_S = 30.0
LINEAR16 = {"encoding": "linear16"}


class Caller:
    """One client."""

    def __init__(self, loop, kind, port, number):
        self.is_ready = False
        self.ear = speech.Ear(number)
        self.sent_ns = array("q")
        self.wire = wire.connect(loop, "127.0.0.1", port, "/openai" if kind == "router" else "/v1/realtime")
        self.wire.on_message = self._on_router_message if kind == "router" else self._on_event
        self.wire.send_json(_settings(number) if kind == "router" else _session_update(number))

    def send_frame(self):
        """Twenty milliseconds of microphone."""
        self.sent_ns.append(time.monotonic_ns())
        self.wire.send(wire.BINARY, speech.FRAME)

    def _on_router_message(self, opcode, payload):
        if opcode == wire.BINARY:
            self.ear.hear_pcm(payload)
        elif not self.is_ready:
            self._on_answer(orjson.loads(payload), "SettingsApplied", ("Error", "Warning"))

    def _on_event(self, _opcode, payload):
        if self.is_ready:
            self.ear.hear_event(payload)
        else:
            self._on_answer(orjson.loads(payload), "session.updated", ("error",))

    def _on_answer(self, message, expected, refusals):
        if message["type"] in refusals:
            raise ConnectionError(f"refused: {message}")
        self.is_ready = message["type"] == expected


def _settings(number):
    audio = {
        "input": LINEAR16 | {"sample_rate": speech.MICROPHONE_RATE},
        "output": LINEAR16 | {"sample_rate": 24_000},
    }
    provider = {"type": "open_ai", "model": "gpt-realtime-2.1"}
    agent = {"think": {"provider": provider, "prompt": f"bench {number}"}}
    return {"type": "Settings", "audio": audio, "agent": agent}


def _session_update(number):
    return {"type": "session.update", "session": {"type": "realtime", "instructions": f"bench {number}"}}


class Load:
    """All callers, evenly staggered over the 20 ms of a frame."""

    def __init__(self, kind, port, sessions):
        self._loop = wire.Loop()
        handlers = {"send": self._on_send, "report": self._on_report}
        self._commands = wire.Commands(self._loop, handlers)
        self._callers = [Caller(self._loop, kind, port, number) for number in range(sessions)]
        self._lateness = []
        self._sent = self._count = 0
        self._start_ns = 0
        self._wanted = None

    def run(self):
        """Connect, then serve until whoever started us is gone."""
        self._wait_until_ready()
        wire.say({"ready": len(self._callers)})
        while not self._commands.is_over:
            self._loop.turn(self._next_ns())
            self._send_what_is_due()
            self._report_when_complete()
        for caller in self._callers:
            caller.wire.close()

    def _wait_until_ready(self):
        until_ns = time.monotonic_ns() + int(READY_TIMEOUT_S * 1e9)
        while not all(caller.is_ready for caller in self._callers):
            if time.monotonic_ns() > until_ns:
                raise TimeoutError("not every session became ready")
            self._loop.turn(until_ns)

    def _on_send(self, order):
        self._start_ns, self._count = order["start_ns"], order["count"] * len(self._callers)

    def _due_ns(self):
        return self._start_ns + self._sent * speech.FRAME_MS * 1_000_000 // len(self._callers)

    def _next_ns(self):
        if self._sent < self._count:
            return self._due_ns()
        return self._wanted and min(self._wanted["until_ns"], time.monotonic_ns() + wire.GLANCE_NS)

    def _send_what_is_due(self):
        while self._sent < self._count:
            late_ns = time.monotonic_ns() - self._due_ns()
            if late_ns < 0:
                return
            self._lateness.append(late_ns)
            self._callers[self._sent % len(self._callers)].send_frame()
            self._sent += 1

    def _on_report(self, wanted):
        self._wanted = wanted

    def _report_when_complete(self):
        if not self._wanted or self._sent < self._count:
            return
        is_complete = all(caller.ear.heard_bytes >= self._wanted["bytes"] for caller in self._callers)
        if is_complete or time.monotonic_ns() >= self._wanted["until_ns"]:
            self._wanted = None
            wire.say({"lateness": self._lateness, "sessions": [_report(caller) for caller in self._callers]})


def _report(caller):
    return {
        "is_open": caller.wire.is_open,
        "sent_ns": caller.sent_ns.tolist(),
        "heard_bytes": caller.ear.heard_bytes,
        "damaged": caller.ear.damaged,
        "latencies": caller.ear.latencies,
    }


if __name__ == "__main__":
    Load(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])).run()
