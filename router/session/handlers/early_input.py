"""Handlers of client input that arrives before the session is ready."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from router.audio.formats import MAX_SAMPLE_BYTES, RATES
from router.deepgram import messages as deepgram
from router.session import inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.session.context import Context

_FASTEST_BYTES_PER_S: Final = RATES[-1] * MAX_SAMPLE_BYTES
"""Of microphone audio, while its format is unknown."""

# What comes too early.


def keep_message(context: Context, message: Any) -> None:
    """Keep a message until the session is ready."""
    bounds = context.options.bounds
    if not context.state.early.keep_message(message, len(context.client_text.encode())):
        most = f"{bounds.early_messages} messages, or {bounds.early_bytes} bytes of them"
        description = f"more than {most}, before SettingsApplied: one is dropped"
        context.to_client(deepgram.Error(description=description, code="TOO_MANY_EARLY_MESSAGES"))


class Waiting(Protocol):
    """What waits for an upstream that is there, but busy."""

    @property
    def size_bytes(self) -> int:
        """About what it takes."""


def has_room(context: Context, waiting: Sequence[Waiting], another: Waiting) -> bool:
    """Whether another may wait, too. Where none does, there is room for it, whatever it takes."""
    bounds, size_bytes = context.options.bounds, sum(it.size_bytes for it in (*waiting, another))
    return not waiting or (len(waiting) < bounds.early_messages and size_bytes <= bounds.early_bytes)


def is_one_too_many(context: Context, waiting: Sequence[Waiting], another: Waiting) -> bool:
    """Answer a message that would wait behind too many others; whether it would."""
    if has_room(context, waiting, another):
        return False
    description = f"{len(waiting)} such messages wait for the upstream: one more is dropped"
    context.to_client(deepgram.Error(description=description, code="TOO_MANY_EARLY_MESSAGES"))
    return True


def keep_user_message(context: Context, message: deepgram.InjectUserMessage) -> None:
    """Echo a user's message at once, and keep it."""
    context.to_client(deepgram.ConversationText(role="user", content=message.content))
    keep_message(context, inputs.EchoedUserMessage(message.content))


def keep_audio(context: Context, piece: inputs.MicrophoneAudio) -> None:
    """Keep audio until the session is ready, so much of it as is allowed."""
    dropped = context.state.early.keep_audio(piece.data, _most_early_bytes(context))
    if dropped and context.state.early.dropped_bytes == dropped:
        context.log(logging.WARNING, "early microphone audio is dropped, the oldest first")


def _most_early_bytes(context: Context) -> int:
    microphone = context.state.microphone
    bytes_per_s = microphone.source.bytes_per_s if microphone is not None else _FASTEST_BYTES_PER_S
    return int(context.options.bounds.early_audio_s * bytes_per_s)


def before_settings(context: Context, message: Any) -> None:
    """Keep what came before Settings, or answer that it came too early, as the profile has it."""
    if not context.profile.early_inputs_wait:
        _answer_too_early(context)
    elif isinstance(message, inputs.MicrophoneAudio):
        keep_audio(context, message)
    elif isinstance(message, deepgram.InjectUserMessage):
        keep_user_message(context, message)
    else:
        keep_message(context, message)


def _answer_too_early(context: Context) -> None:
    description = "the first message must be Settings"
    context.to_client(deepgram.Error(description=description, code="NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"))
