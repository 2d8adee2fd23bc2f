"""What the configuration says about sessions: values only, and no credential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from router.config.model import Deadlines
from router.translation.voices import Voices

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.deepgram import blocks
    from router.translation.listening import TurnDetection


def _as_it_is(text: str) -> str:
    return text


class SessionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One per process, but for `turn_detection`, which a request may choose for its session."""

    model: str = "gpt-realtime-2.1"
    """The default."""
    models: tuple[str, ...] = ()
    """What a client may ask for through `agent.think.provider.model`."""
    fixed_model: str | None = None
    """The model in the configured upstream's URL, which wins over all."""
    turn_detection: TurnDetection = "server_vad"
    voices: Voices = Voices()
    transcription_model: str = "gpt-realtime-whisper"
    greeting: Literal["auto", "spoken", "text"] = "auto"
    """Whether a greeting is said aloud: as the profile has it, always, or never."""
    deadlines: Deadlines = Deadlines()
    early_audio_s: float = 10.0
    """How much microphone audio may wait for `session.updated`; the oldest goes first."""
    early_messages: int = 64
    early_bytes: int = 4 * 1024 * 1024
    """How many messages may."""
    interrupted_answer: Literal["continue", "stop"] = "continue"
    """What becomes of an answer that an upstream's end cut off."""
    ledger_tokens: int = 24_000
    ledger_bytes: int = 1024 * 1024
    preroll_s: float = 0.5
    """How much microphone audio is kept while nobody speaks."""
    uncommitted_audio_s: float = 60.0
    """How much while somebody does."""
    transcription_models: tuple[str | None, ...] = ()
    """By position of the upstream, where one has its own; Azure names deployments."""
    audio_ahead_s: float = 30.0
    """How far the agent's audio is sent ahead of its playback."""
    queued_audio_bytes: int = 32 * 1024 * 1024
    """How much of it may wait for that."""
    unread_audio_bytes: int = 1024 * 1024
    """How much may before the client is seen to read."""
    tools: tuple[blocks.Function, ...] = ()
    """Functions that the router answers itself."""
    tool_hosts: tuple[str, ...] = ()
    """Origins whose endpoints may be called."""
    g711: tuple[bool, ...] = ()
    """By position of the upstream, whether it is known to hear and to speak G.711."""
    is_configured_outside: bool = False
    """The embedding application is asked about each session's Settings."""
    is_reported: bool = False
    """It wants to hear of turns and costs."""
    redact: Callable[[str], str] = _as_it_is
    """Takes credentials out of a text that is to leave the house."""

    def is_available(self, model: str) -> bool:
        """Whether a client that asks for this model gets it."""
        return self.model_for(model) == model

    def model_for(self, asked: str | None) -> str:
        """The model to use: the one in the configured URL, else the client's where it is allowed, else the default."""
        if self.fixed_model is not None:
            return self.fixed_model
        return asked if asked is not None and asked in self.models else self.model
