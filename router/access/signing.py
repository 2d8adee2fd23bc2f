"""The secret with which the router signs its own short-lived tokens.

All workers, and all machines with the same configuration, have the same secret. So no token has to be stored.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.config.model import RouterConfig
    from router.shared_areas import Areas

SECRET_BYTES: Final = 32

_RANDOM: Final = bytearray(os.urandom(SECRET_BYTES))
"""A random secret. The workers inherit it, because it is made before they are forked."""


def share_random_secret(areas: Areas) -> None:
    """Use the random secret that the server keeps in shared memory, so that tokens stay valid after a reload.

    Call this before a key is made.

    The first process of the server stores its own secret in that memory.
    """
    memory = areas.memory("secret", SECRET_BYTES)
    if any(memory[:]):
        _RANDOM[:] = memory[:]
    else:
        memory[:] = bytes(_RANDOM)


def signing_key(config: RouterConfig, purpose: str) -> bytes:
    """Return the key for one purpose.

    The key is derived from `[auth] secret`, or else from the keys of the upstreams and the tokens in clear. A hash in a
    file is not used, because readers of the file could sign with it. Without any of these the key is random. Then only
    the workers of one server share it, over all reloads.
    """
    material = [config.auth.secret.reveal()] if config.auth.secret else sorted(set(_credentials(config)))
    secret = hashlib.sha256("\0".join(material).encode()).digest() if material else bytes(_RANDOM)
    return hmac.digest(secret, f"switchboard {purpose}".encode(), "sha256")


def _credentials(config: RouterConfig) -> Iterator[str]:
    for upstream in config.all_upstreams():
        if upstream.api_key is not None:
            yield upstream.api_key.reveal()
    for token in config.auth.tokens:
        if token.is_in_clear:
            yield token.sha256.reveal()
