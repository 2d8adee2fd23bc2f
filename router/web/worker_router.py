"""The router of one worker, and the ways of its sessions to other workers.

A session moves to a newer worker at a reload, and to the workers of another main process. If this worker dies, another
one continues its sessions by means of the keeper. This module must not know what a router does.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Protocol

from actors.lifecycle import Exit
from router.admin import verbs
from router.web import app, custody, orphans, replacement
from router.web.custody import Custody
from router.web.moves import SUFFIX, Arrivals, Departures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from actors.connections.base import Connection, ConnectionLimits
    from actors.messages import ClientAdopted
    from router import keeping
    from router.access.session_limits import SharedLimits
    from router.admin.peers import Peers
    from router.admin.switches import Switches
    from router.config.model import RouterConfig
    from router.logs.once import Once
    from router.resume.area import SharedSnapshots

logger = logging.getLogger(__name__)


class Router(app.Router, Protocol):
    """The part of a router that the server of the command needs."""

    ask_workers: Callable[[dict[str, Any]], list[Any]]
    """A function that returns the answers of all workers to an operator's verb."""

    @property
    def session_count(self) -> int:
        """The number of present sessions."""

    custody: keeping.Custody | None

    @property
    def value_layout(self) -> str:
        """The name of the form in which this version reads the sessions of other processes."""

    def adopt(
        self,
        data: bytes,
        connection: Connection,
        adopted: ClientAdopted,
        *,
        journal: Iterable[str | bytes] = (),
        ahead: Any = None,
    ) -> str:
        """Continue a session that another process carried, and return its id."""

    def dial_ahead(self, facts: bytes, route: str) -> Any:
        """Dial the next upstream of an announced session, and return it; None if that is not possible.

        `route` is the model to dial. The call blocks.
        """

    def count_adoption(self, data: bytes, *, is_suspect: bool) -> bytes:
        """Return the stored session of a dead worker with one more adoption counted in it.

        `is_suspect` says that the worker died while the session handled an input.
        """

    def give_up(self, data: bytes, connection: Connection) -> None:
        """Close the connection of a client whose session no process continues, with an `Error`. Count the session."""

    def count_lost(self) -> None:
        """Count a session that no process continues."""

    def count_unkept(self) -> None:
        """Count a session that continues in this process, but that would be lost if this process died."""

    def limits_of_value(self, data: bytes) -> ConnectionLimits:
        """Return the connection limits of a client whose session another process stored as `data`."""

    def let_depart(self, by: Exit) -> None:
        """Let the next drain move the sessions to other workers through `by`."""

    def count_in(self, shared: SharedLimits, slot: int) -> None:
        """Count sessions together with the other workers, in `shared`. This worker writes its counts into `slot`."""

    def keep_in(self, shared: SharedSnapshots) -> None:
        """Keep the snapshots of lost calls in memory that all workers share."""

    def share(self, switches: Switches, unpriced: Once) -> None:
        """Use the operator's switches, and the set of models whose missing price was logged. All workers share both."""

    def start(self) -> object:
        """Start the router's threads; raises `RouterError` if no thread can be started."""

    def close(self, drain_s: float) -> None:
        """End all sessions with a close frame, and stop. A turn in progress may continue for `drain_s`.

        A second call, on another thread, may shorten that time.
        """


class WorkerRouter:
    """The router of a worker, with the channels to the keeper and to the other workers."""

    def __init__(self, router: Router, config: RouterConfig, peers: Peers, port: int, age: int) -> None:
        self._router = router
        self._config = config
        self._peers = peers
        self._port = port
        self._age = age
        self._arrivals: Arrivals | None = None
        self._custody: Custody | None = None
        self._heir: Path | None = None
        """The folder of the workers of another main process, to which the sessions of this worker move."""

    def join(self, arbiter: int, *, is_recovering: bool) -> None:
        """Open the channels to the keeper and to the other workers.

        `is_recovering` says that other workers continue the sessions of a worker that dies. Without it there is no
        channel to the keeper.

        Raises:
            OSError: no space or descriptor is left.
        """
        keeper = self._peers.folder / custody.name_of(arbiter)
        # A server that was started without a keeper has none after a reload, either.
        if is_recovering and keeper.exists():
            self._router.custody = self._custody = Custody(str(keeper), self._router)
        self._peers.serve(f"{os.getpid()}.sock", lambda verb: verbs.perform(self._router, verb))
        if self._config.keeper:
            self._arrivals = Arrivals(self._peers.folder, self._age, self._router, self._config.limits.dial_threads)

    def find_heir(self) -> bool:
        """Whether another main process has workers that can continue this worker's sessions.

        If it has, `close` moves the sessions to those workers.
        """
        folder = orphans.find(replacement.path_of(self._config.host, self._port), self._peers.folder)
        if folder is None or not self._config.keeper:
            return False
        with contextlib.suppress(OSError):  # no free descriptor, or the folder was removed: asked again later
            if any(folder.glob(f"*-{self._router.value_layout}{SUFFIX}")):
                self._heir = folder
        return self._heir is not None

    def close(self, drain_s: float, least_age: int, *, is_replaced: bool = False) -> None:
        """End the sessions of this worker, whose turns in progress may continue for `drain_s`.

        With `is_replaced` the sessions move to the workers of the newer version, if those workers can read them.
        """
        if self._arrivals is not None:
            self._arrivals.close()
        if self._custody is not None:
            self._custody.close()
        departures = None
        folder = self._peers.folder
        has_newer = self._age < least_age
        if self._heir is not None:
            folder, least_age, has_newer = self._heir, orphans.LEAST_AGE, True
        # Otherwise, for example after the end of the arbiter, no newer workers exist.
        if is_replaced and drain_s and self._config.keeper and has_newer:
            departures = self._departures(folder, least_age)
        self._router.close(drain_s)
        if self._custody is not None:
            self._custody.end()
        if departures is not None:
            departures.close()
            logger.info("worker %d: %d sessions moved, %d were lost", os.getpid(), departures.moved, departures.lost)

    def _departures(self, folder: Path, least_age: int) -> Departures | None:
        """Let the next drain move the sessions to newer workers.

        Return the `Departures`; None if no descriptor is free.
        """
        try:
            departures = Departures(folder, least_age, self._router)
        except OSError as error:
            logger.error("the sessions drain, and do not move: %s", error)  # noqa: TRY400 - no bug
            return None
        if departures.targets:
            self._router.let_depart(Exit(departures.deliver, departures.announce))
        return departures
