"""Build the session's audio converters on a pool thread while the upstream is dialled.

The upstream is configured only when they are ready, or when their work has failed or timed out. The first converter
loads numpy and designs a filter: on the dispatcher, that would stop every session.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from router.audio.convert import needs_preparation
from router.audio.formats import LINEAR16_24K
from router.session.state.queues import EMPTY
from router.session.work import PrepareAudio, WorkKind

if TYPE_CHECKING:
    from actors import messages
    from router.audio.formats import Format
    from router.session.context import Context

PREPARE_S: Final = 2.0
"""The longest wait for the converters. After it, the first audio builds them on the dispatcher."""


def prepare(context: Context, microphone: Format, speaker: Format) -> None:
    """Start to build the converters for the client's two formats.

    The upstream has agreed on no format yet. So the converters are built for linear16 at 24 kHz, which every upstream
    supports.
    """
    conversions = {"microphone": (microphone, LINEAR16_24K), "speaker": (LINEAR16_24K, speaker)}
    for name, (source, target) in conversions.items():
        if needs_preparation(source, target):
            context.state.preparing |= {name}
            context.start_work(WorkKind.AUDIO, name, PrepareAudio(source, target), PREPARE_S)


def prepared(context: Context, name: str, done: messages.WorkDone) -> None:
    """Stop waiting for the converter called `name`. A failure is logged, and does not stop the session."""
    context.state.preparing = context.state.preparing - {name} or EMPTY
    if done.failure is not None:
        context.log(logging.WARNING, f"the audio converter of the {name} is not prepared: {done.failure.kind.value}")
