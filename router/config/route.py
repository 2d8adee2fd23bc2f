"""One route: a path, the front that serves it, and settings that override those of the configuration on that path.

This module must not know how a front works, or the source of a route.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec resolves the annotation
from typing import Any, Final

import msgspec

OFF: Final = "off"
"""The value in place of a front if the path is not served."""

VOICE: Final = "/voice"
"""The end of a webhook's path. The path of the telephone's route precedes it."""
STATUS: Final = "/status"
"""The end of the path of a status call-back. The path of the telephone's route precedes it."""

_TUNING: Final = frozenset(
    {
        *("vad_threshold", "vad_prefix_ms", "vad_silence_ms", "vad_eagerness", "noise_reduction", "retention_ratio"),
        *("max_output_tokens", "speed"),
    }
)

DEFAULTS: Final = _TUNING | {
    *("model", "models", "turn_detection", "voice", "voices", "greeting", "transcription_model", "interrupted_answer"),
    "continued_text",
}
"""The settings that a route may override, in its table `defaults`."""

_CHOICES: Final = frozenset({"policy", "upstreams"})

_HEARD: Final = frozenset(
    {"transcription_model", "vad_threshold", "vad_prefix_ms", "vad_silence_ms", "noise_reduction"}
)

_TELEPHONES: Final = ("twilio", "telnyx", "plivo", "exotel", "vonage")

_FAILOVER: Final = frozenset({"failover", "failover_agent"})

FRONTS: Final[dict[str, frozenset[str]]] = {
    "openai": DEFAULTS | _CHOICES | _FAILOVER,
    "converse": DEFAULTS | _CHOICES | _FAILOVER,
    "realtime": _CHOICES | _FAILOVER | {"model", "models", "interrupted_answer"},
    # The upstreams and defaults apply to the session that continues the call after the loss of Deepgram.
    "deepgram": DEFAULTS | _CHOICES | {"failover"},
    "listen": _CHOICES | _HEARD,
    **dict.fromkeys(_TELEPHONES, (DEFAULTS - {"greeting"}) | {"upstreams"} | _FAILOVER),
    OFF: frozenset(),
}
"""The fronts, each with the settings that have an effect there.

A telephone has neither `greeting` nor `policy`, because every greeting is spoken there, and no policy applies.
"""

NEEDS_FAILOVER: Final[dict[str, frozenset[str]]] = {
    "deepgram": DEFAULTS | {"upstreams"},
    **dict.fromkeys(("openai", "converse", "realtime", *_TELEPHONES), frozenset({"failover_agent"})),
}
"""The settings that have an effect only with `failover`, by front."""

GUARDED_FAILOVER: Final = frozenset({"realtime"})
"""The fronts whose guard reads the same wire with either backend, so that the guard works beside `failover`."""

TELEPHONES: Final = frozenset({"twilio"})
"""The fronts that have a webhook and a status call-back in addition to the WebSocket."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One route."""

    path: str
    front: str
    policy: str | None = None
    """The policy of clients whose credential names no policy, in place of `default`."""
    upstreams: tuple[int, ...] = ()
    """The positions of the upstreams that may be dialled; empty for all of them."""
    failover: bool = False
    """Whether a call that lost its backend continues at the other backend.

    The backends are Deepgram's and the listed upstreams.
    """
    failover_agent: str | None = None
    """The agent of the configuration that has the blocks for Deepgram's `listen`, `speak` and `think.provider`."""
    defaults: Mapping[str, Any] = {}
    """Fields of the configuration, with the values that apply on this route."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that the route serves."""
        more = (self.path + VOICE, self.path + STATUS) if self.front in TELEPHONES else ()
        return (self.path, *more)
