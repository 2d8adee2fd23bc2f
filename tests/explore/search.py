"""The search: breadth first to a depth, then random walks that prefer rare situations."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.connection
import random
import time
from collections import deque
from collections.abc import Callable, Iterator  # noqa: TC003 - msgspec resolves the annotations
from typing import Any

import msgspec

from tests.explore.canonical import key_of
from tests.explore.copies import frozen, thawed
from tests.explore.ends import ENDS
from tests.explore.upstream import QUIRKS
from tests.explore.violation import Violation
from tests.explore.world import World

ROOTS = (
    *(
        (profile, opening, quirk)
        for quirk in QUIRKS
        for profile, opening in (("openai", "settings"), ("converse", "settings"), ("openai", "session.update"))
    ),
    ("openai", "manual", "none"),
)
"""The roots: each combines a route's profile, a way to open a session, and a quirk.

The opening `manual` is by Settings without turn detection: the session commits after a pause of the microphone.
"""

STATIONS = (
    (),
    ("dialled", "created", "take"),
    ("dialled", "created", "take", "say", "take", "take", "step", "step"),
    ("dialled", "created", "take", "frame", "speech", "stop", "commit"),
    ("dialled", "created", "take", "say", "take", "take-call", "step", "step", "step"),
    ("dialled", "created", "take", "say", "take", "take", "close", "dialled", "created", "take"),
    ("dialled", "created", "take", "fire-rollover", "dialled", "created", "take"),
    ("dialled", "created"),
    ("dialled", "created", "take", "frame", "speech", "stop"),
    ("dialled", "created", "take", "frame", "speech", "force", "stop", "speech"),
    ("dialled", "created", "take", "say", "take", "take", "fire-rollover", "dialled", "created", "take"),
    ("dialled", "created", "take", "say", "take", "take-overlap", "step", "step", "step", "step"),
    # The upstream has spoken, and keeps its voice.
    ("dialled", "created", "take", "say", "take", "take", *("step",) * 6, "speak", "take"),
)
"""The stations: points of a conversation, given by the kinds of actions that lead to them. The search begins there."""

MANUAL_STATIONS = (
    ("dialled", "created", "take", "frame", "fire-manual_commit", "frame"),
    ("dialled", "created", "take", "frame", "fire-manual_commit", "take", "take", "step", "step"),
)
"""Further stations where no detector ends the user's turn."""

LONGEST = 60
"""The number of actions after which a walk begins anew."""

WANDERED = 16
"""The number of actions after which a random walk from the end of a given walk begins anew."""

POOL = 20_000
"""The most worlds that are kept as beginnings of walks."""
TRIES = 3
"""The number of actions that a walk tries in one world before it stops there."""
EVERY = 100
"""One world in this number runs to its end. So does the first world of each kind."""

Action = tuple[Any, ...]
Root = tuple[str, str, str]
Job = tuple[Root, float, int, int, int]
"""The root of a search, its seconds, its depth, its seed, and its number of transitions."""
Path = tuple[Any, ...]
"""The actions of a walk, the newest first: `(action, path before it)`."""


class Found(msgspec.Struct):
    """A violation, and the walk to it."""

    root: tuple[str, str, str]
    path: list[Action]
    words: str


class Report(msgspec.Struct):
    """The figures of a search."""

    states: int = 0
    transitions: int = 0
    ends: int = 0
    """The number of worlds from which the conversations ran to their end."""
    depth: int = 0
    """The smallest depth, over all roots, to which the search was exhaustive."""
    deepest: int = 0
    """The length of the longest walk."""
    triples: int = 0
    """The number of triples: table states with kinds of pending requests, running timers, and an action."""
    found: list[Found] = msgspec.field(default_factory=list)

    def add(self, other: Report) -> None:
        """Add the figures of another root."""
        self.depth = min(self.depth, other.depth) if self.states else other.depth
        self.states += other.states
        self.transitions += other.transitions
        self.ends += other.ends
        self.deepest = max(self.deepest, other.deepest)
        self.triples += other.triples
        self.found += other.found


