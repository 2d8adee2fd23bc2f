"""Draw docs/session-states.md from the tables: `python -m router.session.diagram > docs/session-states.md`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from router.session import transitions
from router.session.deadlines import Wait
from router.session.state.states import Lifecycle, ResponseState, StandbyState, UserTurnState
from router.session.work import WorkKind

if TYPE_CHECKING:
    import enum
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from router.session.tables import Row, Rule

    Edge: TypeAlias = tuple[enum.Enum, enum.Enum, str]

_SIDES: Final = {
    "router.deepgram.messages": "client",
    "router.deepgram.codec": "client",
    "router.session.inputs": "client",
    "router.openai.events": "upstream",
    "router.openai.codec": "upstream",
    "actors.messages": "actors",
}
"""The sender of an input, by the module that defines its type."""

HEAD: Final = """\
# The states of a session

This page is drawn from the tables in `router/session/transitions.py`, and a test compares the page with the tables.
This command draws it again: `python -m router.session.diagram > docs/session-states.md`.

A session is four small machines, each with a table. `LIFECYCLE` has the stages of the session, and `RESPONSE` has
those of the upstream's response. `USER_TURN` has the stages of each turn of the user. `STANDBY` has the stages of the
upstream that will follow the one in use. Joint rules connect the four tables. The session applies them in order after
every input.

The table of a state lists the inputs that this state accepts. The session counts and logs an input that `LIFECYCLE`
does not list, and counts one that `STANDBY` does not list. The other two tables pass over other inputs. The
conversation continues in each case.

