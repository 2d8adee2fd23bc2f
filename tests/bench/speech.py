"""What the stub says and the load generator recognises: audio whose first bytes tell when and to whom it was sent."""

import base64
import binascii
import random
import struct
import time

MICROPHONE_RATE = 16_000
FRAME_MS = 20
_chance = random.Random(20)  # noqa: S311 - noise, the same in every process
FRAME = struct.pack("<320h", *(round(_chance.gauss(0, 3000)) for _ in range(320)))
"""A microphone frame: 20 ms at 16 kHz, of the loudness of speech (3000 is 21 dB below full scale)."""

DELTA_MS = 100
DELTA_BYTES = 4800
"""A piece of agent audio: 100 ms at 24 kHz."""

STAMP = struct.Struct("<8sIIq")
"""Magic, session, number, monotonic time (ns): 24 bytes, which are 32 characters of base64 and none left over."""
MAGIC = b"\x00\x01bench\x02"
NOISE = random.Random(100).randbytes(DELTA_BYTES - STAMP.size)  # noqa: S311
NOISE_BASE64 = base64.b64encode(NOISE)
STAMP_BASE64_BYTES = 32
DELTA_TYPE = b'{"type":"response.output_audio.delta"'
DELTA_FIELD = b'"delta":"'


class Voice:
    """The events of one long spoken response."""

    def __init__(self, session):
        self._session = session
        self._number = 0
        names = {"response_id": f"resp_{session:021d}", "item_id": f"item_{session:021d}"}
        self._part = names | {"output_index": 0, "content_index": 0}
        self._output = {"response_id": names["response_id"], "output_index": 0}
        self._item = {"id": names["item_id"], "type": "message", "role": "assistant"}
        self._response = {"object": "realtime.response", "id": names["response_id"], "status_details": None}
        self._delta_head = (
            f'{{"type":"response.output_audio.delta","event_id":"event_{session:08d}%013d",'
            f'"response_id":"{names["response_id"]}","item_id":"{names["item_id"]}",'
            f'"output_index":0,"content_index":0,"delta":"'
        ).encode()

    def opening(self):
        """What comes before the first audio."""
        item = self._item | {"status": "in_progress", "content": []}
        return [
            {"type": "response.created", "response": self._response | {"status": "in_progress", "output": []}},
            {"type": "response.output_item.added", **self._output, "item": item},
            {"type": "conversation.item.added", "previous_item_id": None, "item": item},
            {"type": "response.content_part.added", **self._part, "part": {"type": "audio", "transcript": ""}},
            {"type": "response.output_audio_transcript.delta", **self._part, "delta": "Noise."},
        ]

    def closing(self):
        """What comes after the last audio."""
        content = [{"type": "output_audio", "transcript": "Noise."}]
        item = self._item | {"status": "completed", "content": content}
        return [
            {"type": "response.output_audio.done", **self._part},
            {"type": "response.output_audio_transcript.done", **self._part, "transcript": "Noise."},
            {"type": "response.content_part.done", **self._part, "part": {"type": "audio", "transcript": "Noise."}},
            {"type": "conversation.item.done", "previous_item_id": None, "item": item},
            {"type": "response.output_item.done", **self._output, "item": item},
            {"type": "response.done", "response": self._response | {"status": "completed", "output": [item]}},
        ]

    def delta(self):
        """The next 100 ms, stamped now; the event as it goes over the wire."""
        stamp = STAMP.pack(MAGIC, self._session, self._number, time.monotonic_ns())
        self._number += 1
        return b"".join(
            (self._delta_head % self._number, binascii.b2a_base64(stamp, newline=False), NOISE_BASE64, b'"}'),
        )


class Ear:
    """What one client heard of its voice."""

    def __init__(self, session):
        self.heard_bytes = 0
        self.damaged = 0
        self.latencies = []
        """Per delta: when it was sent (monotonic ns), and how long it took (ns)."""
        self._session = session
        self._rest = b""

    def hear_pcm(self, pcm):
        """Audio as the router delivers it, in whatever pieces."""
        now_ns = time.monotonic_ns()
        pcm = self._rest + pcm if self._rest else pcm
        whole = len(pcm) - len(pcm) % DELTA_BYTES
        for at in range(0, whole, DELTA_BYTES):
            self._note(pcm[at : at + STAMP.size], pcm[at + STAMP.size : at + DELTA_BYTES] == NOISE, now_ns)
        self._rest = pcm[whole:]

    def hear_event(self, event):
        """A delta as the stub sent it (a relay changes nothing); any other event is none of ours."""
        now_ns = time.monotonic_ns()
        if event.startswith(DELTA_TYPE):
            at = event.index(DELTA_FIELD) + len(DELTA_FIELD)
            noise_at = at + STAMP_BASE64_BYTES
            is_intact = event[noise_at : noise_at + len(NOISE_BASE64)] == NOISE_BASE64
            self._note(binascii.a2b_base64(event[at:noise_at]), is_intact, now_ns)

    def _note(self, stamp, is_intact, now_ns):
        magic, session, number, sent_ns = STAMP.unpack(stamp)
        expected = (MAGIC, self._session, len(self.latencies))
        if not is_intact or (magic, session, number) != expected:
            self.damaged += 1
        self.heard_bytes += DELTA_BYTES
        self.latencies.append((sent_ns, now_ns - sent_ns))
