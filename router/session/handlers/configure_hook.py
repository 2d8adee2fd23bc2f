"""Handlers of what the embedding application has to say to a client's Settings, before the upstream is configured.

It is asked off the dispatcher. The session waits for it as it waits for its upstream: what the client says meanwhile
is kept. It decides nothing about the call: where it fails, or what it says is no good, the Settings stay as they are.
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


def ask(context: Context, text: str) -> None:
    """Ask the application, and wait for its answer."""
    context.state.asked_with = text
    work = ConfigureSession(orjson.loads(text))
    context.start_work(WorkKind.CONFIGURE, "", work, context.options.deadlines.hook_s)


def answered(context: Context, done: messages.WorkDone) -> deepgram.Settings | inputs.PassthroughSessionUpdate | None:
    """What the session is to be configured with, if not with what the client sent."""
    text, context.state.asked_with = context.state.asked_with, None
    if done.failure is not None:
        why = "" if done.failure.error is None else f" {done.failure.error!r}"
        context.log(logging.ERROR, f"configure {done.failure.kind.value}{why}: the Settings stay as they are")
        return None
    if done.result is None or text is None:
        return None
    try:
        return _read(context, _laid_over(text, done.result))
    except ValueError as error:
        context.log(logging.ERROR, f"what configure returned is no good: {error}: the Settings stay as they are")
        return None


def _laid_over(text: str, overrides: Any) -> str:
    if not isinstance(overrides, Mapping):
        raise ValueError("it is no dict")  # noqa: TRY004 - whatever is wrong with it, one kind of error
    given = orjson.loads(text)
    laid = merged(given, overrides)
    if laid.get("type") != given["type"]:
        raise ValueError("it changes the type of the message")
    try:
        return orjson.dumps(laid).decode()
    except TypeError as error:
        raise ValueError(f"it is no JSON: {error}") from error


def _read(context: Context, text: str) -> deepgram.Settings | inputs.PassthroughSessionUpdate:
    if context.state.is_passthrough:
        return inputs.PassthroughSessionUpdate(text)
    read: Any = deepgram_codec.decode(text)
    if isinstance(read, deepgram_codec.Unparsable):
        raise ValueError(read.problem)  # noqa: TRY004 - the same
    fault = session_config.validate_settings(read)
    if fault is not None:
        raise ValueError(fault.description)
    return read  # type: ignore[no-any-return] # text that was Settings, and still says so


def merged(given: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with `overrides` laid over it, dict by dict; None takes a field out. Lists are replaced."""
    laid = dict(given)
    for key, value in overrides.items():
        if value is None:
            laid.pop(key, None)
        elif isinstance(value, dict) and isinstance(laid.get(key), dict):
            laid[key] = merged(laid[key], value)
        else:
            laid[key] = value
    return laid
