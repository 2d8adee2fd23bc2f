"""The counts of all machines together, in Redis: sessions, arrivals, the sums of a day, used single-use tokens.

Each session has a lease, which its process renews. When a machine fails, the leases of its sessions end, and Redis no
longer counts them. Only the methods `admit`, `use_token` and `restore_token` wait for Redis; they run on a thread of
the web server. A background thread sends all other changes.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from router.access.daily import DAY_S, MICRO, Sums, day_of
from router.config.rates import rate_of
from router.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.config.model import Limits

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 0.5
"""The longest wait, in seconds, for a connection to Redis, and for each of its answers."""
LEASE_S: Final = 30.0
RENEW_S: Final = 10.0
AWAY_S: Final = 1.0
"""The pause, in seconds, after a failure of Redis. During the pause no handshake waits for Redis."""
CLOSE_S: Final = 1.0
SKEW_S: Final = 60
"""The time for which Redis remembers a used token after its expiry, because the clocks of machines differ."""
PREFIX: Final = "switchboard:"

_ADMIT: Final = """
local now = redis.call('TIME'); now = now[1] + now[2] / 1000000
local id, lease = ARGV[1], tonumber(ARGV[2])
for place = 1, 4 do
  local most = tonumber(ARGV[2 + place])
  redis.call('ZREMRANGEBYSCORE', KEYS[place], '-inf', now)
  if most > 0 and redis.call('ZCARD', KEYS[place]) >= most then return {place, 0} end
end
local most, period = tonumber(ARGV[7]), tonumber(ARGV[8])
if most > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now - period)
  if redis.call('ZCARD', KEYS[5]) >= most then
    local oldest = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
    return {5, math.ceil(oldest[2] + period - now)}
  end
end
local sums = redis.call('HMGET', KEYS[6], 'tokens', 'micros', 'turns')
for place = 1, 3 do
  local limit = tonumber(ARGV[8 + place])
  if limit > 0 and tonumber(sums[place] or '0') >= limit then return {6, 0} end
end
for place = 1, 4 do
  redis.call('ZADD', KEYS[place], now + lease, id)
  redis.call('EXPIRE', KEYS[place], math.ceil(lease * 2))
end
if most > 0 then
  redis.call('ZADD', KEYS[5], now, id)
  redis.call('EXPIRE', KEYS[5], math.ceil(period))
end
return {0, 0}
"""
"""A script that checks every limit and takes a place, as one step, by the clock of Redis.

Its first result is `Full.place` of the reached limit, or 0. Its second result is the seconds to wait, or 0 if unknown.
"""

_RENEW: Final = """
local now = redis.call('TIME'); now = now[1] + now[2] / 1000000
for place = 1, #KEYS do
  redis.call('ZADD', KEYS[place], now + tonumber(ARGV[2]), ARGV[1])
  redis.call('EXPIRE', KEYS[place], math.ceil(ARGV[2] * 2))
end
"""


_USE: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
"""A script that marks a token as used by a process, and returns 0 if another process has used it.

