"""Callers, with a class for each protocol. `load` runs them."""

import time
from array import array

import orjson
import pybase64

from tests.bench import wire
from tests.bench.speech import UPSTREAM_RATE, Ear

SESSION = {"type": "realtime"}
LINEAR16 = {"encoding": "linear16"}


class Caller:
    """One client, with its times in monotonic ns: `dialled_ns`, `opened_ns`, `welcomed_ns`, `applied_ns`."""

    WELCOME = ""
    APPLIED = ""
    REFUSALS = ()

    def __init__(self, loop, number, shape, address):
        self.number = number
        self.ear = Ear(number, shape)
        self.frames_before = 0
        """The number of frames that were sent in earlier laps."""
        self.sent_ns = array("q")
        self.opened_ns = self.welcomed_ns = self.applied_ns = None
        self.failure = None
        self._shape = shape
        self.dialled_ns = time.monotonic_ns()
        self._wire = wire.connect(loop, *address)
        self._port = self._wire.port
        self._wire.on_open = self._on_open
        self._wire.on_message = self._on_message
        self._frame = self._wire.frame(*self.microphone(shape))

    @property
    def is_open(self):
        """Whether neither side has ended the call."""
        return self._wire.is_open

    @property
    def is_settled(self):
        """Whether the call has begun or has failed."""
        return self.applied_ns is not None or not self._wire.is_open or self.failure is not None

    def begin_lap(self):
        """Begin a lap: forget the times of the lap before, and keep the totals."""
        self.frames_before += len(self.sent_ns)
        self.sent_ns = array("q")
        self.ear.begin_lap()

    def send_frame(self):
        """Send one microphone frame."""
        self.sent_ns.append(time.monotonic_ns())
        self._wire.write(self._frame)

    def stop_reading(self):
        """Read nothing from now on, and keep the connection open."""
        self._wire.stop_reading()

    def hang_up(self):
        """End the call."""
        self._wire.close()

    def times(self):
        """Return the times of the call's begin."""
        return {
            "number": self.number,
            "port": self._port,
            "dialled_ns": self.dialled_ns,
            "opened_ns": self.opened_ns,
            "welcomed_ns": self.welcomed_ns,
            "applied_ns": self.applied_ns,
            "failure": None if self.applied_ns is not None else self.failure or self._wire.failure or "no answer",
        }

    def report(self):
        """Return the sent and received audio since the lap began, and the totals."""
        return {
            "number": self.number,
            "is_open": self._wire.is_open,
            "frames_before": self.frames_before,
            "sent_ns": self.sent_ns.tolist(),
            "heard_bytes": self.ear.heard_bytes,
            "damaged": self.ear.damaged,
            "agent_sent_ns": self.ear.sent_ns.tolist(),
            "agent_took_ns": self.ear.took_ns.tolist(),
        }

    def _on_open(self):
        self.opened_ns = time.monotonic_ns()
        self._wire.send_json(self.introduction())

    def _on_answer(self, payload):
        now_ns = time.monotonic_ns()
        message = orjson.loads(payload)
        if message["type"] == self.WELCOME:
            self.welcomed_ns = now_ns
        elif message["type"] == self.APPLIED:
            self.applied_ns = now_ns
        elif message["type"] in self.REFUSALS:
            self.failure = payload.decode()


def pcm(shape):
    """Return a microphone frame as plain bytes."""
    return wire.BINARY, shape.frame


def append(shape):
    """Return a microphone frame in an event."""
    audio = pybase64.b64encode(shape.frame).decode()
    return wire.TEXT, orjson.dumps({"type": "input_audio_buffer.append", "audio": audio})


class Deepgram(Caller):
    """Speaks Deepgram's Voice Agent protocol."""

    WELCOME = "Welcome"
    APPLIED = "SettingsApplied"
    REFUSALS = ("Error", "Warning")

    microphone = staticmethod(pcm)

    def introduction(self):
        """Settings."""
        audio = {
            "input": LINEAR16 | {"sample_rate": self._shape.rate},
            "output": LINEAR16 | {"sample_rate": UPSTREAM_RATE},
        }
        provider = {"type": "open_ai", "model": "gpt-realtime-2.1"}
        agent = {"think": {"provider": provider, "prompt": f"bench {self.number}"}}
        return {"type": "Settings", "audio": audio, "agent": agent}

    def _on_message(self, opcode, payload):
        if opcode == wire.BINARY:
            self.ear.hear_pcm(payload)
        elif self.applied_ns is None:
            self._on_answer(payload)


class OpenAI(Caller):
    """Speaks the OpenAI Realtime API."""

    WELCOME = "session.created"
    APPLIED = "session.updated"
    REFUSALS = ("error",)

    microphone = staticmethod(append)

    def introduction(self):
        """A single session.update."""
        return {"type": "session.update", "session": SESSION | {"instructions": f"bench {self.number}"}}

    def _on_message(self, _opcode, payload):
        if self.applied_ns is not None:
            self.ear.hear_event(payload)
        else:
            self._on_answer(payload)


class Bare(OpenAI):
    """Speaks the OpenAI Realtime API, with binary microphone frames, which are the easiest for a relay."""

    microphone = staticmethod(pcm)


def media(shape):
    """Return a microphone frame as Twilio sends it."""
    payload = pybase64.b64encode(shape.frame).decode()
    told = {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": payload}
    return wire.TEXT, orjson.dumps({"event": "media", "sequenceNumber": "3", "streamSid": STREAM, "media": told})


class Twilio(Caller):
    """Speaks Twilio Media Streams, and returns each mark at once."""

    microphone = staticmethod(media)

    def introduction(self):
        """The start of the stream. Nothing answers it, so the call counts as settled."""
        self.welcomed_ns = self.applied_ns = time.monotonic_ns()
        shape = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        told = {"streamSid": STREAM, "callSid": f"CA{self.number}", "tracks": ["inbound"], "mediaFormat": shape}
        told["customParameters"] = {"number": str(self.number)}
        return {"event": "start", "sequenceNumber": "1", "streamSid": STREAM, "start": told}

    def _on_message(self, opcode, payload):
        if b'"media"' in payload:
            self.ear.hear_pcm(pybase64.b64decode(orjson.loads(payload)["media"]["payload"]))
        elif b'"mark"' in payload:
            self._wire.send(opcode, payload)


STREAM = "MZ18ad3ab5a668481ce02b83e7395059f0"
PROTOCOLS = {"deepgram": Deepgram, "openai": OpenAI, "bare": Bare, "twilio": Twilio}
