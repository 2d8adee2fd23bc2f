"""Count the inputs that change nothing. Some are expected, and the others are logged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.openai import codec as openai_codec
    from router.openai import events as openai
    from router.session.context import Context


def ignore(_context: Context, _input: object) -> None:
    """Do nothing, on purpose. A row with this handler is a decision, and not an omission."""


def ignore_event(context: Context, _event: openai.Ignored) -> None:
    """Count an event that means nothing to the client. `router.openai.events.CONSUMED` gives the reasons."""
    context.state.ignored += 1


def log_unknown(context: Context, event: openai_codec.Unknown) -> None:
    """Count an event of an unknown type, and log each type at most once."""
    context.state.ignored += 1
    context.state.over_bounds += event.is_excess
    context.log_unknown(event.type, event.problem)


def on_unexpected(context: Context, unexpected: object) -> None:
    """Count and log an input that the state's table does not list.

    The session continues, because a bug of the upstream is no reason to end a conversation.
    """
    context.state.ignored += 1
    context.log(logging.DEBUG, f"{type(unexpected).__name__} in {context.state.lifecycle.name} ignored")
