"""A stub of an upstream of OpenAI or Deepgram, as a process. It implements only configuration and speech.

It accepts sessions, counts the microphone audio of each (base64 in an append, or plain binary from the bare relay)
with its time of arrival. On command it sends audio to all sessions, spread evenly, or floods one.
"""

import gc
import re
import resource
import socket
import sys
import time
from array import array

import orjson

from tests.bench import wire
from tests.bench.orders import Orders, say
from tests.bench.speech import Shape, Voice

BACKLOG = 2048
FLOOD_PIECES = 16
"""The number of pieces of a flood that are written at once."""
GLANCE_NS = 10_000_000
"""The time in ns between two checks, at the end of a lap, whether all audio has come."""
DEFAULT_SESSION = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_bench",
    "model": "gpt-realtime-2.1",
    "output_modalities": ["audio"],
    "instructions": "",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "audio": {
        "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": {"type": "server_vad"}},
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
    },
}


class Session:
    """One caller, known by the number in its instructions (`bench 17`)."""

    def __init__(self, connection, stub):
        self.heard_bytes = 0
        self.spoken = 0
        """The number of sent pieces in all laps."""
        self.number = None
        self.voice = None
        self.wire = connection
        self._stub = stub
        self._flood = 0
        self.begin_lap()
        connection.on_open = self._on_open
        connection.on_message = self._on_message
        connection.on_closed = lambda: stub.forget(self)
        connection.on_drained = self._go_on_flooding

    def begin_lap(self):
        """Begin a lap: forget the times of the lap before, and keep the totals."""
        self.said = 0
        """The number of sent pieces in this lap."""
        self._bytes_before = self.heard_bytes
        self.arrivals = array("q")
        """Alternately the number of microphone bytes so far, and the arrival of the last one (monotonic ns)."""

    @property
    def lap_bytes(self):
        """The bytes of microphone audio that came since the lap began."""
        return self.heard_bytes - self._bytes_before

    def speak(self, count):
        """Send the next of `count` pieces of audio."""
        if self.said == 0:
            self._send_all(self.voice.opening())
        self.wire.send(wire.TEXT, self.voice.delta())
        self.said += 1
        self.spoken += 1
        if self.said == count:
            self._send_all(self.voice.closing())

    def flood(self, count):
        """Send `count` pieces as fast as the peer reads them."""
        self._send_all(self.voice.opening())
        self._flood = count
        self._go_on_flooding()

    def _go_on_flooding(self):
        while self._flood and self.wire.is_open and not self.wire.is_blocked:
            count = min(FLOOD_PIECES, self._flood)
            self.wire.write(b"".join(self.wire.frame(wire.TEXT, self.voice.delta()) for _ in range(count)))
            self._flood -= count
            self.spoken += count

    def _send_all(self, events):
        for number, event in enumerate(events):
            self.wire.send_json({"event_id": f"event_{self.number}_{self.spoken}_{number}"} | event)

    def _on_open(self):
        self.wire.send_json({"type": "session.created", "event_id": "event_0", "session": DEFAULT_SESSION})

    def _on_message(self, opcode, payload):
        now_ns = time.monotonic_ns()
        if opcode == wire.BINARY:
            self._heard(len(payload), now_ns)
            return
        event = orjson.loads(payload)
        if event["type"] == "input_audio_buffer.append":
            audio = event["audio"]
            self._heard(len(audio) // 4 * 3 - audio[-2:].count("="), now_ns)
        elif event["type"] == "session.update":
            self._on_update(event["session"])
        elif event["type"] == "conversation.item.create":
            for kind in ("added", "done"):
                self.wire.send_json({"type": f"conversation.item.{kind}", "item": event["item"]})

    def _introduce(self, prompt):
        found = re.search(r"bench (\d+)", prompt)
        if found and self.number is None:
            self.number = int(found[1])
            self.voice = Voice(self.number, self._stub.shape)
            self._stub.introduce(self)

    def _heard(self, size, now_ns):
        self.heard_bytes += size
        self.arrivals.append(self.heard_bytes)
        self.arrivals.append(now_ns)

    def _on_update(self, session):
        self._introduce(session.get("instructions", ""))
        updated = {"type": "session.updated", "event_id": "event_1", "session": DEFAULT_SESSION | session}
        self._stub.updated_ns[self.number] = time.monotonic_ns()
        self.wire.send_json(updated)


class DeepgramSession(Session):
    """One caller of Deepgram's Voice Agent, known by the number in its prompt."""

    def speak(self, count):
        """Send the next of `count` pieces of audio."""
        if self.said == 0:
            self.wire.send_json({"type": "ConversationText", "role": "assistant", "content": "Noise."})
        self.wire.send(wire.BINARY, self.voice.pcm())
        self.said += 1
        self.spoken += 1
        if self.said == count:
            self.wire.send_json({"type": "AgentAudioDone"})

    def _on_open(self):
        self.wire.send_json({"type": "Welcome", "request_id": "bench"})

    def _on_message(self, opcode, payload):
        if opcode == wire.BINARY:
            self._heard(len(payload), time.monotonic_ns())
            return
        message = orjson.loads(payload)
        if message["type"] == "Settings":
            self._introduce(message["agent"]["think"]["prompt"])
            self.wire.send_json({"type": "SettingsApplied"})


PROTOCOLS = {"openai": Session, "deepgram": DeepgramSession}


class Stub:
    """All sessions, and the commands of the benchmark."""

    def __init__(self, shape, port, protocol):
        self.shape = shape
        self._session = PROTOCOLS[protocol]
        self.updated_ns = {}
        """The monotonic time at which each session last got `session.updated`."""
        self._sessions = {}
        self._wires = set()
        self._lateness = []
        self._loop = wire.Loop()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self._loop.watch(self._listener.fileno(), self._on_caller)
        orders = {"speak": self._on_speak, "report": self._on_report, "flood": self._on_flood, "times": self._on_times}
        self._orders = Orders(self._loop, orders)
        self._count = 0
        self._speakers = []
        self._flooded = None
        self._spoken = 0
        self._start_ns = self._looked_ns = 0
        self._wanted = None

    def run(self):
        """Serve until the process that started this one is gone."""
        say({"port": self._listener.getsockname()[1]})
        while not self._orders.is_over:
            self._loop.turn(self._next_ns())
            self._speak_what_is_due()
            self._report_when_complete()

    def introduce(self, session):
        """Record a session under its number."""
        self._sessions[session.number] = session

    def forget(self, session):
        """Forget a session whose peer has ended it."""
        self._wires.discard(session.wire)
        if self._sessions.get(session.number) is session:
            del self._sessions[session.number]

    def _on_caller(self, _mask):
        connection, _ = self._listener.accept()
        self._wires.add(self._session(wire.accept(self._loop, connection), self).wire)

    def _on_speak(self, order):
        gc.collect()
        self._start_ns, self._count, self._spoken = order["start_ns"], order["count"], 0
        self._lateness = []
        wanted = range(order["first"], order["first"] + order["sessions"])
        self._speakers = [session for number, session in sorted(self._sessions.items()) if number in wanted]
        for session in self._speakers:
            session.begin_lap()

    def _on_flood(self, order):
        self._flooded = self._sessions[order["session"]]
        self._flooded.flood(order["count"])
        say({"flooding": order["session"]})

    def _on_times(self, _order):
        found = {"updated_ns": self.updated_ns, "sessions": len(self._sessions), "connections": len(self._wires)}
        say(found | {"flooded": self._flooded.spoken if self._flooded else 0})

    def _due_ns(self):
        return self._start_ns + self._spoken * self.shape.delta_ms * 1_000_000 // len(self._speakers)

    def _next_ns(self):
        if self._is_speaking():
            return max(self._due_ns(), self._looked_ns + wire.TICK_NS)
        return self._wanted and min(self._wanted["until_ns"], time.monotonic_ns() + GLANCE_NS)

    def _is_speaking(self):
        return self._spoken < self._count * len(self._speakers)

    def _speak_what_is_due(self):
        self._looked_ns = time.monotonic_ns()
        while self._is_speaking():
            late_ns = self._looked_ns - self._due_ns()
            if late_ns < 0:
                return
            self._lateness.append(late_ns)
            self._speakers[self._spoken % len(self._speakers)].speak(self._count)
            self._spoken += 1

    def _on_report(self, wanted):
        self._wanted = wanted

    def _report_when_complete(self):
        if not self._wanted:
            return
        is_complete = all(session.lap_bytes >= self._wanted["bytes"] for session in self._speakers)
        if is_complete or time.monotonic_ns() >= self._wanted["until_ns"]:
            self._wanted = None
            sessions = [_report(session, self.shape) for session in self._speakers]
            say({"lateness": self._lateness, "sessions": sessions})


def _report(session, shape):
    return {
        "number": session.number,
        "spoken_bytes": session.spoken * shape.delta_bytes,
        "heard_bytes": session.heard_bytes,
        "arrivals": session.arrivals.tolist(),
    }


def main():
    """Run the stub. OPTIONS is a JSON object of `shape`, `port` (0: a free one) and `protocol`."""
    options = orjson.loads(sys.argv[1])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()  # its pauses would be taken for the router's; each lap begins with a collection
    Stub(Shape(**options["shape"]), options["port"], options["protocol"]).run()


if __name__ == "__main__":
    main()
