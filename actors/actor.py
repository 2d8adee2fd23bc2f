"""The engine's pykka.Actor: an inbox bound to a dispatcher.

pykka's semantics hold: `tell`, `ask`, `stop`, `on_start`, `on_stop`, `on_failure`, the registry. The thread differs: an
actor has no thread of its own, but runs in slices on a dispatcher's thread. The actor shares that thread with the
actors that it exchanges most messages with. This module knows no session, connection or role.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeVar, TypeVarTuple, Unpack, cast

import pykka

from actors.dispatcher import on_dispatcher_thread
from actors.log_context import log_fields
from actors.pykka_internals import ActorStop, Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.dispatcher import Dispatcher

logger = logging.getLogger(__name__)

SLICE_S: Final = 0.005
"""The seconds after which a slice begins no further message, because `SLICE_BUDGET` messages may take long."""

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
A = TypeVar("A", bound="Actor")


class WouldDeadlock(RuntimeError):  # noqa: N818 - named for what it says
    """A dispatcher's thread was about to wait for a reply.

    The actor that would reply may live on the same thread. Even if that actor lives on another thread, every session of
    this thread would wait.
    """

    def __str__(self) -> str:
        return "ask() would block a dispatcher's thread: tell instead, or ask with block=False"


class Future(pykka.ThreadingFuture[T]):
    """A future of pykka. `get` raises an error if it would block the thread of a dispatcher."""

    _is_answered = False

    def set(self, value: Any | None = None) -> None:
        """Set the value; see `pykka.Future.set`."""
        super().set(value)
        self._is_answered = True

    def set_exception(self, exc_info: Any | None = None) -> None:
        """Set an exception as the value; see `pykka.Future.set_exception`."""
        super().set_exception(exc_info)
        self._is_answered = True

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait for the value; see `pykka.Future.get`.

        Raises:
            WouldDeadlock: the calling thread is a dispatcher's, and the value is not there yet.
        """
        if on_dispatcher_thread() and not self._is_answered:
            raise WouldDeadlock
        return super().get(timeout=timeout)


