"""The length of a frame on the wire to the client. It tells which frames were among the sent bytes."""

from __future__ import annotations

from typing import Final

SMALL: Final = 126
MEDIUM: Final = 65_536
"""The bounds of a frame's length: from `SMALL` on its header has 4 bytes, and from `MEDIUM` on 10 bytes."""


def wire_bytes(frame: str | bytes) -> int:
    """Return the length of a frame on the wire."""
    size = len(frame)
    if isinstance(frame, str) and not frame.isascii():
        size = len(frame.encode(errors="surrogatepass"))
    return size + (2 if size < SMALL else 4 if size < MEDIUM else 10)
