"""The policy on Deepgram's client messages: Settings, every `Update…`, injected texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.policy import known, tools
from router.policy.events import judge_role
from router.policy.fields import FIELDS
from router.policy.judge import judge
from router.policy.paths import put, spots
from router.policy.rules import Denied

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.policy.paths import Fields, Path
    from router.policy.rules import Rule

_UPDATES: Final = {"UpdateThink": "think", "UpdateSpeak": "speak", "UpdateListen": "listen"}
"""The block of Settings in each update message."""


def judge_message(message: Fields, rules: Mapping[str, Rule], *, is_strict: bool) -> Denied | None:
    """Judge a message, write the values that the policy forces into it, and return the first denial, or None.

    Args:
        message: the message, which is changed.
        rules: the rules of the policy.
        is_strict: whether unknown messages and fields are denied, because the upstream gets them as they are.
    """
    return next((denied for denied in _denials(message, rules, is_strict=is_strict) if denied is not None), None)


def _denials(message: Fields, rules: Mapping[str, Rule], *, is_strict: bool) -> Iterator[Denied | None]:
    kind = message.get("type")
    if is_strict:
        yield _unknown(message, kind, rules)
    if kind == "Settings":
        yield from _settings(message, rules, is_strict=is_strict)
    elif isinstance(kind, str) and kind in _UPDATES:
        yield from _update(message, _UPDATES[kind], rules)
    for name, rule in rules.items():
        row = FIELDS[name]
        places = tuple(path[1:] for path in row.message if path[0] == kind)
        if places:
            yield judge(rule, row, message, places, "", fills=False, written=row.to_deepgram)


def _unknown(message: Fields, kind: object, rules: Mapping[str, Rule]) -> Denied | None:
    tree = known.MESSAGES.get(kind) if isinstance(kind, str) else None
    if tree is not None:
        return known.unknown(message, tree, lists=True)
    allowed = rules.get("events")
    if allowed is not None and allowed.kind == "allow" and allowed.permits(kind):
        return None
    shown = kind[:80] if isinstance(kind, str) else "type"
    return Denied(place=shown, field="events", problem="is a message that this client may not send")


def _settings(message: Fields, rules: Mapping[str, Rule], *, is_strict: bool) -> Iterator[Denied | None]:
    agent = message.get("agent")
    if not isinstance(agent, dict):
        # The agent is stored elsewhere, with its own prompt and functions. The message has only its id.
        if is_strict:
            yield Denied(place="agent", field="", problem="is not an object: a stored agent is not allowed")
        return
    yield from _context(agent, rules)
    yield from _blocks(message, rules, lambda path: path)


def _context(agent: Fields, rules: Mapping[str, Rule]) -> Iterator[Denied | None]:
    for path in (("context", "messages", "role"), ("messages", "role")):
        for spot in spots(agent, path, "agent"):
            if spot.holder[spot.key] is not None:
                yield judge_role(spot.holder[spot.key], rules, spot.name)


def _update(message: Fields, block: str, rules: Mapping[str, Rule]) -> Iterator[Denied | None]:
    def behind_agent(path: Path) -> Path:
        return path[1:] if path[:2] == ("agent", block) else ()

    yield from _blocks(message, rules, behind_agent)


def _blocks(message: Fields, rules: Mapping[str, Rule], here: Any) -> Iterator[Denied | None]:
    """Apply each rule to its field in a message with blocks, such as `listen` or `think`. Yield the denials.

    `here` converts a path of Settings to the path in this message. It returns an empty path if the message has no such
    place.
    """
    functions: Path = here(("agent", "think", "functions"))
    # Judge the endpoints first: the rule about the client's endpoints must not apply to the forced functions.
    ordered = sorted(rules.items(), key=lambda pair: pair[0] != "endpoints")
    for name, rule in ordered:
        row = FIELDS[name]
        places = tuple(path for path in map(here, row.agent) if path)
        beside = tuple(path for path in map(here, row.beside) if path)
        if places or beside:
            yield judge(rule, row, message, places, "", fills=bool(places), written=row.to_deepgram, beside=beside)
    provider: Path = here(("agent", "speak", "provider", "type"))
    if provider:
        yield from _provider_names(message, rules, provider)
    if functions:
        yield from _functions(message, functions[:-1], rules)


def _provider_names(message: Fields, rules: Mapping[str, Rule], path: Path) -> Iterator[Denied | None]:
    """Yield the denials of speak providers that have no name of a voice, and whose type the rule `voice` denies.

    The type of such a provider counts as the name, because a table of voices may map that type to a voice.
    """
    rule = rules.get("voice")
    if rule is None or rule.kind == "force":
        return
    for spot in spots(message, path, ""):
        provider = spot.holder
        has_name = any(isinstance(provider.get(key), str | dict) for key in ("voice", "model", "model_id"))
        kind = provider[spot.key]
        if not has_name and kind not in _PLAIN and not rule.permits(kind):
            yield Denied(place=spot.name, field="voice")


_PLAIN: Final = (None, "open_ai", "deepgram")
"""Types of providers that do not count as the name of a voice."""


def _functions(message: Fields, think: Path, rules: Mapping[str, Rule]) -> Iterator[Denied | None]:
    found = list(spots(message, think, ""))
    if "tools" in rules and rules["tools"].kind == "force" and all(it.holder[it.key] in (None, []) for it in found):
        # An absent value, null and an empty list all mean that no think block is given.
        put(message, think, {})
    for spot in list(spots(message, think, "")):
        block = spot.holder[spot.key]
        for index, each in enumerate(block if isinstance(block, list) else [block]):
            if isinstance(each, dict):
                place = f"{spot.name}[{index}]" if isinstance(block, list) else spot.name
                yield tools.judge(each, place, rules, fills=True, name="functions")
