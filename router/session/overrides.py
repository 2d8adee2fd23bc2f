"""Handlers of what the embedding application has to say to a client's Settings, before the upstream is configured.

It is asked off the dispatcher. The session waits for it as it waits for its upstream: what the client says meanwhile
is kept. It decides nothing about the call: where it fails, or what it says is no good, the Settings stay as they are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import orjson

from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.work import ConfigureSession, WorkKind
from router.translation import settings

if TYPE_CHECKING:
    from actors import messages
    from router.session.session import Session


def ask(session: Session, text: str) -> None:
    """Ask the application, and wait for its answer."""
    session.state.asked_with = text
    work = ConfigureSession(orjson.loads(text))
    session.start_work(WorkKind.CONFIGURE, "", work, session.options.deadlines.hook_s)


def answered(session: Session, done: messages.WorkDone) -> deepgram.Settings | inputs.SessionUpdateAsIs | None:
    """What the session is to be configured with, if not with what the client sent."""
    text, session.state.asked_with = session.state.asked_with, None
    if done.failure is not None:
        why = "" if done.failure.error is None else f" {done.failure.error!r}"
        session.log(logging.ERROR, f"configure {done.failure.kind.value}{why}: the Settings stay as they are")
        return None
    if not done.result or text is None:
        return None
    if not isinstance(done.result, dict):
        session.log(logging.ERROR, "configure did not return a dict: the Settings stay as they are")
        return None
    return _read(session, orjson.dumps(merged(orjson.loads(text), done.result)).decode())


def _read(session: Session, text: str) -> deepgram.Settings | inputs.SessionUpdateAsIs | None:
    if isinstance(session.state.settings, inputs.SessionUpdateAsIs):
        return inputs.SessionUpdateAsIs(text)
    read: Any = deepgram_codec.decode(text)
    problem = read.problem if isinstance(read, deepgram_codec.Unparsable) else None
    if problem is None:
        fault = settings.find_fault(read)
        problem = fault.description if fault is not None else None
    if problem is not None:
        session.log(logging.ERROR, f"what configure returned makes no Settings: {problem}")
        return None
    return read  # type: ignore[no-any-return] # text that was Settings, and still says so


def merged(given: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
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
