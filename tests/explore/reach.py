"""The walks that reach each row, deadline and joint rule of the tables. The search for a mutant begins there.

A search from the roots would spend its time far from the one wrong line. So one search of the correct tables records,
for each line, a few walks that reach it from different roots and states.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator  # noqa: TC003 - the annotations name them
from typing import TYPE_CHECKING, Any
from unittest import mock

from router.session import transitions
from router.session.machine import Session
from tests.explore.canonical import key_of
from tests.explore.copies import thawed
from tests.explore.responses import OWN_UNANNOUNCED, UNANNOUNCED
from tests.explore.search import ROOTS, STATIONS, Action, Path, Root, Search, collect_seldom, state_of

if TYPE_CHECKING:
    from tests.explore.world import World

TABLES = {
    "LIFECYCLE": transitions.LIFECYCLE,
    "RESPONSE": transitions.RESPONSE,
    "USER_TURN": transitions.USER_TURN,
    "STANDBY": transitions.STANDBY,
}
KEPT = 24
"""The most walks that are kept for a line."""

Walk = tuple[Root, list[Action], int]
"""A root, the actions, and the key of the world to which they lead."""
Walks = dict[str, list[Walk]]


def line_of_row(table: str, state: Any, kind: type) -> str:
    """Return the name of a row."""
    return f"{table}.{state.name}: {kind.__name__}"


def line_of_rule(rule: Any) -> str:
    """Return the name of a joint rule."""
    return f"JOINT: {rule.holds.__module__.rsplit('.', 1)[-1]}.{rule.holds.__name__}"


def walks_to_lines(seconds: float, processes: int) -> Walks:
    """Search from every root for `seconds` of processor time in all, and return the walks to each line."""
    jobs = [(root, seconds / len(ROOTS)) for root in ROOTS]
    found: Walks = {}
    farther: Walks = {}
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        for (root, _), both in zip(jobs, pool.imap(_job, jobs), strict=True):
            for walks, whole in zip(both, (found, farther), strict=True):
                for line, paths in walks.items():
                    whole.setdefault(line, []).extend((root, path, key) for path, key in paths)
    # One walk of each root first: the roots differ most.
    return {line: _alternating(walks) for line, walks in (farther | found).items()}


def _alternating(walks: list[Walk]) -> list[Walk]:
    places: dict[Root, int] = {}
    ranked = []
    for walk in walks:
        places[walk[0]] = places.get(walk[0], -1) + 1
        ranked.append((places[walk[0]], walk))
    return [walk for _, walk in sorted(ranked, key=lambda it: it[0])]


def _job(job: tuple[Root, float]) -> tuple[dict[str, list[tuple[list[Action], int]]], ...]:
    root, seconds = job
    collect_seldom()
    hits: set[str] = set()
    with _noting(hits):
        search = _Tracing(root, hits)
        search.run(seconds, clock=time.process_time)
    return search.walks, search.farther


_READY = ("dialled", "created", "take")
_ASKED = (*_READY, "say", "take")
_HEARD = (*_READY, "frame", "speech", "stop", "commit")
_ROLLING = (*_ASKED, "take", "fire-rollover", "dialled")
FURTHER = (
    *((*_ASKED, f"take-{kind}", "step", "step") for kind in UNANNOUNCED),
    *((*_HEARD, f"unannounced-{kind}") for kind in OWN_UNANNOUNCED),
    *((*_HEARD, f"unannounced-{kind}", "step") for kind in OWN_UNANNOUNCED),
    (*_ASKED, "close", "dialled", "created", "hold", "take", "take"),
    ("dialled", "fire-unannounced", "take", "announce"),
    (*_ROLLING, "fire-unannounced", "take", "announce"),
    (*_ROLLING, "created", "take", "update", "take", "take"),
    (*_READY, "native-input_audio_buffer.commit", "frame", "speech", "stop", "refuse"),
    (*_READY, "frame", "native-input_audio_buffer.clear", "native-input_audio_buffer.commit", "take", "take"),
    (*_HEARD, "inject-default", "take", "step", "own"),
    (*_HEARD, "say", "take", "own", "take"),
)
"""Stations near lines that a search from the other stations reaches late."""


class _Tracing(Search):
    """A search that records the walks to each line."""

    stations = (*STATIONS, *FURTHER)

    def __init__(self, root: Root, hits: set[str]) -> None:
        super().__init__(root)
        self._hits = hits
        self.walks: dict[str, list[tuple[list[Action], int]]] = {}
        self.farther: dict[str, list[tuple[list[Action], int]]] = {}
        """The walks after which a line is reached while the conversation runs to an end."""
        self._states: dict[tuple[str, bool], set[Any]] = {}
        self._before: Any = ()

    def _station(self, kinds: tuple[str, ...]) -> tuple[bytes, Path]:
        self._hits.clear()
        place = super()._station(kinds)
        self._record(kinds, place[1], thawed(place[0]))
        return place

    def _take(self, world: World, action: Action, path: Path) -> list[tuple[bytes, Path]]:
        self._hits.clear()
        self._before = state_of(world)[:6]
        following = super()._take(world, action, path)
        self._record(self._before, (action, path), world)
        return following

    def _run_to_ends(self, world: World, copy: bytes, path: Path) -> None:
        # What the action itself reaches. The ends reach more, as a last resort.
        self._record(self._before, path, world)
        super()._run_to_ends(world, copy, path)
        self._record(self._before, path, world, is_by_end=True)

    def _record(self, state: Any, path: Path, world: World, *, is_by_end: bool = False) -> None:
        found = self.farther if is_by_end else self.walks
        for line in self._hits:
            states = self._states.setdefault((line, is_by_end), set())
            if state not in states and len(states) < KEPT:
                states.add(state)
                found.setdefault(line, []).append((actions_on(path), key_of(world)))
        self._hits.clear()


def actions_on(path: Path) -> list[Action]:
    """Return the actions of a path, the oldest first."""
    actions: list[Action] = []
    while path:
        actions.append(path[0])
        path = path[1]
    return actions[::-1]


@contextlib.contextmanager
def _noting(hits: set[str]) -> Iterator[None]:
    """Within the context, add the name of each line that the machine uses to `hits`."""
    names = {
        id(row): line_of_row(table, state, kind)
        for table, states in TABLES.items()
        for state, rows in states.items()
        for kind, row in rows.items()
    }
    follow = Session._follow

    def follow_and_note(session: Session, row: Any, decoded: object) -> None:
        hits.add(names[id(row)])
        follow(session, row, decoded)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(Session, "_follow", follow_and_note))
        for rule in transitions.JOINT:
            noting = _noting_call(rule.handler, hits, line_of_rule(rule))
            stack.enter_context(mock.patch.object(rule, "handler", noting))
        for wait, handler in list(transitions.DEADLINES.items()):
            noting = _noting_call(handler, hits, f"DEADLINES: {wait.name}")
            stack.enter_context(mock.patch.dict(transitions.DEADLINES, {wait: noting}))  # type: ignore[dict-item]
        yield


def _noting_call(handler: Callable[..., Any], hits: set[str], name: str) -> Callable[..., Any]:
    def note(*facts: Any) -> Any:
        hits.add(name)
        return handler(*facts)

    return note


__all__ = ["STATIONS", "TABLES", "Walk", "Walks", "actions_on", "line_of_row", "line_of_rule", "walks_to_lines"]
