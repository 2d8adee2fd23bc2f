"""A caller that measures how long the router takes to answer it, while a test loads the router by other means."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from tests.support.clients.wire_client import WireClient

CONVERSE = "/v1/agent/converse"
WAIT_S = 30.0
PAUSE_S = 0.02

SETTINGS: dict[str, Any] = {
    "audio": {
        "input": {"encoding": "linear16", "sample_rate": 24000},
        "output": {"encoding": "linear16", "sample_rate": 24000},
    },
    "agent": {"think": {"provider": {"type": "open_ai"}, "prompt": "Be brief."}},
}


class Neighbour:
    """A session on its own thread. Again and again it sends a message that the router answers at once."""

    def __init__(self, address: str) -> None:
        self.gaps_s: list[float] = []
        """The seconds from each message to its answer."""
        self.failure: AssertionError | None = None
        self._stopping = threading.Event()
        self._answered = threading.Event()
        self._client = WireClient(f"ws://{address}{CONVERSE}")
        self._client.say("Settings", **SETTINGS)
        self._client.wait_for("SettingsApplied", timeout_s=WAIT_S)
        self._thread = threading.Thread(target=self._ask, name="neighbour")
        self._thread.start()

    @property
    def longest_s(self) -> float:
        """The longest of these times, in seconds."""
        return max(self.gaps_s)

    def stop(self) -> None:
        """Hang up after one more answer, because the load may have ended in the pause between two messages."""
        self._answered.clear()
        self._answered.wait(WAIT_S)
        self._stopping.set()
        self._thread.join(2 * WAIT_S)
        with contextlib.suppress(OSError):  # it is over already
            self._client.reset()

    def _ask(self) -> None:
        try:
            while not self._stopping.wait(PAUSE_S):
                began_s = time.monotonic()
                self._client.say("InjectAgentMessage", message=" ")
                self._client.wait_for("InjectionRefused", timeout_s=WAIT_S)
                self.gaps_s.append(time.monotonic() - began_s)
                self._answered.set()
        except AssertionError as failure:
            self.failure = failure
        finally:
            self._answered.set()


@contextlib.contextmanager
def neighbour(address: str) -> Iterator[Neighbour]:
    """Hold one call during the block. If the call ends meanwhile, raise its failure."""
    caller = Neighbour(address)
    try:
        yield caller
    finally:
        caller.stop()
    if caller.failure is not None:
        raise caller.failure
