"""`agent.speak` to one of the upstream's voices, by the configuration's table, or else by the built-in table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.deepgram import blocks

FEMININE: Final = "marin"
MASCULINE: Final = "cedar"
"""The two voices that OpenAI recommends, `FEMININE` and `MASCULINE`."""

_REALTIME: Final = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
"""OpenAI's voices that the Realtime API knows (upstream 2.4)."""

_SPEECH_ONLY: Final = {"fable": "ballad", "nova": "coral", "onyx": "ash"}
"""OpenAI's voices that only its speech API knows, each with the nearest voice of the Realtime API."""

_FLUX: Final = {
    MASCULINE: (
        "bruce cliff cole colin conor donovan drew jack kai kit marcelo marcus miles naveen rufus sean tanner wade wes"
    ),
    FEMININE: (
        "alexis bree brittany brooke elise gemma haley hannah heather kelsey maeve meena meghan paige priya sharon "
        "sienna"
    ),
}

_AURA: Final = {
    MASCULINE: (
        "alvaro angus apollo aquila arcas aries atlas cesare demetrio dionisio draco ebisu elio fabian flavio fujin "
        "hector helios hermes hyperion javier julius jupiter lars luciano mars neptune nestor odysseus orion orpheus "
        "perseo perseus pluto roman sander saturn sirio valerio zeus"
    ),
    FEMININE: (
        "agathe agustina ama amalthea andromeda antonia asteria athena aurelia aurora beatrix callista carina celeste "
        "cinzia cora cordelia cornelia daphne delia demetra diana elara electra estrella gloria harmonia helena hera "
        "hestia iris izanami janus juno kara lara leda livia luna maia melia minerva olivia ophelia pandora phoebe "
        "rhea selena selene silvia stella thalia theia uzume vesta viktoria"
    ),
}

BUILT_IN: Final[dict[str, str]] = {
    **{name: name for name in _REALTIME},
    **_SPEECH_ONLY,
    **{f"flux-{name}-*": voice for voice, names in _FLUX.items() for name in names.split()},
    **{f"aura-{name}-*": voice for voice, names in _AURA.items() for name in names.split()},
    **{f"aura-2-{name}-*": voice for voice, names in _AURA.items() for name in names.split()},
}
"""The upstream's voices, by names of OpenAI's voices and by patterns for names of Deepgram's voices."""


class Voices(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of voices."""

    default: str
    """The voice for a name that no table has."""
    table: dict[str, str] = {}
    """More entries like those of `BUILT_IN`. They are looked up first."""


def voice_of(speak: blocks.Speak | list[blocks.Speak], voices: Voices) -> str:
    """Return the upstream's voice for a speak block.

    Of several blocks, take the first whose voice is in a table. If no table has one, return `voices.default`.
    """
    for block in speak if isinstance(speak, list) else [speak]:
        for table in (voices.table, BUILT_IN):
            found = _look_up(block.provider, table)
            if found is not None:
                return found
    return voices.default


def _look_up(provider: blocks.SpeakProvider, table: Mapping[str, str]) -> str | None:
    found = (_entry(name, table) for name in _names(provider))
    return next((voice for voice in found if voice is not None), None)


def _names(provider: blocks.SpeakProvider) -> Iterator[str]:
    """Yield the names of a provider's voice, the most specific first. The name of the provider itself comes last."""
    for name in (_voice_name(provider.voice), provider.model, provider.model_id, provider.type):
        if isinstance(name, str):
            yield name.lower()


def _voice_name(voice: Any) -> Any:
    return voice.get("id") if isinstance(voice, dict) else voice


def _entry(name: str, table: Mapping[str, str]) -> str | None:
    if name in table:
        return table[name]
    # The longest pattern is the most specific one.
    patterns = sorted((key for key in table if "*" in key and _fits(name, key)), key=len)
    return table[patterns[-1]] if patterns else None


def _fits(name: str, pattern: str) -> bool:
    # Patterns are compared by hand: compiling 230 regular expressions at the first look-up would stop all calls of the
    # dispatcher for 8 ms.
    first, *between, last = pattern.split("*")
    at = len(first)
    for part in between:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return name.startswith(first) and name.endswith(last) and at + len(last) <= len(name)
