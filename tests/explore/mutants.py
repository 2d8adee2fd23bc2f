"""Mutants of the session's tables: each is one wrong line of `router.session.transitions`. The explorer has to find it.

    python -m tests.explore.mutants --sample 60

The search for a mutant begins at the walks that reach its line (`reach`).
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import itertools
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator  # noqa: TC003 - msgspec resolves the annotations
from typing import Any

import msgspec

from router.session import transitions
from router.session.handlers.ignored import ignore
from tests.explore.reach import TABLES, Walk, line_of_row, line_of_rule, walks_to_lines
from tests.explore.search import Search, collect_seldom
from tests.explore.shrink import breaks


class Mutant(msgspec.Struct):
    """A copy of the tables with one wrong line."""

    name: str
    apply: Callable[[], None]
    revert: Callable[[], None]
    line: str
    """The name of the line, which the search has to reach."""
    kind: type | None = None
    """The type of input of the line, if the line is a row."""


OUTSIDE = {
    "LIFECYCLE.AWAITING_SETTINGS": "each walk begins with the message that configures the session",
    "Unparsable": "the client sends no broken message",
    "Foreign": "the client sends no unknown message",
    "UpdateThinkLive": "the client sends no message that the router refuses",
    "CustomToThinkProvider": "the client sends no message that the router refuses",
    "ClientCaughtUp": "the model has no transport, and no backlog",
    "ClientPaused": "the model has no transport, and no backlog",
    "ClientResumed": "the model has no transport, and no backlog",
    "ClientOverflowed": "the model has no transport, and no backlog",
    "DrainBegan": "no operator acts",
    "EndRequested": "no operator acts",
    "MoveRequested": "no operator acts",
    "ClientAdopted": "no process dies",
    "WorkDone": "no hook and no function of the server's are configured",
    "Malformed": "an upstream sends no broken event",
    "Unknown": "an unknown event has no effect that a peer sees",
    "Ignored": "an upstream sends no event without a meaning",
    "RateLimitsUpdated": "the rate limits are for operators, and no peer sees them",
    "Settings": "the client configures the session once",
    "UpdateListen": "of four updates in one row, the client sends the other three",
    "PassthroughAppend": "the client sends audio as binary frames",
    "InputAudioTranscriptionDelta": "an upstream sends no interim words",
    "InputAudioTranscriptionUpdated": "an upstream sends no interim words",
    "ResponseOutputTextDelta": "the agent speaks, and only a response outside the conversation is written",
    "ResponseOutputTextDone": "the agent speaks, and only a response outside the conversation is written",
    "DetectionStopped": "the client does not change the detection",
    "LIFECYCLE.CONNECTING: Error": "a fault of an upstream in its setup is a close",
    "STANDBY.CONNECTING: Error": "a fault of an upstream in its setup is a close",
    "DEADLINES: SETTINGS": "each walk begins with the message that configures the session",
    "DEADLINES: CALL": "no limit is configured",
    "DEADLINES: SILENCE": "no limit is configured",
    "DEADLINES: DRAIN": "no operator acts",
    "DEADLINES: ADOPTION": "no process dies",
    "JOINT: limits.is_spent": "no limit is configured",
    "JOINT: drain.is_drained": "no operator acts",
}
"""The reason why no walk can reach a line, a table or an input, by its name."""

_OWN_DETECTOR = "the rules leave it open: the upstream's own detector ends the replayed speech as well, only later"
_ENDS = "equivalent: the handler ends the session, and the machine then enters ENDED"
UNJUDGED: dict[str, str] = {
    f"LIFECYCLE.{state}: {kind} stays": _ENDS
    for state in ("CONNECTING", "CONFIGURING", "READY")
    for kind in ("ClientClosed", "ClientOverflowed", "EndRequested")
} | {f"LIFECYCLE.{state}: ForceEndTurn is ignored": _OWN_DETECTOR for state in ("CONNECTING", "CONFIGURING")}
"""The reason why a mutant breaks no rule, by its name. It is equivalent, or changes what the rules leave open."""


def mutants() -> Iterator[Mutant]:
    """Yield the mutants: each row without its handler or its next state, each deadline and joint rule left out."""
    for table_name, table in TABLES.items():
        for state, rows in table.items():
            for kind, row in rows.items():
                if row.handler is ignore:
                    continue
                line = line_of_row(table_name, state, kind)
                yield _replaced(rows, kind, row, f"{line} is ignored", line, handler=ignore)
                if row.next_state is not None and row.next_state is not row.state:
                    yield _replaced(rows, kind, row, f"{line} stays", line, next_state=row.state)
    for wait in transitions.DEADLINES:
        line = f"DEADLINES: {wait.name}"
        yield _replaced(transitions.DEADLINES, wait, None, f"{line} does nothing", line, value=ignore)
    for rule in transitions.JOINT:
        line = line_of_rule(rule)
        yield Mutant(f"{line} never holds", *_without(rule), line)


def _replaced(table: Any, key: Any, row: Any, name: str, line: str, *, value: Any = None, **changes: Any) -> Mutant:
    before = table[key]
    after = value if value is not None else _changed(row, **changes)

    def apply() -> None:
        table[key] = after

    def revert() -> None:
        table[key] = before

    return Mutant(name, apply, revert, line, key if isinstance(key, type) else None)


def _changed(row: Any, **changes: Any) -> Any:
    changed = copy.copy(row)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _without(rule: Any) -> tuple[Callable[[], None], Callable[[], None]]:
    before = transitions.JOINT

    def apply() -> None:
        transitions.JOINT = tuple(each for each in before if each is not rule)  # type: ignore[misc]

    def revert() -> None:
        transitions.JOINT = before  # type: ignore[misc]

    return apply, revert


def outside(mutant: Mutant) -> str | None:
    """Return the reason for which no walk can find a mutant, or None."""
    if mutant.name in UNJUDGED:
        return UNJUDGED[mutant.name]
    table = mutant.line.partition(": ")[0]
    names = (mutant.line, table, mutant.line.partition(": ")[2])
    return next((OUTSIDE[name] for name in names if name in OUTSIDE), None)


BATCH = 24
"""The number of walks that a search takes before it continues from their ends."""


class Outcome(msgspec.Struct):
    """The outcome of the search for one mutant."""

    words: str = ""
    """The violation that shows the mutant, or an empty text."""
    walks: int = 0
    """The number of walks to its line that the search took."""
    differing: int = 0
    """The number of walks whose last world differs from that of the correct tables."""
    spent_s: float = 0.0


def search_for(mutant: Mutant, walks: list[Walk], seconds: float) -> Outcome:
    """Search for a violation that shows a mutant, for `seconds` of processor time.

    From the end of each walk that reaches the mutant's line, run the conversation to its ends, and then search farther.
    Pass over a walk after which the mutant has changed nothing.
    """
    start_s = time.process_time()
    outcome = Outcome()
    outcome.words = _first_violation(mutant, walks, start_s + seconds, outcome)
    outcome.spent_s = time.process_time() - start_s
    return outcome


def _first_violation(mutant: Mutant, walks: list[Walk], until_s: float, outcome: Outcome) -> str:
    searches: list[Search] = []
    rest, most = iter(walks), 20
    while time.process_time() < until_s:
        for root, path, key in itertools.islice(rest, BATCH):
            search = Search(root, max_found=1)
            with _applied(mutant):
                differs = search.begin_at(path, time.process_time, unless=key)
            outcome.walks += 1
            outcome.differing += differs
            if _is_of_mutant(search):
                return search.report.found[0].words
            if differs:
                searches.append(search)
        if not searches and outcome.walks == len(walks):
            return ""
        for search in searches:
            with _applied(mutant):
                search.go_on(until_s, most)
                search.wander(until_s, most)
            if _is_of_mutant(search):
                return search.report.found[0].words
        most += 20
    return ""


@contextlib.contextmanager
def _applied(mutant: Mutant) -> Iterator[None]:
    mutant.apply()
    try:
        yield
    finally:
        mutant.revert()


def _is_of_mutant(search: Search) -> bool:
    """Whether a search found a violation that does not occur with the correct tables. Forget any other violation."""
    found = search.report.found
    if found and breaks(found[0].root, found[0].path)[0]:
        search.forget()
    return bool(found)


def _job(job: tuple[str, list[Walk], float]) -> Outcome:
    collect_seldom()
    return search_for(_ALL[job[0]], job[1], job[2])


_ALL: dict[str, Mutant] = {}


def main() -> int:
    """Search for each mutant, print the survivors, and return 1 if fewer than 95 % are found."""
    parser = argparse.ArgumentParser(prog="python -m tests.explore.mutants", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="processor time for each mutant")
    parser.add_argument("--trace-seconds", type=float, default=90.0, help="processor time to find walks to the lines")
    parser.add_argument("--sample", type=int, default=0, help="search so many of the mutants, 0 for all")
    parser.add_argument("--only", default="", help="search the mutants whose names hold this text")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    walks = walks_to_lines(options.trace_seconds, options.processes)
    _ALL.update({it.name: it for it in mutants()})
    chosen = []
    for mutant in _ALL.values():
        reason = outside(mutant)
        if reason is None and mutant.line not in walks:
            print(f"UNREACHED {mutant.name}")
        elif reason is None:
            chosen.append(mutant)
    print(f"{len(_ALL)} mutants, {len(chosen)} of them in the alphabet and reached", flush=True)
    chosen = [it for it in chosen if options.only in it.name]
    if options.sample:
        chosen = random.Random(options.seed).sample(chosen, min(options.sample, len(chosen)))  # noqa: S311 - repeatable
    killed, took_s = 0, 0.0
    jobs = [(it.name, walks[it.line], options.seconds) for it in chosen]
    with multiprocessing.get_context("fork").Pool(options.processes, maxtasksperchild=1) as pool:
        for mutant, outcome in zip(chosen, pool.imap(_job, jobs), strict=True):
            killed += bool(outcome.words)
            took_s += outcome.spent_s
            verdict = "found   " if outcome.words else "SURVIVES"
            differing = f"{outcome.differing} of {outcome.walks} walks differ"
            print(f"{verdict}  {outcome.spent_s:4.1f} s  {mutant.name}  {outcome.words[:80] or differing}", flush=True)
    print(f"{killed} of {len(chosen)} mutants found, in {took_s:.0f} s of processor time")
    return 0 if killed >= 0.95 * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
