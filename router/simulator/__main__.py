"""The command `switchboard simulator`, also `python -m router.simulator`: it runs a simulator until a signal."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final, NoReturn

from router.simulator.config import LanguageModelConfig, SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from router.simulator.faults import parse_fault
from router.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

PROTOCOLS: Final[dict[str, type[Simulator]]] = {"openai": Simulator, "deepgram": DeepgramSimulator}

_ADDRESS: Final = {
    "openai": "simulator of an OpenAI Realtime upstream: {}?model=gpt-realtime",
    "deepgram": "simulator of Deepgram's Voice Agent: {}",
}

USAGE_ERROR: Final = 2

_REMEDIES: Final = {
    errno.EADDRINUSE: "; end the program that has the port, or choose another with --port (0 takes a free one)",
    errno.EACCES: "; choose a port from 1024 on with --port",
    errno.EADDRNOTAVAIL: "; --host must be an address of this machine",
}

LLM_KEY = "ROUTER_SIMULATOR_LLM_KEY"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 1 if the address is not available."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=options.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        simulator = PROTOCOLS[options.protocol](_config(options)).start()
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "")
        _complain(f"cannot listen on {options.host}, port {options.port}: {error.strerror}{remedy}")
        return 1
    print(_ADDRESS[options.protocol].format(simulator.url), flush=True)  # noqa: T201
    try:
        _wait_for_signal()
    finally:
        simulator.close()
    return 0


def _complain(sentence: str) -> None:
    print(f"switchboard: {sentence}", file=sys.stderr)  # noqa: T201


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print the error as one sentence, and exit with status 2."""
        _complain(f"simulator (the command line) has a wrong flag: {message}; see switchboard simulator --help")
        raise SystemExit(USAGE_ERROR)


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
        voice=not options.no_voice,
        llm=_language_model(options),
    )


def _language_model(options: argparse.Namespace) -> LanguageModelConfig | None:
    if options.llm is None:
        return None
    # The key has no flag, because every process of the machine can read command lines.
    return LanguageModelConfig(url=options.llm, model=options.llm_model, key=os.environ.get(LLM_KEY) or None)


def _wait_for_signal() -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


def _parser() -> argparse.ArgumentParser:
    defaults = SimulatorConfig()
    parser = _Parser(
        prog="switchboard simulator",
        description="The simulator by itself, until SIGTERM or Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--protocol", choices=tuple(PROTOCOLS), default="openai", help="the service to simulate (default: %(default)s)"
    )
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
    parser.add_argument("--no-voice", action="store_true", help="neither recognize speech nor speak in words")
    parser.add_argument("--llm", metavar="URL", help="chat-completions server that answers, such as Ollama's")
    parser.add_argument("--llm-model", metavar="NAME", help="model of that server (default: the first that it lists)")
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error"), help="(default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
