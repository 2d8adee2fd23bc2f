"""What the agent is to say word for word: a greeting, or what the client puts into its mouth."""

from __future__ import annotations

import msgspec


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A text that is to be said as it is."""

    item_id: str
    """Ours: of the item that it becomes in the conversation, and of its audio."""
    text: str
    rest: str
    """What of it is still to be said, where an upstream was lost over it."""
    is_told: bool = False
    """The client has its text."""
    is_urgent: bool = False
    """It is said although the user is talking."""


def statement_of(item_id: str, text: str, *, is_urgent: bool = False) -> Statement:
    """A statement of which nothing is said yet."""
    return Statement(item_id=item_id, text=text, rest=text, is_urgent=is_urgent)
