"""A policy, frozen: the values that the client of a session may send, and those that the server sets instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.policy import agent_messages, events, masking, overrides
from router.policy.fields import FIELDS
from router.policy.judge import judge
from router.policy.paths import copied
from router.policy.rules import Denied, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.policy.paths import Fields

DEFAULT: Final = "default"
"""The name of the policy for a client whose credential names none."""

APPEND: Final = "input_audio_buffer.append"


class Policy(msgspec.Struct, frozen=True):
    """A policy: its rules, and the methods that apply the rules to messages. No method changes its argument."""

    name: str = ""
    rules: dict[str, Rule] = {}
    limits: dict[str, Any] = {}
    """The limits of a session under this policy, by the keys of `[limits]`. They replace the limits of the server."""
    is_lenient: bool = False
    """Whether unknown events and fields pass. They do if only an application, and no table, has set rules."""
    secrets: tuple[str, ...] = ()
    """The texts that the policy sets, derived from its rules. No client gets them."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "secrets", masking.texts_of(self.rules))

    # From the client.

    def client_event(self, event: Fields, *, opens: bool = False) -> Fields | Denied:
        """Return an event of OpenAI's in the form that the upstream may get, or the denial.

        Args:
            event: the parsed event.
            opens: whether the event is the `session.update` that configures a new session, and so gets every forced
                value.
        """
        if event.get("type") == APPEND and event.keys() <= _APPEND_KEYS and "events" not in self.rules:
            return event
        judged = copied(event)
        return events.judge_event(judged, self.rules, fills=opens, is_lenient=self.is_lenient) or judged

    def client_text(self, event: Fields, text: str, *, opens: bool = False) -> str | Denied:
        """Return the frame of an event for the upstream, or its denial. For `opens` see `client_event`.

        The frame of a plain append is `text` itself. Any other event is encoded again, so that every parser reads the
        frame alike.
        """
        judged = self.client_event(event, opens=opens)
        if isinstance(judged, Denied):
            return judged
        return text if judged is event and _is_plain_append(event, text) else orjson.dumps(judged).decode()

    def settings(self, message: Fields, *, is_strict: bool = False) -> Fields | Denied:
        """Return a message of Deepgram's, such as Settings, in the form that may take effect.

        Args:
            message: the parsed message.
            is_strict: whether unknown messages and fields are denied, because the upstream gets the message unchanged.
        """
        judged = copied(message)
        return agent_messages.judge_message(judged, self.rules, is_strict=is_strict) or judged

    def model(self, requested: str | None) -> str | Denied | None:
        """Return the model of a session whose URL requests `requested`, or the denial.

        The value None stands for the configured model.
        """
        rule = self.rules.get("model")
        if rule is None:
            return requested
        if rule.kind == "force":
            return rule.value if isinstance(rule.value, str) else None
        if requested is None or rule.permits(requested):
            return requested
        return Denied(place="model", field="model")

    def turn_detection(self, requested: str | None) -> str | Denied | None:
        """Return the turn detection of a session whose URL requests `requested`, or the denial.

        The value None stands for the configured turn detection.
        """
        rule, row = self.rules.get("turn_detection"), FIELDS["turn_detection"]
        if rule is None:
            return requested
        if rule.kind == "force":
            found = row.to_deepgram(rule.value)
            return found if isinstance(found, str) else None
        if requested is None or rule.permits(requested):
            return requested
        return Denied(place="turn_detection", field="turn_detection")

    # To the upstream.

    def opening(self) -> Fields | None:
        """Return the `session` that an upstream gets before any client event; None if the policy sets no value."""
        session: Fields = {}
        list(events.judge_session(session, self.rules, fills=True))  # no value is given, so none is denied
        return {"type": "realtime", **session} if session else None

    def enforced(self, session: Fields, *, opens: bool = False) -> Fields:
        """Return the `session` of an update that the router made, with the forced values and the prefixes in it.

        Models, formats, tools and the temperature stay unchanged, because the router has chosen them. For `opens` see
        `client_event`.
        """
        made: Fields = copied(session)
        for name, rule in self.rules.items():
            row = FIELDS[name]
            is_set = rule.kind == "force" or (rule.kind == "prefix" and row.is_text)
            if is_set and row.session and row.is_enforced:
                judge(rule, row, made, row.session, "session", fills=opens, written=row.to_openai)
        return made

    @property
    def governs_instructions(self) -> bool:
        """Whether the client's words must stay out of all instructions."""
        return "instructions" in self.rules and not self.is_lenient

    # To the client.

    def server_event(self, event: Fields) -> Fields:
        """Return an event of the upstream without the values that the policy sets."""
        return masking.mask_event(event, self.rules, self.secrets)

    def text(self, text: str) -> str:
        """Return a text for a client, such as an error, without the values that the policy sets."""
        return masking.mask_text(text, self.secrets) if self.secrets else text

    def shown(self, text: str) -> str:
        """Return a frame of either leg for display, as in the wire view, without the values that the policy sets."""
        return masking.mask_frame(text, self.rules, self.secrets)

    # Of an application.

    def with_overrides(self, given: Mapping[str, Any], voice: str | None = None) -> Policy:
        """Return the policy that also forces the overrides of an application's `configure`.

        A value that this policy forces takes precedence. The policy must already have judged the overrides. `voice` is
        the upstream's name for the voice that the overrides set in Settings.
        """
        rules = dict(self.rules)
        for name, rule in overrides.rules_of(given, voice).items():
            own = rules.get(name)
            if own is None or own.kind != "force":
                rules[name] = _behind(own, rule)
        return Policy(self.name, rules, self.limits, self.is_lenient)


def _behind(own: Rule | None, forced: Rule) -> Rule:
    """Return the rule of an override. If `own` is a prefix, put that prefix before the text of the override."""
    if own is None or own.kind != "prefix" or not isinstance(forced.value, str) or forced.value.startswith(own.value):
        return forced
    return Rule("force", own.value + forced.value)


_APPEND_KEYS: Final = frozenset({"type", "event_id", "audio"})

_APPEND_CHARS: Final = len('{"type":"input_audio_buffer.append","audio":""}')
_EVENT_ID_CHARS: Final = len('"event_id":"",')
_SPACES: Final = 12
"""The most spaces between the parts of an append. A second key `type` would need more characters."""


def _is_plain_append(event: Fields, text: str) -> bool:
    """Whether a text is too short to have a key beyond those of an `input_audio_buffer.append`.

    If a key came twice, one parser might take the first value, and another parser the last one.
    """
    audio, event_id = event.get("audio"), event.get("event_id")
    if not isinstance(audio, str) or not isinstance(event_id, str | None):
        return False
    own = 0 if event_id is None else len(event_id) + _EVENT_ID_CHARS
    return len(text) <= len(audio) + own + _APPEND_CHARS + _SPACES
