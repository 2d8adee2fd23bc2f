"""Hosts of a small network on this machine: network namespaces, or loopback addresses if namespaces are forbidden.

The addresses are those of the shipped configurations, 10.0.0.N. The namespaces reach only each other.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.processes.children import Child, child

CLONE_NEWNET = 0x40000000
LAB = "lab"
PREFIX = "10.0.0."
LOOPBACK = "127.0.0."


class Loopback:
    """Hosts that are addresses of the loopback network. A host is cut off by stopping its processes."""

    is_cut_by_signal = True

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}
        self._thread = ThreadPoolExecutor(1, LAB)

    def address(self, last: int) -> str:
        """Return the address of a host by its last number."""
        return f"{LOOPBACK}{last}"

    def in_text(self, configuration: str) -> str:
        """Return a configuration with the addresses of these hosts."""
        return configuration.replace(PREFIX, LOOPBACK)

    @contextlib.contextmanager
    def run(self, host: str, *argv: str | Path) -> Iterator[Child]:
        """Run a command on a host."""
        with child(*argv) as process:
            self._children[host] = process
            yield process

    def submit(self, function: Callable[..., Any]) -> "Future[Any]":
        """Call a function on the host of the callers, on the thread of that host."""
        return self._thread.submit(function)

    def remove(self) -> None:
        """Remove the hosts and everything that was made for them."""
        self._thread.shutdown()

    def cut(self, host: str) -> None:
        """Disconnect a host from the network."""
        self._children[host].send_signal(signal.SIGSTOP)

    def mend(self, host: str) -> None:
        """Connect a host again."""
        self._children[host].send_signal(signal.SIGCONT)

    def set_kernel(self, host: str, settings: str) -> None:
        """Do nothing, because a test must not change the settings of this machine's kernel."""


class Namespaces(Loopback):
    """Hosts that are network namespaces on one bridge. The callers are on the host of the bridge."""

    is_cut_by_signal = False

    def __init__(self) -> None:
        super().__init__()
        self._prefix = f"sw{os.getpid()}-"
        self._made: list[str] = []

    def address(self, last: int) -> str:
        return f"{PREFIX}{last}"

    def in_text(self, configuration: str) -> str:
        return configuration

    def make(self, hosts: dict[str, int]) -> None:
        """Make the bridge and the hosts, each with the last number of its address."""
        self._add(LAB)
        lab = self._prefix + LAB
        _ip("-n", lab, "link", "add", "br0", "type", "bridge")
        _ip("-n", lab, "link", "set", "br0", "up")
        _ip("-n", lab, "addr", "add", f"{self.address(1)}/24", "dev", "br0")
        for host, last in hosts.items():
            self._add(host)
            inside = self._prefix + host
            _ip("-n", lab, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", inside)
            _ip("-n", lab, "link", "set", host, "master", "br0", "up")
            _ip("-n", inside, "addr", "add", f"{self.address(last)}/24", "dev", "eth0")
            _ip("-n", inside, "link", "set", "eth0", "up")
        self.submit(lambda: _enter(f"/run/netns/{lab}")).result()

    def _add(self, host: str) -> None:
        _ip("netns", "add", self._prefix + host)
        self._made.append(self._prefix + host)
        _ip("-n", self._prefix + host, "link", "set", "lo", "up")

    def remove(self) -> None:
        super().remove()
        for name in reversed(self._made):
            _ip("netns", "del", name)

    def _within(self, host: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self._prefix}{host}"]

    @contextlib.contextmanager
    def run(self, host: str, *argv: str | Path) -> Iterator[Child]:
        with super().run(host, *self._within(host), *argv) as process:
            yield process

    def cut(self, host: str) -> None:
        _ip("-n", self._prefix + LAB, "link", "set", host, "down")

    def mend(self, host: str) -> None:
        _ip("-n", self._prefix + LAB, "link", "set", host, "up")

    def set_kernel(self, host: str, settings: str) -> None:
        """Apply the lines of a sysctl file on a host."""
        lines = [line.replace(" ", "") for line in settings.splitlines() if line and not line.startswith("#")]
        subprocess.run([*self._within(host), "sysctl", "-qw", *lines], check=True)


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


def _enter(path: str) -> None:
    # `os.setns` came with Python 3.12. The call moves this thread alone, and the sockets that it makes.
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(path).open() as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def may_have_namespaces() -> bool:
    """Whether this process may make network namespaces. To find out, make one."""
    if not (shutil.which("ip") and shutil.which("nsenter")):
        return False
    name = f"sw{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if tried.returncode == 0:
        _ip("netns", "del", name)
    return tried.returncode == 0


@contextlib.contextmanager
def hosts(numbers: dict[str, int]) -> Iterator[Loopback]:
    """Make the hosts, each with the last number of its address, and remove them at the end."""
    made = Namespaces() if may_have_namespaces() else Loopback()
    try:
        if isinstance(made, Namespaces):
            made.make(numbers)
        yield made
    finally:
        made.remove()
