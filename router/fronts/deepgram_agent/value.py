"""A relay that may move to another process, and the layouts of its memory: each class with its fields."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.fronts.deepgram_agent.closing import Closing
from router.fronts.deepgram_agent.conversation import Awaited, Conversation
from router.fronts.deepgram_agent.injected import Injected
from router.fronts.deepgram_agent.machine import DeepgramRelay, Stage
from router.fronts.deepgram_agent.memory import MAX_CALLS, MAX_MESSAGES, Memory
from router.fronts.deepgram_agent.reporting import Reporter
from router.fronts.deepgram_agent.user_audio import Speech
from router.fronts.deepgram_agent.waiting import Waiting
from router.fronts.relay_value import LIMITS, RelayValue, layout_of
from router.session.packing import Layouts
from router.session.reports import Said, TurnLog

if TYPE_CHECKING:
    from router.session.machine import Session
    from router.session.packing import Packer, Unpacker

VERSION: Final = 2
"""Increase this number when a field of the same name gets another meaning."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_MEMORY: Final = ("settings", "_chars", "question", "calls")
_QUEUES: Final = {"_messages": None, "_answer": MAX_MESSAGES, "_late": MAX_CALLS}
"""The names of the fields that are queues, each with its bound, or None for a queue without one."""


def _pack_memory(memory: Memory, _packer: Packer) -> Any:
    # The conversation is plain data, and long: msgspec writes it without a walk in Python.
    return _ENCODER.encode(
        [*(getattr(memory, name) for name in _MEMORY), *(list(getattr(memory, name)) for name in _QUEUES)]
    )


def _fill_memory(made: Memory, packed: Any, _unpacker: Unpacker) -> None:
    for name, value in zip((*_MEMORY, *_QUEUES), msgspec.msgpack.decode(packed), strict=True):
        setattr(made, name, deque(value, _QUEUES[name]) if name in _QUEUES else value)


class MovableRelay(DeepgramRelay):
    """The relay of a session that may move to another process.

    Raises:
        SnapshotError: the memory of the other process is damaged, or of another version.
    """

    def __init__(self, session: Session, memory: bytes = b"") -> None:
        super().__init__(session.context.options, session)
        if memory:
            VALUE.fill(self, memory)

    def memory(self, *, is_brief: bool = False) -> bytes:
        """Return the memory. Call this between two inputs; see `Remembering.memory`."""
        with self.shortened() if is_brief else contextlib.nullcontext():
            return VALUE.written(self)


WAITING: Final = layout_of(
    Waiting,
    "_frames texts _text_bytes _audio_bytes dropped_bytes",
    derived="_max_texts _max_text_bytes _max_audio_bytes",
)
"""The layout of a client's frames that wait for an upstream."""

LAYOUTS: Final = (
    layout_of(
        MovableRelay,
        "_reporter _closing _conversation _waiting _generation _position _stage _settings_text _bytes_per_s"
        " _is_welcomed _is_applied _error _now_s",
        derived="_deadlines _redact _as_sent _session marks",
    ),
    layout_of(
        Closing,
        "limits _drain_until_s _stays_idle _heard_at_s has_ended _ending",
        derived="_settings_s _reporter _is_in_turn",
    ),
    # Without an application that takes turns, no turn is kept.
    layout_of(
        Reporter, "_asked_s _received_s _sent_s _text_s _audio_s _turns", derived="_is_observed", optional=("_turns",)
    ),
    layout_of(TurnLog, "_said _functions _dropped"),
    layout_of(
        Conversation,
        "memory speech injected awaited is_renewed _is_answering _asked_again _repeats _is_speech_repeated _is_noise",
        is_filled=True,
    ),
    layout_of(Memory, " ".join((*_MEMORY, *_QUEUES)), pack=_pack_memory, fill=_fill_memory),
    layout_of(Speech, "_frames size_bytes dropped_bytes is_on"),
    layout_of(Injected, "_texts _awaited _own", derived="_max_texts"),
    WAITING,
    *LIMITS,
)

VALUE: Final = RelayValue(Layouts(LAYOUTS, structs=(Said,), enums=(Stage, Awaited)), VERSION)
"""The form of the memory of a relay that may move to another process."""
