"""The keeper, in the arbiter: duplicates of the sockets of all clients, and the memory of their sessions.

The keeper does not read the sessions. When a worker dies, it gives each session of that worker to a living one.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import selectors
import socket
import struct
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from router.web.custody import ADOPT, ARENA, DROP, HOLD, LOSE, MAX_PACKET, PASS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

logger = logging.getLogger(__name__)

MOST_HANDED: Final = 2
"""The most workers that may die while they adopt a session. The next worker only ends the session."""

MOST_ROUNDS: Final = 1000
"""The most turns of the loop in one poll, so that a worker that sends without end cannot stop the arbiter."""

TRIAL_S: Final = 3.0
"""The longest time in seconds for which the keeper waits for a worker with a suspect session.

Then the worker may get another session.
"""

MOST_WAIT_S: Final = 60.0
"""The longest time in seconds for which a session waits for any worker. Then its client's socket is shut.

If no worker can start, the arbiter makes six attempts in this time.
"""

DEAF_S: Final = 0.5
"""If no descriptor is left, the keeper accepts no worker for this many seconds."""

_CREDENTIALS: Final = struct.Struct("3i")


class Memory:
    """The memory of a worker, by its descriptor.

    It exists while the worker lives, or while a session of the worker lives.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class Held(NamedTuple):
    """A session whose socket and memory the keeper holds."""

    pid: int
    socket: int
    """The client's socket."""
    memory: Memory
    place: bytes
    """The place of the session in `memory`, as the worker sent it."""
    handed: int = 0
    """The number of workers that got the session, and have not stored a record of it."""
    passed_by: int = 0
    """The last worker that did not take the session. The next attempt is with another worker, if there is one."""


class Trial(NamedTuple):
    """A session that may have killed its worker. Until `until_s` its next worker gets no other session of this kind."""

    session_id: str
    until_s: float


NO_TRIAL: Final = Trial("", -math.inf)


