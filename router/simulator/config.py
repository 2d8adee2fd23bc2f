"""What can be set about a simulator: one frozen `SimulatorConfig`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.simulator.errors import REFUSALS
from router.simulator.faults import Fault  # noqa: TC001 - msgspec resolves the annotation

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_KEY_REFUSALS: Final = {
    "invalid": "invalid_api_key",
    "sk-invalid": "invalid_api_key",
    "noquota": "insufficient_quota",
    "sk-noquota": "insufficient_quota",
}
"""Keys that begin so are refused with that code, after the handshake, as the service does."""


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a simulator behaves; a value out of range raises `ValueError` with a sentence that names it."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free port."""
    pace: float = 10.0
    """How many times faster than real time answers are streamed; 0 is as fast as the peer reads."""
    chunk_ms: int = 100
    """Audio in one `response.output_audio.delta`."""
    ms_per_character: int = 60
    """How long the voice takes for a character of text."""
    response_delay_s: float = 0.0
    """From `response.created` to the first output."""
    transcription_delay_s: float = 0.0
    """From the commit of a spoken turn to its transcript."""
    session_seconds: float = 3600.0
    """A session's lifetime, from its socket's opening."""
    required_key: str | None = None
    """When set, any other key is refused (`invalid_api_key`)."""
    key_refusals: dict[str, str] = msgspec.field(default_factory=lambda: dict(DEFAULT_KEY_REFUSALS))
    """Prefix of a key to the code of its refusal (one of `errors.REFUSALS`)."""
    models: tuple[str, ...] = ("gpt-realtime*", "gpt-audio*")
    """Models that may be asked for; a final `*` stands for anything."""
    rate_limits: bool = True
    """Whether `rate_limits.updated` follows each `response.done`."""
    control_messages: bool = True
    """Whether `simulator.fault` and `simulator.script` are obeyed; otherwise they are unknown types."""
    record_connections: int = 100
    """How many connections are remembered for `Simulator.connections`; the oldest go first."""
    record_events: int = 1000
    """How many client events are kept of each of them; 0 keeps none."""
    retained_audio_s: float = 30.0
    """How much of the user's committed audio a session keeps for `conversation.item.retrieve`."""
    ping_interval_s: float = 20.0
    """How often an idle connection is pinged; 0 never."""
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        for name, is_good in _RANGES.items():
            value = getattr(self, name)
            if not is_good(value):
                raise ValueError(f"simulator: {name} cannot be {value!r}")


def _is_positive(value: float) -> bool:
    return value > 0


def _is_not_negative(value: float) -> bool:
    return value >= 0


_RANGES: Final[dict[str, Callable[..., bool]]] = {
    "port": lambda port: 0 <= port <= 65535,  # noqa: PLR2004 - TCP
    "pace": _is_not_negative,
    "chunk_ms": lambda chunk_ms: 10 <= chunk_ms <= 5000,  # noqa: PLR2004 - deltas of a sensible size
    "ms_per_character": _is_positive,
    "response_delay_s": _is_not_negative,
    "transcription_delay_s": _is_not_negative,
    "session_seconds": _is_positive,
    "key_refusals": lambda refusals: all(code in REFUSALS for code in refusals.values()),
    "record_connections": _is_not_negative,
    "record_events": _is_not_negative,
    "retained_audio_s": _is_not_negative,
    "ping_interval_s": _is_not_negative,
}
