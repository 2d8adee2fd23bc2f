"""Read the client's messages under the policy of the session, before the tables see them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.deepgram import codec as deepgram_codec
from router.deepgram.messages import CLIENT_MESSAGES
from router.openai import events as openai
from router.policy.rules import CODE, Denied
from router.session import inputs
from router.session.handlers import configure_hook

if TYPE_CHECKING:
    from router.session.context import Context

_UPDATE: Final = "session.update"


def decode(context: Context, text: str) -> object:
    """Return the input for a text frame, with the values that the policy forces.

    For an unreadable or denied frame return an `Unparsable`, which the session answers with an Error.
    """
    context.client_text = text
    # Complete sparse Settings before the policy judges them: it forces values only within blocks that it finds.
    fields = deepgram_codec.read(text, is_sparse=context.profile.sparse_settings)
    if isinstance(fields, deepgram_codec.Unparsable):
        return fields
    return _judged(context, fields, text)


def judge_again(context: Context, early: object) -> object:
    """Return an input that was kept until now, with the overrides of the hook `configure` and the policy's values.

    If the policy denies the input, return an `Unparsable`.
    """
    kind = type(early)
    if isinstance(early, inputs.Passthrough):
        fields = orjson.loads(early.text)
        return _judged(context, fields, early.text)
    if CLIENT_MESSAGES.get(kind.__name__) is not kind:
        return early
    fields = {"type": kind.__name__, **msgspec.to_builtins(early)}
    return _judged(context, fields, "")


def _judged(context: Context, given: dict[str, Any], text: str) -> object:
    policy, kind = context.policy, given["type"]
    assert policy is not None  # noqa: S101 - looked at before
    fields = given if context.overrides is None else configure_hook.laid_over(given, context.overrides)
    if kind in CLIENT_MESSAGES:
        message = policy.settings(fields)
        if isinstance(message, Denied):
            return _denial(context, message)
        context.client_text = orjson.dumps(message).decode()
        return deepgram_codec.message_of(message, context.client_text)
    if kind not in openai.FORWARDED or not context.profile.openai_events:
        return deepgram_codec.Foreign(kind, fields, text)
    opens = kind == _UPDATE and context.state.plan.source is None and context.state.in_hook is None
    passed = policy.client_text(fields, text if fields is given else "", opens=opens)
    if isinstance(passed, Denied):
        return _denial(context, passed)
    context.client_text = passed
    # The fields of an item are still valid, because a policy changes nothing in an item.
    return inputs.passthrough_of(kind, passed, fields)


def _denial(context: Context, denied: Denied) -> deepgram_codec.Unparsable:
    name = context.policy.name if context.policy is not None else ""
    context.log(logging.WARNING, f"the policy {name} denies a message of the client: {denied.sentence}")
    return deepgram_codec.Unparsable(denied.sentence, code=CODE)


def masked(context: Context, event: openai.Error) -> openai.Error:
    """Return the upstream's error without the values that the policy has set."""
    assert context.policy is not None  # noqa: S101 - looked at before
    error = event.error
    shown = context.policy.server_event({"type": "error", "error": {"message": error.message, "param": error.param}})
    message = shown["error"]["message"]
    if message == error.message:
        return event
    context.log(logging.WARNING, f"the upstream refused a value of the policy: {error.param}: {error.message}")
    return msgspec.structs.replace(event, error=msgspec.structs.replace(error, message=message))
