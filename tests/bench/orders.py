"""How the stub and the callers are led: JSON lines on standard input, answers on standard output."""

import os

import orjson

RECEIVE_BYTES = 256 * 1024


class Orders:
    """One `{name: argument}` per line; the end of the input is the end of the process."""

    def __init__(self, loop, handlers):
        self.is_over = False
        self._handlers = handlers
        self._rest = b""
        loop.watch(0, self._on_ready)

    def _on_ready(self, _mask):
        data = os.read(0, RECEIVE_BYTES)
        self.is_over = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            for name, argument in orjson.loads(line).items():
                self._handlers[name](argument)


def say(answer):
    """Tell the process that started us."""
    print(orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS).decode(), flush=True)
