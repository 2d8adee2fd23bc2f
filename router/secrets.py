"""Credentials: a class that masks its value when printed, and the redaction of texts and URLs for the outside."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_SECRET_CHARS: Final = 8
"""The least length of a value that is masked.

Shorter values are flags and versions, and masking them would spoil log lines.
"""

MASK: Final = "***"

CREDENTIALS: Final = (
    r"(?<=[?&]token=)[^&\s\"']+",  # a client's credential in the query of its request
    r"(?<=[?&]resume=)[^&\s\"']+",  # the right to a kept call
    r"(?<=[Bb]earer )[\w.~+/=-]{8,}",
    r"\bsk-[\w-]{8,}\.\.\.[\w-]+",  # a key that was shortened
    r"\bsk-[\w-]{16,}",  # a key that is not configured, in a client's message or an upstream's error
)
"""Patterns of texts that look like a credential. Such texts are masked in addition to the configured credentials."""


class Secret:
    """A credential. Its `repr` and `str` are masked; only `reveal` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the credential itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class SecretText(str):
    """A text that may contain a credential, such as the password in a URL. Its `repr` is masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***" if self else "''"


class Redactor:
    """A callable that replaces credentials in a text by `mask`, also in their usual encodings, such as base64.

    Args:
        secrets: the known credentials.
        mask: the text that takes their place.
        patterns: regular expressions of texts that look like a credential.
    """

    def __init__(self, secrets: Iterable[str], mask: str, patterns: Iterable[str] = ()) -> None:
        known = {spelled for secret in secrets for spelled in _spellings(secret) if spelled}
        # The longest comes first: if one credential is the beginning of another, the rest of the longer would stay.
        escaped = map(re.escape, sorted(known, key=len, reverse=True))
        self._pattern = re.compile("|".join([*escaped, *patterns]) or _NEVER)
        self._mask = mask

    def __call__(self, text: str) -> str:
        """Return the text with every credential masked."""
        return self._pattern.sub(self._mask, text)


_NEVER: Final = r"(?!)"
"""A pattern that matches nothing. An empty pattern would match between all characters."""


def _spellings(credential: str) -> set[str]:
    # A peer repeats a credential as it was sent, or decoded, or encoded for a URL. Logs have it in JSON or in a `repr`.
    written = (json.dumps(credential)[1:-1], repr(credential)[1:-1])
    return {credential, quote(credential, safe=""), unquote(credential), *written, *_encodings(credential)}


def _encodings(credential: str) -> set[str]:
    """Return encoded forms of the credential: hexadecimal, reversed, and base64 at each of the three alignments."""
    data = credential.encode("utf-8", "surrogateescape")
    if len(data) < MIN_SECRET_CHARS:
        return set()
    found = {data.hex(), data.hex().upper(), credential[::-1]}
    for ahead in range(_GROUP):
        encoded = base64.b64encode(bytes(ahead) + data).decode()
        # Take only the characters that depend on no neighbour of the credential.
        first, last = -(-ahead * 8 // 6), (ahead + len(data)) * 8 // 6
        found |= {encoded[first:last], encoded[first:last].replace("+", "-").replace("/", "_")}
    return found


_GROUP: Final = 3
"""The number of bytes that base64 encodes together."""


# Credentials in URLs.


def shown_url(url: str) -> str:
    """Return `url` for printing. The values in its query are masked, except the value of `model`."""
    parts = urlsplit(url)
    shown = [name + "=" + (value if name == "model" else "***") for name, value in query_of(url)]
    return urlunsplit(parts._replace(query="&".join(shown)))


def query_secrets(url: str) -> tuple[str, ...]:
    """Return the values of the query that `shown_url` masks and that are long enough for a credential."""
    return tuple(value for name, value in query_of(url) if name != "model" and len(value) >= MIN_SECRET_CHARS)


def query_of(url: str) -> list[tuple[str, str]]:
    """Return the names and values of a URL's query, still encoded."""
    pairs = (part.partition("=") for part in urlsplit(url).query.split("&") if part)
    return [(name, value) for name, _, value in pairs]
