"""Draws docs/session-states.md from the tables: `python -m router.session.diagram > docs/session-states.md`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from router.session import transitions
from router.session.deadlines import Wait
from router.session.state.states import Lifecycle, ResponseState

if TYPE_CHECKING:
    import enum
    from collections.abc import Iterable, Mapping

_SIDES: Final = {
    "router.deepgram.messages": "client",
    "router.deepgram.codec": "client",
    "router.session.inputs": "client",
    "router.openai.events": "upstream",
    "router.openai.codec": "upstream",
    "actors.messages": "engine",
}

HEAD: Final = """\
# The states of a session

Drawn from the tables in `router/session/transitions.py`; a test compares the two. Redraw with
`python -m router.session.diagram > docs/session-states.md`.

A session is two small machines and one joint rule. `LIFECYCLE` is how far it has come; `RESPONSE` is whether the
upstream is answering. The joint rule: **a response that is wanted is asked for as soon as the session is READY and
no response is active**, so a user's item, a function's output and a commit by hand all wait in one place. (Others stand
beside it in `JOINT`. One ends a session whose process is going away, as soon as nothing is under way in it.)

What a table does not list has no business in that state: it is counted and logged, and the conversation goes on.
"""


def draw() -> str:
    """The page."""
    return f"{HEAD}\n{_lifecycle()}\n{_response()}\n{_deadlines()}"


def _lifecycle() -> str:
    parts = ["## LIFECYCLE\n", _picture(transitions.LIFECYCLE, Lifecycle.AWAITING_SETTINGS)]
    for state, table in transitions.LIFECYCLE.items():
        parts.append(f"### {state.name}\n")
        parts.append(_table(table) if table else "Nothing leads out of it, and nothing is done in it.\n")
    return "\n".join(parts)


def _response() -> str:
    parts = ["## RESPONSE\n", "Looked up in READY, behind `LIFECYCLE`.\n"]
    parts.append(_picture(transitions.RESPONSE, ResponseState.NONE))
    for state, table in transitions.RESPONSE.items():
        parts.extend([f"### {state.name}\n", _table(table)])
    return "\n".join(parts)


def _deadlines() -> str:
    rows = [f"| `{wait.name}` | `{transitions.DEADLINES[wait].__name__}` |" for wait in Wait]
    return "\n".join(["## DEADLINES\n", "| when it runs out | handler |", "|---|---|", *rows, ""])


def _picture(tables: Mapping[Any, Mapping[type, tuple[Any, enum.Enum]]], first: enum.Enum) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.name}"]
    for state, table in tables.items():
        for next_state, kinds in _ways_out(state, table).items():
            lines.append(f"    {state.name} --> {next_state.name}: {', '.join(kinds)}")
    if tables is transitions.RESPONSE:
        lines.append("    NONE --> REQUESTED: the joint rule")
    return "\n".join([*lines, "```", ""])


def _ways_out(state: enum.Enum, table: Mapping[type, tuple[Any, enum.Enum]]) -> dict[enum.Enum, list[str]]:
    ways: dict[enum.Enum, list[str]] = {}
    for kind, (_, next_state) in table.items():
        if next_state is not state:
            ways.setdefault(next_state, []).append(kind.__name__)
    return ways


def _table(table: Mapping[type, tuple[Any, enum.Enum]]) -> str:
    rows = (
        f"| {_SIDES[kind.__module__]} | `{kind.__name__}` | `{handler.__name__}` | {next_state.name} |"
        for kind, (handler, next_state) in _by_side(table.items())
    )
    return "\n".join(["| from | input | handler | next state |", "|---|---|---|---|", *rows, ""])


def _by_side(rows: Iterable[tuple[type, Any]]) -> list[tuple[type, Any]]:
    order = list(dict.fromkeys(_SIDES.values()))
    return sorted(rows, key=lambda row: order.index(_SIDES[row[0].__module__]))


if __name__ == "__main__":
    sys.stdout.write(draw())