The process itself knows its uses. A mark of its own here is one that Redis has not removed yet.
"""

_RESTORE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class StoreAwayError(Exception):
    """A failure because Redis does not answer."""


class Full(NamedTuple):
    """The limit that prevents a new session."""

    place: int
    """The number of the limit: 1 for all sessions, 2 for the sessions of the address, 3 for those of the principal. 4
    is for sessions without Settings, 5 for new sessions of the address, 6 for the sums of the day."""
    retry_s: int
    """The seconds until the client may try again; 0 if Redis does not know them."""


def check(limits: Limits) -> None:
    """Check that the configuration of Redis is usable, without a connection to it.

    Raises:
        ConfigError: the package is missing, or the URL is not that of a Redis.
    """
    if limits.store:
        client_of(limits)


def client_of(limits: Limits) -> Any:
    """Return a client of the configured Redis. It connects at its first use.

    Raises:
        ConfigError: the package is missing, or the URL is not that of a Redis.
    """
    try:
        import redis  # noqa: PLC0415 - an extra, which few configurations need
    except ImportError:
        problem = "needs the package redis: pip install 'switchboard-voice[redis]'"
        raise ConfigError(source="[limits]", name="store", problem=problem) from None
    try:
        return redis.Redis.from_url(
            str(limits.store), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True
        )
    except ValueError:
        problem = "must be a URL such as redis://10.0.0.5:6379/0, or rediss:// for TLS"
        raise ConfigError(source="[limits]", name="store", problem=problem) from None


class RedisCounts:
    """The counts of one process, which it shares with other machines through Redis.

    Methods may be called from any thread.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._redis = client_of(limits)
        self._admit = self._redis.register_script(_ADMIT)
        self._renew = self._redis.register_script(_RENEW)
        self._use = self._redis.register_script(_USE)
        self._restore = self._redis.register_script(_RESTORE)
        self._name = uuid.uuid4().hex
        """The name of this process at the tokens that it has used."""
        self._late_tokens: dict[str, _Late] = {}
        """The tokens that were used or restored while Redis did not answer, the oldest first."""
        self._sending: str | None = None
        """The token that the background thread sends at this moment."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._away_until_s = 0.0
        self._live: dict[str, list[str]] = {}
        """The Redis keys that count each present session."""
        self._left: list[tuple[str, list[str]]] = []
        """The sessions that Redis has to remove, each with the Redis keys that still count it."""
        self._unsent: dict[str, list[int]] = {}
        """The tokens, millionths of a dollar and turns that Redis has not counted yet, by the key that `day_key`
        returns."""
        self._known: dict[str, tuple[int, int, int]] = {}
        """The tokens, millionths of a dollar and turns that Redis last reported, by the key that `day_key` returns."""

    def admit(self, session: str, address: str, principal: str | None, limits: Limits | None = None) -> Full | None:
        """Take a place for a session, and return None; or return the reached limit that prevents it.

        `limits` are those under the policy of the session; None means the configured ones.

        Raises:
            StoreAwayError: Redis does not answer. If the session begins nevertheless, it counts as soon as Redis
                answers, and has to be released like any other.
        """
        limits, keys = limits or self._limits, _keys(address, principal)
        most = limits.max_sessions_per_principal if principal is not None else 0
        bounds = (limits.max_sessions, limits.max_sessions_per_address, most, limits.max_pending_sessions)
        rate = rate_of(limits.new_sessions) if limits.new_sessions else (0, 0.0)
        day = (limits.max_tokens_per_day, round(limits.max_cost_usd_per_day * MICRO), limits.max_turns_per_day)
        arrivals, today = f"{PREFIX}new:{_key('address', address)}", self.day_key(_client(address, principal))
        try:
            place, wait_s = self._asked(
                self._admit, keys=[*keys, arrivals, today], args=[session, LEASE_S, *bounds, *rate, *day]
            )
        except StoreAwayError:
            # Redis may have counted the session nevertheless, because only its answer may be late.
            self._note(session, keys)
            raise
        if place:
            return Full(int(place), int(wait_s))
        self._note(session, keys)
        return None

    def readmit(self, session: str, address: str, principal: str | None) -> None:
        """Take a place for a session that another process carried, without a check.

        The call does not wait for Redis. The place counts from the next renewal on, after at most `RENEW_S` seconds.
        """
        self._note(session, _keys(address, principal))

    def _note(self, session: str, keys: list[str]) -> None:
        with self._lock:
            self._live[session] = keys
        self._start()

    def day_key(self, client: str) -> str:
        """Return the Redis key of a client's tokens, dollars and turns since midnight (UTC).

        `client` is the hash of the client's name.
        """
        return f"{PREFIX}day:{day_of(time.time())}:{client}"

    def settle(self, session: str) -> None:
        """Record that a session has its Settings."""
        with self._lock:
            keys = self._live.get(session)
            if keys is not None and f"{PREFIX}pending" in keys:
                keys.remove(f"{PREFIX}pending")
                self._left.append((session, [f"{PREFIX}pending"]))
        self._wake.set()

    def release(self, session: str) -> None:
        """Give the place of a session back. A second call has no effect."""
        with self._lock:
            keys = self._live.pop(session, None)
            if keys is not None:
                self._left.append((session, keys))
        self._wake.set()

    def spend(self, address: str, principal: str | None, spent: Sums) -> Sums:
        """Add tokens, dollars and turns to a client's sums of today, and return the known sums.

        The known sums are those that Redis last reported, plus the amounts that it has not counted yet. The call does
        not wait for Redis.
        """
        key = self.day_key(_client(address, principal))
        with self._lock:
            unsent = self._unsent.setdefault(key, [0, 0, 0])
            unsent[0] += spent[0]
            unsent[1] += round(spent[1] * MICRO)
            unsent[2] += spent[2]
            tokens, micros, turns = self._known.get(key, (0, 0, 0))
            sums = (tokens + unsent[0], (micros + unsent[1]) / MICRO, turns + unsent[2])
        self._start()
        self._wake.set()
        return sums

    def use_token(self, token_id: str, expires_s: float) -> bool:
        """Mark a single-use token as used. Return False if another process has used it.

        Raises:
            StoreAwayError: Redis does not answer. It gets the mark later, unless `restore_token` follows.
        """
        key = _token_key(token_id)
        with self._lock:
            self._note_late(key, _Late(expires_s, is_used=True))
        is_first = bool(self._asked(self._use, keys=[key], args=[self._name, _lifetime_s(expires_s)]))
        with self._lock:
            self._late_tokens.pop(key, None)
        return is_first

    def restore_token(self, token_id: str, expires_s: float) -> None:
        """Remove the mark of a token that opened no session. If Redis does not answer, it does so later."""
        key = _token_key(token_id)
        with self._lock:
            self._note_late(key, _Late(expires_s, is_used=False))
            is_sending = self._sending == key
        if is_sending:  # this command could overtake that of the background thread
            self.send_late()
            return
        try:
            self._asked(self._restore, keys=[key], args=[self._name])
        except StoreAwayError:
            self.send_late()
            return
        with self._lock:
            self._late_tokens.pop(key, None)

    def _note_late(self, key: str, late: _Late) -> None:
        """Note what Redis has not got, and forget a few tokens that have expired. The caller holds the lock."""
        expired_s = time.time() - SKEW_S
        for other in list(itertools.islice(self._late_tokens, 2)):
            if self._late_tokens[other].expires_s < expired_s:
                del self._late_tokens[other]
        self._late_tokens[key] = late

    def send_late(self) -> None:
        """Let the background thread send what Redis has not got."""
        self._start()
        self._wake.set()

    def close(self) -> None:
        """Send the remaining changes, and end the thread. Wait at most `CLOSE_S` seconds for that end."""
        self._is_closing = True
        self._wake.set()
        thread = self._thread
        if thread is not None:
            thread.join(CLOSE_S)
        self._redis.close()

    # Steps.

    def _asked(self, script: Any, **arguments: Any) -> Any:
        import redis  # noqa: PLC0415 - present, as there is a client

        if time.monotonic() < self._away_until_s:
            raise StoreAwayError
        try:
            return script(**arguments)
        except redis.RedisError as error:
            self._away_until_s = time.monotonic() + AWAY_S
            raise StoreAwayError(type(error).__name__) from error

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(target=self._run, name="redis-counts", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        import redis  # noqa: PLC0415 - present, as there is a client

        renew_at_s = time.monotonic() + RENEW_S
        while True:
            is_last = self._is_closing
            self._wake.clear()
            try:
                self._send()
                if time.monotonic() >= renew_at_s:
                    renew_at_s = time.monotonic() + RENEW_S
                    self._renew_all()
            except redis.RedisError as error:
                logger.warning("the counts of the limits wait: Redis does not answer (%s)", type(error).__name__)
                self._away_until_s = time.monotonic() + AWAY_S
                if not is_last:
                    self._wake.wait(AWAY_S)
            if is_last:
                return
            self._wake.wait(max(0.0, renew_at_s - time.monotonic()))

    def _send(self) -> None:
        with self._lock:
            left, self._left = self._left, []
            unsent = {key: tuple(spent) for key, spent in self._unsent.items()}
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for session, keys in left:
                for key in keys:
                    pipeline.zrem(key, session)
            pipeline.execute()
        except Exception:
            with self._lock:
                self._left = [*left, *self._left]
            raise
        for key, (tokens, micros, turns) in unsent.items():
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hincrby(key, "tokens", tokens)
            pipeline.hincrby(key, "micros", micros)
            pipeline.hincrby(key, "turns", turns)
            pipeline.expire(key, 2 * DAY_S)
            all_tokens, all_micros, all_turns, _ = pipeline.execute()
            with self._lock:
                self._known[key] = (int(all_tokens), int(all_micros), int(all_turns))
                still = self._unsent[key]
                still[0] -= tokens
                still[1] -= micros
                still[2] -= turns
        self._forget_yesterday()
        self._send_tokens()

    def _send_tokens(self) -> None:
        with self._lock:
            keys, now_s = list(self._late_tokens), time.time()
        for key in keys:
            with self._lock:
                late = self._late_tokens.get(key)
                self._sending = None if late is None else key
            if late is None:
                continue
            try:
                if not late.is_used:
                    self._restore(keys=[key], args=[self._name])
                elif late.expires_s + SKEW_S > now_s:
                    self._use(keys=[key], args=[self._name, _lifetime_s(late.expires_s)])
            finally:
                with self._lock:
                    self._sending = None
            with self._lock:
                if self._late_tokens.get(key) is late:
                    del self._late_tokens[key]

    def _forget_yesterday(self) -> None:
        today = f"{PREFIX}day:{day_of(time.time())}:"
        with self._lock:
            self._unsent = {key: spent for key, spent in self._unsent.items() if any(spent)}
            self._known = {key: sums for key, sums in self._known.items() if key.startswith(today)}

    def _renew_all(self) -> None:
        with self._lock:
            live: Iterable[tuple[str, list[str]]] = [(session, list(keys)) for session, keys in self._live.items()]
        for session, keys in live:
            self._renew(keys=keys, args=[session, LEASE_S])


class _Late(NamedTuple):
    """A change of a single-use token that Redis has not got."""

    expires_s: float
    is_used: bool
    """Whether the token was used. Otherwise it was restored after its use."""


def _token_key(token_id: str) -> str:
    return f"{PREFIX}used:{_key('token', token_id)}"


def _lifetime_s(expires_s: float) -> int:
    return max(0, math.ceil(expires_s - time.time())) + SKEW_S


def _client(address: str, principal: str | None) -> str:
    return _key("principal", principal) if principal is not None else _key("address", address)


def _keys(address: str, principal: str | None) -> list[str]:
    """Return the Redis keys that count a session without Settings."""
    # Without a principal, no limit applies to the third key.
    own = f"{PREFIX}of:{_client(address, principal)}"
    return [f"{PREFIX}sessions", f"{PREFIX}from:{_key('address', address)}", own, f"{PREFIX}pending"]


def _key(kind: str, name: str) -> str:
    # Redis gets a hash, so that it stores no name of a client, and every machine has the same key.
    return hashlib.blake2b(f"{kind}\0{name}".encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