class Inbox:
    """An unbounded queue that schedules its actor when a message comes in.

    The queue is a list, because no thread ever waits on it. A list costs a fifth of pykka's default `queue.Queue`. An
    empty list takes a tenth of the memory of a `deque`, and an inbox is nearly always empty. A slice takes out many
    messages at once, so a list's slow `pop(0)` does not matter.
    """

    __slots__ = ("_dispatcher", "actor", "is_scheduled", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        """The messages that wait.

        A message from `ask` is in an envelope with the place for its reply; one from `tell` has none.
        """
        self._dispatcher: Dispatcher | None = None
        self.actor: Actor | None = None
        """The actor, between its start and its end."""
        self.is_scheduled = False

    def bind(self, dispatcher: Dispatcher, actor: Actor) -> None:
        """Bind the inbox to an actor, which runs on `dispatcher` from now on, beginning with `on_start`."""
        self._dispatcher = dispatcher
        self.actor = actor
        self.is_scheduled = True
        dispatcher.schedule(actor)

    def put(self, envelope: Any) -> None:
        """Add an envelope, or a bare message, to the end, and schedule the actor. Any thread may call this method."""
        self.waiting.append(envelope)
        # Two threads may both find the flag down. Then the actor gets one slice too many, in which no message waits.
        if self.is_scheduled:
            return
        actor = self.actor  # once: another thread may unbind it meanwhile
        if self._dispatcher is not None and actor is not None:
            self.is_scheduled = True
            self._dispatcher.schedule(actor)

    def get(self) -> Envelope[Any]:
        """Remove the first message, and return it in an envelope. Raise IndexError if the inbox is empty."""
        first = self.waiting.pop(0)
        return first if type(first) is Envelope else Envelope(first)

    def empty(self) -> bool:
        """Whether no message waits."""
        return not self.waiting

    def unbind(self) -> None:
        """Release the stopped actor.

        Otherwise a reference to the actor, which holds this inbox, would keep the actor in memory.
        """
        self.actor = None


_first_waiter = threading.Lock()
"""The lock under which the first waiter of a `Stopped` makes the event that it waits for."""


class Stopped:
    """pykka's `actor_stopped`: an event that is read for every frame and hardly ever waited for.

    Reading the event takes one attribute. A lock for waiting takes a kilobyte, so the first thread that waits makes the
    lock. The class does not derive from `threading.Event`, because then each object would have a dictionary.
    """

    __slots__ = ("_waited_for", "is_up")

    def __init__(self) -> None:
        self.is_up = False
        self._waited_for: threading.Event | None = None

    def is_set(self) -> bool:
        """Whether the actor has stopped."""
        return self.is_up

    def set(self) -> None:
        """Note that the actor has stopped. Any thread may call this method."""
        self.is_up = True
        if self._waited_for is not None:
            self._waited_for.set()

    def clear(self) -> NoReturn:
        """Raise an error, because a stopped actor does not start again."""
        raise RuntimeError("a stopped actor does not start again")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds until the actor has stopped. Return whether the actor has stopped."""
        with _first_waiter:
            if self._waited_for is None:
                self._waited_for = threading.Event()
        # `set` raises the flag before it looks for waiters. This thread became a waiter before it looks at the flag.
        return self.is_up or self._waited_for.wait(timeout)


class Ref(pykka.ActorRef[Any]):
    """pykka's reference, whose `ask` refuses at once if waiting would deadlock."""

    actor_inbox: Inbox
    actor_stopped: Stopped  # type: ignore[assignment] # it is waited for and read like an event

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send a message and wait for the reply; see `pykka.ActorRef.ask`.

        Raises:
            WouldDeadlock: `block` is true on a dispatcher's thread; the message is not sent then.
        """
        if block and on_dispatcher_thread():
            raise WouldDeadlock
        future = super().ask(message, block=False)
        self._answer_if_stopped()
        return future.get(timeout=timeout) if block else future

    def tell(self, message: Any) -> None:
        """Send a message without waiting; see `pykka.ActorRef.tell`."""
        if not self.offer(message):
            raise pykka.ActorDeadError(f"{self} not found")

    def offer(self, message: Any) -> bool:
        """Send a message unless the actor has stopped. Return whether it was sent."""
        if self.actor_stopped.is_up:
            return False
        self.actor_inbox.put(message)
        return True

    def hand_over(self, message: Any, dispatcher: Dispatcher) -> bool:
        """Send a message. An actor that rests on the same dispatcher may handle the message before this method returns.

        Return whether the message was sent: False if the actor has stopped. An actor rests if it handles no message and
        none waits for it. Any other actor gets the message in its inbox, so that it handles one message at a time, in
        order. Call this method on the thread of `dispatcher`, the dispatcher of the sender.
        """
        if self.actor_stopped.is_up:
            return False
        inbox = self.actor_inbox
        actor = inbox.actor
        if inbox.is_scheduled or inbox.waiting or actor is None or actor.is_busy or actor.dispatcher is not dispatcher:
            inbox.put(message)
            return True
        handler = actor.receives.get(type(message))
        if handler is None:
            inbox.put(message)
        else:
            actor.handle_at_once(handler, message)
        return True

    def _answer_if_stopped(self) -> None:
        # The actor may have stopped between the look at its flag and the put: it would never answer then.
        if self.actor_stopped.is_set():
            _refuse_the_rest(self)


def as_ref(ref: Any) -> Ref:
    """Narrow the result of `Actor.start`, which has pykka's type, to `Ref`."""
    assert isinstance(ref, Ref)  # noqa: S101 - for the type checker
    return ref


_NO_ARGUMENT: Final[Any] = object()


def guarded(
    method: Callable[[A, Unpack[Arguments]], object],
) -> Callable[[A, Unpack[Arguments]], None]:
    """Make a method of an actor callable by connections and timers, on the dispatcher's thread.

    The method does nothing once the actor has stopped. An exception in the method fails the actor, like an exception in
    `on_receive`. The method takes one argument at most.
    """
    act = cast("Callable[..., object]", method)

    # Not `*args`: a call with them leaves the interpreter's loop, which is slow, and every frame causes such a call.
    @functools.wraps(act)
    def call(actor: A, argument: Any = _NO_ARGUMENT, /) -> None:
        if actor.actor_stopped.is_up:
            return
        dispatcher = actor.dispatcher
        before, dispatcher.running = dispatcher.running, actor
        was_busy, actor.is_busy = actor.is_busy, True
        try:
            if argument is _NO_ARGUMENT:
                act(actor)
            else:
                act(actor, argument)
        except Exception:  # noqa: BLE001 - on_failure gets it, as in pykka
            actor._fail()  # noqa: SLF001 - of this module
        actor.is_busy = was_busy
        dispatcher.running = before
        if actor.actor_stopped.is_up:
            actor._wind_up()  # type: ignore[unreachable]  # noqa: SLF001 - the method may have stopped its actor

    return cast("Callable[[A, Unpack[Arguments]], None]", call)


class Actor(pykka.Actor):
    """An actor that lives on a dispatcher.

    pykka's `on_start`, `on_stop`, `on_failure` and `on_receive` run on the dispatcher's thread, and none of them may
    block. A method that a connection or a timer calls is `guarded`.
    """

    receives: ClassVar[Mapping[type, Callable[[Any, Any], Any]]] = {}
    """A subclass's handlers: its method for each class of message.

    A message from `tell` that is listed here goes to its method directly, without an envelope and without `on_receive`,
    because nearly every frame is such a message.
    """

    actor_inbox: Inbox
    actor_stopped: Stopped  # type: ignore[assignment] # it is waited for and read like an event
    _actor_ref: Ref

    def __init__(self, dispatcher: Dispatcher, session_id: str = "") -> None:
        super().__init__()
        self.dispatcher = dispatcher
        self.session_id = session_id
        """The id of the session that the actor works for; see `Runnable`."""
        if session_id:
            # pykka gives each actor a random name, which takes a tenth of a kB, and no code looks an actor up by it.
            self.actor_urn = session_id
        # Replace pykka's own objects before any reference leaves this thread.
        self.actor_stopped = Stopped()
        self._actor_ref = Ref(self)
        self._started = False
        self.is_busy = False
        """Whether a method of the actor runs outside of its slices. Only the dispatcher's thread uses this flag."""
        self._last_turn = -1
        """The dispatcher's turn in which the actor last handled a message at once, outside of slices."""

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """The fields of log lines about the actor; empty if the actor belongs to no session."""
        return {}

    @property
    def actor_ref(self) -> Ref:
        """The actor's reference."""
        return self._actor_ref

    def on_receive(self, message: Any) -> Any:
        """Handle a message with its method in `receives`. pykka logs a message that `receives` does not list."""
        handler = self.receives.get(type(message))
        if handler is None:
            return super().on_receive(message)
        return handler(self, message)

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox()

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        self.actor_inbox.bind(self.dispatcher, self)

    def run_slice(self, budget: int) -> None:
        """Handle up to `budget` messages, and begin none after `SLICE_S` seconds. The dispatcher calls this method."""
        inbox = self.actor_inbox
        if not self._started:
            self._started = True
            self._actor_loop_setup()
        stopped, waiting, receives = self.actor_stopped, inbox.waiting, self.receives
        batch = waiting[:budget]
        del waiting[: len(batch)]  # not `clear`: other threads may have added more since the line above
        until_s = monotonic() + SLICE_S if len(batch) > 1 else 0.0
        for handled, message in enumerate(batch):
            if stopped.is_up or (handled and monotonic() > until_s):
                waiting[:0] = batch[handled:]
                break
            handler = receives.get(type(message))
            if handler is None:
                self._handle_envelope(message if type(message) is Envelope else Envelope(message))
                continue
            try:
                handler(self, message)
            except Exception:  # noqa: BLE001 - on_failure gets it, as in pykka
                self._fail()
            except BaseException:  # noqa: BLE001 - as in _handle_envelope
                self._stop_all()
        # The flag goes down before the look at the inbox: a message that is put in between schedules the actor itself.
        inbox.is_scheduled = False
        if stopped.is_up:
            self._wind_up()
        elif waiting and not inbox.is_scheduled:
            inbox.is_scheduled = True
            self.dispatcher.schedule(self)

    def handle_at_once(self, handler: Callable[[Any, Any], Any], message: Any) -> None:
        """Handle a message at once, with `handler`, its method in `receives`. The actor must rest.

        If no slice of the dispatcher runs, the call counts as a slice of the session. An actor handles only one message
        of a turn in this way. Its other messages, and all messages of a heavy session, wait in the inbox for slices,
        which have limits. So a flood of messages is limited, and its time is counted.
        """
        dispatcher = self.dispatcher
        began_s = None
        if not dispatcher.is_in_slice:
            if self._last_turn == dispatcher.turns or self.session_id in dispatcher.heavy:
                self.actor_inbox.put(message)
                return
            self._last_turn = dispatcher.turns
            began_s = monotonic()
            dispatcher.is_in_slice = True
        before, dispatcher.running = dispatcher.running, self
        self.is_busy = True
        try:
            handler(self, message)
        except Exception:  # noqa: BLE001 - on_failure gets it, as in pykka
            self._fail()
        except BaseException:  # noqa: BLE001 - as in _handle_envelope
            self._stop_all()
        self.is_busy = False
        dispatcher.running = before
        if self.actor_stopped.is_up:
            self._wind_up()
        if began_s is not None:
            dispatcher.is_in_slice = False
            dispatcher.note_slice_since(self, began_s)

    @guarded
    def run_guarded(self, callback: Callable[[], object]) -> None:
        """Call `callback` by the rules of `guarded`: not on a stopped actor, and an exception fails the actor."""
        callback()

    def on_left_over(self, message: Any) -> None:
        """Dispose of a message from `tell` that the actor, having stopped, will not handle."""

    def _handle_envelope(self, envelope: Envelope[Any]) -> None:
        try:
            response = self._handle_receive(envelope.message)
            if envelope.reply_to is not None:
                envelope.reply_to.set(response)
        except Exception:
            if envelope.reply_to is None:
                self._fail()
            else:
                logger.info("exception returned from %s to its caller", self, exc_info=True)
                envelope.reply_to.set_exception()
        except BaseException:  # noqa: BLE001 - pykka's semantics: SystemExit stops all actors
            self._stop_all()

    def _stop_all(self) -> None:
        logger.warning("%r in %s: stopping all actors", sys.exc_info()[1], self)
        self._stop()
        pykka.ActorRegistry.stop_all(block=False)  # to wait here would be to wait for actors of this thread

    def _fail(self) -> None:
        failure = sys.exc_info()
        with log_fields(self.log_fields):  # pykka logs the traceback
            self._handle_failure(*failure)
        try:
            self.on_failure(*failure)
        except Exception:  # noqa: BLE001 - pykka's semantics
            self._handle_failure(*sys.exc_info())

    def _wind_up(self) -> None:
        left_over = _refuse_the_rest(self.actor_ref)
        for message in left_over:
            self.on_left_over(message)
        if left_over:
            logger.debug("%s stopped with %d messages in its inbox", self, len(left_over))
        self.actor_inbox.unbind()


def _refuse_the_rest(ref: pykka.ActorRef[Any]) -> list[Any]:
    """Fail the messages from `ask` that a stopped actor's inbox holds, and return those from `tell`.

    A request to stop does not fail, because the actor has stopped.
    """
    left_over: list[Any] = []
    while not ref.actor_inbox.empty():
        try:
            envelope = ref.actor_inbox.get()
        except IndexError:  # another thread that refuses, too, was faster
            break
        if envelope.reply_to is None:
            left_over.append(envelope.message)
        elif isinstance(envelope.message, ActorStop):
            envelope.reply_to.set(None)
        else:
            error = pykka.ActorDeadError(f"{ref} stopped before handling the message")
            envelope.reply_to.set_exception((pykka.ActorDeadError, error, None))
    return left_over


def _unregister_the_parents() -> None:
    """Unregister the parent's actors, in the child process of a fork, where no thread runs them.

    Also replace the locks of pykka's registry and of this module, because a thread of the parent may have held them.
    """
    global _first_waiter  # noqa: PLW0603
    _first_waiter = threading.Lock()
    pykka.ActorRegistry._actor_refs_lock = threading.RLock()  # noqa: SLF001 - pykka expects no fork
    for ref in pykka.ActorRegistry.get_all():
        if isinstance(ref, Ref):
            pykka.ActorRegistry.unregister(ref)


os.register_at_fork(after_in_child=_unregister_the_parents)
