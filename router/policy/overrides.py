"""The overrides of an application's `configure`, as rules. The rules force them in every later message, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.policy.fields import FIELDS
from router.policy.paths import spots
from router.policy.rules import ABSENT, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ALIKE: Final = frozenset(
    {"model", "instructions", "voice", "speed", "tool_choice", "modalities", "max_output_tokens", "turn_detection"}
)
"""Fields that Settings and a session write alike. An override of another field in Settings becomes no rule.

Such an override only replaces the field in Deepgram's updates.
"""

_LISTS: Final = (("agent", "think", "functions"), ("session", "tools"))


def rules_of(given: Mapping[str, Any], voice: str | None = None) -> dict[str, Rule]:
    """Return a rule for each field that the overrides name, except formats and fields that cannot be forced.

    `given` has overrides of Settings, or of a `session.update`. `voice` is the upstream's name for the voice that the
    overrides set in Settings.
    """
    found = dict(_rules(given))
    if "voice" in found and voice is not None and "agent" in given:
        found["voice"] = Rule("force", voice)
    return found


def _rules(given: Mapping[str, Any]) -> Iterator[tuple[str, Rule]]:
    for row in FIELDS.values():
        if "force" not in row.kinds or row.name.endswith("_format"):
            continue
        agent = row.agent if row.name in _ALIKE else ()
        for path in (*agent, *(("session", *path) for path in row.session)):
            spot = next(spots(given, path, ""), None)
            if spot is not None:
                yield row.name, _forced(spot.holder[spot.key])
                break
    for path in _LISTS:
        spot = next(spots(given, path, ""), None)
        if spot is not None:
            yield "tools", _forced(spot.holder[spot.key])


def _forced(value: object) -> Rule:
    return Rule("force", ABSENT if value is None else value)
