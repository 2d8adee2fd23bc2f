"""Credentials that never show themselves, and their spellings in a text."""

from __future__ import annotations

import json
from urllib.parse import quote, unquote


class Secret:
    """A credential that shows itself only when told to: no `repr`, log line or traceback holds it."""

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


def spellings(credential: str) -> set[str]:
    """Return how it may stand in a text: as it is, in a URL, meant by a URL, in JSON, or in a `repr`."""
    written = (json.dumps(credential)[1:-1], repr(credential)[1:-1])
    return {credential, quote(credential, safe=""), unquote(credential), *written}
