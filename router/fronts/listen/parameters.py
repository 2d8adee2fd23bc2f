"""The parameters of a transcription, and the Settings for which they ask. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from router.access.request import Query, pairs_of, values_of
from router.deepgram import codec
from router.deepgram import messages as deepgram
from router.policy.fields import FIELDS
from router.policy.rules import ABSENT, Denied
from router.translation import session_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.policy.policy import Policy
    from router.policy.rules import Rule

SERVICE: Final = "transcription"
"""The value of `service` with which the React component requests transcription."""

OWN: Final = frozenset({"service", "token"})
"""The router's own parameters, which do not go to Deepgram."""

_MAX_SHOWN_CHARS: Final = 40


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETAILS: Final = _names("detect_language keyterm keywords language language_hint version")
"""Parameters that a forced `transcription` removes, and that the rule `deny` for it refuses."""

_KNOWN: Final = _DETAILS | _names(
    "callback callback_method channels detect_entities diarize diarize_model dictation eager_eot_threshold encoding "
    "endpointing eot_threshold eot_timeout_ms extra interim_results mip_opt_out model multichannel numerals "
    "profanity_filter punctuate redact replace sample_rate search smart_format tag utterance_end_ms vad_events"
)
"""Deepgram's parameters. A policy denies any other parameter, so that no other spelling evades a rule."""


def problem_of(query: Mapping[str, str]) -> str | None:
    """Return why a session of the router cannot transcribe as these parameters request, or None if it can."""
    if "encoding" not in query:
        return "the parameter encoding is missing: audio in a container is not decoded here"
    if query.get("channels", "1") != "1":
        return "the parameter channels must be 1"
    rate = query.get("sample_rate", "16000")
    if not rate.isdecimal() or len(rate) > len("48000"):
        return f"the parameter sample_rate is not a number of samples: {rate[:_MAX_SHOWN_CHARS]}"
    decoded = codec.decode(settings_of(query))
    if isinstance(decoded, codec.Unparsable):
        return decoded.problem
    assert isinstance(decoded, deepgram.Settings)  # noqa: S101 - `settings_of` writes this type
    invalid = session_config.validate_settings(decoded)
    return invalid.description if invalid is not None else None


def settings_of(query: Mapping[str, str]) -> str:
    """Return the Settings, as a message, of a session that transcribes as these parameters request."""
    provider: dict[str, Any] = {"type": "deepgram"}
    if query.get("language"):
        provider["language"] = query["language"]
    terms = [term for term in values_of(query, "keyterm") if term]
    if terms:
        provider["keyterms"] = terms
    heard = {"encoding": query["encoding"], "sample_rate": int(query.get("sample_rate", "16000"))}
    settings = {"type": "Settings", "audio": {"input": heard}, "agent": {"listen": {"provider": provider}}}
    return orjson.dumps(settings).decode()


def is_on(query: Mapping[str, str], name: str) -> bool:
    """Whether the parameter `name` is `true`, in lower or upper case."""
    return query.get(name, "").lower() == "true"


def permitted(policy: Policy, query: Mapping[str, str]) -> Query | Denied:
    """Return the parameters in the form that Deepgram may get under a policy, or the denial.

    The policy's field `transcription` governs the model and its details, `endpoints` the call-back, and `input_format`
    the encoding and the rate.
    """
    pairs = list(pairs_of(query))
    for name, _value in pairs if not policy.is_lenient else ():
        if name not in _KNOWN and name not in OWN:
            return Denied(place=name[:_MAX_SHOWN_CHARS], field="", problem="is an unknown parameter")
    for field, names, details in _GOVERNED:
        rule = policy.rules.get(field)
        if rule is None:
            continue
        refused = {*names[:1], *details} if rule.kind == "deny" else {names[0]}
        for name, value in pairs:
            if name in refused and value and not all(rule.permits(each) for each in FIELDS[field].names(value)):
                return Denied(place=name, field=field)
        if rule.kind == "force":
            pairs = [pair for pair in pairs if pair[0] not in {*names, *details}] + list(_forced(rule, field, names))
    return Query(pairs)


_GOVERNED: Final = (
    ("transcription", ("model", "language"), _DETAILS),
    ("endpoints", ("callback",), frozenset[str]()),
    ("input_format", ("encoding", "sample_rate"), frozenset[str]()),
)
"""Fields of a policy, each with the parameters that have a forced value, and with parameters that it removes.

A rule compares the value of the first parameter.
"""


def permitted_text(policy: Policy, fields: Mapping[str, Any], text: str) -> str | Denied:
    """Return a client's message in the form that Deepgram may get under a policy, or the denial.

    Args:
        policy: the policy.
        fields: the parsed message.
        text: the message as the client wrote it.
    """
    if policy.is_lenient:
        return text
    kind, allowed = fields.get("type"), policy.rules.get("events")
    is_allowed = allowed is not None and allowed.permits(kind)
    if (kind not in _MESSAGES or allowed is not None) and not is_allowed:
        shown = kind[:_MAX_SHOWN_CHARS] if isinstance(kind, str) else "type"
        return Denied(place=shown, field="events", problem="is a message that this client may not send")
    return orjson.dumps({"type": kind} if kind in _MESSAGES else fields).decode()


_MESSAGES: Final = ("KeepAlive", "Finalize", "CloseStream")
"""Messages that change nothing about a transcription. Under a policy, any other needs the rule `events`."""


def _forced(rule: Rule, field: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    value = rule.value
    if value is ABSENT:
        return
    written = FIELDS[field].to_deepgram(value) if field == "input_format" else value
    given = written if isinstance(written, dict) else {names[0]: written}
    yield from ((name, str(given[name])) for name in names if name in given)
