"""The wait of a dispatcher for ready descriptors, and the way in which another thread wakes the dispatcher.

Linux has epoll and eventfd. Elsewhere the standard library's `selectors` (kqueue on macOS and the BSDs) and a pipe take
their places, behind the methods of `select.epoll` (docs/decisions/0029-a-portable-poller.md). The environment variable
`SWITCHBOARD_POLLER=select` forces the most portable selector and a pipe on Linux, too, for tests.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
from typing import Final, Protocol

VARIABLE: Final = "SWITCHBOARD_POLLER"

READABLE: Final = getattr(select, "EPOLLIN", 1)
WRITABLE: Final = getattr(select, "EPOLLOUT", 4)
"""The events that a descriptor can be watched for. A broken descriptor is reported as either, or both."""

Mask = int
"""`READABLE`, `WRITABLE`, or both. epoll adds other bits when something is wrong."""


class PollerError(RuntimeError):
    """The environment names a poller that does not exist. The text names the existing pollers."""


class Poller(Protocol):
    """The part of `select.epoll` that a dispatcher uses."""

    def register(self, descriptor: int, events: Mask, /) -> None:
        """Watch a descriptor."""

    def modify(self, descriptor: int, events: Mask, /) -> None:
        """Watch a registered descriptor for other events."""

    def unregister(self, descriptor: int, /) -> None:
        """Stop watching a descriptor."""

    def poll(self, timeout_s: float | None = None, /) -> list[tuple[int, Mask]]:
        """Wait at most `timeout_s` for events. Without a time-out, wait until there is an event.

        Return each ready descriptor with its mask.
        """

    def close(self) -> None:
        """Release the poller's own descriptors."""


class SelectorPoller:
    """A `Poller` over the standard library's selectors."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector

    def register(self, descriptor: int, events: Mask, /) -> None:
        """Watch a descriptor."""
        self._selector.register(descriptor, _to_selector(events))

    def modify(self, descriptor: int, events: Mask, /) -> None:
        """Watch a registered descriptor for other events."""
        self._selector.modify(descriptor, _to_selector(events))

    def unregister(self, descriptor: int, /) -> None:
        """Stop watching a descriptor."""
        self._selector.unregister(descriptor)

    def poll(self, timeout_s: float | None = None, /) -> list[tuple[int, Mask]]:
        """Wait at most `timeout_s` for events. Without a time-out, wait until there is an event.

        Return each ready descriptor with its mask.
        """
        return [(key.fd, _FROM_SELECTOR[mask]) for key, mask in self._selector.select(timeout_s)]

    def close(self) -> None:
        """Release the poller's own descriptors."""
        with contextlib.suppress(OSError):  # the child of a fork has no kqueue
            self._selector.close()


class Waker(Protocol):
    """A descriptor that becomes readable when another thread asks for it."""

    descriptor: int

    def wake(self) -> None:
        """Make the descriptor readable. Any thread may call this method.

        Raises:
            OSError, ValueError: the descriptor is closed.
        """

    def clear(self) -> None:
        """Make the descriptor unreadable again."""

    def close(self) -> None:
        """Close the descriptor."""


class EventWaker:
    """A `Waker` of one descriptor, by Linux's eventfd."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def wake(self) -> None:
        """Make the descriptor readable."""
        os.eventfd_write(self.descriptor, 1)

    def clear(self) -> None:
        """Make the descriptor unreadable again."""
        os.eventfd_read(self.descriptor)

    def close(self) -> None:
        """Close the descriptor."""
        # The number is cleared first: a late `wake` must not write into the next file that gets it.
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class PipeWaker:
    """A `Waker` of two descriptors, by a pipe."""

    def __init__(self) -> None:
        self.descriptor, self._writing = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._writing, False)

    def wake(self) -> None:
        """Make the descriptor readable."""
        with contextlib.suppress(BlockingIOError):  # it is full, and so readable
            os.write(self._writing, b"\0")

    def clear(self) -> None:
        """Make the read end unreadable again with one read. Any bytes that are left wake the dispatcher once more."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4096)

    def close(self) -> None:
        """Close both ends."""
        # The numbers are cleared first: a late `wake` must not write into the next file that gets one.
        descriptors = self.descriptor, self._writing
        self.descriptor = self._writing = -1
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)


def is_portable() -> bool:
    """Whether pollers and wakers are the portable ones: the system lacks Linux's, or the environment forces them.

    Raises:
        PollerError: the environment names a poller that does not exist.
    """
    forced = os.environ.get(VARIABLE, "")
    if forced not in ("", "select", "epoll"):
        raise PollerError(f"{VARIABLE} must be 'select', 'epoll' or unset, not {forced!r}")
    has_epoll = hasattr(select, "epoll") and hasattr(os, "eventfd")
    if forced == "epoll" and not has_epoll:
        raise PollerError(f"{VARIABLE} is 'epoll', which only Linux has: leave it unset")
    return forced == "select" or not has_epoll


def new_poller() -> Poller:
    """Return a poller for this system."""
    if not is_portable():
        return select.epoll()
    is_forced = os.environ.get(VARIABLE) == "select"
    return SelectorPoller(_FORCED() if is_forced else selectors.DefaultSelector())


def new_waker() -> Waker:
    """Return a waker for this system."""
    return PipeWaker() if is_portable() else EventWaker()


_FORCED: Final[type[selectors.BaseSelector]] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""The selector that the environment forces. select() takes only descriptors below 1024, so poll() comes first."""


def _to_selector(events: Mask) -> int:
    return (selectors.EVENT_READ if events & READABLE else 0) | (selectors.EVENT_WRITE if events & WRITABLE else 0)


_FROM_SELECTOR: Final = {
    selectors.EVENT_READ: READABLE,
    selectors.EVENT_WRITE: WRITABLE,
    selectors.EVENT_READ | selectors.EVENT_WRITE: READABLE | WRITABLE,
}
