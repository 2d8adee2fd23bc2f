"""The wire of a relay as the guard sees it: the meaning of each frame to the client, and the changes of frames."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors import messages

Fields = dict[str, Any]


class Kind(enum.Enum):
    """The meaning of a frame to the client, for the guard."""

    BEGIN = "begin"
    """An answer of the agent begins."""
    DONE = "done"
    """An answer has ended."""
    SPEECH = "speech"
    """The user has spoken; the next answer is about that."""
    DELTA = "delta"
    """A part of the agent's text."""
    END = "end"
    """The end of a text of the agent's, perhaps with the whole text."""
    AGENT = "agent"
    """A whole text of the agent's."""
    AUDIO = "audio"
    """The agent's audio."""
    USER = "user"
    """A whole text that the user said."""
    USER_PART = "user part"
    """A part of a text that the user says; the whole text follows."""
    AGENT_ECHO = "agent's echo"
    """A text of the agent's that the client has got before, in another frame."""
    USER_ECHO = "user's echo"
    """The same of the user."""
    OTHER = "other"


class Seen(NamedTuple):
    """A frame to the client, as a dialect reads it."""

    kind: Kind = Kind.OTHER
    key: str = ""
    """The name of the text."""
    answer: str = ""
    """The name of the answer that the frame belongs to; of a user's text, the answer to it, if it is known."""
    text: str = ""


class Dialect(Protocol):
    """The wire of one relay. An object serves one session."""

    interrupts: bool
    """Whether the words of `say` interrupt the agent. Otherwise they wait for the end of its present answer."""

    def read(self, fields: Fields | None) -> Seen:
        """Return the meaning of a frame. Binary frames have no fields."""

    def with_text(self, fields: Fields, text: str) -> Fields | None:
        """Return a frame with another text; None if a frame without a text has to be dropped."""

    def rewritten(self, fields: Fields, text_of: Callable[[str], str | None]) -> Fields | None:
        """Return a frame whose texts are replaced by those that `text_of` has for their names; None for no change."""

    def cancel(self, answer: str) -> str | None:
        """Return the client's message that cancels an answer; None if the wire has none."""

    def say(self, words: str) -> str | None:
        """Return the client's message by which the agent says `words`; None if there is no agent."""

    def told(self, description: str, message: messages.Input | None) -> str | None:
        """Return the frame by which the client learns that a text was withheld; None if the wire has none."""

    def ended(self, command: messages.Command) -> Iterable[messages.Command]:
        """Return a command of an end by an operator as that of an end by the guard."""
