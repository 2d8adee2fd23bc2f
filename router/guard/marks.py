"""The signs that a guarded session or relay has to be stored: those of its machine, and those of its guard. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from actors.machine import Marks
    from router.guard.inputs import GuardedInputs


class GuardedMarks:
    """The signs of a machine with a guard around it; see `actors.machine.Marks`."""

    __slots__ = ("_guard", "_marks", "may_drop_audio", "note_stored", "take_words", "words_bytes")

    is_exact = False
    """Any step may release messages that waited for the guard."""

    def __init__(self, guard: GuardedInputs, marks: Marks) -> None:
        self._guard = guard
        self._marks = marks
        self.may_drop_audio = marks.may_drop_audio
        self.note_stored = marks.note_stored
        self.take_words = marks.take_words
        self.words_bytes = marks.words_bytes

    @property
    def record_due(self) -> int:
        """A number that changes when a whole snapshot has to be stored."""
        return self._marks.record_due + self._guard.record_due

    @property
    def words_due(self) -> int:
        """A number that changes when it is enough to store the words of `take_words`."""
        return self._marks.words_due

    @property
    def was_audio(self) -> bool:
        """Whether the client's newest text message was only audio."""
        return self._marks.was_audio


@runtime_checkable
class FrameMarks(Protocol):
    """The signs of a relay that notes each of its frames for the client; see `actors.machine.Marks`."""

    def leave_frames(self) -> None:
        """Note no frames any more, because a guard may hold them back and change them."""


class RelayGuardMarks:
    """The signs of a relay with a guard around it; see `actors.machine.Marks`.

    The guard alone knows which frames leave. So it requests a record for each of them, and nothing is stored behind a
    record.
    """

    __slots__ = ("_guard", "_marks", "may_drop_audio")

    is_exact = False
    """Any step may release messages that waited for the guard."""
    words_bytes = 0
    words_due = 0

    def __init__(self, guard: GuardedInputs, marks: Marks) -> None:
        self._guard = guard
        self._marks = marks
        self.may_drop_audio = marks.may_drop_audio
        if isinstance(marks, FrameMarks):
            marks.leave_frames()

    @property
    def record_due(self) -> int:
        """A number that changes when the memory of the relay and of the guard has to be stored."""
        return self._marks.record_due + self._guard.record_due

    @property
    def was_audio(self) -> bool:
        """Whether the client's newest text was only audio, and the relay has it already."""
        return self._marks.was_audio and not self._guard.waiting

    def note_stored(self) -> None:
        """Note that the whole memory is stored now."""

    def take_words(self) -> str:
        """Return an empty text, because nothing is stored behind a record."""
        return ""
