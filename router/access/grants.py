"""Short-lived tokens of the router's own, for clients that must not hold a lasting credential, such as browsers.

The tokens are JSON Web Tokens with HS256. The router need not store them, because each token names its principal, and
its signature proves this. A client can read its token, so the token holds no attribute of the principal.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.access.request import NO_TERMS, Principal, Terms

if TYPE_CHECKING:
    from collections.abc import Mapping

EPHEMERAL_PREFIX: Final = "ek_"
"""The beginning of OpenAI's ephemeral keys. OpenAI's SDKs look for it."""

ANONYMOUS: Final = "anonymous"
"""The principal's id in a token of a router that authenticates no client."""

_ISSUER: Final = "switchboard"
MAX_CHARS: Final = 6144
"""The longest token. A longer token would not fit into a header, because servers and proxies accept only 8 KiB."""
_MAX_SESSION_BYTES: Final = 256 * 1024
_HEADER: Final = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()


class TooLongError(Exception):
    """A session that does not fit into a token."""


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The claims of a token."""

    iss: str
    sub: str
    exp: int
    iat: int
    jti: str
    policy: str | None = None
    once: bool = False
    """Whether the token opens only one session."""
    session: str = ""
    """The session to which the token is bound, as compressed JSON in base64; empty for none."""


def issue(
    key: bytes,
    principal: Principal | None,
    ttl_s: int,
    now_s: float,
    *,
    is_single_use: bool = False,
    session: Mapping[str, Any] | None = None,
) -> tuple[str, int]:
    """Return a token for a principal, and the Unix time at which the token expires.

    The token never outlives the principal's own credential. With `is_single_use` it opens only one session.

    Raises:
        TooLongError: the session does not fit into a token.
    """
    ends_s = int(now_s) + ttl_s
    if principal is not None and principal.expires_s is not None:
        ends_s = min(ends_s, int(principal.expires_s))
    grant = Grant(
        iss=_ISSUER,
        sub=ANONYMOUS if principal is None else principal.id,
        policy=None if principal is None else principal.policy,
        iat=int(now_s),
        exp=ends_s,
        jti=secrets.token_urlsafe(12),
        once=is_single_use,
        session="" if session is None else _encoded(zlib.compress(orjson.dumps(session), 9)),
    )
    signed = f"{_HEADER}.{_encoded(orjson.dumps(msgspec.to_builtins(grant)))}"
    token = f"{signed}.{_signature(key, signed)}"
    if len(token) > MAX_CHARS:
        raise TooLongError
    return token, ends_s


def principal_of(key: bytes, credential: str, now_s: float) -> Principal | None:
    """Return the principal of a token that `issue` made with this key; None for an expired or any other credential."""
    token = credential.removeprefix(EPHEMERAL_PREFIX)
    signed, _, signature = token.rpartition(".")
    if len(token) > MAX_CHARS or not hmac.compare_digest(_signature(key, signed).encode(), _bytes(signature)):
        return None
    # The signature proves that the router made the header, too. So the header cannot choose another algorithm.
    grant = _decoded(signed.partition(".")[2])
    if grant is None or grant.iss != _ISSUER or grant.exp <= now_s:
        return None
    terms = NO_TERMS
    if grant.once or grant.session:
        terms = Terms(grant.jti if grant.once else None, _session_of(grant.session) if grant.session else None)
    return Principal(grant.sub, policy=grant.policy, expires_s=float(grant.exp), is_granted=True, terms=terms)


def _session_of(packed: str) -> Any:
    # The signature proves that `issue` packed the session. The bound protects against a key that has leaked.
    unpacked = zlib.decompressobj().decompress(_decoded_bytes(packed), _MAX_SESSION_BYTES)
    return orjson.loads(unpacked)


def _signature(key: bytes, signed: str) -> str:
    return _encoded(hmac.digest(key, _bytes(signed), "sha256"))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(encoded: str) -> Grant | None:
    try:
        return msgspec.json.decode(_decoded_bytes(encoded), type=Grant)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None


def _decoded_bytes(encoded: str) -> bytes:
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
