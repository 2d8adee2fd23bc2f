"""A router that takes turns on command, and reads the processor time of each: `turn` starts one for each checkout.

It runs by its path, with another checkout as its folder, so it imports nothing of the benchmark. The sessions are
real: a router, a dispatcher, three actors each, sockets of the loopback interface. The turns run on the dispatcher's
own thread. The clock of the router stands still within a turn, so that no path depends on how long a turn took.
"""

import argparse
import base64
import contextlib
import ctypes
import gc
import hashlib
import json
import operator
import os
import random
import socket
import struct
import sys
import threading
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

FRAMES = 5
"""Microphone frames to one piece of agent audio."""
FRAME_S = 0.02
RATE = 16_000
REALTIME = "realtime"
RELAYED_RATE = 24_000
"""The rate of a client of OpenAI Realtime, whose audio is not converted."""
PATHS = {"openai": "/openai", "converse": "/v1/agent/converse", REALTIME: "/v1/realtime"}
SPEAKS = {
    "openai": "AgentStartedSpeaking",
    "converse": "ConversationText",
    REALTIME: "response.output_audio_transcript.delta",
}
"""The message with which the agent begins to speak, by front."""
DELTA_BYTES = 4_800
"""100 ms at 24 kHz."""
TURNS_AT_MOST = 8
"""The number of turns after which a message that has not arrived is lost."""
WAIT_S = 60.0
WARM_ROUNDS = 30
RECEIVED = bytearray(256 * 1024)
"""A buffer that is larger than any message, so that one read empties a socket."""
OTHERS = bytearray(4 * 1024 * 1024)
"""The memory of another program. Its use between two turns takes the place of the router's in a core's own caches."""
TEXT, BINARY = 0x1, 0x2
MASK = bytes(4)
"""The mask of the benchmark's frames. Zeros cost the benchmark nothing, and the router XORs them like any mask."""
SESSION = {"type": "realtime", "id": "sess_turn", "model": "gpt-realtime", "audio": {}}
SETTINGS = {
    "type": "Settings",
    "audio": {
        "input": {"encoding": "linear16", "sample_rate": RATE},
        "output": {"encoding": "linear16", "sample_rate": 24_000, "container": "none"},
    },
    "agent": {"think": {"provider": {"type": "open_ai", "model": "gpt-4o-mini"}, "prompt": "Be brief."}},
}

clock = [1000.0]
"""The time of the router. A C function reads it from the list, so that it costs no more than the real clock."""


def stop_the_clock():
    """Give modules that are imported from now on the clock above. `threading` keeps the real clock."""
    threading.Condition()
    time.monotonic = partial(operator.itemgetter(0), clock)


