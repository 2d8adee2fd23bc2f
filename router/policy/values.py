"""Values: their names in rules, and their form on each wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.policy.rules import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable

# Functions that return the values to compare.


def itself(given: Any) -> list[Any]:
    """Return a list with only this value, which the rule then compares."""
    return [given]


def each(given: Any) -> list[Any]:
    """Return the elements of a list. Any other value is the only element."""
    return given if isinstance(given, list) else [given]


def keys(given: Any) -> list[Any]:
    """Return the keys of an object. Any other value is the only key."""
    return list(given) if isinstance(given, dict) else [given]


def types(given: Any) -> list[Any]:
    """Return the types of the items in a list; `message` for an item without a type."""
    return [it.get("type", "message") if isinstance(it, dict) else it for it in each(given)]


def by_key(key: str) -> Callable[[Any], list[Any]]:
    """Make a function that returns a list with the name under `key` of an object.

    A value that is no object is the name itself.
    """

    def names(given: Any) -> list[Any]:
        return [given.get(key)] if isinstance(given, dict) else [given]

    return names


MANUAL: Final = "manual"
"""The turn detection without a detector: `null` on OpenAI's wire."""


def detection(given: Any) -> list[Any]:
    """Return a list with the name of a turn detection, which is `manual` without a detector.

    The name of an object without a type is None.
    """
    if isinstance(given, dict):
        return [MANUAL if given.get("type") == "none" else given.get("type")]
    return [MANUAL if given in (None, "none") else given]


_FORMATS: Final = {
    "linear16": "audio/pcm",
    "pcm16": "audio/pcm",
    "mulaw": "audio/pcmu",
    "g711_ulaw": "audio/pcmu",
    "alaw": "audio/pcma",
    "g711_alaw": "audio/pcma",
}
"""OpenAI's name for each audio format, by the name that Deepgram or OpenAI's beta has for it."""


def formats(given: Any) -> list[Any]:
    """Return a list with OpenAI's name for one audio format. `given` is an object, or a name on either wire."""
    found = given.get("type", given.get("encoding", "linear16")) if isinstance(given, dict) else given
    return [_FORMATS.get(found, found) if isinstance(found, str) else found]


# Functions that return forced values in the form of a wire.


def unchanged(value: Any) -> Any:
    """Return a forced value unchanged."""
    return value


def left_out(_value: Any) -> Any:
    """Return `ABSENT`, because the wire has no such value."""
    return ABSENT


def listed(value: Any) -> Any:
    """Return a list unchanged, and any other value as a list with one element."""
    return value if isinstance(value, list) else [value]


def object_of(key: str) -> Callable[[Any], Any]:
    """Make a function that turns a name into an object with that name under `key`. Other values stay unchanged."""
    return lambda value: {key: value} if isinstance(value, str) else value


def name_of(key: str) -> Callable[[Any], Any]:
    """Make a function that turns an object into the name under `key`. Other values stay unchanged."""
    return lambda value: value.get(key) if isinstance(value, dict) else value


def detection_object(value: Any) -> Any:
    """Return a turn detection in the form of OpenAI's wire: an object, or None for `manual`."""
    if isinstance(value, str):
        return None if value == MANUAL else {"type": value}
    return value


def detection_name(value: Any) -> Any:
    """Return a turn detection in the form of Settings: its name."""
    return value.get("type") if isinstance(value, dict) else value


def openai_format(value: Any) -> Any:
    """Return an audio format in the form of OpenAI's wire. PCM has only the rate of 24 kHz there."""
    if not isinstance(value, str):
        return value
    (name,) = formats(value)
    return {"type": name, "rate": 24000} if name == "audio/pcm" else {"type": name}


def deepgram_format(value: Any) -> Any:
    """Return an audio format in the form of Settings. A missing rate becomes 24 kHz for `linear16`, otherwise 8 kHz."""
    given = {"encoding": value} if isinstance(value, str) else value
    (name,) = formats(given)
    encoding = next((short for short, long in _FORMATS.items() if long == name), name)
    rate = given.get("sample_rate") or given.get("rate") or (24000 if encoding == "linear16" else 8000)
    return {"encoding": encoding, "sample_rate": rate}
