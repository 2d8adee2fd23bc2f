"""JSON Web Tokens of another issuer: their verification with PyJWT, and the principal that they name."""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any, Final

from router.access import key_sets
from router.access.key_sets import KeySet, SingleKey
from router.access.request import Principal
from router.config.auth import ALGORITHMS
from router.errors import ConfigError

if TYPE_CHECKING:
    from router.access.key_sets import Keys
    from router.config.auth import Jwt

logger = logging.getLogger(__name__)

MAX_CHARS: Final = 8192
MIN_SECRET_BYTES: Final = 32
"""The shortest secret without a warning. A shorter secret can be guessed from one token (RFC 7518, 3.2)."""
HMAC_BLOCK_BYTES: Final = 64
"""The block size of HMAC with SHA-256. The other HMAC algorithms have longer blocks."""
MAX_TRIES: Final = 4
"""The most keys that are tried for one token. Several keys may match a token without a key id."""

NO_SUBJECT: Final = "jwt"
"""The principal's id for a token without the claim `sub`."""


class JsonWebTokens:
    """A verifier of tokens. Methods may be called from any thread.

    Raises:
        ConfigError: the key cannot be used with the algorithms, or PyJWT is missing.
    """

    def __init__(self, config: Jwt, *, ca_file: str | None = None, has_policies: bool = False) -> None:
        self._config = config
        self._has_policies = has_policies
        self._keys: Keys
        if config.jwks is not None:
            _check(not key_sets.problem_of(config.jwks), "jwks", key_sets.problem_of(config.jwks))
            self._keys = KeySet(config.jwks, functools.partial(key_sets.fetch, ca_file))
            self._algorithms = config.algorithms or tuple(it for it in ALGORITHMS if not it.startswith("HS"))
        else:
            key, fitting = _key_of(config.key.reveal() if config.key else "")
            self._keys = SingleKey(key)
            self._algorithms = config.algorithms or fitting
            _check(set(self._algorithms) <= set(fitting), "algorithms", f"does not fit the key: use {fitting[0]}")

    def principal_of(self, credential: str) -> Principal | None:
        """Return the principal of a token, or None for an invalid token.

        The call may block while a key set is read again.
        """
        import jwt  # noqa: PLC0415 - only with JSON Web Tokens

        if len(credential) > MAX_CHARS:
            return None
        try:
            header = jwt.get_unverified_header(credential)
            claims = self._claims(credential, header)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            logger.debug("a JSON Web Token is invalid: %s", type(error).__name__)
            return None
        return None if claims is None else self._principal(claims)

    def _claims(self, credential: str, header: dict[str, Any]) -> dict[str, Any] | None:
        import jwt  # noqa: PLC0415

        # The configured list decides, and not the token: the token's header only selects from the list.
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self._algorithms or not isinstance(key_id, str | None):
            return None
        for key in self._keys.of(key_id, algorithm)[:MAX_TRIES]:
            with contextlib.suppress(jwt.InvalidSignatureError):
                claims: dict[str, Any] = jwt.decode(
                    credential,
                    key,
                    algorithms=[algorithm],
                    audience=self._config.audience or None,
                    issuer=self._config.issuer or None,
                    leeway=self._config.leeway_s,
                    # If no audience is configured, PyJWT would refuse every token that has one.
                    options={"require": ["exp"], "verify_aud": bool(self._config.audience)},
                )
                return claims
        return None

    def _principal(self, claims: dict[str, Any]) -> Principal | None:
        subject = claims.get("sub", NO_SUBJECT)
        if not isinstance(subject, str) or not subject:
            return None
        expires_s = float(claims["exp"]) + self._config.leeway_s
        # If no policies are configured, a claim of this name is meant for another reader.
        claimed = claims.get(self._config.policy_claim) if self._has_policies else None
        if not isinstance(claimed, str | None):
            return None
        policy = self._config.policy if claimed is None else claimed
        return Principal(subject, attributes=claims, policy=policy, expires_s=expires_s)


def _key_of(text: str) -> tuple[Any, tuple[str, ...]]:
    """Return the key in a configured text, and the algorithms that fit the key.

    A public key is never used as the secret of HS256.
    """
    if "-----BEGIN" in text:
        key = _public_key_of(text)
        starts = _STARTS.get(type(key).__name__, ("-",))
        return key, tuple(it for it in ALGORITHMS if it.startswith(starts))
    _check(not _is_public_key(text), "key", "is a public key in a form other than PEM, and would serve as a secret")
    secret = text.encode()
    if len(secret) < MIN_SECRET_BYTES:
        logger.warning("the secret of JSON Web Tokens has fewer than %d bytes: take a longer one", MIN_SECRET_BYTES)
    # HMAC itself pads a secret with zeros to its block size. PyJWT would warn of a short secret at every token.
    return secret.ljust(HMAC_BLOCK_BYTES, b"\0"), tuple(it for it in ALGORITHMS if it.startswith("HS"))


_STARTS: Final = {
    "RSAPublicKey": ("RS", "PS"),
    "ECPublicKey": ("ES",),
    "Ed25519PublicKey": ("Ed",),
    "Ed448PublicKey": ("Ed",),
}
"""The class names of public keys in `cryptography`, each with the beginnings of its algorithms' names."""


def _public_key_of(pem: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only with JSON Web Tokens
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    try:
        if "-----BEGIN CERTIFICATE" in pem:
            return load_pem_x509_certificate(pem.encode()).public_key()
        return load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        # A private key is refused, too, because the router needs none, and must not leak one.
        raise _wrong("key", "must be a public key as PEM, a certificate, or a secret") from None


def _is_public_key(text: str) -> bool:
    """Whether a text is a public key in a form other than PEM: JSON, OpenSSH, or DER in base64."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    if text.startswith(("{", "ssh-", "ecdsa-sha2-")):
        return True
    try:
        load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return False
    return True


def _check(is_right: bool, name: str, problem: str) -> None:
    if not is_right:
        raise _wrong(name, problem)


def _wrong(name: str, problem: str) -> ConfigError:
    return ConfigError(source="[auth.jwt]", name=name, problem=problem)
