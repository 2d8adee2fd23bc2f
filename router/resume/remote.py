"""The snapshots of lost calls in Redis, so that a client may come back to any machine.

They are encrypted, because others may be able to read the Redis. The key is derived from `ROUTER_AUTH_SECRET`, or else
from the credentials, so all machines need the same ones.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX: Final = "switchboard:resume:"
_NONCE_BYTES: Final = 12
_MS: Final = 1000


class RemoteSnapshots:
    """The snapshots of lost calls in Redis. Each method waits for Redis, so a dispatcher must not call it.

    Args:
        make_client: returns a client of Redis. It is called at the first use.
        key: 32 bytes, the same on all machines.
    """

    def __init__(self, make_client: Callable[[], Any], key: bytes) -> None:
        # 2 MB, which only routers with a Redis need.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        self._make_client = make_client
        self._client: Any = None
        self._cipher = AESGCM(key)

    def put(self, session_id: str, data: bytes, keep_s: float) -> None:
        """Keep a snapshot. It raises the errors of Redis's client."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, data, session_id.encode())
        self._redis().set(PREFIX + session_id, base64.b64encode(sealed).decode(), px=int(keep_s * _MS))

    def take(self, session_id: str) -> bytes | None:
        """Remove the snapshot of a session, and return it; None if there is none, or this server cannot read it."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see `__init__`

        stored = self._redis().getdel(PREFIX + session_id)
        if stored is None:
            return None
        try:
            sealed = base64.b64decode(stored, validate=True)
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], session_id.encode())
        except (InvalidTag, ValueError, binascii.Error):
            return None

    def _redis(self) -> Any:
        if self._client is None:
            self._client = self._make_client()
        return self._client
