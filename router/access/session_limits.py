"""Limits on new sessions, checked before the upgrade: of all clients, a principal, an address, and per time."""

from __future__ import annotations

import functools
import ipaddress
import math
import threading
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.connections.handover import HandshakeRefused
from router.access import arrivals, daily, redis_counts
from router.access.arrivals import Arrivals
from router.access.counts import Counts, Seats
from router.access.daily import DailySums, Sums
from router.access.proxies import address_of
from router.access.redis_counts import RedisCounts, StoreAwayError
from router.access.shared_lock import SharedLock
from router.access.spent import FullError, SpentTokens
from router.config.rates import rate_of
from router.shared_areas import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.access.request import Principal
    from router.config.model import Limits
    from router.shared_areas import Areas

RETRY_SESSION_S: Final = 10
"""The seconds after which a refused client may try again, because the router cannot know when another session ends."""
RETRY_PENDING_S: Final = 1

RETRY_AWAY_S: Final = 5

_SPENT: Final = "this client has used all of its tokens, its budget or its turns of today"
_FULL: Final = {
    1: ("too many sessions", RETRY_SESSION_S),
    2: ("too many sessions from this address", RETRY_SESSION_S),
    3: ("too many sessions of this client", RETRY_SESSION_S),
    4: ("too many sessions wait for their Settings", RETRY_PENDING_S),
    5: ("too many new sessions from this address", RETRY_SESSION_S),
    6: (_SPENT, 0),
}
"""The refusal for each `redis_counts.Full.place`: its words, and the seconds until the client may try again.

0 stands for the time until midnight (UTC).
"""

GROUPS: Final = 1024
"""The most addresses whose result of `group_of` is kept, because parsing an address takes longer than all counts."""
V6_PREFIX: Final = 64
"""The bits of the IPv6 network that counts as one address.

A subscriber has at least such a network, and can choose the other bits.
"""


class SharedLimits:
    """The memory in which the workers of a server count their sessions together. It is made before the first fork.

    Args:
        limits: the configuration.
        slots: the number of workers that may exist at a time.
        areas: the memory of the server.
        of_policies: the limits of the sessions under each policy.

    Raises:
        ConfigError: the configuration of Redis is unusable.
    """

    def __init__(self, limits: Limits, slots: int = 1, areas: Areas = OWN, of_policies: Iterable[Limits] = ()) -> None:
        self.limits = limits
        every = (limits, *of_policies)
        self.is_limited = any(_is_counting(each) for each in every)
        """Whether a limit is configured."""
        redis_counts.check(limits)
        self.spent = SpentTokens(areas, is_shared=slots > 1)
        """The single-use tokens that were used."""
        # A reload may bring limits to a server that had none, so the arbiter makes the memory at its start.
        self._is_counting = self.is_limited or areas.lasts
        if self._is_counting:
            has_day = any(_is_daily(each) for each in every)
            sums = DailySums(slots, areas) if has_day or areas.lasts else None
            self.daily = sums if has_day else None
            rate = rate_of(limits.new_sessions) if limits.new_sessions else None
            self.counts = Counts(slots, areas)
            arrivals.reserve(areas)
            self.arrivals = Arrivals(*rate, areas) if rate else None
            self.lock = SharedLock("limits-lock", areas)

    def forget(self, slot: int) -> None:
        """Remove from the counts the sessions of a worker that has ended."""
        # Do not take the lock, because the arbiter must not wait for it. The owner of the slot is gone.
        if self._is_counting:
            self.counts.clear(slot)


def _is_counting(limits: Limits) -> bool:
    """Whether any of these limits needs the counts of sessions."""
    return any(
        (
            limits.max_sessions,
            limits.max_sessions_per_principal,
            limits.max_sessions_per_address,
            limits.max_pending_sessions,
            limits.new_sessions,
            _is_daily(limits),
        )
    )


def _is_daily(limits: Limits) -> bool:
    """Whether any of these limits needs the sums of a day."""
    return bool(limits.max_tokens_per_day or limits.max_cost_usd_per_day or limits.max_turns_per_day)


class Ticket(NamedTuple):
    """The place of one admitted session.

    Its fields are functions. Each may be called from any thread, and waits for no other process.
    """

    settle: Callable[[], None]
    """The function that records that the session has its Settings."""
    release: Callable[[], None]
    """The function that gives the place back. A second call has no effect."""
    spend: Callable[[int, float, int], Sums] | None = None
    """The function that adds tokens, dollars and turns to the client's sums of today, and returns the sums.

    It is None if no limit per day is configured.
    """


NO_TICKET: Final = Ticket(lambda: None, lambda: None)
"""The ticket of a session that no limit counts."""


