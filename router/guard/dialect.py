"""The wire of a relay as the guard sees it: the meaning of each frame for the client, and the changes of frames."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors import messages

Fields = dict[str, Any]


class Kind(enum.Enum):
    """The meaning that a frame for the client has for the guard."""

    GREETING = "greeting"
    """The first event of a session. It has no text to check."""
    BEGIN = "begin"
    """An answer of the agent begins."""
    DONE = "done"
    """An answer has ended."""
    SPEECH = "speech"
    """The user has spoken. The next answer responds to that speech."""
    DELTA = "delta"
    """A part of the agent's text."""
    END = "end"
    """The end of a text of the agent. The frame may have the whole text."""
    AGENT = "agent"
    """A whole text of the agent."""
    AUDIO = "audio"
    """The agent's audio."""
    USER = "user"
    """A whole text of the user."""
    USER_PART = "user part"
    """A part of a text of the user. The whole text follows."""
    AGENT_ECHO = "agent's echo"
    """A text of the agent that the client has already got, in another frame."""
    USER_ECHO = "user's echo"
    """A text of the user that the client has already got, in another frame."""
    OTHER = "other"


class Seen(NamedTuple):
    """The meaning of a frame for the client, as a dialect reads it."""

    kind: Kind = Kind.OTHER
    key: str = ""
    """The name of the text."""
    answer: str = ""
    """The name of the answer to which the frame belongs. For a user's text, the name of the answer to it, if known."""
    text: str = ""


class Dialect(Protocol):
    """The wire of one relay. Each session has its own object."""

    interrupts: bool
    """Whether the words of `say` interrupt the agent.

    Otherwise the words wait for the end of the agent's present answer.
    """

    def read(self, fields: Fields | None) -> Seen:
        """Return the meaning of a frame for the client; `fields` is None for a binary frame."""

    def with_text(self, fields: Fields, text: str) -> Fields | None:
        """Return a frame with another text; None if the text is empty and the frame has to be dropped."""

    def rewritten(self, fields: Fields, text_of: Callable[[str], str | None]) -> Fields | None:
        """Return a frame with its texts replaced, or None if no text of the frame changes.

        `text_of` takes the name of a text, and returns the new text, or None if that text does not change.
        """

    def whole_texts(self, fields: Fields) -> list[tuple[str, str, str]]:
        """Return the agent's texts that a frame repeats, each with the names of the text and of its answer.

        Usually an earlier frame had each of them. Some servers send a text in such a frame alone.
        """

    def cancel(self, answer: str) -> str | None:
        """Return the client's message that cancels an answer; None if the wire has no such message."""

    def say(self, words: str) -> str | None:
        """Return the client's message by which the agent says `words`; None if there is no agent."""

    def notice(self, description: str, message: messages.Input | None) -> str | None:
        """Return the frame that tells the client that a text was withheld; None if the wire has no such frame.

        `message` is the withheld input; None if the text was for the client.
        """

    def ended(self, command: messages.Command) -> Iterable[messages.Command]:
        """Name the guard in a command that names an operator as the cause of the session's end.

        The guard has requested that end. Return any other command unchanged.
        """
