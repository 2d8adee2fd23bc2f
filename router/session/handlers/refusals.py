"""Handlers of refusals: upstream errors that end a connection, and client messages that cannot be read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from actors.restart import Loss, LossKind
from router.deepgram import messages as deepgram
from router.translation import errors

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.context import Context

UNPARSABLE: Final = "UNPARSABLE_CLIENT_MESSAGE"


def record_error(context: Context, event: openai.Error) -> None:
    """Keep what the upstream says before its session exists: a close follows, which this explains."""
    context.state.last_error = event.error
    context.log(logging.WARNING, f"the upstream says {errors.code_of(event.error)}: {event.error.message}")
    abandon_refusing_upstream(context, event.error)


def abandon_refusing_upstream(context: Context, error: openai.ErrorDetail) -> bool:
    """Give the upstream up where its error says that it serves us no more; whether it does."""
    if not is_fatal_error(error):
        return False
    code = errors.code_of(error)
    context.abandon(Loss(kind=LossKind.REFUSED, cause=code, is_fatal=code in errors.FATAL))
    return True


def is_fatal_error(error: openai.ErrorDetail) -> bool:
    """Whether an upstream that says this serves us no more."""
    return errors.code_of(error) in errors.FATAL | errors.EXPIRED


# What cannot be read.


def answer_unparsable(context: Context, unparsable: Any) -> None:
    """Answer a message that cannot be read: the answer names the field, and the session goes on."""
    context.to_client(deepgram.Error(description=unparsable.problem, code=UNPARSABLE))


def answer_foreign(context: Context, foreign: Any) -> None:
    """Answer a message of a type that is none of ours. It is not forwarded."""
    name = foreign.type[:80]
    context.to_client(deepgram.Error(description=f"the field `type` is {name}: unknown here", code=UNPARSABLE))
