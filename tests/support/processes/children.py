"""Child processes for tests. Their output is read line by line, and they end with the test.

A child leads its own process group, so that its own children end with it. A thread reads its output, and ends with the
child. A test always waits for a line, with a deadline. A failure shows the output.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from tests.support.processes import fork_server

RUN_PY = Path(__file__).resolve().parents[3] / "run.py"
GC_STRESS_PY = Path(__file__).with_name("gc_stress.py")
WEB_SERVER_PY = Path(__file__).with_name("web_server.py")
DEVELOPMENT = ("-X", "dev", "-W", "always")

MODULES = {
    RUN_PY: ("numpy", "router.__main__", "router.command.main", "router.command.serve", "router.simulator"),
    WEB_SERVER_PY: ("router.fronts.table", "router.logs.setup", "router.web.server"),
}
"""The modules that a program imports at its start, and with its first call."""
START_S = 30.0
STOP_S = 10.0
"""The longest time in seconds for the end of a process. It takes less than a second, but longer on a busy machine."""
OURS = ("OPENAI_", "ROUTER_")


class ChildError(AssertionError):
    """The child did not do `what` in time. `output` is its whole output so far."""

    def __init__(self, what: str, output: str) -> None:
        self.what = what
        self.output = output

    def __str__(self) -> str:
        return f"{self.what}; it printed:\n{self.output}"


class Child:
    """A running process, with the output of both of its streams."""

    def __init__(
        self,
        argv: list[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        pass_fds: Sequence[int] = (),
        server: fork_server.ForkServer | None = None,
    ) -> None:
        read, write = os.pipe()
        self._stdout = os.fdopen(read, errors="replace")
        self._process: subprocess.Popen[bytes] | fork_server.Process
        if server is None:
            self._process = subprocess.Popen(
                argv,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        else:
            with Path(os.devnull).open() as nothing:
                streams = (nothing.fileno(), write, write)
                self._process = server.start(argv, env, cwd, streams)
        os.close(write)
        self._lines: list[str] = []
        self._has_ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name=f"output of {argv[0]}")
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything printed so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str, *, timeout_s: float = START_S) -> re.Match[str]:
        """Wait until a line matches `pattern`, and return the first match."""
        with self._changed:
            self._changed.wait_for(lambda: self._find(pattern) or self._has_ended, timeout_s)
            match = self._find(pattern)
        if match is None:
            raise ChildError(f"no line matched {pattern!r}", self.output)
        return match

    def wait_for_lines(self, pattern: str, count: int, *, timeout_s: float = START_S) -> list[str]:
        """Wait until `count` lines match `pattern`, and return all matches."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._matching(pattern)) >= count or self._has_ended, timeout_s)
            found = self._matching(pattern)
        if len(found) < count:
            raise ChildError(f"{len(found)} of {count} lines matched {pattern!r}", self.output)
        return found

    def send_signal(self, signum: int) -> None:
        """Send a signal to the process."""
        self._process.send_signal(signum)

    def stop(self, signum: int = signal.SIGTERM, *, timeout_s: float = STOP_S) -> int:
        """Send a signal, and return the exit status. Raises ChildError if the process does not end in time."""
        self.send_signal(signum)
        return self.wait(timeout_s=timeout_s)

    def wait(self, *, timeout_s: float = STOP_S) -> int:
        """Wait until the process ends by itself, and return its exit status."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ChildError(f"still running after {timeout_s} s", self.output) from None

    def kill(self) -> None:
        """Kill all processes of the group, and release the thread and the pipe."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        with self._stdout as lines:
            for line in lines:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _matching(self, pattern: str) -> list[str]:
        return [line for line in self._lines if re.search(pattern, line)]

    def _find(self, pattern: str) -> re.Match[str] | None:
        return next((match for line in self._lines if (match := re.search(pattern, line))), None)


@dataclass(frozen=True)
class Router:
    """A running `python run.py`: its address as `host:port`, and its process."""

    address: str
    child: Child