class Peer:
    """The other end of a connection. Its socket blocks only while the session is set up."""

    def __init__(self, sock, *, masks):
        sock.settimeout(WAIT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._masks = masks
        self._received = b""

    def frame(self, opcode, payload):
        """Return one message as it goes over the wire."""
        size, bit = len(payload), 0x80 if self._masks else 0
        length = bytes((bit | size,)) if size < 126 else bytes((bit | 126,)) + size.to_bytes(2, "big")
        return bytes((0x80 | opcode,)) + length + (MASK if self._masks else b"") + payload

    def send(self, message):
        """Send a JSON text."""
        self.sock.sendall(self.frame(TEXT, json.dumps(message, separators=(",", ":")).encode()))

    def head(self):
        """Read up to the empty line of an HTTP message, and return it."""
        while b"\r\n\r\n" not in self._received:
            self._read()
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        return head.decode()

    def read_until(self, kind):
        """Read messages up to one of a type, and return it."""
        while True:
            message = self._message()
            if message is not None and message["type"] == kind:
                return message

    def _message(self):
        while True:
            found = self._parsed()
            if found is not None:
                opcode, payload = found
                return json.loads(payload) if opcode == TEXT else None
            self._read()

    def _parsed(self):
        data = self._received
        if len(data) < 10:
            return None
        length, start = data[1] & 0x7F, 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        key = data[start : start + 4] if data[1] & 0x80 else b""
        start += len(key)
        if len(data) < start + length:
            return None
        payload = data[start : start + length]
        if key:
            payload = bytes(each ^ key[at % 4] for at, each in enumerate(payload))
        self._received = data[start + length :]
        return data[0] & 0x0F, payload

    def _read(self):
        data = self.sock.recv(65_536)
        if not data:
            raise ConnectionError("the router hung up")
        self._received += data

    def has_received(self):
        """Whether bytes have arrived since the last call. Read and drop them."""
        try:
            if not self.sock.recv_into(RECEIVED):
                raise ConnectionError("the router hung up")
        except BlockingIOError:
            return False
        return True


class Session:
    """A session that is ready, whose agent speaks."""

    def __init__(self, router, listener, number, token, front):
        self._deltas = 0
        self._front = front
        self.client = _call(router, token, front)
        if front != REALTIME:
            self.client.send(SETTINGS)
        self.upstream = _answer(listener)
        self._begin(number)
        chance = random.Random(number)  # noqa: S311
        noise = chance.randbytes(DELTA_BYTES)
        rate = RELAYED_RATE if front == REALTIME else RATE
        audio = [round(chance.gauss(0, 3000)) for _ in range(round(rate * FRAME_S))]
        samples = struct.pack(f"<{len(audio)}h", *audio)
        self.frame = (
            self.client.frame(TEXT, append(samples)) if front == REALTIME else self.client.frame(BINARY, samples)
        )
        self._delta = (
            (
                f'{{"type":"response.output_audio.delta","event_id":"event_%013d","response_id":"resp_{number:021d}",'
                f'"item_id":"item_{number:021d}","output_index":0,"content_index":0,"delta":"'
            ).encode(),
            base64.b64encode(noise) + b'"}',
        )
        for peer in (self.client, self.upstream):
            peer.sock.setblocking(False)

    def delta(self):
        """Return the next piece of audio as the upstream sends it."""
        self._deltas += 1
        head, rest = self._delta
        return self.upstream.frame(TEXT, head % self._deltas + rest)

    def _begin(self, number):
        self.upstream.send({"type": "session.created", "session": SESSION})
        is_relayed = self._front == REALTIME
        if is_relayed:
            self.client.read_until("session.created")
            self.client.send({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}})
        update = self.upstream.read_until("session.update")
        self.upstream.send({"type": "session.updated", "session": {**SESSION, **update["session"]}})
        self.client.read_until("session.updated" if is_relayed else "SettingsApplied")
        response, item = f"resp_{number:021d}", f"item_{number:021d}"
        message = {"id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        part = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        for event in (
            {"type": "response.created", "response": {"id": response, "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "response_id": response, "output_index": 0, "item": message},
            {"type": "response.content_part.added", **part, "part": {"type": "audio", "transcript": ""}},
            {"type": "response.output_audio_transcript.delta", **part, "delta": "Noise. "},
        ):
            self.upstream.send(event)
        self.client.read_until(SPEAKS[self._front])


def append(audio):
    """Return microphone audio as an event of OpenAI."""
    return b'{"type":"input_audio_buffer.append","audio":"%s"}' % base64.b64encode(audio)


def _call(router, token, front):
    """Call the router as a WSGI server does, and return the client's end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Peer(socket.create_connection(listener.getsockname()), masks=True)
        served, _ = listener.accept()
    environ = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": PATHS[front],
        "QUERY_STRING": "",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": base64.b64encode(bytes(16)).decode(),
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "werkzeug.socket": served,
    }
    if token:
        environ["HTTP_AUTHORIZATION"] = f"Token {token}"
    # The public entry of one front knows the two profiles alone.
    serve = router.wsgi_app if front == REALTIME else router.handle(environ, profile=front)
    list(serve(environ, lambda *_: None))
    served.close()
    client.head()
    return client


def _answer(listener):
    """Accept the router's dial, and return the upstream's end."""
    sock, _ = listener.accept()
    upstream = Peer(sock, masks=False)
    headers = dict(line.split(": ", 1) for line in upstream.head().split("\r\n")[1:])
    key = {name.lower(): value for name, value in headers.items()}["sec-websocket-key"]
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()  # noqa: S324 - RFC 6455
    sock.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    return upstream


class Custody:
    """A connection to a keeper that is never used."""

    def __init__(self):
        from actors.connections.arena import Arena  # noqa: PLC0415 - after the clock has stopped

        self.arena = Arena()

    def hold(self, *_arguments):
        """Take a session into custody."""

    def drop(self, _session_id):
        """Forget a session."""


class Turner:
    """The sessions, and the turns of their dispatcher."""

    def __init__(self, sessions, settings, token, *, front="openai", are_kept=False, is_cold=False):
        from router.config.command_line import load  # noqa: PLC0415 - after the clock has stopped
        from router.core import Router  # noqa: PLC0415

        self._is_cold = is_cold
        self._listener = socket.create_server(("127.0.0.1", 0))
        flags = ["--upstream", f"ws://127.0.0.1:{self._listener.getsockname()[1]}/v1/realtime"]
        flags += ["--config", settings] if settings else []
        self._router = Router(load(flags, {}, lambda path: Path(path).read_text()))
        self._router.start()
        if are_kept:
            self._router.custody = Custody()
        self._dispatcher = self._router._parts.runtime.dispatchers[0]
        self._sessions = [Session(self._router, self._listener, number, token, front) for number in range(sessions)]

    def measure(self, rounds, meter):
        """Take the turns of some rounds on the dispatcher's thread.

        Return for each round the ns of all frames, and the ns of all deltas.
        """
        found, done = [], threading.Event()

        def run():
            try:
                with meter():
                    found.append([self._round() for _ in range(rounds)])
            except BaseException as error:  # noqa: BLE001 - raised below, on the thread that asked
                found.append(error)
            done.set()

        self._dispatcher.call_soon(run)
        done.wait()
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]

    def _round(self):
        frames_ns = 0
        for _ in range(FRAMES):
            clock[0] += FRAME_S
            frames_ns += self._turns([(it.client, it.frame, it.upstream) for it in self._sessions])
        return frames_ns, self._turns([(it.upstream, it.delta(), it.client) for it in self._sessions])

    def _turns(self, messages):
        """Return the time of the turn that carries all messages, or of the turns that carry one each."""
        if not self._is_cold:
            return self._turn(messages)
        took_ns = 0
        for message in messages:
            OTHERS[: len(OTHERS) // 2] = OTHERS[len(OTHERS) // 2 :]
            took_ns += self._turn([message])
        return took_ns

    def _turn(self, messages):
        """Send a message of each session, and return the time of the turn that carries them."""
        for sender, data, _receiver in messages:
            sender.sock.sendall(data)
        waiting = [receiver for _sender, _data, receiver in messages]
        took_ns = 0
        for _ in range(TURNS_AT_MOST):
            before_ns = time.thread_time_ns()
            self._dispatcher._run_turn()
            took_ns += time.thread_time_ns() - before_ns
            waiting = [receiver for receiver in waiting if not receiver.has_received()]
            if not waiting:
                return took_ns
        raise RuntimeError("a message did not arrive")


@contextlib.contextmanager
def counted(library):
    """Count the instructions of a block, under callgrind; see `instructions`."""
    library.start()
    yield
    library.stop()


def main():
    """Run `turner.py CHECKOUT SESSIONS [OPTIONS]`: answer each line of the input, a number of rounds, with JSON.

    With a library, count the instructions of these rounds, without those of the first rounds.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout")
    parser.add_argument("sessions", type=int)
    parser.add_argument("--library", help="counts instructions; see `instructions`")
    parser.add_argument("--settings", help="a file of settings for the router")
    parser.add_argument("--token", help="the credential of each client")
    parser.add_argument("--front", choices=PATHS, default="openai", help="of the clients")
    parser.add_argument("--kept", action="store_true", help="the sessions outlive their process")
    parser.add_argument("--cold", action="store_true", help="a turn for each message, with nothing in the caches")
    given = parser.parse_args()
    checkout = given.checkout
    sys.path[0] = checkout
    os.chdir(checkout)
    stop_the_clock()
    if Path(find_spec("router").origin).parents[1] != Path(checkout):
        raise SystemExit(f"{checkout} is no checkout of the router")
    turner = Turner(
        *(given.sessions, given.settings, given.token), front=given.front, are_kept=given.kept, is_cold=given.cold
    )
    gc.collect()
    gc.disable()  # a talking session makes no garbage, and a collection belongs to no turn
    turner.measure(WARM_ROUNDS, contextlib.nullcontext)
    print(json.dumps({"python": sys.version}), flush=True)
    meter = partial(counted, ctypes.CDLL(given.library)) if given.library else contextlib.nullcontext
    for line in sys.stdin:
        print(json.dumps(turner.measure(int(line), meter)), flush=True)
    os._exit(0)  # the sessions have nothing to say at the end


if __name__ == "__main__":
    main()
