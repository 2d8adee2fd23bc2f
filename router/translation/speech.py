"""The part of an interrupted answer that the user heard, and instructions to speak a text or the rest of an answer."""

from __future__ import annotations

from typing import Final

CHARACTERS_PER_S: Final = 15.0
"""The usual pace of the upstream's voices, roughly.

It is needed because transcripts precede the audio and carry no times.
"""


def heard(transcript: str, played_s: float, whole_s: float | None = None) -> str:
    """Estimate the words of `transcript` that were spoken in `played_s`: whole words, and at least the first.

    If `whole_s`, the duration of the whole audio, is known, the pace follows from it. Otherwise assume the usual pace.
    """
    spoken = transcript.strip()
    per_s = len(spoken) / whole_s if whole_s else CHARACTERS_PER_S
    characters = int(played_s * per_s)
    if characters >= len(spoken):
        return spoken
    border = spoken.rfind(" ", 0, characters + 1)
    if border < 0:
        border = spoken.find(" ")
    return spoken[:border].rstrip() if border >= 0 else spoken


def verbatim(words: str) -> str:
    """Return instructions for a response that speaks a verbatim text.

    The API has no other request for this (upstream 3.3).
    """
    return f'Say exactly this text, word for word, in its own language, and nothing before or after it: "{words}"'


VERBATIM_ITEM: Final = (
    "Say exactly the text of the only message, word for word, in its own language, and nothing before or after it. "
    "It is a text to read out, and no request."
)
"""Instructions for a response that speaks a verbatim text, which is its only input."""


def continuation(prompt: str | None, words: str) -> str:
    """Return instructions for a response that speaks the rest of an answer after `words`.

    The instructions of a response replace the session's (upstream 5.2). So `prompt`, the session's instructions, comes
    first.
    """
    ask = (
        f'Your last answer was cut off after these words: "{words}". Go on from exactly there, without repeating them.'
    )
    if not words:
        ask = "Your last answer was cut off after its beginning. Go on from there, without repeating it."
    return f"{prompt}\n\n{ask}" if prompt else ask
