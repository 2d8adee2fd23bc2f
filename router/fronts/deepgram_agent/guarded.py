"""The wire of the relay of Deepgram's Voice Agent, as the guard reads it. Pure.

The wire has no message that cancels an answer. So the rest of a blocked answer is withheld, up to the end of the turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors import messages as engine
from router.deepgram import codec
from router.deepgram import messages as deepgram
from router.fronts.deepgram_agent.endings import ENDED_BY_OPERATOR
from router.fronts.deepgram_agent.fields import Fields, text_of, write
from router.guard.dialect import Kind, Seen
from router.session.reports import SessionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BLOCKED: Final = "GUARD_BLOCKED"
ENDED: Final = deepgram.Error(description="the guard ended the session", code="GUARD_ENDED")


class DeepgramDialect:
    """The dialect of Deepgram's Voice Agent, for one session."""

    interrupts = True

    def __init__(self) -> None:
        self._turn = 0
        """The number of the agent's turn. It names the answer, because the wire has no name for an answer."""

    def read(self, fields: Fields | None) -> Seen:
        """Return the meaning of a message for the client; for audio `fields` is None."""
        answer = str(self._turn)
        if fields is None:
            return Seen(Kind.AUDIO, answer=answer)
        seen, content = Seen(), text_of(fields, "content")
        match text_of(fields, "type"):
            case "Welcome":
                seen = Seen(Kind.GREETING)
            case "ConversationText" if fields.get("role") == "user":
                self._turn += 1
                seen = Seen(Kind.USER, "user", str(self._turn), content)
            case "ConversationText" | "AgentThinking":
                seen = Seen(Kind.AGENT, "agent", answer, content)
            case "History":
                kind = Kind.USER_ECHO if fields.get("role") == "user" else Kind.AGENT_ECHO
                seen = Seen(kind, answer=answer, text=content)
            case "AgentStartedSpeaking":
                seen = Seen(Kind.BEGIN, answer=answer)
            case "AgentAudioDone":
                self._turn += 1
                seen = Seen(Kind.DONE, answer=answer)
        return seen

    def with_text(self, fields: Fields, text: str) -> Fields | None:
        """Return a message with another text; None if that text is empty."""
        return {**fields, "content": text} if text else None

    def rewritten(self, _fields: Fields, _text_of: Callable[[str], str | None]) -> Fields | None:
        """Return None, because only `History` repeats a text, and `read` reports each `History` as an echo."""
        return None

    def whole_texts(self, _fields: Fields) -> list[tuple[str, str, str]]:
        """Return no texts, because `read` reports each text of the agent."""
        return []

    def cancel(self, _answer: str) -> str | None:
        """Return None: the wire has no message that cancels an answer."""
        return None

    def say(self, words: str) -> str | None:
        """Return the client's message by which the agent says `words` at once."""
        return write({"type": "InjectAgentMessage", "message": words, "behavior": "interrupt"})

    def notice(self, description: str, _message: engine.Input | None) -> str:
        """Return the guard's notice for the client, as a `Warning`."""
        return codec.encode(deepgram.Warning(description=description, code=BLOCKED))

    def ended(self, command: engine.Command) -> Iterable[engine.Command]:
        """Name the guard in a command that names an operator as the cause of the session's end.

        The guard has requested that end. Return any other command unchanged.
        """
        code = ENDED_BY_OPERATOR.error.code
        match command:
            case engine.SendToClient(str(frame)) if code in frame:
                return (engine.SendToClient(codec.encode(ENDED)),)
            case engine.EndSession():
                return (msgspec.structs.replace(command, reason=ENDED.code),)
            case engine.Notify(SessionFailed()):
                return (engine.Notify(SessionFailed(ENDED.code, ENDED.description)),)
        return (command,)
