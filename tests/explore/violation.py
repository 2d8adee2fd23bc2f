"""The exception of a broken invariant."""


class Violation(Exception):  # noqa: N818 - the field's term
    """A broken invariant. The first word of the text is its number."""


def require(holds: bool, words: str) -> None:
    """Raise a violation unless a rule holds."""
    if not holds:
        raise Violation(words)
