"""The way of received messages from a leg to its translator, and the pause of a leg that is ahead of its translator.

This module knows no message. A flood fills the inbox of its own session, because heavy sessions run last
(`actors.dispatcher.SHARE_S`). So the leg is not read until the session has caught up, and TCP slows the peer down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors import lifecycle
from actors.footprint import STEP_BYTES

if TYPE_CHECKING:
    from actors.actor import Ref
    from actors.connections.base import Connection
    from actors.dispatcher import Dispatcher
    from actors.messages import Message

MAX_MESSAGES: Final = 256
"""The messages that may wait in the translator's inbox while its legs are read: 5 s of 20 ms frames."""

MAX_BYTES: Final = 1024 * 1024
"""The bytes that one leg may pass on while messages wait in the translator's inbox."""


class Intake:
    """The path by which one leg passes messages to its translator.

    The leg and the translator share a dispatcher, on whose thread this object is used.
    """

    __slots__ = ("_dispatcher", "_leg", "_passed_bytes", "_translator", "_unmeasured_bytes", "is_ahead")

    def __init__(self, leg: Ref, translator: Ref, dispatcher: Dispatcher) -> None:
        self._leg = leg
        self._dispatcher = dispatcher
        self._translator = translator
        self._passed_bytes = 0
        """The bytes that were passed on since the inbox was last empty."""
        self._unmeasured_bytes = 0
        """The bytes that were passed on since the translator last measured its memory."""
        self.is_ahead = False
        """Whether the leg is paused until the translator has caught up."""

    def pass_on(self, message: Message, size_bytes: int, connection: Connection) -> None:
        """Pass a message on. Pause the connection that brought it if too many messages wait."""
        translator = self._translator
        waiting = translator.actor_inbox.waiting
        self._passed_bytes = self._passed_bytes + size_bytes if waiting else size_bytes
        translator.hand_over(message, self._dispatcher)
        self._unmeasured_bytes += size_bytes
        if self._unmeasured_bytes >= STEP_BYTES:
            self._unmeasured_bytes = 0
            translator.offer(lifecycle.MeasureMemory())
        if self._passed_bytes > MAX_BYTES or len(waiting) > MAX_MESSAGES:
            self._pause(connection)

    def has_caught_up(self) -> bool:
        """Whether the leg may be read again.

        If not, the leg gets `ContinueReading`, and asks again in its next slice.
        """
        if self.is_ahead and self._translator.actor_inbox.waiting:
            self._leg.offer(lifecycle.ContinueReading())
            return False
        self.is_ahead = False
        return True

    def _pause(self, connection: Connection) -> None:
        if not self.is_ahead:
            self.is_ahead = True
            connection.pause()
            self._leg.offer(lifecycle.ContinueReading())
