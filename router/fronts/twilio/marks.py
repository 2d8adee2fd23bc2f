"""The signs that a telephone call has to be stored: those of its session, and notes of the pieces of audio. Pure.

A piece is sent as JSON, or with a mark after it, so the bytes that were sent are not bytes of the session's audio. Each
note has the sizes of a piece, on the wire and as audio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

if TYPE_CHECKING:
    from actors.machine import Marks

MAX_NOTES: Final = 100
"""The most notes that wait. Without a keeper the notes are not taken."""


class Progress(NamedTuple):
    """The part of an answer that was sent after a record."""

    words: str
    """The words that the session stored."""
    pieces: list[int]
    """The sizes of the pieces that were sent, in bytes of audio."""


class TelephoneMarks:
    """The signs that one call has to be stored; see `actors.machine.Marks`."""

    __slots__ = ("_due", "_is_kept", "_marks", "_notes", "_words", "is_exact", "may_drop_audio", "was_audio")

    words_bytes = 1024

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self.may_drop_audio, self.is_exact = marks.may_drop_audio, marks.is_exact
        self.was_audio = False
        """Whether the newest message of the client was audio, or the echo of a mark, which a later echo replaces."""
        self._due = self._words = 0
        self._is_kept = False
        """Whether anything stores the call. Otherwise notes are useless."""
        self._notes: list[int] = []

    @property
    def record_due(self) -> int:
        """A number that changes when a whole snapshot has to be stored."""
        return self._marks.record_due + self._due

    @property
    def words_due(self) -> int:
        """A number that changes when it is enough to store the words of `take_words`."""
        return self._marks.words_due + self._words

    def note(self, media_bytes: int, audio_bytes: int, mark_bytes: int) -> None:
        """Note a piece of audio: its size on the wire, its size as audio, and the size of its mark on the wire."""
        if not self._is_kept or len(self._notes) >= 3 * MAX_NOTES:
            self._due += 1
            return
        self._notes += (media_bytes, audio_bytes, mark_bytes)
        self._words += 1

    def note_stored(self) -> None:
        """Note that a whole snapshot is stored now."""
        self._is_kept = True
        self._notes = []
        self._marks.note_stored()

    def take_words(self) -> str:
        """Return the words and notes that are in no snapshot, and that this method has not returned before."""
        notes, self._notes = self._notes, []
        return orjson.dumps([self._marks.take_words(), notes]).decode() + "\n"


def progress_of(stored: str, sent_bytes: int) -> Progress:
    """Return the words and the pieces that were sent after the record, from the stored words and notes.

    `sent_bytes` is the number of bytes that were sent on the wire after the record. A piece of which half was sent
    counts, because the rest of it follows.
    """
    words, pieces = "", []
    for line in stored.split("\n"):
        try:
            new_words, notes = orjson.loads(line)
        except ValueError:  # the process died while it wrote this line
            break
        words += new_words
        for at in range(0, len(notes), 3):
            media_bytes, audio_bytes, mark_bytes = notes[at : at + 3]
            if sent_bytes < media_bytes // 2:
                sent_bytes = 0  # a later piece was not sent, either, although it may be shorter
                break
            pieces.append(audio_bytes)
            sent_bytes -= media_bytes + mark_bytes
    return Progress(words, pieces)
