"""The messages of a client that its upstream has not taken: the next upstream gets the texts again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.fronts.deepgram_agent.fields import text_of, write

if TYPE_CHECKING:
    from router.fronts.deepgram_agent.fields import Fields

ACKNOWLEDGED: Final = {
    "UpdatePrompt": "PromptUpdated",
    "UpdateThink": "ThinkUpdated",
    "UpdateSpeak": "SpeakUpdated",
    "UpdateListen": "ListenUpdated",
}
"""The client's messages that change a session, and the upstream's acknowledgement of each."""


class Injected:
    """The client's injected texts and `Update…` messages to which the upstream has not responded yet."""

    def __init__(self, max_texts: int) -> None:
        self._max_texts = max_texts
        self._texts: list[Fields] = []
        self._awaited: list[str] = []
        """The acknowledgements that the client awaits."""
        self._own: list[str] = []
        """The texts that the router itself has the agent say: a question into a silence, and a goodbye."""

    @property
    def has_question(self) -> bool:
        """Whether a text of the user's is among the texts, so that the upstream owes an answer."""
        return any(text["type"] == "InjectUserMessage" for text in self._texts)

    @property
    def has_own(self) -> bool:
        """Whether a text of the router's own is among the texts, so that the upstream still has to say it."""
        return any(self._is_own(text) for text in self._texts)

    @property
    def is_waiting(self) -> bool:
        """Whether the upstream has not responded to a text or a change."""
        return bool(self._texts or self._awaited)

    @property
    def has_room(self) -> bool:
        """Whether another text may be sent before the upstream repeats an earlier one."""
        return len(self._texts) < self._max_texts

    @property
    def size_chars(self) -> int:
        """The characters of all texts."""
        return sum(len(_content(text)) for text in self._texts)

    def add(self, fields: Fields) -> None:
        """Record a text that the upstream was sent."""
        self._texts.append(fields)

    def repeat(self, content: str, *, is_spoken: bool) -> None:
        """Record that the upstream has repeated a text of the user's. Forget that text and the user's earlier ones.

        The upstream takes texts in order, and may change their white space. If `is_spoken`, the user speaks, and a text
        that matches no injected one is the transcript.
        """
        found = [at for at, text in enumerate(self._texts) if _is_question(text)]
        taken = next((at for at in found if _content(self._texts[at]).strip() == content.strip()), None)
        if taken is None and found and not is_spoken:
            taken = found[0]
        if taken is not None:
            self._texts = [text for at, text in enumerate(self._texts) if at > taken or not _is_question(text)]

    def speak(self, content: str) -> None:
        """Record words that the agent speaks. Forget the first injected text that contains these words."""
        for at, text in enumerate(self._texts):
            if not _is_question(text) and content.strip() in _content(text):
                del self._texts[at]
                return

    def add_own(self, fields: Fields) -> None:
        """Record a text of the router's own that the upstream was sent."""
        self._texts.append(fields)
        if _content(fields) not in self._own:
            self._own.append(_content(fields))

    def end_own(self) -> None:
        """Forget the texts of the router's own: the agent has spoken, although perhaps in other words."""
        self._texts = [text for text in self._texts if not self._is_own(text)]

    def refuse(self) -> bool:
        """Record that the upstream refuses an `InjectAgentMessage`, and forget the oldest such message.

        Return whether the client sent that message.
        """
        refused = next((at for at, text in enumerate(self._texts) if not _is_question(text)), None)
        if refused is not None:
            return not self._is_own(self._texts.pop(refused))
        return True

    def _is_own(self, text: Fields) -> bool:
        return not _is_question(text) and _content(text) in self._own

    def take(self) -> list[str]:
        """Remove and return the texts as frames, for the next upstream."""
        texts, self._texts = self._texts, []
        return [write(text) for text in texts]

    # Changes.

    def change(self, kind: str) -> None:
        """Record that the upstream was sent a change: a message whose type is a key of `ACKNOWLEDGED`."""
        self._awaited.append(ACKNOWLEDGED[kind])

    def acknowledge(self, kind: str) -> None:
        """Record that the upstream sent an acknowledgement of this type."""
        if kind in self._awaited:
            self._awaited.remove(kind)

    def acknowledgements(self) -> list[str]:
        """Remove and return the acknowledgements that the lost upstream owed, as frames for the client.

        The router may send them, because the Settings of the next upstream contain the changes.
        """
        owed, self._awaited = self._awaited, []
        return [write({"type": kind}) for kind in owed]


def _is_question(text: Fields) -> bool:
    return bool(text["type"] == "InjectUserMessage")


def _content(text: Fields) -> str:
    return text_of(text, "content") or text_of(text, "message")
