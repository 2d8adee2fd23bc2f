"""The signs that a relay's memory has to be stored, for a relay whose audio is binary. Pure.

Each text for the client requires a record, and so does the first audio of an answer. Further audio requires none,
because the number of sent bytes tells how much of the audio was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors import messages as engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class RelayMarks:
    """The signs that the memory of one relay has to be stored; see `actors.machine.Marks`."""

    __slots__ = ("_is_left", "may_drop_audio", "record_due")

    words_bytes = 0
    words_due = 0
    is_exact = False
    was_audio = False
    """Whether the client's newest text message was audio: never, because audio is binary."""

    def __init__(self, may_drop_audio: Callable[[], bool]) -> None:
        self.may_drop_audio = may_drop_audio
        """Returns whether only the newest audio of the microphone matters, because the user does not speak."""
        self.record_due = 0
        self._is_left = False
        """Whether a guard notes the frames."""

    def leave_frames(self) -> None:
        """Note no commands any more; see `FrameMarks`."""
        self._is_left = True

    def note(self, commands: Iterable[engine.Command]) -> None:
        """Request a record if one of the commands sends the client a text or ends the session."""
        for command in () if self._is_left else commands:
            is_text = isinstance(command, engine.SendToClient) and isinstance(command.frame, str)
            if is_text or isinstance(command, engine.EndSession):
                self.record_due += 1
                return

    def note_stored(self) -> None:
        """Note that the whole memory is stored now."""

    def take_words(self) -> str:
        """Return an empty text, because such a relay stores no words behind a record."""
        return ""
