"""The keys that a caller pressed. Keys that follow each other within a pause make one number."""

from __future__ import annotations

from typing import Final

PAUSE_S: Final = 1.5
"""The pause that ends a number. A caller who reads a number from a card may need as long for the next key."""

END: Final = "#"
"""The key that ends a number at once."""

KEYS: Final = frozenset("0123456789*#ABCD")
MAX_KEYS: Final = 64


class Keypad:
    """The keys of one call."""

    def __init__(self) -> None:
        self._keys = ""

    def press(self, key: str) -> bool:
        """Add a key. Return whether the key ends the number: by `END`, or by its length."""
        if key in KEYS:
            self._keys += key
        return key == END or len(self._keys) >= MAX_KEYS

    def take(self) -> str | None:
        """Return the keys so far, and forget them; None without any key.

        The key `END` is no part of a number, unless it is the only key.
        """
        keys, self._keys = self._keys.removesuffix(END) or self._keys, ""
        return keys or None


def message_of(keys: str) -> str:
    """Return the user's message by which the model gets the keys that the caller pressed."""
    named = "the key" if len(keys) == 1 else "the keys"
    return f"(The caller pressed {named} {' '.join(keys)} on the telephone.)"
