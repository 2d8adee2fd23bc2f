"""An upstream that speaks just enough OpenAI Realtime to be called and to talk: a process of its own.

It accepts sessions, counts the microphone audio of each (base64 in an append, or plain binary from the bare relay)
with its time of arrival, and on command speaks 100 ms of audio every 100 ms to every session, evenly staggered.
"""

import re
import socket
import time
from array import array

import orjson
import speech
import wire

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

    def __init__(self, connection, sessions):
        self.heard_bytes = 0
        self.arrivals = array("q")
        """Alternately: all microphone bytes so far, and when the last of them came (monotonic ns)."""
        self.others = {}
        """How many events of each other type came."""
        self.spoken = 0
        self.voice = None
        self._wire = connection
        self._sessions = sessions
        self._number = None
        connection.on_message = self._on_message
        connection.on_closed = self._on_closed
        connection.send_json({"type": "session.created", "event_id": "event_0", "session": DEFAULT_SESSION})

    def speak(self, count):
        """Say the next of `count` pieces of audio."""
        if self.spoken == 0:
            self._send_all(self.voice.opening())
        self._wire.send(wire.TEXT, self.voice.delta())
        self.spoken += 1
        if self.spoken == count:
            self._send_all(self.voice.closing())

    def _send_all(self, events):
        for number, event in enumerate(events):
            self._wire.send_json({"event_id": f"event_{self._number}_{self.spoken}_{number}"} | event)

    def _on_message(self, opcode, payload):
        now_ns = time.monotonic_ns()
        if opcode == wire.BINARY:
            self._heard(len(payload), now_ns)
            return
        event = orjson.loads(payload)
        if event["type"] == "input_audio_buffer.append":
            audio = event["audio"]
            self._heard(len(audio) // 4 * 3 - audio[-2:].count("="), now_ns)
        else:
            self._on_other(event)

    def _heard(self, size, now_ns):
        self.heard_bytes += size
        self.arrivals.append(self.heard_bytes)
        self.arrivals.append(now_ns)

    def _on_other(self, event):
        self.others[event["type"]] = self.others.get(event["type"], 0) + 1
        if event["type"] == "session.update":
            self._on_update(event["session"])
        elif event["type"] == "conversation.item.create":
            for kind in ("added", "done"):
                self._wire.send_json({"type": f"conversation.item.{kind}", "item": event["item"]})

    def _on_update(self, session):
        found = re.search(r"bench (\d+)", session.get("instructions", ""))
        if found:
            self._number = int(found[1])
            self.voice = speech.Voice(self._number)
            self._sessions[self._number] = self
        session = DEFAULT_SESSION | session
        self._wire.send_json({"type": "session.updated", "event_id": "event_1", "session": session})

    def _on_closed(self):
        if self._sessions.get(self._number) is self:
            del self._sessions[self._number]


class Stub:
    """All sessions, and what the benchmark asks for."""

    def __init__(self):
        self.sessions = {}
        self.lateness = []
        self._loop = wire.Loop()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._loop.watch(self._listener.fileno(), self._on_caller)
        handlers = {"speak": self._on_speak, "report": self._on_report}
        self._commands = wire.Commands(self._loop, handlers)
        self._count = 0
        self._order = []
        self._spoken = 0
        self._start_ns = 0
        self._wanted = None

    def run(self):
        """Serve until whoever started us is gone."""
        wire.say({"port": self._listener.getsockname()[1]})
        while not self._commands.is_over:
            self._loop.turn(self._next_ns())
            self._speak_what_is_due()
            self._report_when_complete()

    def _on_caller(self, _mask):
        connection, _ = self._listener.accept()
        Session(wire.accept(self._loop, connection), self.sessions)

    def _on_speak(self, order):
        self._start_ns, self._count, self._spoken = order["start_ns"], order["count"], 0
        self._order = [self.sessions[number] for number in sorted(self.sessions)]

    def _due_ns(self):
        return self._start_ns + self._spoken * speech.DELTA_MS * 1_000_000 // len(self._order)

    def _next_ns(self):
        if self._is_speaking():
            return self._due_ns()
        return self._wanted and min(self._wanted["until_ns"], time.monotonic_ns() + wire.GLANCE_NS)

    def _is_speaking(self):
        return self._spoken < self._count * len(self._order)

    def _speak_what_is_due(self):
        while self._is_speaking():
            late_ns = time.monotonic_ns() - self._due_ns()
            if late_ns < 0:
                return
            self.lateness.append(late_ns)
            self._order[self._spoken % len(self._order)].speak(self._count)
            self._spoken += 1

    def _on_report(self, wanted):
        self._wanted = wanted

    def _report_when_complete(self):
        if not self._wanted:
            return
        is_complete = all(session.heard_bytes >= self._wanted["bytes"] for session in self._order)
        if is_complete or time.monotonic_ns() >= self._wanted["until_ns"]:
            self._wanted = None
            wire.say({"lateness": self.lateness, "sessions": [_report(session) for session in self._order]})


def _report(session):
    return {
        "spoken_bytes": session.spoken * speech.DELTA_BYTES,
        "heard_bytes": session.heard_bytes,
        "arrivals": session.arrivals.tolist(),
        "others": session.others,
    }


if __name__ == "__main__":
    Stub().run()
