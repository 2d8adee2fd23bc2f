"""The processes of a measurement: the stub, a system in front of it, and callers."""

import contextlib
import dataclasses
import importlib.util
import os
import tempfile
import time
from pathlib import Path

import orjson

from router.audio.convert import Converter
from router.audio.formats import LINEAR16_24K, Format
from tests.bench import figures, footprint, hosts, pipe
from tests.bench.children import ROOT, Child, free_port
from tests.bench.speech import BYTES_PER_MS, Shape

START_S = 30.0
CONNECT_S = 30.0
"""The seconds within which all callers have to be served."""
CALLS_PER_S = 200
"""The calls a second of callers who come without a storm."""
REST_GLANCE_S = 0.02
FIRST_CALLER = 1_000_000
"""The number of the first caller, which no other caller has."""


class CallError(RuntimeError):
    """Some callers were not served."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """A system to measure: the protocol of its callers, and the way to start it."""

    name: str
    protocol: str
    path: str = "/openai"
    """The route that callers dial."""
    flags: tuple[str, ...] = ()
    """The flags of `run.py`, besides the upstream and the port."""
    log: str = ""
    """The file for the log lines of the system; empty for none."""
    stamps: str = ""
    """The file for the times of the calls of the WSGI application; see `stamped`."""
    url: str = ""
    """The URL of a system that runs already; empty if the stage starts it."""
    pid: int | None = None
    """The root of the process tree of a system that runs already; None if it is not measured."""
    stub_port: int = 0
    """The port at which a running system expects its upstream."""
    headers: tuple[str, ...] = ()
    """The lines that its callers add to their handshakes."""
    hold_back_ms: float = 0.0
    """The audio that its resampler may hold back, in ms."""
    upstream: str = "openai"
    """The protocol of the stub."""
    server: str = ""
    """The server of an application that embeds the router; empty for the router's own server."""
    config: str = ""
    """The configuration file of the router, where `{stub}` stands for the stub's address; empty for none."""
    shape: Shape | None = None
    """The form of the audio of both sides; None for the usual one."""
    checkout: Path = ROOT
    """The checkout of the router, whose own `run.py` is started."""


DIRECT = System(name="direct", protocol="bare")
"""No system between callers and stub, which shows the cost of the benchmark itself."""
RELAY = System(name="relay", protocol="bare")
PICOWS = System(name="relay on picows", protocol="bare")
"""A bare relay with compiled frames, which is measured if picows is installed."""
PIPE = System(name="HAProxy", protocol="bare")
"""A TCP pipe, which is measured if HAProxy is installed. It shows the cost of the kernel alone."""
ROUTER = System(name="router", protocol="deepgram")
EVENTS_RELAY = System(name="relay of events", protocol="openai")
"""The bare relay with the microphone in events, as OpenAI's clients send it."""
REALTIME = System(name="/v1/realtime", protocol="openai", path="/v1/realtime")
"""The router's relay of OpenAI's events."""
DEEPGRAM_RELAY = System(name="relay of Deepgram", protocol="deepgram", upstream="deepgram")
"""The bare relay between Deepgram's clients and Deepgram's backend."""
DEEPGRAM = System(
    name="/deepgram",
    protocol="deepgram",
    path="/deepgram",
    upstream="deepgram",
    config='deepgram_api_key = "bench"\ndeepgram_agent_url = "ws://{stub}/v1/agent/converse"\n',
)
"""The router's relay of Deepgram's backend."""
TWILIO = System(
    name="/twilio",
    protocol="twilio",
    path="/twilio",
    shape=Shape(is_telephone=True),
    config="""
[[upstreams]]
url = "ws://{stub}/v1/realtime"
g711 = true
[agents.default.think]
prompt = "bench {{number}}"
""",
)
"""The telephone route, whose mu-law passes unconverted."""
ON_WSGI = System(name="WSGI hand-over (gunicorn)", protocol="deepgram", server="gunicorn")
"""The router in a Flask application, whose sockets it takes over."""
ON_ASGI = System(name="ASGI (uvicorn)", protocol="deepgram", server="uvicorn")
"""The router in a Starlette application, whose server keeps the sockets."""
OURS = (ROUTER.name, REALTIME.name, DEEPGRAM.name, TWILIO.name)
RESAMPLING = (ROUTER.name, ON_WSGI.name, ON_ASGI.name)
"""The systems that resample the microphone."""


def yardsticks():
    """Return the other relays that are installed here."""
    has_picows = importlib.util.find_spec("picows") is not None
    return (PICOWS,) * has_picows + (PIPE,) * (pipe.haproxy() is not None)


def router(*flags):
    """Return the router with further flags."""
    return dataclasses.replace(ROUTER, flags=flags)


