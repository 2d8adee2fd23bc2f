"""Keep client input that arrives before the session is ready, since real clients do not wait (client 2.2).

Until then the session sends none of this input upstream. The upstream's default session would answer audio by itself,
without the client's prompt, and that answer would fix the voice (upstream 1.5).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from router.audio.formats import MAX_SAMPLE_BYTES, RATES
from router.deepgram import messages as deepgram
from router.session import inputs

if TYPE_CHECKING:
    from collections.abc import Collection

    from router.session.context import Context

_FASTEST_BYTES_PER_S: Final = RATES[-1] * MAX_SAMPLE_BYTES
"""The highest rate of microphone audio. It bounds early audio while its format is unknown."""


# Bounds.


def keep_message(context: Context, message: object) -> None:
    """Keep a message until the session is ready, or answer that it exceeds a bound."""
    bounds = context.options.bounds
    # The size is that of the frame: a decoded message has none.
    if not context.state.early.keep_message(message, len(context.client_text.encode())):
        bound = f"{bounds.early_messages} messages, or {bounds.early_bytes} bytes"
        description = f"the message is dropped: more than {bound} came before SettingsApplied"
        context.to_client(deepgram.Error(description=description, code="TOO_MANY_EARLY_MESSAGES"))


class Waiting(Protocol):
    """A response request, or an update, that waits until the upstream has finished an earlier one."""

    @property
    def size_bytes(self) -> int:
        """The approximate size of the request."""


def has_room(context: Context, waiting: Collection[Waiting], another: Waiting) -> bool:
    """Whether another request may wait, too.

    The first request may always wait, because its frame did not exceed the bound on frames.
    """
    bounds, size_bytes = context.options.bounds, sum(it.size_bytes for it in (*waiting, another))
    return not waiting or (len(waiting) < bounds.early_messages and size_bytes <= bounds.early_bytes)


def refuse_excess(context: Context, waiting: Collection[Waiting], another: Waiting) -> bool:
    """Answer a request with an Error if too many wait already. Return whether the request is refused."""
    if has_room(context, waiting, another):
        return False
    description = f"the message is dropped: {len(waiting)} such messages wait for the upstream"
    context.to_client(deepgram.Error(description=description, code="TOO_MANY_EARLY_MESSAGES"))
    return True


# Messages and audio.


def keep_user_message(context: Context, message: deepgram.InjectUserMessage) -> None:
    """Echo a user's message at once, because the client's page shows the echo. Keep the message."""
    context.to_client(deepgram.ConversationText(role="user", content=message.content))
    keep_message(context, inputs.EchoedUserMessage(message.content))


def keep_audio(context: Context, piece: inputs.MicrophoneAudio) -> None:
    """Keep audio until the session is ready. Beyond the bound the oldest audio is dropped."""
    dropped = context.state.early.keep_audio(piece.data, _max_early_bytes(context))
    # One log line for the session: a client may send audio for minutes.
    is_first_drop = dropped and context.state.early.dropped_bytes == dropped
    if is_first_drop:
        context.log(logging.WARNING, "early microphone audio is dropped, the oldest first")


def _max_early_bytes(context: Context) -> int:
    microphone = context.state.microphone
    bytes_per_s = microphone.source.bytes_per_s if microphone is not None else _FASTEST_BYTES_PER_S
    return int(context.options.bounds.early_audio_s * bytes_per_s)


def before_settings(context: Context, message: object) -> None:
    """Keep input that arrived before Settings, or answer that it is too early, as the profile says."""
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
