"""The recovery of a session whose process died: the bytes that its client lacks, and the messages since the snapshot.

A process stores a `Record` of each session outside of its own memory. It stores one before it writes the bytes of a
step for which a snapshot is due (`Session.snapshot_due`). Before it handles the client's messages, it stores them after
the record: the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from actors import messages
from router.session.snapshot import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from actors.machine import Machine

CARRIED_OUT: Final = (messages.SendToClient, messages.ProbeClient, messages.EndSession, messages.Notify, messages.Log)
"""The commands of a replay that are carried out.

Their frames were not written before the process died. A written text would have caused a snapshot, and its message
would not be in the journal. The other commands are about the lost upstream, timers and work, which the adoption begins
anew from the memory of the session.
"""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """The facts about one session that survive its process."""

    snapshot: bytes
    begins_at: int
    """The place in the stream to the client at which `unwritten` begins: the bytes that were written before it."""
    unwritten: bytes
    """All frames, as on the wire, that were not written when the snapshot was taken, with the frames of its step."""


class Rest(NamedTuple):
    """The difference between a record and the bytes that were sent to the client."""

    unwritten: bytes
    """The bytes to write before all others. They may begin within a frame."""
    sent_bytes: int
    """The number of bytes that were written after those of the record. They are audio (`ClientAdopted.sent_bytes`)."""


def rest_of(record: Record, written: int) -> Rest:
    """Return the bytes of a record that the client still lacks, and the number of bytes sent after the record.

    `written` counts the bytes of the stream since the handshake: those that the peer's kernel has acknowledged, and
    those that wait in this machine's kernel.

    Raises:
        SnapshotError: the record begins after the stream's end, so bytes between them are lost.
    """
    behind = written - record.begins_at
    if behind < 0:
        raise SnapshotError(f"{-behind} bytes to the client are lost: they were in no record")
    return Rest(record.unwritten[behind:], max(0, behind - len(record.unwritten)))


class ReplayingMachine:
    """A restored machine with the journal of its session. Its first input, the adoption, replays the journal first.

    After that this class adds no cost to an input.
    """

    def __init__(self, machine: Machine, journal: Iterable[str | bytes]) -> None:
        self._machine = machine
        self._journal = tuple(journal)
        self.held_bytes = machine.held_bytes
        self.describe = machine.describe

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input as the machine does, after the messages of the journal."""
        commands = replay(self._machine, self._journal, now_s)
        if not any(isinstance(it, messages.EndSession) for it in commands):
            commands += self._machine.handle(message, now_s)
        setattr(self, "handle", self._machine.handle)  # noqa: B010 - a type checker takes it for a method
        return commands


def replay(machine: Machine, journal: Sequence[str | bytes], now_s: float) -> list[messages.Command]:
    """Feed a restored machine the client's messages after its snapshot. Return the commands to carry out."""
    commands: list[messages.Command] = []
    for frame in journal:
        commands += (it for it in machine.handle(_received(frame), now_s) if isinstance(it, CARRIED_OUT))
        if commands and isinstance(commands[-1], messages.EndSession):
            break
    return commands


def _received(frame: str | bytes) -> messages.Input:
    return messages.ClientTextReceived(frame) if isinstance(frame, str) else messages.ClientBinaryReceived(frame)