class Keeper:
    """The channels to all workers. Only the arbiter's thread may call its methods.

    Args:
        path: the path of the socket to which the workers connect.
        fit: returns the workers that may continue a session of another worker, by process id.
        note_lost: counts a session that no worker continues.
        note_unkept: counts a session that continues, but that would be lost if its worker died.
    """

    def __init__(
        self,
        path: Path,
        fit: Callable[[], Iterable[int]],
        note_lost: Callable[[], None],
        note_unkept: Callable[[], None],
    ) -> None:
        self._fit = fit
        self._note_lost = note_lost
        self._note_unkept = note_unkept
        self._deaf_until_s = -math.inf
        """The time until which no worker is accepted, because this process has no descriptor left."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._channels: dict[int, socket.socket] = {}
        self._memories: dict[int, Memory] = {}
        self._held: dict[str, Held] = {}
        self._orphans: dict[str, float] = {}
        """The sessions that wait for a worker, each with the time since which it waits."""
        self._trials: dict[int, Trial] = {}
        """The session that may have killed a worker, by the process id of the worker that now tries to continue it."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def fileno(self) -> int:
        """Return the descriptor that is readable when a worker has sent a message."""
        return self._selector.fileno()

    def poll(self) -> None:
        """Handle the messages that the workers have sent."""
        if self._deaf_until_s > 0 and time.monotonic() > self._deaf_until_s:
            self._deaf_until_s = -math.inf
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        for _ in range(MOST_ROUNDS):
            events = self._selector.select(0)
            for key, _ in events:
                key.data()
            if not events:
                break
        if self._orphans:
            self._give_away()

    def note_end(self, pid: int, *, has_died: bool) -> None:
        """Record the end of a worker. If it has died, give its sessions to other workers.

        Forget the sessions of a worker that ended normally.
        """
        self.poll()  # the channel may still hold messages of the dead worker
        channel = self._channels.pop(pid, None)
        if channel is not None:
            self._selector.unregister(channel)
            channel.close()
        self._memories.pop(pid, None)
        self._trials.pop(pid, None)
        left = [session_id for session_id, held in self._held.items() if held.pid == pid]
        if has_died:
            self._add_orphans(*left)
            self._give_away()
        else:
            for session_id in left:
                self._forget(session_id)

    def close(self) -> None:
        """Release everything."""
        for session_id in list(self._held):
            self._forget(session_id)
        for channel in self._channels.values():
            channel.close()
        self._selector.close()
        self._listener.close()

    def _add_orphans(self, *session_ids: str) -> None:
        now_s = time.monotonic()
        for session_id in session_ids:
            self._orphans.setdefault(session_id, now_s)

    def _give_away(self) -> None:
        fit = [pid for pid in self._fit() if pid in self._channels]
        if not fit:
            self._give_up_late()
            return
        orphans, self._orphans = self._orphans, {}
        turns, now_s = itertools.cycle(fit), time.monotonic()
        for session_id, since_s in orphans.items():
            held = self._held.get(session_id)
            if held is None:
                continue
            if held.handed > MOST_HANDED:
                logger.error("session %s is shut: its end has killed a worker, too", session_id)
                self._give_up(session_id)
            elif not held.handed:
                chosen = next(turns)
                self._hand(session_id, held, next(turns) if chosen == held.passed_by else chosen)
            else:
                # Give out such sessions one after the other, because any of those that the dead worker was adopting may
                # have killed it.
                others_first = sorted(fit, key=held.passed_by.__eq__)
                free = [pid for pid in others_first if now_s > self._trials.get(pid, NO_TRIAL).until_s]
                if free:
                    self._trials[free[0]] = Trial(session_id, now_s + TRIAL_S)
                    self._hand(session_id, held, free[0])
                else:
                    self._orphans[session_id] = since_s

    def _give_up_late(self) -> None:
        """Give up each session of a dead worker that no other worker has taken in time.

        Without this its caller would wait without end.
        """
        latest_s = time.monotonic() - MOST_WAIT_S
        for session_id in [it for it, since_s in self._orphans.items() if since_s < latest_s]:
            del self._orphans[session_id]
            if session_id in self._held:
                logger.error("session %s is shut: no worker has taken it for %g s", session_id, MOST_WAIT_S)
                self._give_up(session_id)

    def _hand(self, session_id: str, held: Held, pid: int) -> None:
        order = ADOPT
        if held.handed == MOST_HANDED:
            logger.error("session %s is given up: it has killed %d workers", session_id, held.handed)
            order = LOSE
        self._held[session_id] = held._replace(pid=pid, handed=held.handed + 1)
        try:
            packet = order + session_id.encode() + b" " + held.place
            socket.send_fds(self._channels[pid], [packet], [held.socket, held.memory.descriptor])
        except OSError as error:
            logger.warning("session %s waits for another worker: %s", session_id, error)
            self._held[session_id] = held
            self._add_orphans(session_id)

    def _end_trial(self, pid: int, session_id: str) -> None:
        if session_id and self._trials.get(pid, NO_TRIAL).session_id == session_id:
            del self._trials[pid]

    def _accept(self) -> None:
        try:
            channel, _ = self._listener.accept()
        except OSError as error:  # no descriptor is left
            logger.error("the keeper cannot hear a worker: %s", error)  # noqa: TRY400 - the reason says all
            # Stop listening, because the waiting worker would wake this process again and again.
            self._selector.unregister(self._listener)
            self._deaf_until_s = time.monotonic() + DEAF_S
            return
        channel.setblocking(False)
        pid = _CREDENTIALS.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        self._channels[pid] = channel
        self._selector.register(channel, selectors.EVENT_READ, lambda: self._read(pid, channel))

    def _read(self, pid: int, channel: socket.socket) -> None:
        try:
            packet, descriptors, _, _ = socket.recv_fds(channel, MAX_PACKET, 2)
        except BlockingIOError:
            return
        except OSError:
            packet, descriptors = b"", []
        if not packet:
            # The sessions of this worker wait until the arbiter knows that its process is dead.
            self._selector.unregister(channel)
            channel.close()
            self._channels.pop(pid, None)
            return
        name, _, place = packet[1:].partition(b" ")
        session_id = name.decode()
        self._end_trial(pid, session_id)
        if packet[:1] == ARENA:
            self._note_memory(pid, descriptors)
        elif packet[:1] == HOLD and not (descriptors and pid in self._memories):
            # This process has no descriptor left, or had no descriptor for the memory of the worker.
            logger.error("session %s does not outlive its worker: its socket did not arrive", session_id)
            for descriptor in descriptors:
                os.close(descriptor)
            self._forget(session_id)
            self._note_unkept()
        elif packet[:1] == HOLD:
            self._forget(session_id)
            self._held[session_id] = Held(pid, descriptors[0], self._memories[pid], place)
        elif packet[:1] == PASS and session_id in self._held and self._held[session_id].pid == pid:
            # That worker has not begun with the session, so the session did not kill it.
            held = self._held[session_id]
            self._held[session_id] = held._replace(pid=0, handed=held.handed - 1, passed_by=pid)
            self._add_orphans(session_id)
        elif packet[:1] == DROP and session_id in self._held and self._held[session_id].pid == pid:
            self._forget(session_id)

    def _note_memory(self, pid: int, descriptors: list[int]) -> None:
        if descriptors:
            self._memories[pid] = Memory(descriptors[0])
        else:
            logger.error("no session outlives worker %d: its memory did not arrive", pid)

    def _give_up(self, session_id: str) -> None:
        self._note_lost()
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._held[session_id].socket)) as sock:
            sock.shutdown(socket.SHUT_RDWR)
        self._forget(session_id)

    def _forget(self, session_id: str) -> None:
        held = self._held.pop(session_id, None)
        if held is not None:
            os.close(held.socket)
