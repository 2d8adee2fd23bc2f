"""The leg to a client whose socket an ASGI server owns: messages cross between its event loop and a dispatcher.

The server speaks WebSocket, so this connection has messages and no frames. A message waits in a queue of `passage`
between the two threads. `crossing` wakes the other thread once for all messages of a turn, and neither thread waits for
the other. Both queues have bounds. A client that does not read overflows, as on any connection. If the session does not
read, the router does not call `receive`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actors.connections import frames
from actors.connections.asgi_server import ServerEnd, reset
from actors.connections.asgi_writer import AsgiWriter
from actors.connections.base import AcceptedConnection, ConnectionClosed, ConnectionLimits, Ending
from actors.connections.close_codes import CloseCode
from actors.connections.passage import CaughtUp, Close, CloseSent, Drained, Passage, Probe, size_bytes
from actors.connections.share import Share
from actors.footprint import STEP_BYTES
from actors.traffic import NO_TRAFFIC

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.connections.asgi_server import Receive, Send
    from actors.connections.base import ConnectionListener
    from actors.connections.crossing import Crossing
    from actors.connections.passage import Event
    from actors.dispatcher import Dispatcher
    from actors.timers import Timer

logger = logging.getLogger(__name__)

EVENT_BUDGET: Final = 256
"""The most messages that are handled before other connections get their turn, as in `protocol`."""


class AsgiConnection(AcceptedConnection):
    """The connection to a client of an ASGI server. `AsgiHandshake.accept` makes it.

    The server sends pings, answers the client's pings, and does the close handshake. So the answer to a `probe` comes
    when the server has taken the messages before the probe. The client has then read these messages, except for those
    in the server's buffer.

    A method whose docstring names no thread runs on the dispatcher's thread.
    """

    def __init__(
        self,
        crossing: Crossing,
        *,
        peer: str,
        subprotocol: str | None,
        limits: ConnectionLimits,
        first_text: str | None,
    ) -> None:
        self.subprotocol = subprotocol
        self.dispatcher: Dispatcher | None = None
        self._crossing = crossing
        self._peer = peer
        self._limits = limits
        self._listener: ConnectionListener | None = None
        self._passage = Passage(limits)
        self._writer = AsgiWriter(self, self._passage, limits)
        self._server: ServerEnd | None = None
        """The server's end of the passage; None unless `carry` runs."""
        self._traffic = NO_TRAFFIC
        self._events: Sequence[Event] = ()
        """Events that were taken from the passage and not yet delivered."""
        self._is_delivery_due = False
        """Whether the dispatcher has to call `deliver`. The loop sets the flag, and `deliver` clears it."""
        self._is_paused = False
        self._share: Share | None = None
        self._is_evicted = False
        self._close_deadline: Timer | None = None
        self._closing: ConnectionClosed | None = None
        """The end that `on_closed` will report; None while the connection is open.

        Once it is set, no message is sent, and only a late text is delivered.
        """
        self._is_ended = False
        self._is_cut = False
        """Whether the loop has to end at once, without sending the rest of the messages."""
        if first_text is not None:
            self._passage.put(first_text)

    def __str__(self) -> str:
        return f"{type(self).__name__} {self._peer}"

    # The seam.

    def open(self, dispatcher: Dispatcher, listener: ConnectionListener) -> None:
        """Begin to deliver what the client sent; see `Connection.open`."""
        if self._is_ended:
            return
        # The loop queues an event before it looks at `dispatcher`: what it does not pass on is delivered here.
        self._listener, self.dispatcher = listener, dispatcher
        self._traffic = dispatcher.client_traffic
        if self._limits.footprint is not None:
            self._share = Share(self, self._limits.footprint, dispatcher)
        dispatcher.call_soon(self.deliver)
        self._writer.open(dispatcher)

    def send_text(self, text: str | bytes) -> None:
        """Send one text message; see `Connection.send_text`. ASGI has no fragments."""
        if self.may_give_way:
            self._writer.send([text if isinstance(text, str) else text.decode()])

    def send_binary(self, data: bytes) -> None:
        """Send one binary message, or several; see `Connection.send_binary`."""
        even_bytes = max(2, self._limits.max_frame_bytes & ~1)
        if self.may_give_way and not self._writer.takes_last_text_alone:
            self._writer.send([data[at : at + even_bytes] for at in range(0, len(data), even_bytes)] or [data])

    def probe(self) -> None:
        """Ask whether the server takes messages; see `Connection.probe`."""
        if self.may_give_way:
            self._writer.put(Probe())

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "", linger_s: float = 0.0) -> None:
        """Begin the close handshake; see `Connection.close`."""
        if self.may_give_way:
            self._begin_close(ConnectionClosed(ending=Ending.CLOSED_BY_US, code=code, reason=reason), linger_s)

    def abort(self) -> None:
        """End without a handshake; see `Connection.abort`."""
        self._end(self._closing or reset())

    def abort_from_outside(self, last_text: str | None = None) -> None:
        """Send a last text and close, from the server's event loop; see `Connection.abort_from_outside`."""
        if not self._is_ended:
            text = last_text if self._closing is None else None
            self._writer.put_last(Close(CloseCode.INTERNAL_ERROR, "internal error"), text)

    def pause(self) -> None:
        """Stop delivering messages to the listener. Meanwhile the connection receives up to `INCOMING_BYTES`."""
        if self._closing is None:
            self._is_paused = True

    def resume(self) -> None:
        """Deliver messages to the listener again, beginning with those that waited."""
        if self._is_paused and not self._is_ended:
            self._is_paused = False
            if self.dispatcher is not None:
                self.dispatcher.call_soon(self.deliver)

    @property
    def is_busy(self) -> bool:
        """Whether more than `high_water_bytes` of messages to the client wait until the server takes them."""
        return self._passage.is_busy

    @property
    def peer(self) -> str:
        """The client's address, for log lines."""
        return self._peer

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines, from the listener; empty without a listener. Any thread may read them."""
        listener = self._listener
        return listener.log_fields if listener is not None else {}

    def wait_until_given_back(self) -> None:
        """Return at once, because no thread of the server is held; see `AcceptedConnection`."""

    # From the writer.

    def wake_loop(self) -> None:
        """Make the server's event loop look at the passage; see `AsgiWriterOwner`. Any thread may call this method."""
        self._crossing.wake_loop(self)

    def on_backlog(self) -> None:
        """Note how much memory is kept for the client; see `Share.note`."""
        if self._share is not None and (self._share.holding.held_bytes or self.held_bytes >= STEP_BYTES):
            self._share.note()

    def on_write_overflowed(self) -> None:
        """Notify the listener, which sends a last text and closes."""
        if self.dispatcher is not None:
            self.dispatcher.call_soon(self._notify_overflow)

    def on_write_stalled(self) -> None:
        """End the connection, because a client that takes no message for `write_stall_s` counts as gone."""
        ending = Ending.OVERFLOWED if self._writer.overflows else Ending.TIMED_OUT
        reason = f"took no byte within {self._limits.write_stall_s:g} s"
        self._end(self._closing or ConnectionClosed(ending=ending, code=CloseCode.ABNORMAL_CLOSURE, reason=reason))

    def _notify_overflow(self) -> None:
        # The count is taken only now: messages that the owner sent in between were dropped, too.
        dropped_bytes = self._writer.take_dropped()
        if not self._is_ended and self._listener is not None:
            self._call_listener(self._listener.on_overflowed, dropped_bytes)

    # The memory that all peers hold together.

    @property
    def held_bytes(self) -> int:
        """The bytes that wait for the client, and the bytes of the client that wait for the session; see `Sharer`."""
        return self._passage.waiting_bytes + self._passage.unread_bytes

    @property
    def may_give_way(self) -> bool:
        """Whether the connection is neither closing nor ended; see `Sharer`."""
        return self._closing is None and not self._is_ended

    def give_way(self) -> None:
        """Drop the backlog, and every message of the client from now on; see `Sharer`."""
        self._is_evicted = True
        self._events = ()
        self._passage.drop_backlog()
        if self.dispatcher is not None and self._listener is not None:
            self.dispatcher.call_soon(partial(self._call_listener, self._listener.on_evicted))

    # Incoming messages.

    def note_arrival(self) -> bool:
        """Note that an event waits for the dispatcher, on the loop's thread; see `Carried`.

        Return True if the caller must wake the dispatcher.
        """
        # Set the flag only if it is down. `deliver` may take it down meanwhile, but then takes this event, too.
        if self._is_delivery_due:
            return False
        self._is_delivery_due = True
        return True

    def deliver(self) -> None:
        """Handle the client's messages in order, at most `EVENT_BUDGET` of them. Leave the rest for a later turn."""
        self._is_delivery_due = False
        if self._is_held():
            return
        events = self._take_events()
        for handled, event in enumerate(events):
            # A handler may have paused or ended the connection: the next event must not pass it.
            if self._is_held():
                self._events = events[handled:]
                break
            try:
                self._handle(event)
            except Exception:
                logger.exception("%s: failed at a message", self, extra=self.log_fields)
                self.abort()
        if self._passage.has_incoming and self.dispatcher is not None:
            self.dispatcher.leave_unread()
            self.dispatcher.call_soon(self.deliver)
        self.on_backlog()
        server = self._server
        if server is not None and server.waits_for_room and self._passage.has_room:
            self._crossing.wake_loop(self)

    def _take_events(self) -> Sequence[Any]:
        taken = self._passage.take(EVENT_BUDGET)
        messages = [event for event in taken if isinstance(event, str | bytes)]
        self._traffic.received_messages += len(messages)
        self._traffic.received_bytes += sum(map(size_bytes, messages))
        events: list[Any] = [*self._events, *taken]
        self._events = ()
        if len(events) > 1 and self._limits.join_binary_bytes:
            return frames.joined(events, self._limits.join_binary_bytes)
        return events

    def _is_held(self) -> bool:
        """Whether no message may be delivered now: the connection is paused or has ended.

        This is a method and no property, because a type checker would not expect a property to change in a loop.
        """
        return self._is_paused or self._is_ended

    def _handle(self, event: Event) -> None:
        if isinstance(event, ConnectionClosed):
            self._end(self._closing or event)
        elif isinstance(event, CloseSent):
            self._end(self._closing or reset())
        elif self._listener is None or self._is_evicted:
            pass
        elif self._closing is None:
            self._pass_on(self._listener, event)
        elif isinstance(event, str) and self._closing.ending is Ending.CLOSED_BY_US:
            self._listener.on_late_text(event)

    def _pass_on(self, listener: ConnectionListener, event: str | bytes | CaughtUp | Drained) -> None:
        if isinstance(event, CaughtUp):
            listener.on_caught_up()
        elif isinstance(event, Drained):
            listener.on_drained()
        elif problem := self._passage.excess(event):
            logger.info("%s: protocol violation: %s", self, problem, extra=self.log_fields)
            code = CloseCode.MESSAGE_TOO_BIG
            self._begin_close(ConnectionClosed(ending=Ending.PROTOCOL_ERROR, code=code, reason=problem))
        elif isinstance(event, bytes):
            listener.on_binary(event)
        else:
            listener.on_text(event)

    # The end.

    def _begin_close(self, closing: ConnectionClosed, linger_s: float = 0.0) -> None:
        self._closing = closing
        frame = Close(closing.code, closing.reason)
        if self.dispatcher is None:
            self._is_ended = True
            self._writer.put_last(frame)
            return
        self._close_deadline = self.dispatcher.call_later(linger_s + self._limits.close_timeout_s, self.abort)
        self.resume()
        self._writer.put(frame)

    def _end(self, closed: ConnectionClosed) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        self._writer.close()
        if self._close_deadline is not None:
            self._close_deadline.discard()
        if self._share is not None:
            self._share.release()
            self._share = None
        self._is_cut = True
        self._crossing.wake_loop(self)
        if self.dispatcher is not None and self._listener is not None:
            # Call the listener on a later turn, never from inside one of its own calls.
            self.dispatcher.call_soon(partial(self._call_listener, self._listener.on_closed, closed))
        self._listener = None

    def _call_listener(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            callback(*args)
        except Exception:
            logger.exception("%s: its owner failed in %s", self, callback, extra=self.log_fields)
            self.abort()

    def lose(self) -> None:
        """Note that the server has ended the connection. Any thread may call this method."""
        self._passage.arrive(reset())
        if self.dispatcher is not None:
            self.dispatcher.call_soon(self.deliver)

    # On the loop.

    async def carry(self, receive: Receive, send: Send) -> None:
        """Accept the WebSocket, and carry its messages until the client or the session ends it."""
        self._server = ServerEnd(self, self._crossing, self._passage, receive, send)
        try:
            await self._server.carry()
        finally:
            self._server = None

    def look(self) -> None:
        """Wake each task of the server's end whose wait is over; see `ServerEnd.look`."""
        if self._server is not None:
            self._server.look()

    @property
    def cut_code(self) -> int | None:
        """The close code if the connection has ended and dropped its unsent messages, or else None; see `Carried`."""
        if not self._is_cut:
            return None
        return CloseCode.INTERNAL_ERROR if self._closing is None else self._closing.code
