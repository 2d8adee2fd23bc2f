"""A transcription by Deepgram that may move to another process, and the layouts of its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.fronts.deepgram_agent.value import WAITING
from router.fronts.listen.relay import ListenRelay
from router.fronts.relay_value import LIMITS, RelayValue, layout_of
from router.session.packing import Layouts

if TYPE_CHECKING:
    from router.session.machine import Session

VERSION: Final = 2
"""Increase this number when a field of the same name gets another meaning."""


class MovableListenRelay(ListenRelay):
    """The relay of a transcription that may move to another process.

    Raises:
        SnapshotError: the memory of the other process is damaged, or of another version.
    """

    def __init__(self, session: Session, memory: bytes = b"") -> None:
        super().__init__(session.context.options, session)
        if memory:
            VALUE.fill(self, memory)

    def memory(self, *, is_brief: bool = False) -> bytes:  # noqa: ARG002 - it has only audio that is still needed
        """Return the memory. Call this between two inputs; see `Remembering.memory`."""
        return VALUE.written(self)


LAYOUTS: Final = (
    layout_of(
        MovableListenRelay,
        "_now_s _limits _waiting _unheard _generation _is_ready _is_closing _has_open_words _has_ended _ending",
        derived="_session marks _redact _policy",
    ),
    WAITING,
    *LIMITS,
)

VALUE: Final = RelayValue(Layouts(LAYOUTS, structs=(), enums=()), VERSION)
"""The form of the memory of a transcription that may move to another process."""
