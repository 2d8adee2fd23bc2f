"""A program like the router's command, with a tiny router that takes sockets over, and ends them with a close frame.

A copy of this file with another `LINE` is another version of the code.

The command line names the faults: `no_start`, `no_accept`, `no_end`, `few_files`, `unhealthy`; also `two_workers` and
`one_thread`. See tests/router/web/test_server.py.
"""

import functools
import os
import resource
import signal
import sys
import threading
from types import SimpleNamespace

from actors.connections.handover import HandshakeRefused, take_over
from router.admin.switches import Switches
from router.config.model import Limits, RouterConfig
from router.errors import RouterError, StartError
from router.fronts import table
from router.logs import setup
from router.metrics.catalog import REFUSED
from router.metrics.metrics import Metrics
from router.web import intake, server

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
GOING_AWAY = b"\x88\x02\x03\xe9"
"""A close frame with code 1001."""

FAULTS = set(sys.argv[1:])
LINE = "router"
"""The first word of the line that a router prints at its start."""
DRAIN_S = 0.0


class StandIn:
    """A router that carries no messages, but owns its sockets as the real router does."""

    def __init__(self, config):
        self.config = config
        self._sockets = []
        self._lock = threading.Lock()
        self._is_draining = False
        self.is_alive = True
        self.is_authenticating = False
        self.metrics = Metrics()
        self.operator = SimpleNamespace(switches=Switches(1))  # read by the pages for administrators

    def check_admin(self, environ):
        pass

    def identify(self, _environ):
        return None

    def grant(self, _principal, ttl_s):
        return "granted", ttl_s

    def count_in(self, shared, slot):
        pass

    value_layout = "0.0"
    custody = None

    def let_depart(self, deliver):
        """Let no session depart."""

    def share(self, switches, unpriced):
        """Share nothing."""

    def sample_metrics(self):
        """Update nothing."""

    def count_refusal(self, status):
        self.metrics.add(REFUSED, (str(status),))

    def start(self):
        if "no_start" in FAULTS:
            raise RouterError("no dispatcher can be started")
        os.write(1, f"{LINE} {os.getpid()} below {os.getppid()}\n".encode())  # in one write: two workers print

    @property
    def front_routes(self):
        return table.routes(self)

    def accept(self, environ, profile, *, turn_detection=None):
        if "no_accept" in FAULTS:
            raise ZeroDivisionError
        if "HTTP_UPGRADE" not in environ:
            raise HandshakeRefused(426, "a WebSocket is served here")
        sock = take_over(environ)
        sock.setblocking(True)
        with self._lock:  # a client that has read the line is in the list when `close` looks
            sock.sendall(SWITCHING + f"{profile} {turn_detection}\n".encode())
            self._sockets.append(sock)
        self.is_alive = "unhealthy" not in FAULTS

    @property
    def session_count(self):
        return len(self._sockets)

    def readiness(self):
        return (False, "draining") if self._is_draining else (True, "ready")

    def keep_in(self, shared):
        """Keep nothing."""

    def load(self):
        return 0.0

    def close(self, drain_s):
        self._is_draining = True
        with self._lock:
            for sock in self._sockets:
                sock.sendall(GOING_AWAY)
        print(f"draining {drain_s}", flush=True)
        if "no_end" in FAULTS:
            threading.Event().wait()
        for sock in self._sockets:
            with sock:
                sock.recv(1)
        print("drained", flush=True)


def main():
    intake.REQUEST_S = 1.0
    if "few_files" in FAULTS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
    setup.configure("info", "text")
    workers = 2 if "two_workers" in FAULTS else 1
    limits = Limits(web_threads=1 if "one_thread" in FAULTS else 2)
    try:
        config = RouterConfig(port=0, workers=workers, limits=limits, upstream="ws://127.0.0.1:9", drain_s=DRAIN_S)
        server.serve(config, StandIn, functools.partial(print, flush=True))
    except StartError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    signal.alarm(900)  # a last resort: a test that was killed leaves no process behind for long
    main()
