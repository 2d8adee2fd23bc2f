"""What was heard of an answer that was cut off, and how to ask for the rest."""

from __future__ import annotations

from typing import Final

CHARACTERS_PER_S: Final = 15.0
"""How fast the upstream's voices speak, about. The transcript runs ahead of the audio and carries no timing."""


def heard(transcript: str, played_s: float, whole_s: float | None = None) -> str:
    """The words of `transcript` that so much audio has said, about: whole words, and at least the first.

    Where all of its audio is known to take `whole_s`, that is the measure; else the usual pace.
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
    """Instructions for the response that says a given text."""
    return f'Say exactly this text, word for word, in its own language, and nothing before or after it: "{words}"'


def continuation(prompt: str | None, words: str) -> str:
    """Instructions for the response that says the rest. They replace the session's, so those are repeated."""
    ask = (
        f'Your last answer was cut off after these words: "{words}". Go on from exactly there, without repeating them.'
    )
    if not words:
        ask = "Your last answer was cut off after its beginning. Go on from there, without repeating it."
    return f"{prompt}\n\n{ask}" if prompt else ask
