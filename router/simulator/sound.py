"""The sound of an answer, piece by piece: the voice without words, or words from a speech process. Pure.

For both voices, `pieces` yields the audio of a text in order. It yields `Pending` while it waits for more text or for
the speech process.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from router.simulator import voice
from router.simulator.speech import pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.simulator.answer import Text
    from router.simulator.speech.messages import Speech

_SENTENCE: Final = re.compile(r"[^\n]*?[.!?]+[\"')\]\u201d]*(?=\s)\s*|[^\n]*\n\s*")
_LONGEST: Final = 240
"""The greatest number of characters in a request. A longer text without full stops is cut between two words."""
_AHEAD: Final = 2
"""The number of sentences that are requested ahead, which limits the work that an interrupted answer wastes."""


class Pending(msgspec.Struct, frozen=True):
    """A pause of the stream, until more of the answer or of its sound arrives."""


class SpeechRequest(msgspec.Struct, frozen=True):
    """A request to the speech process for the sound of a part of the answer."""

    text: str


class Piece(msgspec.Struct, frozen=True):
    """The next piece of the item's audio."""

    audio: bytes
    duration_ms: int


class Babble:
    """The voice without words: every character sounds for a fixed time."""

    def __init__(self, text: Text, audio_format: str, *, ms_per_character: int, chunk_ms: int) -> None:
        self._text = text
        self._format = audio_format
        self._ms_per_character = ms_per_character
        self._chunk_ms = chunk_ms

    def pieces(self) -> Iterator[Piece | Pending]:
        """Yield the audio in pieces of `chunk_ms`, and `Pending` while text is due. The last piece may be shorter."""
        start_ms = 0
        while True:
            end_ms = min(start_ms + self._chunk_ms, voice.duration_ms(self._text.text, self._ms_per_character))
            if end_ms - start_ms == self._chunk_ms or (self._text.is_complete and end_ms > start_ms):
                audio = voice.speech_chunk(self._text.text, start_ms, end_ms, self._format, self._ms_per_character)
                yield Piece(audio, end_ms - start_ms)
                start_ms = end_ms
            elif self._text.is_complete:
                return
            else:
                yield Pending()


class Words:
    """The voice with words.

    A speech process makes the sound of each sentence. The sound is yielded in pieces that end between two words.
    """

    def __init__(self, text: Text, audio_format: str, *, chunk_ms: int) -> None:
        self._text = text
        self._format = audio_format
        self._chunk_ms = chunk_ms
        self._requested = 0
        """The number of characters whose sound was requested."""
        self._waiting: deque[str] = deque()
        self._ready: deque[Speech | None] = deque()
        self._begin = 0
        """The index in the text at which the sentence that is being streamed begins."""
        self._position_ms = 0

    def supply(self, speech: Speech | None) -> None:
        """Take the sound of the oldest request, or None if it failed."""
        self._ready.append(speech)

    def pieces(self) -> Iterator[Piece | Pending | SpeechRequest]:
        """Yield the requests to the speech process, the audio, and `Pending` if the sound is not there yet."""
        while True:
            yield from self._requests()
            if self._ready:
                sentence = self._waiting.popleft()
                yield from self._requests()
                yield from self._sentence(sentence, self._ready.popleft())
                self._begin += len(sentence)
            elif self._text.is_complete and not self._waiting:
                return
            else:
                yield Pending()

    def _requests(self) -> Iterator[SpeechRequest]:
        while len(self._waiting) < _AHEAD and (sentence := self._next_sentence()):
            self._waiting.append(sentence)
            self._requested += len(sentence)
            yield SpeechRequest(sentence)

    def _next_sentence(self) -> str:
        rest = self._text.text[self._requested :]
        match = _SENTENCE.match(rest)
        # While a text grows, the full stop at its end may still become a decimal point, or the sentence may continue.
        found = match.group() if match is not None else rest if self._text.is_complete else ""
        if len(found or rest) > _LONGEST:
            border = rest.rfind(" ", 0, _LONGEST) + 1
            return rest[: border or _LONGEST]
        return found

    def _sentence(self, sentence: str, speech: Speech | None) -> Iterator[Piece]:
        # If a sentence is spoken faster than the pace, a pause follows it.
        early_ms = pace.whole_ms(self._text.text[: self._begin]) - self._position_ms
        if early_ms > 0:
            yield self._piece(self._silence(early_ms), early_ms)
        if speech is None:
            yield from self._babble(sentence)
            return
        start_ms = 0
        for end_ms in self._ends(speech):
            yield self._piece(self._cut(speech.audio, start_ms, end_ms), end_ms - start_ms)
            start_ms = end_ms

    def _ends(self, speech: Speech) -> Iterator[int]:
        """Yield the times (ms) at which a piece ends: between two words, and at the end of the sentence."""
        last_ms, begin_ms = 0, self._position_ms
        whole_ms = voice.ms_of_bytes(len(speech.audio), self._format)
        for index, at_ms in speech.words[1:]:
            is_long_enough = at_ms - last_ms >= self._chunk_ms and at_ms < whole_ms
            if is_long_enough and pace.is_border(self._text.text, self._begin + index, begin_ms + at_ms):
                yield at_ms
                last_ms = at_ms
        if whole_ms > last_ms:
            yield whole_ms

    def _babble(self, sentence: str) -> Iterator[Piece]:
        """Yield the voice without words for a sentence that has no sound."""
        per_character = round(pace.MS_PER_CHARACTER)
        whole_ms = voice.duration_ms(sentence, per_character)
        for start_ms in range(0, whole_ms, self._chunk_ms):
            end_ms = min(start_ms + self._chunk_ms, whole_ms)
            audio = voice.speech_chunk(sentence, start_ms, end_ms, self._format, per_character)
            yield self._piece(audio, end_ms - start_ms)

    def _piece(self, audio: bytes, duration_ms: int) -> Piece:
        self._position_ms += duration_ms
        return Piece(audio, duration_ms)

    def _cut(self, audio: bytes, start_ms: int, end_ms: int) -> bytes:
        return audio[voice.bytes_of_ms(start_ms, self._format) : voice.bytes_of_ms(end_ms, self._format)]

    def _silence(self, duration_ms: int) -> bytes:
        return voice.silence(duration_ms, self._format)
