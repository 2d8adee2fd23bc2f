"""A client that attacks: `python -m tests.bench.attacker KIND HOST:PORT SECONDS`; a process of its own.

It has another address than the callers, and a low priority, because a real attacker has another machine.
"""

import contextlib
import json
import os
import select
import socket
import struct
import sys
import time

SOURCE = ("127.0.0.9", 0)
CLIENTS = 20
SLOW = 1000
"""The number of connections with an unfinished head. It is more than an address may have."""
DRIP_S = 0.5
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: `close` sends a reset."""
HEAD = (
    b"GET /openai HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TEXT, PING = 0x1, 0x9
FIN, MASKED = 0x80, 0x80
MASK = bytes(4)
ANSWER_S = 5.0
BATCH = 200
BOMB_BYTES = 15_900_000


def frame(opcode, payload, *, ends=True):
    """Return a masked frame."""
    size = len(payload)
    first = (FIN if ends else 0) | opcode
    if size < 126:
        return bytes((first, MASKED | size)) + MASK + payload
    if size < 65_536:
        return bytes((first, MASKED | 126)) + size.to_bytes(2, "big") + MASK + payload
    return bytes((first, MASKED | 127)) + size.to_bytes(8, "big") + MASK + payload


def text(**message):
    """Return the frame of a JSON message."""
    return frame(TEXT, json.dumps(message).encode())


SETTINGS = text(
    type="Settings",
    audio={"input": {"encoding": "linear16", "sample_rate": 16000}, "output": {"encoding": "linear16"}},
    agent={"think": {"provider": {"type": "open_ai", "model": "gpt-4o-mini"}, "prompt": "Be brief."}},
)

FLOODS = {
    "messages": (SETTINGS, text(type="InjectUserMessage", content="Hello?") * BATCH),
    "keep-alives": (SETTINGS, text(type="KeepAlive") * BATCH),
    "junk": (b"", text(type="X", a=[[], {}]) * BATCH),
    "pings": (b"", frame(PING, b"12345678") * BATCH),
    "fragments": (frame(TEXT, b"x", ends=False), frame(0x0, b"x", ends=False) * BATCH),
    "memory bombs": (b"", frame(TEXT, b'{"type":"X","a":[' + b"[]," * (BOMB_BYTES // 3))[:-1]),
}
"""The attacks of many clients at once: the first bytes of each client, and the bytes that it repeats."""


class Attack:
    """One attack, and its counts."""

    def __init__(self, address, seconds):
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._until_s = time.monotonic() + seconds
        self.connections = 0
        self.sent_bytes = 0
        self.refused = 0

    def lasts(self):
        """Whether time is left."""
        return time.monotonic() < self._until_s

    def connect(self):
        """Return a new connection, or None if it fails."""
        try:
            sock = socket.create_connection(self._address, timeout=ANSWER_S, source_address=SOURCE)
        except OSError:
            self.refused += 1
            return None
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.connections += 1
        return sock

    def upgrade(self):
        """Return a connection whose upgrade was accepted, or None."""
        sock = self.connect()
        if sock is None:
            return None
        with contextlib.suppress(OSError):
            sock.sendall(HEAD)
            if sock.recv(4096).startswith(b"HTTP/1.1 101"):
                return sock
        self.refused += 1
        sock.close()
        return None

    def slow_handshakes(self):
        """Keep many connections in the middle of their head, and open another for each that is closed."""
        socks = set()
        while self.lasts():
            while len(socks) < SLOW and self.lasts():
                sock = self.connect()
                if sock is not None:
                    sock.setblocking(False)
                    socks.add(sock)
            for sock in tuple(socks):
                try:
                    self.sent_bytes += sock.send(HEAD[:1] if self.connections % 2 else b"G")
                except OSError:
                    socks.discard(sock)
                    sock.close()
            time.sleep(DRIP_S)
        for sock in socks:
            sock.close()

    def connection_flood(self):
        """Connect and reset, again and again."""
        while self.lasts():
            sock = self.connect()
            if sock is not None:
                sock.close()

    def reconnect_flood(self):
        """Begin a session and reset its connection, again and again."""
        while self.lasts():
            sock = self.upgrade()
            if sock is not None:
                sock.close()

    def flood(self, kind):
        """Send the same bytes from many clients, as fast as the server reads. Reconnect a client that is closed."""
        first, repeated = FLOODS[kind]
        clients = {}
        while self.lasts():
            while len(clients) < CLIENTS and self.lasts():
                sock = self.upgrade()
                if sock is None:
                    break
                sock.setblocking(False)
                clients[sock] = memoryview(first + repeated)
            if not clients:
                time.sleep(DRIP_S)
                continue
            readable, writable, _ = select.select([*clients], [*clients], [], 0.1)
            for sock in readable:
                self._drop(sock, clients)
            for sock in writable:
                if sock in clients:
                    self._send(sock, clients, repeated)
        for sock in clients:
            sock.close()

    def _drop(self, sock, clients):
        try:
            is_open = bool(sock.recv(1 << 20))
        except BlockingIOError:
            return
        except OSError:
            is_open = False
        if not is_open:
            del clients[sock]
            sock.close()

    def _send(self, sock, clients, repeated):
        try:
            sent = sock.send(clients[sock])
        except BlockingIOError:
            return
        except OSError:
            del clients[sock]
            sock.close()
            return
        self.sent_bytes += sent
        clients[sock] = clients[sock][sent:] or memoryview(repeated)


ATTACKS = {
    "slow handshakes": Attack.slow_handshakes,
    "connections": Attack.connection_flood,
    "reconnects": Attack.reconnect_flood,
    **{kind: lambda attack, kind=kind: attack.flood(kind) for kind in FLOODS},
}


def main():
    """Attack, and print the counts."""
    os.nice(10)
    attack = Attack(sys.argv[2], float(sys.argv[3]))
    ATTACKS[sys.argv[1]](attack)
    print(json.dumps({name: getattr(attack, name) for name in ("connections", "sent_bytes", "refused")}), flush=True)


if __name__ == "__main__":
    main()
