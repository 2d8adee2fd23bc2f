"""The targets without a conversation: both codecs, the frame parser, and a client's whole connection.

A target draws an input by a random number generator, and checks the product with it. A failed check raises.
"""

import collections
import contextlib
import logging
from typing import ClassVar

import orjson

from actors import messages
from actors.connections import frames
from actors.connections.base import ConnectionLimits
from actors.connections.memory import memory_pair
from actors.timers import Timer, Timers
from actors.traffic import Traffic
from router.deepgram import codec as deepgram_codec
from router.openai import codec as openai_codec
from router.openai import events as openai
from router.session.machine import Session
from router.session.profile import PROFILES
from tests.fuzz import mutations, seeds
from tests.support.machine.options import session_options

MAX_TEXT_BYTES = 5_000
MAX_MESSAGE_BYTES = 20_000
MAX_TURNS = 100_000
"""The number of dispatcher turns after which a connection counts as one that never comes to rest."""


class ClientCodec:
    """A target: a client's message is read, or refused with a sentence. A foreign message can be written again."""

    name = "client codec"

    def draw(self, random):
        return mutations.text_of(mutations.mutated(random.choice(seeds.CLIENT), random), random)

    def check(self, text):
        decoded = deepgram_codec.decode(text)
        if isinstance(decoded, deepgram_codec.Unparsable):
            assert decoded.problem
        elif isinstance(decoded, deepgram_codec.Foreign):
            assert orjson.loads(orjson.dumps(decoded.fields)) == decoded.fields


class UpstreamCodec:
    """A target: an upstream's event is read, read in part, ignored or malformed. A read event can be read again."""

    name = "upstream codec"

    def draw(self, random):
        return mutations.text_of(mutations.mutated(random.choice(seeds.UPSTREAM), random), random)

    def check(self, text):
        decoded = openai_codec.decode(text)
        if isinstance(decoded, openai_codec.Malformed | openai_codec.Unknown):
            assert decoded.problem
        elif isinstance(decoded, openai_codec.Partial):
            assert isinstance(decoded.event, tuple(openai.SERVER_EVENTS.values()))


@contextlib.contextmanager
def masked_by(random):
    """Take the masking keys of frames from a generator, so that an input depends only on its seed."""
    before, frames._new_key = frames._new_key, lambda: random.randbytes(4)
    frames._keys.clear()
    try:
        yield
    finally:
        frames._new_key = before


def wire(random, *, is_server):
    """Return the frames of a few messages, some of them damaged."""
    with masked_by(random):
        stream = b"".join(_frames(random, is_server=is_server))
    return mutations.damaged_bytes(stream, random) if random.random() < 0.6 else stream


def _frames(random, *, is_server):
    sent = []
    for _ in range(random.choice((1, 2, 3, 6))):
        match random.randrange(6):
            case 0 | 1:
                text = mutations.text_of(random.choice(seeds.CLIENT), random)
                size = random.choice((16, 125, 1000, 70_000))
                sent += frames.text_frames(text.encode(errors="replace"), mask=is_server, max_frame_bytes=size)
            case 2:
                data = bytes(random.choice((0, 1, 125, 126, 4000, 30_000)))
                sent += frames.binary_frames(data, mask=is_server, max_frame_bytes=random.choice((126, 70_000)))
            case 3:
                sent.append(frames.ping_frame(bytes(random.randrange(126)), mask=is_server))
            case 4:
                sent.append(frames.pong_frame(b"read?", mask=is_server))
            case 5:
                code = random.choice((1000, 1001, 1005, 1006, 1011, 999, 3000, 5000))
                sent.append(frames.close_frame(code, "é" * random.randrange(70), mask=is_server))
    return sent


def cut(stream, random):
    """Return a stream in pieces."""
    at, pieces = 0, []
    while at < len(stream):
        size = random.choice((1, 2, 7, 100, 5000, len(stream)))
        pieces.append(stream[at : at + size])
        at += size
    return pieces


