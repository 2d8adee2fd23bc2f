"""The keys that a caller pressed. Keys that follow each other within a pause make one number."""

from __future__ import annotations

from typing import Final

PAUSE_S: Final = 1.5
"""The pause that ends a number. A caller who reads a number from a card may need nearly as long between two keys."""

END: Final = "#"
"""The key that ends a number at once."""

KEYS: Final = frozenset("0123456789*#ABCD")
MAX_KEYS: Final = 64


class Keypad:
    """The keys of one call."""

    def __init__(self, keys: str = "") -> None:
        self.keys = keys
        """The keys so far."""

    def press(self, key: str) -> bool:
        """Add a key. Return whether the key ends the number: by `END`, or by its length."""
        if key in KEYS:
            self.keys += key
        return key == END or len(self.keys) >= MAX_KEYS

    def take(self) -> str | None:
        """Return the keys so far, and forget them; None without any key.

        The key `END` is no part of a number, unless it is the only key.
        """
        keys, self.keys = self.keys.removesuffix(END) or self.keys, ""
        return keys or None


def message_of(keys: str) -> str:
    """Return the user's message by which the model gets the keys that the caller pressed."""
    named = "the key" if len(keys) == 1 else "the keys"
    return f"(The caller pressed {named} {' '.join(keys)} on the telephone.)"