@contextmanager
def child(
    *argv: str | Path, env: Mapping[str, str] | None = None, pass_fds: Sequence[int] = (), is_fresh: bool = False
) -> Iterator[Child]:
    """Run a command in an empty working directory, with `env` over a clean environment.

    A program of `MODULES` is forked from a process that has imported its modules, unless `is_fresh`.
    """
    with TemporaryDirectory() as cwd:
        # A command that is killed leaves its temporary files: they go with the directory.
        where = clean_environment() | {"TMPDIR": cwd} | dict(env or {})
        command = [str(arg) for arg in argv]
        server = None if is_fresh or pass_fds or not fork_server.fits(where) else _server_of(command, where)
        process = Child(command, env=where, cwd=cwd, pass_fds=pass_fds, server=server)
        try:
            yield process
        finally:
            process.kill()


def _server_of(command: Sequence[str], env: Mapping[str, str]) -> fork_server.ForkServer | None:
    """Return the fork server for a command; None if its program is not in `MODULES`."""
    flags = DEVELOPMENT if tuple(command[1:5]) == DEVELOPMENT else ()
    program = command[1 + len(flags) : 2 + len(flags)]
    found = MODULES.get(Path(*program)) if command[0] == sys.executable else None
    return None if found is None else fork_server.server(flags, found, env.get("PYTHONHASHSEED", "random"))


@contextmanager
def router(*flags: str, env: Mapping[str, str] | None = None) -> Iterator[Router]:
    """Run `python run.py` on a free port. At the end it must exit in time with status 0."""
    with child(sys.executable, RUN_PY, "--port", "0", *flags, env=env) as process:
        # Its own address carries a route or nothing; an upstream's is printed after the word.
        yield Router(process.wait_for(r"//(127\.0\.0\.1:\d+)/openai")[1], process)
        status = process.stop()
        if status:
            raise ChildError(f"run.py ended with status {status}", process.output)


def completed(
    *flags: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: str | Path = ".",
    typed: str = "",
    timeout_s: float = START_S,
) -> subprocess.CompletedProcess[str]:
    """Run `python run.py` with these arguments and this input until it ends, and return its status and its streams.

    Raises:
        subprocess.TimeoutExpired: the process did not end in time, and was killed.
    """
    command = [sys.executable, str(RUN_PY), *map(str, flags)]
    environment = clean_environment() | dict(env or {})
    server = _server_of(command, environment) if fork_server.fits(environment) else None
    with ExitStack() as stack:
        streams = [stack.enter_context(TemporaryFile("w+")) for _ in range(3)]
        streams[0].write(typed)
        streams[0].seek(0)
        stdin, stdout, stderr = (stream.fileno() for stream in streams)
        process: subprocess.Popen[bytes] | fork_server.Process
        if server is None:
            process = subprocess.Popen(command, env=environment, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
        else:
            process = server.start(command, environment, str(cwd), (stdin, stdout, stderr))
        try:
            status = process.wait(timeout_s)
        finally:
            process.kill()
            process.wait()
        for stream in streams[1:]:
            stream.seek(0)
        return subprocess.CompletedProcess(command, status, streams[1].read(), streams[2].read())


def clean_environment() -> dict[str, str]:
    """Return the environment without variables that configure a router, and without the voice of the simulator.

    Python's own variables are removed, too: with PYTHONUNBUFFERED a test would not notice a line that is not flushed.
    With the extra `voice` an embedded simulator would answer the words of a caller, and not describe the sound.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept.pop("PYTHONUNBUFFERED", None)
    return kept | {"ROUTER_SIMULATOR_VOICE": "0"}


def assert_comes_back(module: str, function: str, *numbers: int) -> None:
    """Assert that a function returns in a process as `gc_stress` describes it."""
    with child(sys.executable, GC_STRESS_PY, module, function, *map(str, numbers)) as process:
        process.wait_for("came back")
        assert process.wait() == 0, process.output


def workers_of(address: str) -> dict[int, int]:
    """Return the number of sessions of each serving worker, by process id."""
    with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as answer:
        return {it["pid"]: it["sessions"] for it in json.load(answer)["workers"] if it["stage"] == "serving"}


def busy_worker_of(address: str, timeout_s: float = 20.0) -> int:
    """Return the process id of a worker with a session. After a takeover a worker reports the session a moment later.

    Raises:
        TimeoutError: no worker reports a session in time.
    """
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        for pid, sessions in workers_of(address).items():
            if sessions:
                return pid
    raise TimeoutError("no worker has a session")