class Parser:
    """A target: a stream gives the same events in one piece and in any pieces, and each message keeps its bound."""

    name = "frame parser"

    def draw(self, random):
        is_server = random.random() < 0.5
        return is_server, cut(wire(random, is_server=is_server), random)

    def check(self, given):
        is_server, pieces = given
        whole = self._parse(is_server, [b"".join(pieces)])
        assert self._parse(is_server, pieces) == whole
        for at, event in enumerate(whole):
            match event:
                case str():
                    assert len(event.encode()) <= MAX_TEXT_BYTES
                case bytes():
                    assert len(event) <= MAX_MESSAGE_BYTES
                case frames.Close() | frames.ProtocolViolation():
                    assert at == len(whole) - 1, "an event behind the end"

    def _parse(self, is_server, pieces):
        parser = frames.FrameParser(is_server, MAX_MESSAGE_BYTES, MAX_TEXT_BYTES)
        return [event for piece in pieces for event in parser.feed(piece)]


class OneThread:
    """A dispatcher that runs everything on the caller's thread, and whose timers never fire."""

    def __init__(self):
        self.turns = 0
        self.slow_reads_s = 0.0
        self.client_traffic, self.upstream_traffic = Traffic(), Traffic()
        self._calls = collections.deque()
        self._timers = Timers()

    def call_soon(self, callback):
        self._calls.append(callback)

    flush_later = call_soon

    def timer(self, callback):
        return Timer(self._timers, callback)

    def leave_unread(self):
        pass

    def run(self):
        """Run all calls, and then those that they add. Each turn runs the calls that the turn before added."""
        for _ in range(MAX_TURNS):
            if not self._calls:
                return
            self.turns += 1
            self.slow_reads_s = 0.0
            for _ in range(len(self._calls)):
                self._calls.popleft()()
        raise AssertionError(f"the connection does not come to rest within {MAX_TURNS} turns")


class Caller:
    """The owner of a client's connection: a session whose upstream never answers."""

    log_fields: ClassVar = {}

    def __init__(self, connection, profile):
        self.closed = []
        self._connection = connection
        self._session = Session("s", PROFILES[profile], session_options())
        self.handle(messages.ClientOpened())

    def handle(self, message):
        for command in self._session.handle(message, 1000.0):
            match command:
                case messages.SendToClient(str() as text):
                    self._connection.send_text(text)
                case messages.SendToClient(bytes() as data):
                    self._connection.send_binary(data)
                case messages.EndSession(code, reason):
                    self._connection.close(code, reason)

    def on_text(self, text):
        self.handle(messages.ClientTextReceived(text))

    def on_binary(self, data):
        self.handle(messages.ClientBinaryReceived(data))

    def on_overflowed(self, dropped_bytes):
        self.handle(messages.ClientOverflowed(dropped_bytes))

    def on_drained(self):
        pass

    def on_caught_up(self):
        self.handle(messages.ClientCaughtUp())

    def on_closed(self, closed):
        self.closed.append(closed)
        self.handle(messages.ClientClosed(closed))


class Failures(logging.Handler):
    """A log handler that records the failures that the engine catches and logs."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.records = []

    def emit(self, record):
        self.records.append(record)


class Connection:
    """A target: any bytes of a client lead to one report of the end, and to no failure of the engine or the session."""

    name = "connection"

    def __init__(self):
        self._failures = Failures()
        logging.getLogger("actors").addHandler(self._failures)

    def draw(self, random):
        profile = random.choice(("openai", "converse"))
        return profile, cut(wire(random, is_server=True), random)

    def check(self, given):
        profile, pieces = given
        limits = ConnectionLimits(max_message_bytes=MAX_MESSAGE_BYTES, max_text_bytes=MAX_TEXT_BYTES)
        connection, peer = memory_pair(limits)
        dispatcher = OneThread()
        caller = Caller(connection, profile)
        connection.open(dispatcher, caller)
        for piece in pieces:
            peer.send_bytes(piece)
        dispatcher.run()
        peer.hang_up()
        dispatcher.run()
        failed, self._failures.records[:] = [*self._failures.records], []
        assert not failed, failed[0].getMessage() + "\n" + str(failed[0].exc_info)
        assert len(caller.closed) == 1, caller.closed
