"""The removal of the values that a policy sets, from the events and texts that a client gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import orjson

from router.policy.fields import FIELDS
from router.policy.paths import copied, spots
from router.policy.rules import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.policy.paths import Fields, Path
    from router.policy.rules import Rule

WITHHELD: Final = "[withheld]"
REFUSED: Final = "the upstream refused a value that the server has set"

_SESSIONS: Final = ("session.created", "session.updated")
_RESPONSES: Final = ("response.created", "response.done")

MIN_CHARS: Final = 4
"""The length of the shortest value that is masked.

Shorter values, such as `en`, are words that any message may contain.
"""

_QUOTED_CHARS: Final = 24
"""A text with this many characters from the beginning or the end of a long value counts as a quotation of the value."""


def texts_of(rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Return the texts of at least `MIN_CHARS` that a policy sets, the longest first."""
    found = {text for rule in rules.values() for text in _texts(_set_by(rule)) if len(text) >= MIN_CHARS}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def _set_by(rule: Rule) -> Any:
    # Prefixes of names are included, because the rule alone does not tell whether its field is a text.
    return rule.value if rule.kind in ("force", "prefix") and rule.value is not ABSENT else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def mask_text(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text without the values that a policy sets, whether plain or escaped as in JSON.

    A text that quotes the beginning or the end of a long value becomes `REFUSED`.
    """
    text = _replaced(text, secrets)
    for secret in secrets:
        if len(secret) > 2 * _QUOTED_CHARS and (secret[:_QUOTED_CHARS] in text or secret[-_QUOTED_CHARS:] in text):
            return REFUSED
    return text


def _replaced(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        # The secret in the spelling of each JSON writer.
        for spelled in (orjson.dumps(secret).decode()[1:-1], json.dumps(secret)[1:-1], secret):
            text = text.replace(spelled, WITHHELD)
    return text


def mask_frame(text: str, rules: Mapping[str, Rule], secrets: tuple[str, ...]) -> str:
    """Return a frame from the client or the upstream without the values that a policy sets."""
    if '"session' in text or '"response' in text:
        try:
            event = orjson.loads(text)
        except orjson.JSONDecodeError:
            event = None
        masked = mask_event(event, rules, secrets, is_ours=True) if isinstance(event, dict) else event
        if masked is not event:
            text = orjson.dumps(masked).decode()
    return _replaced(text, secrets)


def mask_event(event: Fields, rules: Mapping[str, Rule], secrets: tuple[str, ...], *, is_ours: bool = False) -> Fields:
    """Return an event of OpenAI's wire without the values that a policy sets.

    Sessions, responses and errors can have such values. Any other event is returned unchanged. With `is_ours` the
    router's own events to the upstream are masked, too.
    """
    kind = event.get("type")
    if kind in _SESSIONS or (is_ours and kind == "session.update"):
        return _without(event, "session", {name: FIELDS[name].session for name in _masked(rules)}, rules)
    if kind in _RESPONSES or (is_ours and kind == "response.create"):
        # A response repeats fields of the session, at other places.
        places = {name: FIELDS[name].response for name in _masked(rules)}
        return _without(event, "response", places, rules)
    if kind == "error" and isinstance(event.get("error"), dict):
        return {**event, "error": mask_error(event["error"], rules, secrets)}
    return event


def _masked(rules: Mapping[str, Rule]) -> Iterator[str]:
    for name, rule in rules.items():
        if rule.kind == "force" or (rule.kind == "prefix" and FIELDS[name].is_text):
            yield name


def _without(event: Fields, part: str, places: Mapping[str, tuple[Path, ...]], rules: Mapping[str, Rule]) -> Fields:
    holder = copied(event.get(part))
    for path in (path for paths in places.values() for path in paths):
        for spot in list(spots(holder, path, part)):
            spot.holder.pop(spot.key, None)
    tools = (rules.get(name) for name in ("tools", "response_tools", "mcp"))
    if isinstance(holder, dict) and any(rule is not None and rule.kind == "force" for rule in tools):
        holder.pop("tools", None)
    return {**event, part: holder}


def mask_error(error: Fields, rules: Mapping[str, Rule], secrets: tuple[str, ...]) -> Fields:
    """Return an error without the values that a policy sets.

    An error about a field that the policy sets gets the message `REFUSED`.
    """
    param = error.get("param")
    is_ours = isinstance(param, str) and any(_is_at(param, name) for name in _masked(rules))
    return {
        key: REFUSED if key == "message" and is_ours else mask_text(value, secrets) if isinstance(value, str) else value
        for key, value in error.items()
    }


def _is_at(param: str, name: str) -> bool:
    """Whether the parameter of an error names a place of a field, or a part of that place."""
    row = FIELDS[name]
    roots = (("session", row.session), ("response", row.response))
    found = [".".join((root, *path)) for root, paths in roots for path in paths]
    found += ["session.tools", "response.tools"] if name in ("tools", "response_tools", "mcp") else []
    return any(param == place or param.startswith((f"{place}.", f"{place}[")) for place in found)
