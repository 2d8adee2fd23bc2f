"""The pace of the voice: 15 characters a second, kept by pauses between words where possible. Pure.

A router that loses its upstream in mid-answer knows the duration of the received audio, but not the times of its words.
It estimates the words at this usual pace (docs/decisions/0008). A voice with another pace would make that estimate
wrong by some words. So the voice's rate fits the length of the text, and a pause delays a word that comes early. No
single word is stretched or shortened, because that harms recognition at once (docs/decisions/0031).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.simulator.speech.resampling import Samples

MS_PER_CHARACTER: Final = 1000 / 15

MARGIN_MS: Final = 30.0
"""Margin, in milliseconds, between a piece's end and the times at which the estimate changes.

It is needed because a router may resample the audio, and counts it in frames.
"""

_WORD: Final = re.compile(r"\S+")
_LONGEST_PAUSE_MS: Final = 140.0
_AFTER_PUNCTUATION_MS: Final = 400.0
_FADE_MS: Final = 4
_SETTLED_MS: Final = 700
"""Words that start before this time, in milliseconds, do not limit the rate of the voice."""
_ROUNDING_MS: Final = 1
_QUIET: Final = 0.02
"""At the end of a sound, samples up to this fraction of the loudest sample count as silence."""
_KEPT_MS: Final = 40


def whole_ms(text: str) -> int:
    """Return the duration of a text at 15 characters a second, in milliseconds."""
    return round(len(text) * MS_PER_CHARACTER)


def slowness(text: str, natural: Sequence[tuple[int, float]]) -> float:
    """Return the factor that stretches a voice's times of words to 15 characters a second, so that no word is too late.

    `natural` has the index and the time of each word and of the text's end. A voice that is a little too fast can
    pause before a word, but a voice that is too slow cannot catch up.
    """
    goal = whole_ms(text) / natural[-1][1]
    latest = [_latest_ms(text, index) / at_ms for index, at_ms in natural if at_ms > _SETTLED_MS]
    return min([goal, *latest])


def pauses(text: str, starts: Sequence[tuple[int, float]]) -> list[float]:
    """Return the pause before each word, in milliseconds, so that no later word becomes too late."""
    slack_ms = [_latest_ms(text, index) - ms for index, ms in starts]
    for at in range(len(slack_ms) - 2, -1, -1):
        slack_ms[at] = min(slack_ms[at], slack_ms[at + 1])
    found = []
    shift_ms = 0.0
    for at, (index, natural_ms) in enumerate(starts):
        before = text[:index].rstrip()
        early_ms = len(before) * MS_PER_CHARACTER + MARGIN_MS - natural_ms - shift_ms
        longest_ms = _LONGEST_PAUSE_MS if before[-1:].isalnum() else _AFTER_PUNCTUATION_MS
        pause_ms = max(0.0, min(early_ms, longest_ms, slack_ms[at] - shift_ms)) if at else 0.0
        shift_ms += pause_ms
        found.append(pause_ms)
    return found


def without_end(samples: Samples, rate: int) -> Samples:
    """Return the sound without the silence at its end, because the pace decides the duration of that silence."""
    import numpy as np  # noqa: PLC0415 - the samples have loaded it

    loud = np.flatnonzero(np.abs(samples) > _QUIET * float(np.abs(samples).max(initial=0.0)))
    return samples[: int(loud[-1]) + _KEPT_MS * rate // 1000] if len(loud) else samples[:0]


def with_pauses(samples: Samples, rate: int, starts: Sequence[tuple[int, float]], waits: Sequence[float]) -> Samples:
    """Return the sound with the pauses `waits` (ms) before the words at `starts`."""
    import numpy as np  # noqa: PLC0415 - the samples have loaded it

    parts: list[Samples] = []
    if not starts:
        return samples
    # The sound before the first word belongs to that word.
    cuts = [0, *(round(ms * rate / 1000) for _, ms in starts[1:])]
    for at, (begin, wait_ms) in enumerate(zip(cuts, waits, strict=True)):
        end = cuts[at + 1] if at + 1 < len(cuts) else len(samples)
        fades_out = at + 1 < len(waits) and waits[at + 1] > 0
        parts += [np.zeros(round(wait_ms * rate / 1000)), _faded(samples[begin:end], rate, wait_ms > 0, fades_out)]
    return np.concatenate(parts)


def _faded(word: Samples, rate: int, fades_in: bool, fades_out: bool) -> Samples:
    """Return a word that fades in or out beside a pause, so that no click is heard."""
    import numpy as np  # noqa: PLC0415 - the samples have loaded it

    word = word.astype(np.float64)
    ramp = np.linspace(0.0, 1.0, min(len(word), _FADE_MS * rate // 1000))
    if fades_in:
        word[: len(ramp)] *= ramp
    if fades_out and len(ramp):
        word[-len(ramp) :] *= ramp[::-1]
    return word


def is_border(text: str, index: int, at_ms: float) -> bool:
    """Whether a router that received `at_ms` of audio estimates exactly the words before the word at `index`.

    Args:
        text: the whole text of the item.
        index: the start of a word.
        at_ms: the time at which the word starts in the audio.
    """
    earliest_ms = len(text[:index].rstrip()) * MS_PER_CHARACTER + MARGIN_MS
    return earliest_ms <= at_ms + _ROUNDING_MS and at_ms <= _latest_ms(text, index) + _ROUNDING_MS


def _latest_ms(text: str, index: int) -> float:
    """Return the latest time (ms) at which a router estimates that the word at `index` is not complete."""
    word = _WORD.match(text, index)
    return (word.end() if word is not None else len(text)) * MS_PER_CHARACTER - MARGIN_MS
