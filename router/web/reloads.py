"""A reload: a template starts, its workers serve, and the old workers are retired.

After a failure the old workers serve on.

The arbiter calls `advance` every second, and after each signal. No method blocks.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Protocol

from router.web.successor import SuccessorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.web.handoff import Ready
    from router.web.reload_board import ReloadBoard
    from router.web.successor import Successor

logger = logging.getLogger(__name__)

START_S: Final = 30.0
"""The longest time in seconds in which a template starts, and in which its workers serve afterwards."""

RETRY_S: Final = 5.0
"""The pause in seconds before a template that died is replaced."""


class Workers(Protocol):
    """The arbiter's operations on workers, by process id."""

    def try_out(self, template: Successor) -> int:
        """Fork a worker on trial, and return its process id. Raises `SuccessorError`."""

    def trial(self) -> dict[int, bool]:
        """Return the living workers that a reload has started and not yet put in use, by process id.

        The value says whether the worker serves.
        """

    def adopt_trial(self, ready: Ready) -> None:
        """End the trial of a successful reload: keep its workers, and retire all others.

        `ready` has the new number of workers, and the new `drain_s`.
        """

    def end_trial(self) -> None:
        """End the workers on trial."""


class Reloads:
    """The reloads of one server."""

    def __init__(self, workers: Workers, launch: Callable[[], Successor], board: ReloadBoard) -> None:
        self._workers = workers
        self._launch = launch
        self._board = board
        self._next: Successor | None = None
        self._ready: Ready | None = None
        self._trial: list[int] = []
        self._until_s = 0.0
        self._is_asked = False
        self._retry_s = 0.0
        self.template: Successor | None = None
        """The template of the present workers; None if the arbiter forks them itself."""

    def ask(self) -> None:
        """Ask for a reload. If another reload runs, the new one begins after its end."""
        self._is_asked = True
        self.advance()

    def advance(self) -> None:
        """Take the next step of a reload, if it is due."""
        if self._next is not None:
            try:
                self._step(self._next)
            except (SuccessorError, OSError) as error:
                self._fail(str(error))
        elif self._is_asked:
            self._begin()
        elif self.template is not None and not self.template.is_alive and time.monotonic() > self._retry_s:
            logger.error("the template of the workers has died: another is started")
            self._retry_s = time.monotonic() + RETRY_S
            self._is_asked = True

    def close(self) -> None:
        """End all templates."""
        for template in (self._next, self.template):
            if template is not None:
                template.end()
        self._next = self.template = None

    def _begin(self) -> None:
        self._is_asked = False
        self._board.begin()
        self._ready, self._trial = None, []
        self._until_s = time.monotonic() + START_S
        try:
            self._next = self._launch()
        except OSError as error:
            self._fail(str(error))

    def _step(self, template: Successor) -> None:
        if time.monotonic() > self._until_s:
            raise SuccessorError(f"it did not serve within {START_S:g} s")
        if self._ready is None:
            self._ready = template.poll()
            if self._ready is not None:
                self._until_s = time.monotonic() + START_S
                self._trial = [self._workers.try_out(template) for _ in range(self._ready.workers)]
            return
        living = self._workers.trial()
        if any(pid not in living for pid in self._trial):
            raise SuccessorError("a worker of it ended at its start")
        if all(living.values()):
            self._succeed(template, self._ready)

    def _succeed(self, template: Successor, ready: Ready) -> None:
        if self.template is not None:
            self.template.end()
        self.template, self._next = template, None
        self._workers.adopt_trial(ready)
        self._board.finish()
        logger.info("reloaded: %d workers run the code and the configuration of now", ready.workers)

    def _fail(self, reason: str) -> None:
        logger.error("the reload changes nothing, and the present workers go on: %s", reason)
        self._workers.end_trial()
        if self._next is not None:
            self._next.end()
        self._next = None
        self._board.finish(reason)
