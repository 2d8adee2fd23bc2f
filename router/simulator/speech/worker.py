"""A speech process: `python -m router.simulator.speech.worker hear` or `speak`.

It reads requests from its standard input and answers on its standard output, until the input ends. The input also ends
when the parent process dies, so no speech process is left behind.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, TYPE_CHECKING, Any, Final

from router.simulator.speech import messages

if TYPE_CHECKING:
    from collections.abc import Callable

_NICE: Final = 5
"""The niceness of recognition. Recognition uses every core, and the router's threads have to run first."""


def main(kind: str) -> int:
    """Answer requests until the standard input ends. `kind` is `hear` or `speak`."""
    # Libraries may print to the standard output, where their text would be taken for a result.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with results, contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, results, _ENGINES[kind])
    return 0


def serve(requests: IO[bytes], results: IO[bytes], start: Callable[[], Callable[[Any], messages.Result]]) -> None:
    """Start the speech engine, and answer each request with it, until `requests` ends.

    A request that fails is answered with `Failed`.
    """
    answer = start()
    while (request := messages.read_request(requests)) is not None:
        try:
            result = answer(request)
        except Exception as error:  # noqa: BLE001 - one bad request must not cost the next one its engine
            result = messages.Failed(f"{type(error).__name__}: {error}")
        messages.write(results, result)


def _hear() -> Callable[[messages.Recognize], messages.Result]:
    from router.simulator.speech.moonshine import Moonshine  # noqa: PLC0415 - the other process needs none of it
    from router.simulator.speech.recognition import recognized  # noqa: PLC0415

    os.nice(_NICE)
    engine = Moonshine()
    return lambda request: recognized(engine, request)


def _speak() -> Callable[[messages.Synthesize], messages.Result]:
    from router.simulator.speech.piper import Piper  # noqa: PLC0415 - the other process needs none of it
    from router.simulator.speech.synthesis import synthesized  # noqa: PLC0415

    engine = Piper()
    return lambda request: synthesized(engine, request)


_ENGINES: Final[dict[str, Callable[[], Callable[[Any], messages.Result]]]] = {"hear": _hear, "speak": _speak}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
