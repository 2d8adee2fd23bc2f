"""The signs that a relay's memory has to be stored outside of the process, before its client sees the last effects.

Each event for the client requires a whole record, except the deltas of an answer. An answer has hundreds of them, so
each leaves only a note. Messages of the client need no record, because the keeper has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from router.fronts.wire_bytes import MEDIUM, SMALL, wire_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORDS_BYTES: Final = 8192
"""The bytes for notes after a record: enough for 300 deltas."""

MAX_NOTES: Final = 100
"""The most notes that wait. Without a keeper the notes are not taken."""


class Progress(NamedTuple):
    """The effect of one delta on the item of a response."""

    item_id: str
    place: int
    """The index of the part."""
    kind: str
    """`TEXT`, `SPEECH`, `AUDIO` or `ARGUMENTS`."""
    value: str | int
    """The words, or the characters of audio in base64."""


TEXT: Final = "t"
SPEECH: Final = "s"
"""The kind of a delta with words of a part that has audio, too."""
AUDIO: Final = "a"
ARGUMENTS: Final = "g"


class Marks:
    """The signs that the memory of one relay has to be stored; see `actors.machine.Marks`."""

    __slots__ = ("_is_kept", "_is_left", "_item", "_notes", "may_drop_audio", "record_due", "was_audio", "words_due")

    words_bytes = WORDS_BYTES
    is_exact = True

    def __init__(self, may_drop_audio: Callable[[], bool] = bool) -> None:
        self.may_drop_audio = may_drop_audio
        """Returns whether only the newest audio of the microphone matters, because the user does not speak."""
        self.was_audio = False
        """Whether the newest event of the client was a piece of microphone audio."""
        self.record_due = 0
        self.words_due = 0
        self._is_kept = False
        """Whether anything stores the memory. Otherwise notes are useless."""
        self._is_left = False
        """Whether a guard notes the frames."""
        self._notes: list[tuple[object, ...]] = []
        self._item: tuple[str, int] | None = None
        """The part that the newest note is about."""

    def note(self, frame: str, progress: Progress | None) -> None:
        """Note an event for the client. `progress` is its whole effect on the memory; None demands a new record."""
        if progress is None or not self._is_kept or len(self._notes) >= MAX_NOTES:
            self.record_due += not self._is_left
            return
        item = progress.item_id, progress.place
        size = len(frame)
        # Nearly all deltas are of this kind, and a call costs more than the rest of the note.
        size = size + 4 if SMALL <= size < MEDIUM and frame.isascii() else wire_bytes(frame)
        if item == self._item:
            self._notes.append((size, progress.kind, progress.value))
        else:
            self._item = item
            self._notes.append((size, progress.kind, progress.value, *item))
        self.words_due += 1

    def leave_frames(self) -> None:
        """Note no events any more; see `FrameMarks`. The guard passes no `note_stored` on, so no notes are taken."""
        self._is_left = True

    def note_stored(self) -> None:
        """Note that the whole memory is stored now."""
        self._is_kept = True
        self._notes.clear()
        self._item = None

    def take_words(self) -> str:
        """Return the notes of deltas since the last call, as text that is stored behind the record."""
        notes, self._notes = self._notes, []
        return orjson.dumps(notes).decode() + "\n" if notes else ""


def read_notes(words: str, sent_bytes: int) -> Iterator[Progress]:
    """Yield the deltas of stored notes whose frames are among the `sent_bytes` after the record.

    A frame of which half was sent counts, because the rest of it follows.
    """
    item: tuple[str, int] | None = None
    for line in words.split("\n"):
        try:
            notes = orjson.loads(line)
        except orjson.JSONDecodeError:
            return
        for size, kind, value, *place in notes:
            if place:
                item = place[0], place[1]
            sent_bytes -= size
            if sent_bytes < -size // 2 or item is None:
                return
            yield Progress(*item, kind, value)
