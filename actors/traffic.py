"""The counts of messages and bytes, as plain integers that every frame adds to. Pure."""

from __future__ import annotations

from typing import Final


class Traffic:
    """The messages and bytes of one kind of connection.

    The dispatcher's thread changes them, and any thread may read them.
    """

    __slots__ = ("dropped_bytes", "received_bytes", "received_messages", "sent_bytes", "sent_messages")

    def __init__(self) -> None:
        self.received_messages = self.received_bytes = 0
        self.sent_messages = self.sent_bytes = 0
        self.dropped_bytes = 0
        """Bytes that were dropped because a peer did not read them in time."""


NO_TRAFFIC: Final = Traffic()
"""The counts of all connections that are on no dispatcher yet. Nothing reads these counts."""
