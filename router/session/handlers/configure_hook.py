"""Let the embedding application change a client's Settings: the hook `configure`, before the upstream is configured.

The hook runs on a pool thread. The session waits for it as it waits for its upstream, and keeps the client's input
meanwhile. If the hook fails or returns something invalid, the Settings stay as they are, because a faulty hook must not
end a call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from router.deepgram import blocks
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.policy.policy import Policy
from router.policy.rules import Denied
from router.session import inputs
from router.session.work import ConfigureSession, WorkKind
from router.translation import session_config

if TYPE_CHECKING:
    from actors import messages
    from router.session.context import Context


def start(context: Context, text: str, message: deepgram.Settings | inputs.PassthroughSessionUpdate) -> None:
    """Run the hook with the client's message, as the client wrote it."""
    context.state.in_hook = text, message
    work = ConfigureSession(orjson.loads(text))
    context.start_work(WorkKind.CONFIGURE, "", work, context.options.deadlines.hook_s)


def take_result(
    context: Context, done: messages.WorkDone
) -> deepgram.Settings | inputs.PassthroughSessionUpdate | None:
    """Return the client's message with the hook's overrides. Without valid overrides the message is unchanged.

    Return None if no result of the hook is awaited any more.
    """
    # When `in_hook` is None, the joint rule may configure the upstream.
    in_hook, context.state.in_hook = context.state.in_hook, None
    if in_hook is None:
        return None
    text, message = in_hook
    if done.failure is not None:
        reason = "" if done.failure.error is None else f" {done.failure.error!r}"
        context.log(logging.ERROR, f"configure {done.failure.kind.value}{reason}: the Settings stay as they are")
        return message
    if done.result is None:
        return message
    try:
        configured = _decode(context, _override(text, done.result), message)
    except ValueError as error:
        context.log(logging.ERROR, f"the result of configure is invalid: {error}: the Settings stay as they are")
        return message
    _lay_over_later(context, done.result, configured)
    return configured


def _override(text: str, overrides: object) -> str:
    if not isinstance(overrides, Mapping):
        raise ValueError("it is not a dict")  # noqa: TRY004 - take_result logs every fault of a result alike
    settings = orjson.loads(text)
    result = merge(settings, overrides)
    # With another `type` the result would be another message, for which the table of the session's state has no row.
    if result.get("type") != settings["type"]:
        raise ValueError("it changes the type of the message")
    try:
        return orjson.dumps(result).decode()
    except TypeError as error:
        raise ValueError(f"it is not JSON: {error}") from error


def _lay_over_later(
    context: Context, overrides: Mapping[str, Any], configured: deepgram.Settings | inputs.PassthroughSessionUpdate
) -> None:
    """Keep the overrides, and apply them to every later update, which would undo them otherwise."""
    if not overrides:
        return
    voice = None
    if isinstance(configured, deepgram.Settings) and isinstance(configured.agent, blocks.Agent):
        voice = session_config.speech_of(configured.agent, context.options.voices).get("voice")
    context.policy = (context.policy or Policy(is_lenient=True)).with_overrides(overrides, voice)
    # Store the overrides as JSON types, because a snapshot holds them, and an application may return any mapping.
    context.overrides, context.voice = orjson.loads(orjson.dumps(dict(overrides))), voice


def laid_over(fields: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the client's update with the overrides for its block: `session`, `think`, `speak` or `listen`.

    Without overrides for the block, return the update unchanged.
    """
    kind = fields.get("type")
    if kind == "session.update" and isinstance(fields.get("session"), dict):
        part = overrides.get("session")
        return {**fields, "session": merge(fields["session"], part)} if isinstance(part, dict) else fields
    block, agent = _BLOCKS.get(str(kind)), overrides.get("agent")
    part = agent.get(block) if isinstance(agent, dict) else None
    if block is None or not isinstance(part, dict):
        return fields
    given = fields.get(block)
    if isinstance(given, list):
        return {**fields, block: [merge(each, part) if isinstance(each, dict) else each for each in given]}
    return {**fields, block: merge(given, part)} if isinstance(given, dict) else fields


_BLOCKS: Final = {"UpdateThink": "think", "UpdateSpeak": "speak", "UpdateListen": "listen"}


def _decode(
    context: Context, text: str, original: deepgram.Settings | inputs.PassthroughSessionUpdate
) -> deepgram.Settings | inputs.PassthroughSessionUpdate:
    # Read the result by the rules for a client's message, so that a field means the same in both.
    is_sparse = context.profile.sparse_settings
    if context.policy is not None:
        text = _permitted(context.policy, text, original, is_sparse=is_sparse)
    if isinstance(original, inputs.PassthroughSessionUpdate):
        return inputs.PassthroughSessionUpdate(text)
    message: Any = deepgram_codec.decode(text, is_sparse=is_sparse)
    if isinstance(message, deepgram_codec.Unparsable):
        raise ValueError(message.problem)  # noqa: TRY004 - as above
    fault = session_config.validate_settings(message)
    if fault is not None:
        raise ValueError(fault.description)
    return message  # type: ignore[no-any-return] # the type is unchanged, so it is Settings


def _permitted(
    policy: Policy, text: str, original: deepgram.Settings | inputs.PassthroughSessionUpdate, *, is_sparse: bool
) -> str:
    fields = deepgram_codec.read(text, is_sparse=is_sparse)
    if isinstance(fields, deepgram_codec.Unparsable):
        raise ValueError(fields.problem)  # noqa: TRY004 - as above
    is_native = isinstance(original, inputs.PassthroughSessionUpdate)
    judged = policy.client_event(fields, opens=True) if is_native else policy.settings(fields)
    if isinstance(judged, Denied):
        raise ValueError(f"the policy {policy.name} denies it: {judged.sentence}")  # noqa: TRY004 - as above
    return orjson.dumps(judged).decode()


def merge(settings: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` with `overrides`, merged dict by dict. A value of None deletes a field; lists are replaced."""
    result = dict(settings)
    for key, value in overrides.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result
