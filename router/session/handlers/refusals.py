"""Find fatal upstream errors, and answer unreadable client messages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors.restart import Loss, LossKind
from router.deepgram import messages as deepgram
from router.translation import errors

if TYPE_CHECKING:
    from router.deepgram import codec as deepgram_codec
    from router.openai import events as openai
    from router.session.context import Context

UNPARSABLE: Final = "UNPARSABLE_CLIENT_MESSAGE"

_MAX_NAME_CHARS: Final = 80
"""The number of characters of an unknown `type` that the answer repeats. The client may write any number of them."""


def record_error(context: Context, event: openai.Error) -> None:
    """Record an upstream error that came before session.created.

    The error explains the close that may follow (upstream 9.2).
    """
    context.state.last_error = event.error
    context.log(logging.WARNING, f"the upstream sent an error: {errors.code_of(event.error)}: {event.error.message}")
    abandon_refusing_upstream(context, event.error)


def abandon_refusing_upstream(context: Context, error: openai.ErrorDetail) -> bool:
    """Abandon the upstream if its error says that it will not serve the session. Return whether it says so.

    The session does not wait for the close frame, which comes later, or never.
    """
    if not is_fatal_error(error):
        return False
    code = errors.code_of(error)
    context.abandon(Loss(kind=LossKind.REFUSED, cause=code, is_fatal=code in errors.FATAL))
    return True


def is_fatal_error(error: openai.ErrorDetail) -> bool:
    """Whether an error means that this upstream will not serve the session any more."""
    return errors.code_of(error) in errors.FATAL | errors.EXPIRED


# Unreadable client messages.


def answer_unparsable(context: Context, unparsable: deepgram_codec.Unparsable) -> None:
    """Answer an unreadable message with an Error that names the field. One bad message ends no session."""
    if unparsable.is_excess:
        context.count_excess(f"a message of the client is refused: {unparsable.problem}")
    context.to_client(deepgram.Error(description=unparsable.problem, code=unparsable.code))


def answer_foreign(context: Context, foreign: deepgram_codec.Foreign) -> None:
    """Answer a message of an unknown type.

    The session does not forward the message, because the upstream would refuse it in words of its own.
    """
    name = foreign.type[:_MAX_NAME_CHARS]
    context.to_client(deepgram.Error(description=f"the field `type` is {name}: an unknown type", code=UNPARSABLE))