class Search:
    """The search from one root."""

    stations: tuple[tuple[str, ...], ...] = STATIONS

    def __init__(self, root: tuple[str, str, str], *, seed: int = 1, max_found: int = 40) -> None:
        self.root = root
        self.report = Report()
        self._max_found = max_found
        self._random = random.Random(f"{seed} {root}")  # noqa: S311 - reproducible
        self._seen: set[int] = set()
        self._taken: dict[tuple[Any, ...], int] = {}
        """The number of times that each triple was taken."""
        self._kinds: set[tuple[Any, ...]] = set()
        self._words: set[str] = set()
        self._clock: Callable[[], float] = time.monotonic
        self._is_near = False
        """Whether every new world runs to its ends. It is set if the search begins at the end of a given walk."""
        self._level: deque[tuple[bytes, Path]] = deque()
        self._start: tuple[bytes, Path] | None = None

    def run(
        self, seconds: float, depth: int = 50, *, walks: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> Report:
        """Search for `seconds`: first breadth first, for at most half of the time, and then by random walks."""
        self._clock = clock
        start_s = clock()
        try:
            further = MANUAL_STATIONS if self.root[1] == "manual" else ()
            level = [self._station(kinds) for kinds in (*self.stations, *further)]
        except Violation as violation:
            self.report.found.append(Found(self.root, [], str(violation)))
            return self.report
        level = self._breadth_first(level, start_s + seconds / 2, depth)
        if walks:
            self._walk(level, start_s + seconds)
        self.report.states = len(self._seen)
        self.report.triples = len(self._taken)
        return self.report

    def begin_at(self, path: list[Action], clock: Callable[[], float], *, unless: int | None) -> bool:
        """Take a walk, run its last world to the ends, and let `go_on` search from that world.

        Return whether the last world has another key than `unless`. If it has the same key, search nothing.
        """
        self._clock, self._is_near = clock, True
        world, walked = World(*self.root), ()
        try:
            world.open()
            for action in path:
                if action in world.actions():
                    walked = (action, walked)
                    world.act(action)
        except Violation as violation:
            self._note(walked, str(violation))
            return True
        if key_of(world) == unless:
            return False
        copy = frozen(world)
        self._start = (copy, walked)
        self._run_to_ends(world, copy, walked)
        self._level.append((copy, walked))
        return True

    def go_on(self, until_s: float, most: int) -> None:
        """Search breadth first from the end of the walk, until a time or a number of transitions."""
        most += self.report.transitions
        while self._level and not self.report.found and self._clock() < until_s and self.report.transitions < most:
            copy, walked = self._level.popleft()
            for action in thawed(copy).actions():
                self._level += self._take(thawed(copy), action, walked)

    def wander(self, until_s: float, most: int) -> None:
        """Walk at random from the end of the walk, until a time or a number of transitions."""
        most += self.report.transitions
        self._is_near = False
        while self._start is not None and not self.report.found:
            if self._clock() > until_s or self.report.transitions > most:
                break
            copy, path = self._start
            for _ in range(WANDERED):
                world = thawed(copy)
                action = self._rarest(world)
                if action is None or self.report.found:
                    if path is self._start[1]:
                        self._start = None  # nothing can follow, say because the session has ended
                    break
                self._act_on(world, action, path)
                copy, path = frozen(world), (action, path)
        self._is_near = True

    def _act_on(self, world: World, action: Action, path: Path) -> None:
        """Take an action, whether or not the world that follows was seen before."""
        if self._is_new(world, action, path):
            self._run_to_ends(world, frozen(world), (action, path))

    def _is_new(self, world: World, action: Action, path: Path) -> bool:
        """Take an action, count it, and return whether it broke no rule and led to a world that was not seen before."""
        triple = (*state_of(world), kind_of(world, action))
        self._taken[triple] = self._taken.get(triple, 0) + 1
        self.report.transitions += 1
        try:
            world.act(action)
        except Violation as violation:
            self._note((action, path), str(violation))
            return False
        key = key_of(world)
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new

    def forget(self) -> None:
        """Forget the violations so far."""
        self.report.found.clear()
        self._words.clear()

    @property
    def is_over(self) -> bool:
        """Whether `go_on` has nothing left."""
        return not self._level

    def _station(self, kinds: tuple[str, ...]) -> tuple[bytes, Path]:
        """Return the world to which these kinds of actions lead. Pass over a kind that is not possible."""
        world, path = World(*self.root).open(), ()
        for kind in kinds:
            name, _, detail = kind.partition("-")
            fitting = [it for it in world.actions() if it[0] == name and (not detail or detail in it)]
            if fitting:
                world.act(fitting[0])
                path = (fitting[0], path)
        self._seen.add(key_of(world))
        return frozen(world), path

    def _breadth_first(self, level: list[tuple[bytes, Path]], until_s: float, depth: int) -> list[tuple[bytes, Path]]:
        while level and self.report.depth < depth:
            following: list[tuple[bytes, Path]] = []
            for copy, path in level:
                if self._clock() > until_s or len(self.report.found) >= self._max_found:
                    return [*level[-POOL // 2 :], *following[: POOL // 2]]
                world = thawed(copy)
                for action in world.actions():
                    following += self._take(world, action, path)
                    world = thawed(copy)
            level = following
            self.report.depth += 1
        return level

    def _walk(self, pool: list[tuple[bytes, Path]], until_s: float) -> None:
        while pool and self._clock() < until_s and len(self.report.found) < self._max_found:
            at = self._random.randrange(len(pool))
            place, length, dead = pool[at], 0, True
            while place is not None and length < LONGEST:
                copy, path = place
                place, length = None, length + 1
                for _ in range(TRIES):
                    world = thawed(copy)
                    action = self._rarest(world)
                    following = self._take(world, action, path) if action is not None else []
                    if following:
                        place = following[0]
                        self._keep(pool, place)
                        dead = False
                        break
            if dead and len(pool) > 1:
                pool[at] = pool[-1]
                pool.pop()

    def _rarest(self, world: World) -> Action | None:
        """Return an action whose triple was taken least."""
        actions = world.actions()
        state = state_of(world)
        self._random.shuffle(actions)
        return min(actions, key=lambda it: self._taken.get((*state, kind_of(world, it)), 0), default=None)

    def _keep(self, pool: list[tuple[bytes, Path]], place: tuple[bytes, Path]) -> None:
        """Add a world to the beginnings of walks. If the pool is full, replace another world at random."""
        if len(pool) < POOL:
            pool.append(place)
        else:
            pool[self._random.randrange(len(pool))] = place

    def _take(self, world: World, action: Action, path: Path) -> list[tuple[bytes, Path]]:
        """Take an action. Return the world that follows if no walk has seen it, or else an empty list."""
        if not self._is_new(world, action, path):
            return []
        path = (action, path)
        copy = frozen(world)
        self._run_to_ends(world, copy, path)
        length = 0
        rest: Path = path
        while rest:
            rest, length = rest[1], length + 1
        self.report.deepest = max(self.report.deepest, length)
        return [(copy, path)]

    def _run_to_ends(self, world: World, copy: bytes, path: Path) -> None:
        tables = state_of(world)
        kind = (*tables[:4], bool(tables[5]), tables[6])
        if kind in self._kinds and len(self._seen) % EVERY and not self._is_near:
            return
        self._kinds.add(kind)
        self.report.ends += 1
        for end, run in ENDS.items():
            try:
                run(thawed(copy))
            except Violation as violation:
                self._note(((end,), path), str(violation))

    def _note(self, path: Path, words: str) -> None:
        shape = shape_of(words)
        if shape in self._words or len(self.report.found) >= self._max_found:
            return
        self._words.add(shape)
        actions: list[Action] = []
        while path:
            actions.append(path[0])
            path = path[1]
        self.report.found.append(Found(self.root, actions[::-1], words))


def state_of(world: World) -> tuple[Any, ...]:
    """Return the states of the tables, the kinds of the pending requests, and the running timers."""
    state = world.session.state
    phase, owed = state.user_turns.current.phase, len(state.user_turns.owed)
    tables = (state.lifecycle, state.turn.response, state.standby_state, phase, owed)
    pending = tuple((it.is_general, it.is_open, it.verbatim is not None) for it in state.pending)
    return (*tables, pending, frozenset(world.timers))


def kind_of(world: World, action: Action) -> str:
    """Return the kind of an action, with the event that an upstream takes or sends in it."""
    kind = str(action[0])
    if kind in ("take", "refuse", "drop"):
        return f"{kind} {world.upstreams[action[1]].queue[0]['type']} {action[-1]}"
    if kind == "step":
        upstream = world.upstreams[action[1]]
        response = upstream.outside if action[2] else upstream.active
        return f"step {response.kind} {response.at}" if response is not None else kind
    return (
        f"{kind} {action[-1]}"
        if kind in ("fire", "fail", "unannounced", "native", "inject", "late", "no words")
        else kind
    )


def shape_of(words: str) -> str:
    """Return the words of a violation without their numbers."""
    return "".join(letter for letter in words if not letter.isdigit())


class WorkerError(Exception):
    """A worker process ended without its report."""


def explore(seconds: float, *, depth: int, seed: int, processes: int, transitions: int = 0) -> Iterator[Report]:
    """Search from every root, and yield the figures of each root when its search ends.

    With `transitions`, the search from each root ends after this number, and not after a time. It is then the same in
    every run with the same PYTHONHASHSEED.

    Raises:
        WorkerError: a worker process ended without its report.
    """
    share_s = seconds * processes / len(ROOTS)
    jobs = [(root, share_s, depth, seed, transitions) for root in ROOTS]
    if processes == 1:
        yield from map(_job, jobs)
        return
    yield from _in_workers(jobs, processes)


def _in_workers(jobs: list[Job], processes: int) -> Iterator[Report]:
    """Run each job in a process of its own, so that no search keeps the memory of the one before.

    A pool of `multiprocessing` starts another worker in place of one that cannot import, without end.
    """
    waiting = deque(jobs)
    running: dict[Any, tuple[Any, Root]] = {}
    context = multiprocessing.get_context("spawn")
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                job = waiting.popleft()
                receiving, sending = context.Pipe(duplex=False)
                worker = context.Process(target=_send_report, args=(sending, job))
                worker.start()
                # The worker alone holds this end, so its death is the end of the pipe.
                sending.close()
                running[receiving] = (worker, job[0])
            for receiving in multiprocessing.connection.wait(list(running)):
                worker, root = running.pop(receiving)
                yield _received(receiving, worker, root)
    finally:
        for worker, _ in running.values():
            worker.terminate()
            worker.join()


def _received(receiving: Any, worker: Any, root: Root) -> Report:
    try:
        report: Report = receiving.recv()
    except EOFError:
        worker.join()
        words = f"the worker for {root} ended with exit code {worker.exitcode} and without a report"
        raise WorkerError(words) from None
    finally:
        receiving.close()
    worker.join()
    return report


def _send_report(sending: Any, job: Job) -> None:
    sending.send(_job(job))
    sending.close()


def collect_seldom() -> None:
    """Let the garbage collector run seldom. Reference counts free the worlds, and the collector takes time."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 1000)


def _job(job: Job) -> Report:
    root, seconds, depth, seed, transitions = job
    collect_seldom()
    search = Search(root, seed=seed)
    if transitions:
        return search.run(transitions, depth, clock=lambda: float(search.report.transitions))
    return search.run(seconds, depth)
