"""The options of sessions, as the configuration sets them: values only, and no credential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from router.config.model import Tuning

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config.model import Deadlines, Limits
    from router.deepgram import blocks
    from router.policy.policy import Policy
    from router.translation.listening import TurnDetection
    from router.translation.voices import Voices
    from router.usage.prices import PriceTable


def _unchanged(text: str) -> str:
    return text


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one session that are not configurable. Tests lower them."""

    early_audio_s: float = 10.0
    """The most microphone audio that waits for `session.updated`: as long as a dial may take. The oldest is dropped."""
    early_messages: int = 64
    """The most messages that wait for `session.updated`, and later for a busy upstream. A client sends a few."""
    early_bytes: int = 4 * 1024 * 1024
    """The most bytes of the messages that wait: enough for a whole conversation as context, or 64 long messages."""
    preroll_s: float = 0.5
    """The microphone audio that is kept while the user is silent.

    A detector places the start of speech 0.3 s back. More audio would cost memory in every idle session.
    """
    uncommitted_audio_s: float = 60.0
    """The most microphone audio that is kept during speech. A turn of this length survives the loss of its upstream."""
    queued_audio_bytes: int = 32 * 1024 * 1024
    """The most audio that waits for its playback: eleven minutes, longer than a response may take (`response_s`)."""
    unread_audio_bytes: int = 1024 * 1024
    """The bound on waiting audio until the client answers a ping. A client that does not read never plays the audio."""
    ledger_bytes: int = 1024 * 1024
    """The size of the ledger.

    `ledger_tokens` keeps the text far below this size. The bound is needed for speech without a transcript.
    """


class SessionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one session: those of the process, with the choices of the URL, the front and the policy."""

    model: str
    """The default model."""
    models: tuple[str, ...] = ()
    """The models that a client may request through `agent.think.provider.model`."""
    fixed_model: str | None = None
    """The model in the URL of the first upstream, or else its `model`. It takes precedence over every other choice."""
    turn_detection: TurnDetection
    voices: Voices
    transcription_model: str
    transcription_models: tuple[str | None, ...] = ()
    """The transcription models by position of the upstream, for upstreams with their own. Azure names deployments."""
    upstream_models: tuple[str | None, ...] = ()
    """By position of the upstream, the model that the router requests from it in place of the session's."""
    greeting: Literal["auto", "spoken", "text"]
    """Whether a greeting is spoken: as the profile has it, always, or never."""
    interrupted_answer: Literal["continue", "stop"]
    """The decision on an answer that the loss of its upstream cut off: to continue it, or to stop there."""
    continued_text: Literal["rest", "whole"]
    """The text of a continued answer in the React component's profile, if its Settings do not choose."""
    deadlines: Deadlines
    limits: Limits
    bounds: Bounds = Bounds()
    tuning: Tuning = Tuning()
    price_table: PriceTable | None = None
    """The prices of models, if cost has a limit."""
    spend_today: Callable[[int, float, int], tuple[int, float, int]] | None = None
    """The function that adds tokens, dollars and answers of the agent to its client's sums of today.

    It returns these sums, which cover all sessions of the client. It must not block. The field is None if a day has no
    limit.
    """
    tools: tuple[blocks.Function, ...] = ()
    """Functions that the router answers itself."""
    tool_hosts: tuple[str, ...] = ()
    """The origins whose endpoints the router may call."""
    g711: tuple[bool, ...] = ()
    """By position of the upstream, whether it is known to accept and to send G.711."""
    is_configured_outside: bool = False
    """Whether the embedding application configures each session (the hook `configure`)."""
    is_reported: bool = False
    """Whether the embedding application wants notifications of turns and usage."""
    is_observed: bool = False
    """Whether an observer wants usage, latencies and the cause of the end: for logs, metrics and the usage log."""
    policy: Policy | None = None
    """The rules for the client's messages; None if all messages are allowed."""
    redact: Callable[[str], str] = _unchanged
    """The function that masks credentials in a text that leaves the process."""

    def is_available(self, model: str) -> bool:
        """Whether a client that requests this model gets it."""
        return self.model_for(model) == model

    def model_for(self, requested: str | None) -> str:
        """Return the fixed model, or else the client's model if it is allowed, or else the default."""
        if self.fixed_model is not None:
            return self.fixed_model
        return requested if requested is not None and requested in self.models else self.model
