"""Keys of JSON Web Tokens: one configured key, or a JSON Web Key Set that is read again when it changes.

PyJWT is imported with the first key. So a router without JSON Web Tokens loads neither PyJWT nor its cryptography.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
import orjson

from router.config.auth import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

REFRESH_S: Final = 600.0
"""The age, in seconds, at which a set is read again, so that a withdrawn key is no longer accepted."""
RETRY_S: Final = 10.0
"""The shortest time, in seconds, from a failed reading to the next one, and between two readings that clients cause.

Otherwise a client could cause a reading with each invented key id.
"""
STALE_S: Final = 24 * 3600.0
"""If a set cannot be read again, it is no longer used beyond this age, in seconds."""
FETCH_S: Final = 4.0
MAX_BYTES: Final = 1024 * 1024
MAX_KEYS: Final = 64

TYPES: Final = {"oct": ("HS",), "RSA": ("RS", "PS"), "EC": ("ES",), "OKP": ("Ed",)}
"""The key types of RFC 7517 with the beginnings of their algorithms."""


class Key(msgspec.Struct, frozen=True):
    """A key of a set."""

    id: str | None
    kind: str
    """The key type, `kty`."""
    algorithm: str | None
    """The only algorithm of this key, if the set names one."""
    key: Any
    """The key itself, as PyJWT takes it."""

    def verifies(self, algorithm: str) -> bool:
        """Whether the key can verify signatures of an algorithm."""
        return algorithm.startswith(TYPES.get(self.kind, ("-",))) and self.algorithm in (None, algorithm)


class Keys(Protocol):
    """The keys with which a token may be signed."""

    def of(self, key_id: str | None, algorithm: str) -> Sequence[Any]:
        """Return the keys to try, in order. The call may block for up to `FETCH_S`."""


class SingleKey:
    """One configured key, for tokens of any key id."""

    def __init__(self, key: Any) -> None:
        self._keys = (key,)

    def of(self, _key_id: str | None, _algorithm: str) -> Sequence[Any]:
        """Return the only key, whatever the key id and the algorithm are."""
        return self._keys


class KeySet:
    """A JSON Web Key Set, in a file or at a URL. Methods may be called from any thread.

    An old set stays in use while one thread reads the new set. Other threads wait for that thread only if there is no
    old set.
    """

    def __init__(
        self, place: str, fetch: Callable[[str], bytes], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._place = place
        self._fetch = fetch
        self._clock = clock
        self._reading = threading.Lock()
        self._keys: tuple[Key, ...] = ()
        self._read_s: float | None = None
        self._tried_s: float | None = None

    def of(self, key_id: str | None, algorithm: str) -> Sequence[Any]:
        """Return the keys with a key id that fit an algorithm; without a key id, the fitting keys of every id.

        For an unknown key id, read the set again, at most once in `RETRY_S`.
        """
        is_fresh = self._age_s() > REFRESH_S and self._read_again()
        found = self._matching(key_id, algorithm)
        if not found and key_id is not None and not is_fresh:  # a new key of the issuer, or an invented key id
            self._read_again(is_asked=True)
            found = self._matching(key_id, algorithm)
        return found

    def _matching(self, key_id: str | None, algorithm: str) -> list[Any]:
        if self._age_s() > STALE_S:
            return []
        return [key.key for key in self._keys if key_id in (None, key.id) and key.verifies(algorithm)]

    def _age_s(self) -> float:
        return float("inf") if self._read_s is None else self._clock() - self._read_s

    def _read_again(self, *, is_asked: bool = False) -> bool:
        """Read the set again if that is due. Return True if this call has read it.

        With `is_asked` the reading is due even if the set is not old, because a token names an unknown key.
        """
        if not self._reading.acquire(blocking=self._read_s is None):
            return False
        try:
            now_s = self._clock()
            is_recent = self._tried_s is not None and now_s - self._tried_s < RETRY_S
            if is_recent or not (is_asked or self._age_s() > REFRESH_S):
                return False
            self._tried_s = now_s
            self._keys = parse_key_set(self._fetch(self._place), is_public="://" in self._place)
            self._read_s = self._clock()
        except (OSError, ValueError) as error:
            logger.error("the key set cannot be read: %s", error)  # noqa: TRY400 - the operator's server, no bug
            return False
        else:
            if not is_asked:
                self._tried_s = None  # the issuer may already have a new key in the next second
            return True
        finally:
            self._reading.release()


def parse_key_set(text: bytes, *, is_public: bool) -> tuple[Key, ...]:
    """Return the keys of a set. With `is_public` the set came over a network, so secrets in the set are ignored.

    Raises:
        ValueError: the text is no key set, or has no usable key.
    """
    import jwt  # noqa: PLC0415 - only with JSON Web Tokens

    try:
        written = orjson.loads(text)["keys"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("it is no JSON Web Key Set") from None
    keys = []
    for each in written[:MAX_KEYS] if isinstance(written, list) else ():
        # A key of an unknown type or use is meant for another reader of the set (RFC 7517, 5).
        with contextlib.suppress(jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            if each.get("use", "sig") == "sig" and not (is_public and each["kty"] == "oct"):
                keys.append(Key(each.get("kid"), each["kty"], each.get("alg"), jwt.PyJWK(each).key))
    if not keys:
        raise ValueError("it has no key that verifies signatures")
    return tuple(keys)


def fetch(ca_file: str | None, place: str) -> bytes:
    """Return the text of a key set, from a file or a URL.

    Raises:
        OSError: the file or the server cannot be read.
    """
    if "://" not in place:
        return Path(place).read_bytes()
    import urllib3  # noqa: PLC0415 - only with a URL

    with urllib3.PoolManager(ca_certs=ca_file) as pool:
        try:
            # Redirects are off, because the router trusts only the server that the configuration names.
            response = pool.request("GET", place, timeout=FETCH_S, retries=False, redirect=False, preload_content=False)
            with contextlib.closing(response):
                text: bytes = response.read(MAX_BYTES)
        except urllib3.exceptions.HTTPError as error:
            raise OSError(f"{urlsplit(place).hostname}: {type(error).__name__}") from None
    if response.status != 200:  # noqa: PLR2004 - HTTP's own
        raise OSError(f"{urlsplit(place).hostname} answered {response.status}")
    return text


def problem_of(place: str) -> str:
    """Return the reason why a key set may not come from this file or URL, as the end of a sentence; empty if it may."""
    parts = urlsplit(place)
    if "://" not in place or parts.scheme == "https":
        return ""
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return ""
    return "must be a file, an https:// URL, or an http:// URL of this machine"
