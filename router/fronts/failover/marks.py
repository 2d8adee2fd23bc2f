"""The signs that a call of two backends has to be stored: those of the machine that serves it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.fronts.failover.sides import Side

WORDS_BYTES: Final = 160
"""The room for words behind a record. Only the session stores words."""


class CallMarks:
    """The signs that one call has to be stored; see `actors.machine.Marks`.

    The keeper holds this object for the whole call, although the machine changes.
    """

    __slots__ = ("_due", "_side", "_words")

    words_bytes = WORDS_BYTES
    is_exact = False
    was_audio = False
    """Whether the client's newest text was only audio. No text of Deepgram's protocol is."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._due = self._words = 0

    def begin(self, side: Side) -> None:
        """Take the signs of another side from now on. The change itself calls for a record."""
        due, words = self.record_due + 1, self.words_due
        self._side = side
        self._due, self._words = due - side.marks.record_due, words - side.marks.words_due

    @property
    def record_due(self) -> int:
        """A number that changes when the whole call has to be stored."""
        return self._due + self._side.marks.record_due

    @property
    def words_due(self) -> int:
        """A number that changes when it is enough to store some words."""
        return self._words + self._side.marks.words_due

    def note_stored(self) -> None:
        """Note that the whole call is stored now."""
        self._side.marks.note_stored()

    def take_words(self) -> str:
        """Return the words of the answer that are in no record, and that this method has not returned before."""
        return self._side.marks.take_words()

    def may_drop_audio(self) -> bool:
        """Whether only the newest audio of the microphone matters, because the user does not speak."""
        return self._side.may_drop_audio()
