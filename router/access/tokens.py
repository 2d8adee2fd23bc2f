"""Static tokens: the comparison of a credential with the configured hashes, and new tokens."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

from router.access.request import Principal
from router.config.auth import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.config.auth import Token

PREFIX: Final = "sb_"
"""The beginning of the router's own tokens, by which secret scanners recognize them."""

TOKEN_BYTES: Final = 32


def new_token() -> tuple[str, str]:
    """Return a new token, and its SHA-256."""
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    return token, digest(token)


def principal_of(tokens: Sequence[Token], credential: str, now_s: float) -> Principal | None:
    """Return the principal of a credential, or None for an unknown or expired one.

    The function compares every hash, each in constant time. So its duration depends only on the number of tokens.
    """
    hashed = digest(credential)
    found = None
    for token in tokens:
        if hmac.compare_digest(token.sha256.reveal(), hashed):
            found = token
    if found is None or (found.expires_s is not None and found.expires_s <= now_s):
        return None
    return Principal(found.name, policy=found.policy, is_admin=found.is_admin, expires_s=found.expires_s)