def _counted_in_redis(here: Ticket, remote: RedisCounts, session: str, group: str, principal: str | None) -> Ticket:
    """Return a ticket that also changes the counts of all machines.

    The sums of a day are counted here, too: without Redis, this server checks new sessions by its own sums.
    """

    def settle() -> None:
        here.settle()
        remote.settle(session)

    def release() -> None:
        here.release()
        remote.release(session)

    def spend(*spent: *Sums) -> Sums:
        counted = remote.spend(group, principal, spent)
        if here.spend is None:
            return counted
        own = here.spend(*spent)
        return max(own[0], counted[0]), max(own[1], counted[1]), max(own[2], counted[2])

    return Ticket(settle, release, spend if here.spend is not None else None)


class Admission:
    """The check of new sessions in one worker. Methods may be called from any thread.

    Args:
        shared: the counts of this server.
        slot: the slot of the worker.
        on_store_away: the function to call when a configured Redis does not answer.
    """

    def __init__(self, shared: SharedLimits, slot: int = 0, on_store_away: Callable[[], None] = lambda: None) -> None:
        self._shared = shared
        self._slot = slot
        self._on_store_away = on_store_away
        self._admitting = threading.Lock()
        """The lock around each check, because a lock on a file does not exclude the threads of one process."""
        self._lock = threading.Lock()
        """The lock around each change of this process's memory. Nothing waits while it holds this lock."""
        self._seats = Seats(shared.counts, slot) if shared.is_limited else None
        # Redis also knows the used tokens, which need no limit.
        self._remote = RedisCounts(shared.limits) if shared.limits.store else None

    def admit(self, address: str | None, principal: str | None, limits: Limits | None = None) -> Ticket:
        """Take a place for a new session. `limits` are those under its policy; None means the configured ones.

        Raises:
            HandshakeRefused: 429 with `Retry-After` if a limit is reached; 503 if Redis does not answer and
                `store_away` is `closed`.
        """
        if self._seats is None:
            return NO_TICKET
        group, limits = group_of(address or ""), limits or self._shared.limits
        remote = self._remote
        session = uuid.uuid4().hex if remote is not None else ""
        is_counted_elsewhere = remote is not None and self._admit_remotely(remote, session, group, principal, limits)
        try:
            checked = None if is_counted_elsewhere else limits
            cell, spender = self._admit_here(self._seats, group, principal, checked)
        except BaseException:
            if remote is not None:
                remote.release(session)
            raise
        here = self._ticket(self._seats, cell, spender)
        return here if remote is None else _counted_in_redis(here, remote, session, group, principal)

    def readmit(self, address: str | None, principal: str | None) -> Ticket:
        """Take a place for a session that another process carried.

        No limit refuses it, because it was already admitted.

        The other process gives its own place back, or the arbiter frees it with the slot of that process.
        """
        if self._seats is None:
            return NO_TICKET
        group, remote = group_of(address or ""), self._remote
        try:
            cell, spender = self._admit_here(self._seats, group, principal, None)
        except HandshakeRefused:
            # Every cell of the worker is taken, so the session is not counted.
            return NO_TICKET
        here = self._ticket(self._seats, cell, spender)
        if remote is None:
            return here
        session = uuid.uuid4().hex
        remote.readmit(session, group, principal)
        return _counted_in_redis(here, remote, session, group, principal)

    def _ticket(self, seats: Seats, cell: int, spender: Callable[[int, float, int], Sums] | None) -> Ticket:
        settle = functools.partial(self._locked, seats.settle, cell)
        return Ticket(settle, functools.partial(self._locked, seats.release, cell), spender)

    def spend(self, principal: Principal) -> bool:
        """Record the use of a principal's single-use token. Return False if the token was used before.

        Raises:
            HandshakeRefused: 503 if the memory for used tokens of all clients is full, or if Redis does not answer and
                `store_away` is `closed`.
        """
        token_id, now_s = principal.terms.single_use_id, time.time()
        if token_id is None:
            return True
        expires_s = principal.expires_s or now_s
        try:
            is_first = self._shared.spent.spend(token_id, expires_s, now_s)
        except FullError:
            headers = (("Retry-After", str(RETRY_SESSION_S)),)
            problem = "too many tokens for one session were used: try again later"
            raise HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, problem, headers) from None
        return is_first and (self._remote is None or self._spend_remotely(self._remote, token_id, expires_s))

    def _spend_remotely(self, remote: RedisCounts, token_id: str, expires_s: float) -> bool:
        try:
            is_first = remote.use_token(token_id, expires_s)
        except StoreAwayError:
            if self._shared.limits.store_away == "closed":
                self._on_store_away()
                self._restore(token_id, expires_s)
                raise _away() from None
            if self._seats is None:
                self._on_store_away()  # otherwise `admit` reports the same session
            remote.send_late()
            return True
        if not is_first:
            # The other machine may still restore the token, and this one need not know.
            self._shared.spent.restore(token_id)
        return is_first

    def restore(self, principal: Principal | None) -> None:
        """Forget the use of a single-use token that opened no session."""
        if principal is not None and principal.terms.single_use_id is not None:
            self._restore(principal.terms.single_use_id, principal.expires_s or time.time())

    def _restore(self, token_id: str, expires_s: float) -> None:
        self._shared.spent.restore(token_id)
        if self._remote is not None:
            self._remote.restore_token(token_id, expires_s)

    def close(self) -> None:
        """Send the last counts to Redis."""
        if self._remote is not None:
            self._remote.close()

    def _admit_remotely(
        self, remote: RedisCounts, session: str, group: str, principal: str | None, limits: Limits
    ) -> bool:
        """Take a place in Redis. Return False if Redis does not answer: this server then counts alone."""
        try:
            full = remote.admit(session, group, principal, limits)
        except StoreAwayError:
            self._on_store_away()
            if self._shared.limits.store_away == "closed":
                remote.release(session)
                raise _away() from None
            return False
        if full is not None:
            problem, retry_s = _FULL[full.place]
            raise _refusal(problem, full.retry_s or retry_s or math.ceil(daily.left_s(time.time())))
        return True

    def _admit_here(
        self, seats: Seats, group: str, principal: str | None, limits: Limits | None
    ) -> tuple[int, Callable[[int, float, int], Sums] | None]:
        # Without `limits` the session is counted, and no limit refuses it.
        counts, sums, arrivals = self._shared.counts, self._shared.daily, self._shared.arrivals
        address_key = counts.key_of("address", group)
        principal_key = counts.key_of("principal", principal) if principal is not None else None
        client_key = principal_key or address_key
        now_s = time.monotonic()
        with self._admitting, self._shared.lock.held():
            look = arrivals.look(address_key, now_s) if arrivals is not None else None
            if limits is not None:
                self._check(limits, address_key, principal_key)
                if arrivals is not None and look is not None:
                    _check_arrivals(arrivals.wait_s(look, now_s))
                if sums is not None:
                    _check_day(limits, sums, client_key)
            with self._lock:
                cell = seats.claim(address_key, principal_key)
            if cell is None:
                raise _refusal("too many sessions", RETRY_SESSION_S)
            if arrivals is not None and look is not None:
                arrivals.add(look)
        return cell, None if sums is None else functools.partial(self._spend, sums, client_key)

    def _spend(self, sums: DailySums, client: bytes, *spent: *Sums) -> Sums:
        # Only this process writes this slot, so its own lock is enough.
        with self._lock:
            return sums.add(self._slot, client, spent, daily.day_of(time.time()))

    def in_use(self) -> tuple[int, int]:
        """Return the number of sessions of all workers, and the number of their sessions without Settings.

        If no limit is configured, both numbers are zero.
        """
        if self._seats is None:
            return 0, 0
        present = self._shared.counts.present()
        return present.sessions, present.pending()

    def _locked(self, change: Callable[[int], None], cell: int) -> None:
        with self._lock:
            change(cell)

    def _check(self, limits: Limits, address: bytes, principal: bytes | None) -> None:
        present = self._shared.counts.present()
        if limits.max_sessions and present.sessions >= limits.max_sessions:
            raise _refusal("too many sessions", RETRY_SESSION_S)
        most = limits.max_sessions_per_principal
        if most and principal is not None and present.of_principal(principal) >= most:
            raise _refusal("too many sessions of this client", RETRY_SESSION_S)
        if limits.max_sessions_per_address and present.of_address(address) >= limits.max_sessions_per_address:
            raise _refusal("too many sessions from this address", RETRY_SESSION_S)
        if limits.max_pending_sessions and present.pending() >= limits.max_pending_sessions:
            raise _refusal("too many sessions wait for their Settings", RETRY_PENDING_S)


