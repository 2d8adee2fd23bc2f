"""A process of callers. They dial in waves. Each sends a microphone frame every 20 ms, and receives audio."""

import gc
import resource
import sys
import time
from urllib.parse import urlsplit

import orjson

from tests.bench import wire
from tests.bench.callers import PROTOCOLS
from tests.bench.orders import Orders, say
from tests.bench.speech import Shape

GLANCE_NS = 10_000_000
"""The time in ns between two checks of a wait."""


class Wave:
    """`count` callers, numbered from `first`, who dial evenly over `over_s`. With `hang_up` each hangs up at once."""

    def __init__(self, order, make):
        self.callers = []
        self._order = order
        self._make = make
        self._start_ns = time.monotonic_ns()
        self._until_ns = self._start_ns + int((order["over_s"] + order["timeout_s"]) * 1e9)

    def next_ns(self):
        """Return the time at which the wave has something to do."""
        glance_ns = time.monotonic_ns() + GLANCE_NS
        return min(glance_ns, self._due_ns()) if self._is_dialling() else glance_ns

    def go_on(self):
        """Dial the callers that are due. Return whether the wave is over."""
        while self._is_dialling() and self._due_ns() <= time.monotonic_ns():
            self.callers.append(self._make(self._order["first"] + len(self.callers)))
        if self._order["hang_up"]:
            for caller in self.callers:
                if caller.is_open and caller.is_settled:
                    caller.hang_up()
        return not self._is_dialling() and (
            time.monotonic_ns() > self._until_ns or all(caller.is_settled for caller in self.callers)
        )

    def _is_dialling(self):
        return len(self.callers) < self._order["count"]

    def _due_ns(self):
        return self._start_ns + int(self._order["over_s"] * 1e9 * len(self.callers) / self._order["count"])


class Load:
    """All callers. Their frames are spread evenly over the time of a frame."""

    def __init__(self, protocol, url, shape, headers):
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._address = (parts.hostname, parts.port or 80, path, headers)
        self._protocol = PROTOCOLS[protocol]
        self._shape = shape
        self._loop = wire.Loop()
        orders = {
            "connect": self._on_connect,
            "send": self._on_send,
            "report": self._on_report,
            "gag": self._on_gag,
            "look": self._on_look,
            "hang_up": self._on_hang_up,
        }
        self._orders = Orders(self._loop, orders)
        self._callers = []
        self._lateness = []
        self._sent = self._count = 0
        self._start_ns = self._looked_ns = 0
        self._wanted = None
        self._wave = None

    def run(self):
        """Serve until the process that started this one is gone."""
        while not self._orders.is_over:
            self._loop.turn(self._next_ns())
            self._send_what_is_due()
            self._dial_what_is_due()
            self._report_when_complete()
        self._hang_up()

    def _next_ns(self):
        moments = [max(self._due_ns(), self._looked_ns + wire.TICK_NS)] if self._sent < self._count else []
        if self._wanted:
            moments.append(min(self._wanted["until_ns"], time.monotonic_ns() + GLANCE_NS))
        if self._wave:
            moments.append(self._wave.next_ns())
        return min(moments, default=None)

    # Calling.

    def _on_connect(self, order):
        self._wave = Wave(order, self._dial)

    def _dial(self, number):
        return self._protocol(self._loop, number, self._shape, self._address)

    def _dial_what_is_due(self):
        if self._wave and self._wave.go_on():
            wave, self._wave = self._wave, None
            self._callers.extend(caller for caller in wave.callers if caller.is_open)
            say({"calls": [caller.times() for caller in wave.callers]})

    def _on_gag(self, _order):
        for caller in self._callers:
            caller.stop_reading()
        say({"gagged": len(self._callers)})

    def _on_look(self, _order):
        say({"open": sum(caller.is_open for caller in self._callers)})

    def _on_hang_up(self, _order):
        say({"hung_up": self._hang_up()})

    def _hang_up(self):
        callers, self._callers = self._callers, []
        for caller in callers:
            caller.hang_up()
        return len(callers)

    # Talking.

    def _on_send(self, order):
        gc.collect()
        self._start_ns, self._sent, self._count = order["start_ns"], 0, order["count"] * len(self._callers)
        self._lateness = []
        for caller in self._callers:
            caller.begin_lap()

    def _due_ns(self):
        return self._start_ns + self._sent * self._shape.frame_ms * 1_000_000 // len(self._callers)

    def _send_what_is_due(self):
        self._looked_ns = time.monotonic_ns()
        while self._sent < self._count:
            late_ns = self._looked_ns - self._due_ns()
            if late_ns < 0:
                return
            self._lateness.append(late_ns)
            self._callers[self._sent % len(self._callers)].send_frame()
            self._sent += 1

    def _on_report(self, wanted):
        self._wanted = wanted

    def _report_when_complete(self):
        if not self._wanted or self._sent < self._count:
            return
        is_complete = all(caller.ear.lap_bytes >= self._wanted["bytes"] for caller in self._callers)
        if is_complete or time.monotonic_ns() >= self._wanted["until_ns"]:
            self._wanted = None
            say({"lateness": self._lateness, "sessions": [caller.report() for caller in self._callers]})


def main():
    """Run the callers. OPTIONS is a JSON object of `protocol`, `url`, `shape` and `headers`."""
    options = orjson.loads(sys.argv[1])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()  # its pauses would be taken for the router's; each lap begins with a collection
    load = Load(options["protocol"], options["url"], Shape(**options["shape"]), options["headers"])
    say({"ready": True})
    load.run()


if __name__ == "__main__":
    main()
