"""A call of two backends that may move to another process, and the layouts of its memory: each class with its fields.

The value has the side that serves the call. The session has a snapshot of its own beside this value. While the relay
serves the call, the session is empty except for the counted usage.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from router.fronts.deepgram_agent.conversation import Awaited
from router.fronts.deepgram_agent.machine import Stage
from router.fronts.deepgram_agent.value import LAYOUTS as OF_RELAY
from router.fronts.failover.machine import FailoverMachine
from router.fronts.failover.sides import RelaySide, SessionSide
from router.fronts.relay_value import RelayValue, layout_of
from router.session.packing import Layouts
from router.session.reports import Said

if TYPE_CHECKING:
    from router.fronts.failover.sides import Parts
    from router.session.packing import Packer, Unpacker

VERSION: Final = 2
"""Increase this number when a field of the same name gets another meaning."""


class MovableCall(FailoverMachine):
    """The machine of a call of two backends that may move to another process.

    Raises:
        SnapshotError: the memory of the other process is damaged, or of another version.
    """

    def __init__(self, parts: Parts, memory: bytes = b"") -> None:
        super().__init__(parts)
        if memory:
            VALUE.fill(self, memory)

    def memory(self, *, is_brief: bool = False) -> bytes:
        """Return the memory. Call this between two inputs; see `Remembering.memory`."""
        with self._side.shortened() if is_brief else contextlib.nullcontext():
            return VALUE.written(self)


def _pack_call(call: MovableCall, packer: Packer) -> Any:
    return [call._is_relayed, call._is_warned, packer.pack(call._side)]  # noqa: SLF001 - the layout of this class


def _fill_call(made: MovableCall, packed: Any, unpacker: Unpacker) -> None:
    is_relayed, is_warned, side = packed
    unpacker.unpack(side, made.begin_side(is_relayed=is_relayed, is_warned=is_warned))


def _pack_relay_side(side: RelaySide, packer: Packer) -> Any:
    return [side._is_converting, packer.pack(side._relay)]  # noqa: SLF001 - the layout of this class


def _fill_relay_side(made: RelaySide, packed: Any, unpacker: Unpacker) -> None:
    is_converting, relay = packed
    unpacker.unpack(relay, made._relay)  # noqa: SLF001 - the layout of this class
    made.restore(is_converting=is_converting)


LAYOUTS: Final = (
    layout_of(
        MovableCall,
        "_is_relayed _is_warned _side",
        # Timers and work end with their process, and the side begins them again.
        derived="_parts marks _timers _work",
        pack=_pack_call,
        fill=_fill_call,
    ),
    layout_of(
        RelaySide, "_is_converting _relay", derived="_parts machine", pack=_pack_relay_side, fill=_fill_relay_side
    ),
    layout_of(
        SessionSide,
        "_conversation _waiting _is_applied _is_settling _is_served _was_heard _is_passthrough _shows_call",
        derived="_parts _session machine",
    ),
    *OF_RELAY,
)

VALUE: Final = RelayValue(Layouts(LAYOUTS, structs=(Said,), enums=(Stage, Awaited)), VERSION)
"""The form of the memory of a call of two backends."""
