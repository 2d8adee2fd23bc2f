"""The token with which a client comes back to its session: the session's id, and a signature over id and principal.

Like a cookie, the token gives the right to one conversation. A client with another credential cannot use it. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

PARAMETER: Final = "resume"
"""The parameter of the URL that carries the token."""

_FORM: Final = re.compile(r"([0-9a-f-]{36})\.([\w-]{32})", re.ASCII)
_SIGNATURE_BYTES: Final = 24


def token_of(key: bytes, session_id: str, principal: str | None) -> str:
    """Return the token of a session. `principal` is the id of its client, or None without authentication."""
    return f"{session_id}.{_signature(key, session_id, principal)}"


def session_of(key: bytes, token: str, principal: str | None) -> str | None:
    """Return the session's id in a token, or None if the token is not that of this principal."""
    found = _FORM.fullmatch(token)
    if found is None or not hmac.compare_digest(found[2], _signature(key, found[1], principal)):
        return None
    return found[1]


def _signature(key: bytes, session_id: str, principal: str | None) -> str:
    # A principal's id may be empty, so an absent principal needs another text.
    owner = "anyone" if principal is None else f"principal {principal}"
    signature = hmac.digest(key, f"{session_id}\0{owner}".encode(), hashlib.sha256)[:_SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(signature).decode()
