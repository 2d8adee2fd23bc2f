"""The audio of the stub. Its first bytes say when and to which session it was sent, and the callers read them."""

import base64
import binascii
import dataclasses
import functools
import random
import struct
import time
from array import array

UPSTREAM_RATE = 24_000
BYTES_PER_MS = UPSTREAM_RATE * 2 // 1000
"""The rate of agent audio, and of microphone audio at the stub: 16 bits at 24 kHz."""
MULAW_BYTES_PER_MS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """The form of the audio of both sides."""

    frame_ms: int = 20
    """The length of a microphone frame."""
    delta_ms: int = 100
    """The length of a piece of agent audio."""
    rate: int = 16_000
    """The rate of the microphone in Hz."""
    is_telephone: bool = False
    """Whether both sides speak mu-law at 8 kHz, which passes unconverted."""

    @functools.cached_property
    def frame(self):
        """A microphone frame as loud as speech (3000 is 21 dB below full scale). It is the same every time."""
        chance = random.Random(20)  # noqa: S311
        if self.is_telephone:
            return chance.randbytes(MULAW_BYTES_PER_MS * self.frame_ms)
        count = self.rate * self.frame_ms // 1000
        return struct.pack(f"<{count}h", *(round(chance.gauss(0, 3000)) for _ in range(count)))

    @functools.cached_property
    def delta_bytes(self):
        """The length of a piece of agent audio."""
        return (MULAW_BYTES_PER_MS if self.is_telephone else BYTES_PER_MS) * self.delta_ms

    @functools.cached_property
    def noise(self):
        """The bytes after the stamp in a piece of agent audio. They are the same every time."""
        return random.Random(100).randbytes(self.delta_bytes - STAMP.size)  # noqa: S311

    @functools.cached_property
    def noise_base64(self):
        """The same bytes in base64, as in an event."""
        return base64.b64encode(self.noise)


STAMP = struct.Struct("<8sIIq")
"""The stamp: magic, session, number, monotonic time (ns). Its 24 bytes are exactly 32 characters of base64."""
MAGIC = b"\x00\x01bench\x02"
STAMP_BASE64_BYTES = 32
DELTA_TYPE = b'{"type":"response.output_audio.delta"'
DELTA_FIELD = b'"delta":"'


class Voice:
    """The events of one session's spoken responses."""

    def __init__(self, session, shape):
        self._session = session
        self._shape = shape
        self._number = 0
        self._responses = 0

    def opening(self):
        """Return the events of a response before its first audio."""
        self._responses += 1
        tail = f"{self._session:010d}_{self._responses:010d}"
        names = {"response_id": f"resp_{tail}", "item_id": f"item_{tail}"}
        self._part = names | {"output_index": 0, "content_index": 0}
        self._output = {"response_id": names["response_id"], "output_index": 0}
        self._item = {"id": names["item_id"], "type": "message", "role": "assistant"}
        self._response = {"object": "realtime.response", "id": names["response_id"], "status_details": None}
        self._delta_head = (
            f'{{"type":"response.output_audio.delta","event_id":"event_{self._session:08d}%013d",'
            f'"response_id":"{names["response_id"]}","item_id":"{names["item_id"]}",'
            f'"output_index":0,"content_index":0,"delta":"'
        ).encode()
        self._words = "Noise."
        item = self._item | {"status": "in_progress", "content": []}
        return [
            {"type": "response.created", "response": self._response | {"status": "in_progress", "output": []}},
            {"type": "response.output_item.added", **self._output, "item": item},
            {"type": "conversation.item.added", "previous_item_id": None, "item": item},
            {"type": "response.content_part.added", **self._part, "part": {"type": "audio", "transcript": ""}},
            {"type": "response.output_audio_transcript.delta", **self._part, "delta": self._words},
        ]

    def words(self, words):
        """Return the event with further words of a response."""
        self._words += words
        return {"type": "response.output_audio_transcript.delta", **self._part, "delta": words}

    def closing(self):
        """Return the events of a response after its last audio."""
        content = [{"type": "output_audio", "transcript": self._words}]
        item = self._item | {"status": "completed", "content": content}
        return [
            {"type": "response.output_audio.done", **self._part},
            {"type": "response.output_audio_transcript.done", **self._part, "transcript": self._words},
            {"type": "response.content_part.done", **self._part, "part": {"type": "audio", "transcript": self._words}},
            {"type": "conversation.item.done", "previous_item_id": None, "item": item},
            {"type": "response.output_item.done", **self._output, "item": item},
            {"type": "response.done", "response": self._response | {"status": "completed", "output": [item]}},
        ]

    def pcm(self):
        """Return the next piece of audio with a stamp, as plain bytes like Deepgram's."""
        return self._stamp() + self._shape.noise

    def _stamp(self):
        stamp = STAMP.pack(MAGIC, self._session, self._number, time.monotonic_ns())
        self._number += 1
        return stamp

    def delta(self):
        """Return the next piece of audio with a stamp, as the text of an event."""
        stamp = self._stamp()
        stamp_base64 = binascii.b2a_base64(stamp, newline=False)
        return b"".join((self._delta_head % self._number, stamp_base64, self._shape.noise_base64, b'"}'))


class Ear:
    """The audio that one caller received."""

    def __init__(self, session, shape):
        self.heard_bytes = 0
        self.damaged = 0
        self._session = session
        self._delta_bytes = shape.delta_bytes
        self._noise, self._noise_base64 = shape.noise, shape.noise_base64
        self._pieces = 0
        self._rest = b""
        self.begin_lap()

    def begin_lap(self):
        """Begin a lap: forget the times of the lap before, and keep the totals."""
        self.sent_ns = array("q")
        """The monotonic time at which each piece was sent."""
        self.took_ns = array("q")
        """The time that each piece took."""

    @property
    def lap_bytes(self):
        """The bytes of agent audio that were received since the lap began."""
        return len(self.took_ns) * self._delta_bytes

    def hear_pcm(self, pcm):
        """Take audio from a router, in pieces of any length."""
        now_ns = time.monotonic_ns()
        pcm = self._rest + pcm if self._rest else pcm
        whole = len(pcm) - len(pcm) % self._delta_bytes
        for at in range(0, whole, self._delta_bytes):
            is_intact = pcm[at + STAMP.size : at + self._delta_bytes] == self._noise
            self._note(pcm[at : at + STAMP.size], is_intact, now_ns)
        self._rest = pcm[whole:]

    def hear_event(self, event):
        """Take a delta as the stub sent it, because a relay changes nothing. Ignore any other event."""
        now_ns = time.monotonic_ns()
        if event.startswith(DELTA_TYPE):
            at = event.index(DELTA_FIELD) + len(DELTA_FIELD)
            noise_at = at + STAMP_BASE64_BYTES
            is_intact = event[noise_at : noise_at + len(self._noise_base64)] == self._noise_base64
            self._note(binascii.a2b_base64(event[at:noise_at]), is_intact, now_ns)

    def _note(self, stamp, is_intact, now_ns):
        magic, session, number, sent_ns = STAMP.unpack(stamp)
        expected = (MAGIC, self._session, self._pieces)
        if not is_intact or (magic, session, number) != expected:
            self.damaged += 1
        self._pieces += 1
        self.heard_bytes += self._delta_bytes
        self.sent_ns.append(sent_ns)
        self.took_ns.append(now_ns - sent_ns)
