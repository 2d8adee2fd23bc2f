"""The notifications of a relayed session: turns for an embedding application, and facts for the observer. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors import messages as engine
from router.deepgram import messages as deepgram
from router.fronts.deepgram_agent.fields import objects_of, text_of
from router.session import reports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.fronts.deepgram_agent.fields import Fields
    from router.session.options import SessionOptions


class Reporter:
    """The source of one session's notifications, which it derives from the messages that the client gets."""

    def __init__(self, options: SessionOptions) -> None:
        self._turns = reports.TurnLog() if options.is_reported else None
        self._is_observed = options.is_observed
        self._asked_s: float | None = None
        """The time at which the user's newest text came. It is reset when the answer is whole."""
        self._received_s = self._sent_s = 0.0
        """Seconds of audio from and to the client since the last report of audio."""
        self._text_s: float | None = None
        self._audio_s: float | None = None

    def take_settings(self, settings: Fields) -> Iterator[engine.Command]:
        """Report the tags of the client's Settings."""
        tagged = reports.tagged(settings.get("tags"))
        if tagged is not None and (self._is_observed or self._turns is not None):
            yield engine.Notify(tagged)

    def take_over(self, generation: int, position: int) -> Iterator[engine.Command]:
        """Report that an upstream serves the session from now on."""
        yield from self._report(reports.UpstreamTookOver(generation=generation, position=position))

    def take(self, fields: Fields, now_s: float) -> Iterator[engine.Command]:
        """Report a message that the client gets."""
        kind = text_of(fields, "type")
        if kind == "ConversationText":
            yield from self._take_text(fields, now_s)
        elif kind == "FunctionCallRequest":
            self._take_functions(fields)
        elif kind == "AgentAudioDone":
            yield from self._end_turn()

    def hear(self, duration_s: float) -> None:
        """Count audio of the client's microphone for the next report."""
        self._received_s += duration_s

    def take_audio(self, duration_s: float, now_s: float) -> None:
        """Count audio that the client gets. The first audio of a turn sets its latency."""
        self._sent_s += duration_s
        if self._audio_s is None and self._asked_s is not None:
            self._audio_s = now_s - self._asked_s

    def fail(self, error: deepgram.Error) -> Iterator[engine.Command]:
        """Report the `Error` that ends the session."""
        yield from self._report(reports.SessionFailed(error.code, error.description))

    def end(self) -> Iterator[engine.Command]:
        """Report the rest at the end of the session: the audio, and the turn in progress, marked as not whole."""
        yield from self._report_audio()
        turn = self._turns.take(is_whole=False) if self._turns is not None else None
        if turn is not None:
            yield engine.Notify(turn)

    def _take_text(self, fields: Fields, now_s: float) -> Iterator[engine.Command]:
        content = text_of(fields, "content")
        if fields.get("role") == "user":
            yield from self._report(reports.TurnBegan(0.0))
            self._asked_s, self._text_s, self._audio_s = now_s, None, None
            self._note(deepgram.ConversationText(role="user", content=content))
        else:
            if self._text_s is None and self._asked_s is not None:
                self._text_s = now_s - self._asked_s
            self._note(deepgram.ConversationText(role="assistant", content=content))

    def _take_functions(self, fields: Fields) -> None:
        functions = [
            deepgram.RequestedFunction(
                id=text_of(function, "id"),
                name=text_of(function, "name"),
                arguments=text_of(function, "arguments"),
                client_side=function.get("client_side") is True,
            )
            for function in objects_of(fields, "functions")
        ]
        self._note(deepgram.FunctionCallRequest(functions=functions))

    def _end_turn(self) -> Iterator[engine.Command]:
        yield from self._report_audio()
        yield from self._report(reports.TurnEnded())
        if self._text_s is not None or self._audio_s is not None:
            latency = reports.TurnLatency(first_audio_s=self._audio_s, first_text_s=self._text_s)
            yield from self._report(latency)
        self._asked_s = self._text_s = self._audio_s = None
        turn = self._turns.take() if self._turns is not None else None
        if turn is not None:
            yield engine.Notify(turn)

    def _report_audio(self) -> Iterator[engine.Command]:
        if self._received_s or self._sent_s:
            yield from self._report(reports.AudioCarried(received_s=self._received_s, sent_s=self._sent_s))
        self._received_s = self._sent_s = 0.0

    def _note(self, message: deepgram.ServerMessage) -> None:
        if self._turns is not None:
            self._turns.note(message)

    def _report(self, fact: reports.Fact) -> Iterator[engine.Command]:
        if self._is_observed:
            yield engine.Notify(fact)
