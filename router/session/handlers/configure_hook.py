"""Let the embedding application change a client's Settings: the hook `configure`, before the upstream is configured.

The hook runs on a pool thread. The session waits for it as it waits for its upstream, and keeps the client's input
meanwhile. Where the hook fails or returns something invalid, the Settings stay as they are: it cannot end the call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.work import ConfigureSession, WorkKind
from router.translation import session_config

if TYPE_CHECKING:
    from actors import messages
    from router.session.context import Context


def start(context: Context, text: str) -> None:
    """Run the hook with the client's message, as the client wrote it."""
    context.state.settings_in_hook = text
    work = ConfigureSession(orjson.loads(text))
    context.start_work(WorkKind.CONFIGURE, "", work, context.options.deadlines.hook_s)


def take_result(
    context: Context, done: messages.WorkDone
) -> deepgram.Settings | inputs.PassthroughSessionUpdate | None:
    """Return the client's message with the hook's overrides, or None where there are none."""
    # With None, the joint rule may configure the upstream.
    text, context.state.settings_in_hook = context.state.settings_in_hook, None
    if done.failure is not None:
        reason = "" if done.failure.error is None else f" {done.failure.error!r}"
        context.log(logging.ERROR, f"configure {done.failure.kind.value}{reason}: the Settings stay as they are")
        return None
    if done.result is None or text is None:
        return None
    try:
        return _decode(context, _override(text, done.result))
    except ValueError as error:
        context.log(logging.ERROR, f"the result of configure is invalid: {error}: the Settings stay as they are")
        return None


def _override(text: str, overrides: object) -> str:
    if not isinstance(overrides, Mapping):
        raise ValueError("it is not a dict")  # noqa: TRY004 - take_result logs every fault of a result alike
    settings = orjson.loads(text)
    result = merge(settings, overrides)
    # Another type would make another message of it, for which the session's state has no row.
    if result.get("type") != settings["type"]:
        raise ValueError("it changes the type of the message")
    try:
        return orjson.dumps(result).decode()
    except TypeError as error:
        raise ValueError(f"it is not JSON: {error}") from error


def _decode(context: Context, text: str) -> deepgram.Settings | inputs.PassthroughSessionUpdate:
    # By the rules of a client's message: one reading, whether the client or the application wrote a field.
    if context.state.is_passthrough:
        return inputs.PassthroughSessionUpdate(text)
    message: Any = deepgram_codec.decode(text)
    if isinstance(message, deepgram_codec.Unparsable):
        raise ValueError(message.problem)  # noqa: TRY004 - as above
    fault = session_config.validate_settings(message)
    if fault is not None:
        raise ValueError(fault.description)
    return message  # type: ignore[no-any-return] # the type is unchanged, so it is Settings


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
