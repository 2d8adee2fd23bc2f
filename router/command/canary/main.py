"""The flags of `switchboard canary`, its run, and its exit status: 0 if every step succeeded, else 1."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from actors.connections.blocking import CallError, HungUp
from router.command.canary.conversation import Conversation, StepFailed
from router.command.canary.remedies import remedy
from router.command.canary.report import Outcome, Report
from router.command.canary.stage import serving
from router.command.canary.steps import STEPS, Call, Step
from router.command.serve import read_text
from router.command.streams import say
from router.command.voice_client import VoiceClient
from router.config.command_line import CommandLine, parse_command_line
from router.config.parsers import seconds
from router.config.provenance import FLAGS, checked
from router.errors import ConfigError, RouterError
from router.logs import setup
from router.secrets import CREDENTIALS, MASK, Redactor
from router.web.banner import describe_upstreams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.connections.upstream import DialError

STEP_S: Final = 60.0
"""The time of a step, in seconds.

The router reports a silent upstream after two dials, which take 20 s, so a step has to last longer.
"""

RESTARTS: Final = 1
"""The restart budget if no setting names it.

The last step needs one restart, and more would only delay a monitor.
"""

UNAVAILABLE: Final = "UPSTREAM_UNAVAILABLE"
"""The code of an `Error` that the failure of the latest dial caused."""

LOG_LEVEL: Final = "error"
"""The log level without `--log-level`.

The steps of the canary include a restart, so the warning about it must not appear.
"""

EPILOG: Final = """\
Every flag of `switchboard serve` that configures the upstream is accepted, too: --upstream, --model, --config, and
others. The key is read from OPENAI_API_KEY, or from .env; it is never printed. The exit status is 0 or 1.

examples:
  switchboard canary
  switchboard canary --upstream openai --json
  switchboard canary --steps settings,text,function --upstream ws://127.0.0.1:9000/v1/realtime
"""


def main(arguments: Sequence[str]) -> int:
    """Run the steps, print their outcomes, and return the exit status: 0 if every step succeeded."""
    begun_s = time.monotonic()
    is_json = "--json" in arguments
    try:
        return _main(arguments)
    except RouterError as error:
        if not is_json:
            raise
        problem = str(error)
    except Exception as error:  # a monitor must get one object in every case
        if not is_json:
            raise
        problem = f"the canary failed itself: {type(error).__name__}"
    Report("", say, str, is_json=True).close(time.monotonic() - begun_s, problem)
    return 1


def _main(arguments: Sequence[str]) -> int:
    options, rest = _parser().parse_known_args(arguments)
    if options.help:
        say(_parser().format_help().rstrip())
        return 0
    command_line = parse_command_line(rest, os.environ, read_text)
    steps = _chosen(options.steps)
    step_s = checked(seconds(0.1, 3600), options.step_s, "--step-s", FLAGS).value
    return 0 if _run(command_line, steps, step_s, is_json=options.json) else 1


def _run(command_line: CommandLine, steps: Sequence[Step], step_s: float, *, is_json: bool) -> bool:
    config = command_line.config
    if "restarts" not in command_line.sourced:
        config = msgspec.structs.replace(config, restarts=RESTARTS)
    level = config.log_level if "log_level" in command_line.sourced else LOG_LEVEL
    setup.configure(level, config.log_format, config.secrets)
    redact = Redactor(config.secrets, MASK, CREDENTIALS)
    report = Report(describe_upstreams(config), say, redact, is_json=is_json)
    report.open()
    begun_s, problem = time.monotonic(), ""
    try:
        with serving(config) as (stage, url), VoiceClient(url, uses_proxy=False) as client:
            call = Call(Conversation(client, step_s), stage, detects_turns=config.turn_detection != "manual")
            _run_steps(steps, call, report)
    except CallError as error:
        problem = f"the router {error}"
    except RouterError as error:
        problem = str(error)
    return report.close(time.monotonic() - begun_s, problem)


def _run_steps(steps: Sequence[Step], call: Call, report: Report) -> None:
    """Run the steps until one fails, because the call's state is unknown after a failure."""
    for step in steps:
        call.conversation.begin_step()
        begun_s = time.monotonic()
        facts, problem = {}, ""
        try:
            facts = step.run(call)
        except StepFailed as failure:
            problem = _sentence(failure, call.stage.dial_error)
        except HungUp as end:
            problem = f"the call ended ({end.code}) while the canary was sending"
        seconds = time.monotonic() - begun_s
        report.add(
            Outcome(step=step.name, is_ok=not problem, seconds=seconds, problem=problem, facts=facts), step.purpose
        )
        if problem:
            return


def _sentence(failure: StepFailed, dial_error: DialError | None) -> str:
    """Return the failure as a sentence, with advice. Add the reason of the latest failed dial if it is the cause."""
    cause = str(failure)
    if dial_error is not None and failure.code in {"", UNAVAILABLE}:
        cause = f"the upstream cannot be reached: {dial_error}" if failure.code else f"{cause}, and {dial_error}"
    advice = remedy(failure.code, dial_error)
    return f"{cause}; {advice}" if advice else cause


# The flags.


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(source=FLAGS, name="canary", problem=f"has a wrong flag: {message}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="switchboard canary",
        usage="%(prog)s [--json] [--steps NAMES] [FLAGS of serve]",
        description="Call the configured upstream through a router, step by step.",
        epilog="\n".join(["steps:", *(f"  {step.name:<10}{step.purpose}" for step in STEPS), "", EPILOG]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="print this text")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, and nothing else")
    parser.add_argument("--steps", metavar="NAMES", help="run these steps alone, such as settings,text")
    parser.add_argument("--step-s", default=STEP_S, help="seconds for each step (default %(default)g)")
    return parser


def _chosen(names: str | None) -> tuple[Step, ...]:
    if names is None:
        return STEPS
    rows = {step.name: step for step in STEPS}
    chosen = [name.strip() for name in names.split(",")]
    unknown = [name for name in chosen if name not in rows]
    if unknown:
        problem = f"names no step {unknown[0]!r}; the steps are {', '.join(rows)}"
        raise ConfigError(source=FLAGS, name="--steps", problem=problem)
    # A call needs Settings, so this step always runs.
    return tuple(step for step in STEPS if step.name in {"settings", *chosen})
