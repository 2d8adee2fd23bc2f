"""Authentication as it is configured: its kinds, static tokens, JSON Web Tokens.

Pure. This module must not know the sources of the values.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import re
import reprlib
from typing import Any, Final

import msgspec

from router.config.parsers import one_of
from router.secrets import Secret

KINDS: Final = ("token", "jwt", "callable", "none")

ALGORITHMS: Final = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""The algorithms of JSON Web Tokens that a file may list. `none` is not among them."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A static token: its hash and its rights, without the token itself."""

    name: str
    """The name of the token, which is the id of its principal."""
    sha256: Secret
    """The SHA-256 of the token, in lower-case hexadecimal digits."""
    policy: str | None = None
    expires_s: float | None = None
    """The time at which the token expires, on the clock of `time.time`; None for never."""
    is_admin: bool = False
    is_in_clear: bool = False
    """Whether the configuration contains the token itself, and not its hash."""


class Jwt(msgspec.Struct, frozen=True, kw_only=True):
    """The rules for JSON Web Tokens: the table `[auth.jwt]`."""

    key: Secret | None = None
    """The secret of an HS algorithm, or a public key as PEM. Either `key` or `jwks` is set."""
    jwks: str | None = None
    """The file or the URL of a JSON Web Key Set."""
    algorithms: tuple[str, ...] = ()
    """The accepted algorithms. If the tuple is empty, all algorithms are accepted that fit the type of the key."""
    audience: tuple[str, ...] = ()
    issuer: tuple[str, ...] = ()
    leeway_s: float = 0.0
    policy: str | None = None
    """The policy of a token without a claim that names one."""
    policy_claim: str = "policy"
    """The claim that names the policy. It is read only if policies are configured."""


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[auth]`."""

    kinds: tuple[str, ...] = ()
    """The kinds of credentials that let a client in. Empty if every client may come in."""
    tokens: tuple[Token, ...] = ()
    jwt: Jwt | None = None
    function: str | None = None
    """The function that authenticates, as `module:function`. Its key in the file is `callable`."""
    secret: Secret | None = None
    """The secret that signs short-lived tokens. Servers that share it accept each other's tokens."""


def is_loopback(host: str) -> bool:
    """Whether a host, on which a server listens or which a request names, can be reached only from this machine."""
    name = host.lower().removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


# Parsers, like those of `router.config.parsers`. No error shows a credential.


def kinds(written: Any) -> tuple[str, ...]:
    """Parse kinds of authentication: a list, or text with commas between them."""
    parts = [part.strip() for part in written.split(",") if part.strip()] if isinstance(written, str) else written
    if not isinstance(parts, list) or not parts:
        raise ValueError(f"must be one or more of {', '.join(KINDS)}, not {reprlib.repr(written)}")
    found = tuple(dict.fromkeys(one_of(*KINDS)(part) for part in parts))
    if "none" in found and len(found) > 1:
        raise ValueError("must not have none beside another kind")
    return found


def named_tokens(written: Any) -> tuple[Token, ...]:
    """Parse tokens in clear, as `alice=TOKEN,bob=TOKEN`."""
    if not isinstance(written, str):
        raise ValueError("must be names and tokens, such as alice=TOKEN,bob=TOKEN")  # noqa: TRY004 - a parser raises ValueError alone
    found: dict[str, Token] = {}
    for part in filter(str.strip, written.split(",")):
        name, equals, token = (each.strip() for each in part.partition("="))
        # The error shows no name either, because without the equals sign the part is the token itself.
        if not equals or not token or not _NAME.fullmatch(name):
            raise ValueError("must be names and tokens, such as alice=TOKEN,bob=TOKEN")
        if name in found:
            raise ValueError(f"has {name} twice")
        found[name] = Token(name=name, sha256=Secret(digest(token)), is_in_clear=True)
    return tuple(found.values())


def digest(token: str) -> str:
    """Return the SHA-256 of a token as hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def token_name(written: str) -> str:
    """Parse the name of a token, which is the id of its principal."""
    if not _NAME.fullmatch(written):
        raise ValueError("must have at most 64 letters, digits, dots, dashes, and begin with a letter or a digit")
    return written


def sha256(written: Any) -> Secret:
    """Parse the SHA-256 of a token, in hexadecimal digits."""
    if not isinstance(written, str) or not _SHA256.fullmatch(written.strip()):
        raise ValueError("must be the SHA-256 of a token, 64 hexadecimal digits: see `switchboard token new`")
    return Secret(written.strip().lower())


def moment(written: Any) -> float:
    """Parse a date-time of TOML, and return its Unix time in seconds. A date-time without an offset is in UTC."""
    if not isinstance(written, dt.datetime):
        raise ValueError(f"must be a date-time such as 2027-01-31T12:00:00Z, not {reprlib.repr(written)}")  # noqa: TRY004 - a parser raises ValueError alone
    return (written if written.tzinfo else written.replace(tzinfo=dt.UTC)).timestamp()


def algorithms(written: Any) -> tuple[str, ...]:
    """Parse algorithms of JSON Web Tokens.

    A list must not mix algorithms for a secret with algorithms for a public key.
    """
    if not isinstance(written, list) or not written:
        raise ValueError(f"must be a list of algorithms such as RS256, not {reprlib.repr(written)}")
    found = tuple(dict.fromkeys(one_of(*ALGORITHMS)(each) for each in written))
    if len({each.startswith("HS") for each in found}) > 1:
        raise ValueError("must not mix algorithms of a secret (HS…) with those of a public key")
    return found


def function_place(written: Any) -> str:
    """Parse the place of a function, as `module:function`."""
    if not isinstance(written, str) or not _FUNCTION.fullmatch(written):
        raise ValueError(f"must be module:function, not {reprlib.repr(written)}")
    return written


def key_text(written: Any) -> Secret:
    """Parse the text of a key: a shared secret, or a public key in PEM form. No error shows the text."""
    if not isinstance(written, str) or not written.strip():
        raise ValueError("must be a secret, or a public key as PEM")
    return Secret(written.strip())


def one_or_more(written: Any) -> tuple[str, ...]:
    """Parse a text, or a list of texts."""
    parts = [written] if isinstance(written, str) else written
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) and part.strip() for part in parts):
        raise ValueError(f"must be a text or a list of texts, not {reprlib.repr(written)}")
    return tuple(parts)