In the pictures, a **black** edge shows a change of state by an input. A **blue** edge shows a change by a joint rule,
or by the end of the session. The label of a blue edge has the name of this cause in italics. If a handler may choose
the next state, the table below the picture lists all choices.
"""

_BLUE: Final = "#2563eb"


def draw() -> str:
    """Return docs/session-states.md as Markdown."""
    parts = [
        HEAD,
        _machine("LIFECYCLE", "", transitions.LIFECYCLE, Lifecycle.AWAITING_SETTINGS, (_ends(),)),
        _machine(
            "RESPONSE",
            "In READY the session looks an input up in this table, after `LIFECYCLE`.",
            transitions.RESPONSE,
            ResponseState.NONE,
        ),
        _machine(
            "USER_TURN",
            "In READY the session looks inputs and signals up in this table. Each turn of the user has its own state.",
            transitions.USER_TURN,
            UserTurnState.IDLE,
            deadlines=transitions.USER_TURN_DEADLINES,
        ),
        _machine(
            "STANDBY",
            "The session looks inputs of the standby upstream and the signals of handlers up in this table.",
            transitions.STANDBY,
            StandbyState.NONE,
        ),
        _rules(),
        _looked_up("DEADLINES", "a deadline runs out", Wait, transitions.DEADLINES),
        _looked_up("WORK", "work is done", WorkKind, transitions.WORK),
    ]
    return "\n".join(parts)


def _machine(
    name: str,
    remark: str,
    tables: Mapping[Any, Mapping[type, Row[Any]]],
    first: enum.Enum,
    more: Iterable[Edge] = (),
    *,
    deadlines: Mapping[Any, tuple[Wait, ...]] | None = None,
) -> str:
    parts = [f"## {name}\n", *([f"{remark}\n"] if remark else []), _picture(tables, first, more)]
    for state, table in tables.items():
        running = _deadlines(deadlines[state]) if deadlines is not None else []
        parts += [f"### {state.name}\n", *running, _table(table.values()) if table else "No input is accepted.\n"]
    return "\n".join(parts)


def _deadlines(waits: tuple[Wait, ...]) -> list[str]:
    names = [f"`{wait.name}`" for wait in waits]
    if not names:
        return ["This state has no deadline.\n"]
    beside = f", and may also have {', '.join(names[1:])}" if names[1:] else ""
    return [f"This state has the deadline {names[0]}{beside}. Its deadlines stop when the state ends.\n"]


def _picture(tables: Mapping[Any, Mapping[type, Row[Any]]], first: enum.Enum, more: Iterable[Edge]) -> str:
    caused = [edge for state, table in tables.items() for row in table.values() for edge in _edges(state, row)]
    triggered = [*_edges_of_rules(type(first)), *more]
    lines = ["```mermaid", "flowchart LR", f"    start(( )) --> {first.name}"]
    lines += [f"    {a.name} -->|{', '.join(labels)}| {b.name}" for (a, b), labels in _merged(caused).items()]
    lines += [f"    {a.name} -->|<i>{', '.join(labels)}</i>| {b.name}" for (a, b), labels in _merged(triggered).items()]
    count = 1 + len(_merged(caused))
    blue = ",".join(str(count + at) for at in range(len(_merged(triggered))))
    if blue:
        lines.append(f"    linkStyle {blue} stroke:{_BLUE},color:{_BLUE}")
    return "\n".join([*lines, "```", ""])


def _edges(state: enum.Enum, row: Row[Any]) -> Iterator[Edge]:
    for following in (row.next_state, *row.instead):
        if following is not state:
            yield state, following, row.kind.__name__


def _edges_of_rules(states: type[enum.Enum]) -> Iterator[Edge]:
    for rule in transitions.JOINT:
        if isinstance(rule.state, states) and rule.next_state is not None:
            yield rule.state, rule.next_state, rule.handler.__name__


def _ends() -> Edge:
    return Lifecycle.READY, transitions.ON_END, "any state, when a handler ends the session"


def _merged(edges: Iterable[Edge]) -> dict[tuple[enum.Enum, enum.Enum], list[str]]:
    merged: dict[tuple[enum.Enum, enum.Enum], list[str]] = {}
    for before, after, label in edges:
        merged.setdefault((before, after), []).append(label)
    return merged


def _table(rows: Iterable[Row[Any]]) -> str:
    lines = (
        f"| {_side(row.kind)} | `{row.kind.__name__}` | `{row.handler.__name__}` | {_following(row)} |"
        for row in _by_side(rows)
    )
    return "\n".join(["| from | input | handler | next state |", "|---|---|---|---|", *lines, ""])


def _following(row: Row[Any]) -> str:
    return " or ".join(state.name for state in (row.next_state, *row.instead))


def _side(kind: type) -> str:
    return "session" if kind in transitions.SIGNALS else _SIDES[kind.__module__]


def _by_side(rows: Iterable[Row[Any]]) -> list[Row[Any]]:
    order = [*dict.fromkeys(_SIDES.values()), "session"]
    return sorted(rows, key=lambda row: order.index(_side(row.kind)))


def _rules() -> str:
    lines = (f"| `{rule.holds.__name__}` | `{rule.handler.__name__}` | {_move(rule)} |" for rule in transitions.JOINT)
    head = "The session applies these rules in this order after every input but those of `NEVER_SETTLES`.\n"
    return "\n".join(["## JOINT\n", head, "| as soon as | handler | transition |", "|---|---|---|", *lines, ""])


def _move(rule: Rule[Any]) -> str:
    if rule.state is None:
        return "none"
    following = " or ".join(state.name for state in (rule.next_state, *([rule.state] if rule.may_stay else [])))
    return f"`{_MACHINES[type(rule.state)]}`: {rule.state.name} to {following}"


_MACHINES: Final = {
    Lifecycle: "LIFECYCLE",
    ResponseState: "RESPONSE",
    StandbyState: "STANDBY",
    UserTurnState: "USER_TURN",
}


def _looked_up(name: str, when: str, keys: Iterable[Any], handlers: Mapping[Any, Callable[..., None]]) -> str:
    lines = [f"| `{key.name}` | `{handlers[key].__name__}` |" for key in keys]
    return "\n".join([f"## {name}\n", f"| when {when} | handler |", "|---|---|", *lines, ""])


if __name__ == "__main__":
    sys.stdout.write(draw())
