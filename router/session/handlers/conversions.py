"""What a session's audio will be converted with is got ready off the dispatcher, while its upstream is dialled.

Its upstream is configured only then: who converts on the dispatcher meanwhile would wait for what is being loaded,
and everybody else with it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from router.audio.convert import needs_preparation
from router.audio.formats import LINEAR16_24K
from router.session.work import PrepareAudio, WorkKind

if TYPE_CHECKING:
    from actors import messages
    from router.audio.formats import Format
    from router.session.context import Context

PREPARE_S: Final = 2.0
"""The longest that is waited for it; what is not ready then is made by the first audio."""


def prepare(context: Context, microphone: Format, speaker: Format) -> None:
    """Have done what is slow about the client's two formats. The upstream's is a guess: it has not agreed yet."""
    conversions = {"microphone": (microphone, LINEAR16_24K), "speaker": (LINEAR16_24K, speaker)}
    for name, (source, target) in conversions.items():
        if needs_preparation(source, target):
            context.state.preparing.add(name)
            context.start_work(WorkKind.AUDIO, name, PrepareAudio(source, target), PREPARE_S)


def prepared(context: Context, name: str, done: messages.WorkDone) -> None:
    """Go on; log where it was not done."""
    context.state.preparing.discard(name)
    if done.failure is not None:
        context.log(logging.WARNING, f"the conversion of the {name} is not prepared: {done.failure.kind.value}")
