"""One rule of a policy: the values that a client may send at the places of one field."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias
from urllib.parse import unquote

import msgspec

Kind: TypeAlias = Literal["force", "allow", "prefix", "deny"]

KINDS: Final[tuple[Kind, ...]] = ("force", "allow", "prefix", "deny")

CODE: Final = "NOT_ALLOWED"
"""The code of Deepgram's `Error` for a message that a policy denies."""


class Absent(msgspec.Struct, frozen=True):
    """The value of a rule that forces a field to be absent, because a hook has removed it."""


ABSENT: Final = Absent()


class Rule(msgspec.Struct, frozen=True):
    """A rule."""

    kind: Kind
    value: Any = None
    """The forced value, the list of allowed values, or the prefix; None for `deny`."""

    def permits(self, given: object) -> bool:
        """Whether a client may send a value. A `force` rule permits every value, because it replaces the value."""
        if self.kind == "allow":
            return any(_is_same(given, each) for each in self.value)
        if self.kind == "prefix":
            return isinstance(given, str) and begins(given, self.value)
        return self.kind == "force"


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """The refusal of a client's message. It repeats no value of the client or the server."""

    place: str
    """The field, as the client wrote it, such as `session.tools[0]`; or the type of the message."""
    field: str
    """The name of the field in the policy; empty if the denial concerns no field of the table."""
    problem: str = "is not allowed for this client"

    @property
    def sentence(self) -> str:
        """The sentence about the denial for the client."""
        return f"`{self.place}` {self.problem}"


def begins(given: str, prefix: str) -> bool:
    """Whether a value begins with a prefix. A URL must have exactly the host of the prefix."""
    if not given.startswith(prefix):
        return False
    _, mark, address = prefix.partition("://")
    if not mark:
        return True
    rest = given[len(prefix) :]
    # A server resolves `..`, encoded or not, and many parsers remove blanks and take a backslash for a slash.
    if ".." in unquote(rest) or "\\" in rest or any(char <= " " for char in rest):
        return False
    # `https://api.example` must not permit `https://api.example.evil` nor `https://api.example@evil`.
    return "/" in address or rest[:1] in ("", "/", "?", "#")


def _is_same(given: object, allowed: object) -> bool:
    # To Python, True equals 1, and 200.0 equals 200. To an upstream they are different values.
    return type(given) is type(allowed) and given == allowed
