"""The settings of a simulator: one frozen `SimulatorConfig`."""

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
"""Prefixes of keys, each with the error code of its refusal. As with the service, the refusal follows the handshake."""


class LanguageModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A server of the chat-completions API, such as Ollama or vLLM. Its `repr` never shows the key."""

    url: str
    """The server's address, with or without `/v1` and `/chat/completions`."""
    model: str | None = None
    """The model's name; None selects the first model that the server lists."""
    key: str | None = None
    first_word_s: float = 12.0
    """The longest wait, in seconds, for the next piece of an answer.

    It is shorter than the 15 s for which a router waits for the next event.
    """
    answer_s: float = 60.0
    """The longest duration of an answer, in seconds."""

    def __repr__(self) -> str:
        return f"LanguageModelConfig(url={self.url!r}, model={self.model!r}, key={'***' if self.key else None})"


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The behaviour of a simulator. A value out of range raises `ValueError` with a sentence that names it."""

    host: str = "127.0.0.1"
    port: int = 0
    """The port to listen on; 0 takes a free one."""
    pace: float = 10.0
    """The speed of answers as a multiple of real time; 0 is as fast as the peer reads."""
    chunk_ms: int = 100
    """Duration, in milliseconds, of the audio in one `response.output_audio.delta`."""
    ms_per_character: int = 60
    """Duration, in milliseconds, of the wordless voice's sound for a character of text."""
    response_delay_s: float = 0.0
    """Delay, in seconds, from `response.created` to the first output."""
    transcription_delay_s: float = 0.0
    """Delay, in seconds, from the commit of a spoken turn to its transcript."""
    session_seconds: float = 3600.0
    """A session's lifetime, from the opening of its socket."""
    required_key: str | None = None
    """The only key that is accepted: any other is refused with `invalid_api_key`."""
    key_refusals: dict[str, str] = msgspec.field(default_factory=lambda: dict(DEFAULT_KEY_REFUSALS))
    """Prefixes of keys, each with the code of its refusal, one of `errors.REFUSALS`."""
    models: tuple[str, ...] = ("gpt-realtime*", "gpt-audio*")
    """Patterns of the models that are accepted; a `*` matches any text."""
    rate_limits: bool = True
    """Whether `rate_limits.updated` follows each `response.done`."""
    control_messages: bool = True
    """Whether `simulator.fault` and `simulator.script` have an effect; if not, they are refused as unknown types."""
    record_connections: int = 100
    """The greatest number of connections in `Simulator.connections`; the oldest record is dropped first."""
    record_events: int = 1000
    """The greatest number of client events in the record of a connection."""
    retained_audio_s: float = 30.0
    """The greatest duration, in seconds, of input audio that a session keeps for `conversation.item.retrieve`."""
    ping_interval_s: float = 20.0
    """Time, in seconds, between pings of an idle connection; 0 sends none."""
    faults: tuple[Fault, ...] = ()
    voice: bool = False
    """Whether the simulator recognizes speech and speaks in words, if the extra `voice` is installed."""
    llm: LanguageModelConfig | None = None
    """The language model that answers in place of the rules."""

    def __post_init__(self) -> None:
        for name, is_valid in _RANGES.items():
            value = getattr(self, name)
            if not is_valid(value):
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
