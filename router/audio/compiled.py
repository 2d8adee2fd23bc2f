"""The compiled filter of `polyphase`. It exists if the installation had a compiler (docs/decisions/0049)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

resampled: Callable[[bytes, int, int, int, bytes, int, int], bytes] | None
try:
    from router.audio import _resampling
except ImportError:
    resampled = None
else:
    resampled = _resampling.resampled

RESAMPLING: Final = "numpy" if resampled is None else "compiled"
"""The name of the implementation that resamples, for people."""