class Stage:
    """A system, its upstream, and any number of processes of callers. All end with the `with` block."""

    def __init__(self, system, shape=None):
        self.system = system
        self.shape = system.shape or shape or Shape()
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with self._stack:
            spoken = {"protocol": self.system.upstream, "shape": dataclasses.asdict(self.shape)}
            options = {**spoken, "port": self.system.stub_port}
            self.stub = self._helper("stub", options)
            self.stub_port = self.stub.hear(START_S)["port"]
            self.root_pid = self.system.pid
            self.url = self.system.url or self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    @property
    def pids(self):
        """The present processes of the system; empty if none is measured."""
        return footprint.tree(self.root_pid) if self.root_pid else []

    def load(self):
        """Start another process of callers, which waits for commands."""
        load = self._helper("load", self._load_options())
        load.hear(START_S)
        return load

    def callers(self, count):
        """Start a process of `count` callers, numbered from 0, and wait until all of their calls have begun."""
        load = self.load()
        call(load, count)
        return load

    def had_a_caller(self, count=1):
        """Hold a first call and end it, because modules that a first call loads are no cost of a session."""
        load = self.load()
        call(load, count, first=FIRST_CALLER)
        load.tell(hang_up={})
        load.hear(START_S)
        self.await_rest()

    def told(self):
        """The report of the stub about its sessions."""
        self.stub.tell(times={})
        return self.stub.hear(START_S)

    def await_sessions(self, count):
        """Wait until the stub knows `count` sessions by their numbers."""
        until_s = time.monotonic() + START_S
        while self.told()["sessions"] < count:
            if time.monotonic() > until_s:
                raise TimeoutError("the upstream lacks sessions")
            time.sleep(REST_GLANCE_S)

    def await_rest(self, sessions=0):
        """Wait until the stub has at most `sessions` sessions."""
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s:
            if self.told()["connections"] <= sessions:
                return
            time.sleep(REST_GLANCE_S)
        raise TimeoutError("sessions are left")

    @property
    def microphone(self):
        """The form of microphone audio at the stub: unchanged, or resampled to 24 kHz."""
        shape, system = self.shape, self.system
        if system.protocol == "bare" or system.upstream == "deepgram":
            return figures.Wire(frame_bytes=len(shape.frame), held_back_bytes=0)
        hold_back_ms = system.hold_back_ms
        if system.name in RESAMPLING:
            hold_back_ms = Converter(Format("linear16", shape.rate), LINEAR16_24K).hold_back_ms
        frame_bytes = shape.frame_ms * BYTES_PER_MS if system.protocol == "deepgram" else len(shape.frame)
        return figures.Wire(frame_bytes=frame_bytes, held_back_bytes=int(hold_back_ms * BYTES_PER_MS))

    def _start(self):
        """Start the system that callers dial, and return its URL."""
        if self.system == DIRECT:
            return f"ws://127.0.0.1:{self.stub_port}/v1/realtime"
        port = free_port()
        upstream = f"ws://127.0.0.1:{self.stub_port}/v1/realtime"
        if self.system.server:
            return self._host(port, upstream)
        command = ["-m", "tests.bench.relay", upstream, port]
        if self.system == PICOWS:
            command = ["-m", "tests.bench.picows_relay", upstream, port]
        if self.system == PIPE:
            command = ["-m", "tests.bench.pipe", self.stub_port, port]
        if self.system.name in OURS:
            program = (
                ["-m", "tests.bench.stamped", self.system.stamps]
                if self.system.stamps
                else [self.system.checkout / "run.py"]
            )
            served = ["--config", self._config()] if self.system.config else ["--upstream", upstream]
            command = [*program, *served, "--port", port, "--log-level", "warning"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ROUTER_"))}
        log = None
        if self.system.log:
            log = self._stack.enter_context(Path(self.system.log).open("wb"))  # noqa: SIM115 - the stack closes it
        environment["PYTHONPATH"] = str(self.system.checkout)
        child = Child([*command, *self.system.flags], speaks=False, cwd=self.system.checkout, env=environment, log=log)
        process = self._stack.enter_context(child)
        process.wait_for_port(port)
        self.root_pid = process.pid
        return f"ws://127.0.0.1:{port}{self.system.path}"

    def _config(self):
        """Write the configuration file of the system, and return its path."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        path = folder / "bench.toml"
        path.write_text(self.system.config.replace("{stub}", f"127.0.0.1:{self.stub_port}"))
        return path

    def _host(self, port, upstream):
        """Start an application that embeds the router, and return its URL."""
        process = self._stack.enter_context(hosts.hosted(self.system.server, port, upstream))
        self.root_pid = process.pid
        return f"ws://127.0.0.1:{port}{self.system.path}"

    def _helper(self, module, options):
        command = ["-m", f"tests.bench.{module}", orjson.dumps(options).decode()]
        return self._stack.enter_context(Child(command, cwd=ROOT))

    def _load_options(self):
        return {
            "protocol": self.system.protocol,
            "url": self.url,
            "shape": dataclasses.asdict(self.shape),
            "headers": self.system.headers,
        }


def call(load, count, *, first=0):
    """Let `count` callers call. Raises CallError if one of them is not served."""
    calls = begin_calls(load, count, first=first, over_s=count / CALLS_PER_S)()
    failures = [it["failure"] for it in calls if it["failure"]]
    if failures:
        raise CallError(f"{len(failures)} of {count} callers were not served; the first: {failures[0]}")
    return calls


def begin_calls(load, count, *, first, over_s, hang_up=False):
    """Let `count` callers call. Return a function that waits for them, and returns the times of each call."""
    load.tell(connect={"count": count, "first": first, "over_s": over_s, "timeout_s": CONNECT_S, "hang_up": hang_up})
    return lambda: load.hear(over_s + CONNECT_S + START_S)["calls"]
