"""The interface between the engine and a session machine. The engine knows nothing else of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors import messages


class Marks(Protocol):
    """The session's requests to store its memory, before the effects of the last input become visible outside.

    A crashed process's sessions continue from the stored memory: the last snapshot, and the words that followed.
    """

    words_bytes: int
    """The bytes of the room for words behind each snapshot."""
    is_exact: bool
    """Whether a step that changes `words_due` alone has no other effect.

    If so, audio of the microphone also sends the client nothing, unless `record_due` changes.
    """

    @property
    def record_due(self) -> int:
        """A number that changes when a whole snapshot has to be stored."""

    @property
    def words_due(self) -> int:
        """A number that changes when it is enough to store the words of `take_words` behind the last snapshot."""

    def note_stored(self) -> None:
        """Note that a whole snapshot is stored now."""

    def take_words(self) -> str:
        """Return the words of the agent's answer that are in no snapshot, and that it has not returned before."""

    @property
    def was_audio(self) -> bool:
        """Whether the client's newest text message was only audio, which may be dropped as binary audio may."""

    def may_drop_audio(self) -> bool:
        """Whether only the newest audio of the microphone matters, because the user does not speak."""


class Carried(Protocol):
    """A session that another process can continue. The methods run on the session's dispatcher."""

    @property
    def snapshot_due(self) -> int:
        """A number that changes whenever a new snapshot has to be stored.

        It has to be stored before the effects of the last input become visible outside.
        """

    @property
    def can_move(self) -> bool:
        """Whether a move at this moment interrupts nothing, because the session is between two turns."""

    @property
    def marks(self) -> Marks:
        """The session's requests to store its memory."""

    def announcement(self) -> bytes:
        """Return the facts with which another process dials the next upstream of the session in advance.

        Raises:
            ValueError: the facts cannot be written as bytes.
        """

    def snapshot(self, *, is_brief: bool = False) -> bytes:
        """Return a snapshot of the session, taken between two inputs.

        With `is_brief` the snapshot lacks all but the newest microphone audio, if the user does not speak.

        Raises:
            ValueError: the session cannot be written as bytes, and stays in this process.
        """


class Machine(Protocol):
    """A session as a state machine: pure, with no thread, socket, clock or environment of its own."""

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input. Return the commands that follow, in order.

        `now_s` is the dispatcher's clock, which never goes back. An exception is a bug, and ends the session.
        """

    def held_bytes(self) -> int:
        """Return the bytes of the messages and audio that the machine keeps because they have to wait."""
        return 0

    def describe(self) -> messages.Facts:
        """Return a few facts about the session, for people and tests."""
