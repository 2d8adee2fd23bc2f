"""The wire of the relay of Deepgram's Listen, as the guard reads it. Pure.

A transcription has no agent: the actions `cancel` and `say` withhold the words, as `block` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actors import messages as engine
from actors.connections.close_codes import CloseCode
from router.fronts.listen import results
from router.guard.dialect import Fields, Kind, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ENDED: Final = "GUARD_ENDED"


class ListenDialect:
    """The dialect of Deepgram's Listen, for one session."""

    interrupts = True

    def read(self, fields: Fields | None) -> Seen:
        """Return the meaning of a message for the client; `fields` is None for a binary frame."""
        if fields is None or fields.get("type") != "Results":
            return Seen()
        # The client may request several readings of the same words: a hit in any of them counts.
        text = "\n".join(str(it.get("transcript") or "") for it in _alternatives(fields))
        return Seen(Kind.USER, "user", "transcript", text)

    def with_text(self, fields: Fields, text: str) -> Fields | None:
        """Return `Results` with other words. The single words and their times are left out."""
        lines = text.split("\n")
        alternatives = [
            {**it, "transcript": lines[index] if index < len(lines) else "", "words": []}
            for index, it in enumerate(_alternatives(fields))
        ]
        return {**fields, "channel": {**fields["channel"], "alternatives": alternatives}}

    def rewritten(self, _fields: Fields, _text_of: Callable[[str], str | None]) -> Fields | None:
        """Return None, because `read` reports the words of each message that has any."""
        return None

    def whole_texts(self, _fields: Fields) -> list[tuple[str, str, str]]:
        """Return no texts, because a transcription has no agent."""
        return []

    def cancel(self, _answer: str) -> str | None:
        """Return None, because a transcription has no answers that could be cancelled."""
        return None

    def say(self, _words: str) -> str | None:
        """Return None, because a transcription has no agent that could speak."""
        return None

    def notice(self, _description: str, _message: engine.Input | None) -> str | None:
        """Return None: the wire has no message for a notice. The client sees only that there are no words."""
        return None

    def ended(self, command: engine.Command) -> Iterable[engine.Command]:
        """Name the guard in `EndSession`, and put an `Error` before it. Return other commands unchanged."""
        if not isinstance(command, engine.EndSession):
            return (command,)
        error = results.error(ENDED, "the guard ended the session")
        return engine.SendToClient(error), engine.EndSession(CloseCode.NORMAL_CLOSURE, ENDED)


def _alternatives(fields: Fields) -> list[dict[str, Any]]:
    channel = fields.get("channel")
    found = channel.get("alternatives") if isinstance(channel, dict) else None
    return [it for it in found if isinstance(it, dict)] if isinstance(found, list) else []
