"""A model of Twilio with a caller: it plays the received audio in real time, returns marks, and sends audio.

`run` does everything on the test's thread, so a test needs no lock. The playback is exact: the model knows which
samples the caller has heard.
"""

import base64
import json
import time
from collections import deque
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

FRAME_S = 0.02
FRAME_BYTES = 160
BYTES_PER_S = 8000
SILENT_FRAME = b"\xff" * FRAME_BYTES
LOUD_FRAME = bytes([0x10, 0x90]) * (FRAME_BYTES // 2)
STREAM, CALL, ACCOUNT = "MZ18ad3ab5a668481ce02b83e7395059f0", "CA1", "AC1"
TIMEOUT_S = 20.0


def start_event(**parameters):
    """The event `start`, as Twilio sends it."""
    start = {
        "streamSid": STREAM,
        "accountSid": ACCOUNT,
        "callSid": CALL,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters,
    }
    return {"event": "start", "sequenceNumber": "1", "streamSid": STREAM, "start": start}


@dataclass
class Telephone:
    """One call. If nothing plays, `latency_s` passes from a message to the begin of its playback."""

    connection: object
    latency_s: float = 0.1
    messages: list = field(default_factory=list)
    """Every message of the router, with the time of its arrival."""
    audio: bytes = b""
    """All audio that came, whether it was played or not."""
    heard: list = field(default_factory=list)
    """The intervals in which audio was played: begin and end in seconds."""
    clears: list = field(default_factory=list)
    """For each `clear`: its time, and the seconds of audio that the caller had heard since the `clear` before it."""
    is_closed: bool = False

    def __post_init__(self):
        self._queue = deque()
        """The marks that Twilio will return, each with its time."""
        self._ends_s = 0.0
        self._playing = []
        self._next_frame_s = time.monotonic()
        self._sequence = 1
        self.speech = b""
        """The caller's audio that is not sent yet."""

    def begin(self, **parameters):
        self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self._send(start_event(**parameters))

    def press(self, digit):
        self._send({"event": "dtmf", "streamSid": STREAM, "dtmf": {"track": "inbound_track", "digit": digit}})

    def hang_up(self):
        self._send({"event": "stop", "streamSid": STREAM, "stop": {"accountSid": ACCOUNT, "callSid": CALL}})

    def heard_s(self, now_s=None):
        """Return the seconds of audio that were played since the last `clear`."""
        now_s = time.monotonic() if now_s is None else now_s
        return sum(max(0.0, min(end_s, now_s) - begin_s) for begin_s, end_s in self._playing)

    @property
    def left_s(self):
        """The seconds of audio that are still to be played."""
        return max(0.0, self._ends_s - time.monotonic())

    def run(self, until, timeout_s=TIMEOUT_S):
        """Play, listen and speak until a condition holds."""
        ends_s = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < ends_s, [message["event"] for _, message in self.messages][-20:]
            self._turn()

    def run_for(self, seconds):
        ends_s = time.monotonic() + seconds
        self.run(lambda: time.monotonic() >= ends_s)

    def _turn(self):
        now_s = time.monotonic()
        while self._queue and self._queue[0][0] <= now_s:
            self._send({"event": "mark", "streamSid": STREAM, "mark": {"name": self._queue.popleft()[1]}})
        if self._next_frame_s <= now_s:
            frame, self.speech = self.speech[:FRAME_BYTES] or SILENT_FRAME, self.speech[FRAME_BYTES:]
            payload = base64.b64encode(frame).decode()
            media = {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": payload}
            self._send({"event": "media", "sequenceNumber": str(self._sequence), "streamSid": STREAM, "media": media})
            self._next_frame_s += FRAME_S
        due_s = min([self._next_frame_s, *(at for at, _ in list(self._queue)[:1])])
        try:
            self._receive(json.loads(self.connection.recv(timeout=max(0.0, due_s - time.monotonic()))))
        except TimeoutError:
            pass
        except ConnectionClosed:
            self.is_closed = True

    def _receive(self, message):
        now_s = time.monotonic()
        self.messages.append((now_s, message))
        assert message["streamSid"] == STREAM
        match message["event"]:
            case "media":
                piece = base64.b64decode(message["media"]["payload"])
                self.audio += piece
                begin_s = self._ends_s if self._ends_s > now_s else now_s + self.latency_s
                self._ends_s = begin_s + len(piece) / BYTES_PER_S
                self._playing.append((begin_s, self._ends_s))
            case "mark":
                self._queue.append((max(self._ends_s, now_s), message["mark"]["name"]))
            case "clear":
                self.clears.append((now_s, self.heard_s(now_s)))
                self._playing, self._ends_s = [], now_s
                self._queue = deque((now_s, name) for _, name in self._queue)

    def _send(self, message):
        if not self.is_closed:
            try:
                self.connection.send(json.dumps(message))
            except ConnectionClosed:
                self.is_closed = True

    def of(self, event):
        """Return the messages of one kind, each with the time of its arrival."""
        return [(at_s, message) for at_s, message in self.messages if message["event"] == event]


def dialled(address, path="/twilio", **how):
    """Connect as Twilio does."""
    return connect(f"ws://{address}{path}", open_timeout=TIMEOUT_S, **how)
