"""The control of the stub and the callers: commands as JSON lines on standard input, answers on standard output."""

import os

import orjson

RECEIVE_BYTES = 256 * 1024


class Orders:
    """Reads commands, one `{name: argument}` a line. The process ends when the input ends."""

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
    """Send an answer to the process that started this one."""
    print(orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS).decode(), flush=True)