def _check_day(limits: Limits, sums: DailySums, client: bytes) -> None:
    now_s = time.time()
    used = sums.of(client, daily.day_of(now_s))
    most = (limits.max_tokens_per_day, limits.max_cost_usd_per_day, limits.max_turns_per_day)
    if any(0 < limit <= spent for limit, spent in zip(most, used, strict=True)):
        raise _refusal(_SPENT, math.ceil(daily.left_s(now_s)))


def _check_arrivals(wait_s: float) -> None:
    if wait_s:
        raise _refusal("too many new sessions from this address", math.ceil(wait_s))


@functools.lru_cache(maxsize=GROUPS)
def group_of(address: str) -> str:
    """Return the text by which limits count an address.

    For an IPv6 address, return its network of 64 bits. Return a text that is no address unchanged.
    """
    found = address_of(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, V6_PREFIX), strict=False))
    return str(found) if found is not None else address


def _away() -> HandshakeRefused:
    problem = "the limits cannot be checked at the moment: try again later"
    return HandshakeRefused(HTTPStatus.SERVICE_UNAVAILABLE, problem, (("Retry-After", str(RETRY_AWAY_S)),))


def _refusal(problem: str, retry_s: int) -> HandshakeRefused:
    headers = (("Retry-After", str(max(1, retry_s))),)
    return HandshakeRefused(HTTPStatus.TOO_MANY_REQUESTS, f"{problem}: try again later", headers)
