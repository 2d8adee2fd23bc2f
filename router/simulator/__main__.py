"""The command `python -m router.simulator`: the simulator by itself, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

from router.simulator.config import SimulatorConfig
from router.simulator.faults import parse_fault
from router.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal, and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=options.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        simulator = Simulator(_config(options)).start()
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        print(f"cannot listen on {options.host}, port {options.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"simulator of an OpenAI Realtime upstream: {simulator.url}?model=gpt-realtime", flush=True)  # noqa: T201
    try:
        _wait_for_signal()
    finally:
        simulator.close()
    return 0


def _config(options: argparse.Namespace) -> SimulatorConfig:
    return SimulatorConfig(
        host=options.host,
        port=options.port,
        pace=options.pace,
        session_seconds=options.session_seconds,
        required_key=options.require_key,
        control_messages=not options.no_control,
        faults=tuple(parse_fault(text) for text in options.fault),
        models=tuple(options.model) or SimulatorConfig().models,
    )


def _wait_for_signal() -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


def _parser() -> argparse.ArgumentParser:
    defaults = SimulatorConfig()
    parser = argparse.ArgumentParser(prog="python -m router.simulator", description=__doc__)
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free port (default: %(default)s)")
    parser.add_argument(
        "--pace",
        type=float,
        default=defaults.pace,
        help="speed of answers in times real time; 0 is as fast as possible (default: %(default)s)",
    )
    parser.add_argument(
        "--session-seconds",
        type=float,
        default=defaults.session_seconds,
        help="a session's lifetime (default: %(default)s)",
    )
    parser.add_argument("--require-key", metavar="KEY", help="refuse any other key")
    parser.add_argument("--model", action="append", default=[], metavar="PATTERN", help="a model to accept; repeatable")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="POINT:ACTION[,FIELD=VALUE...]",
        help="a fault, such as mid_audio:close,code=1011; repeatable, see docs/simulator.md",
    )
    parser.add_argument("--no-control", action="store_true", help="refuse simulator.* messages as unknown types")
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error"), help="(default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
