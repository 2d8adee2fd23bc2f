"""Build the session's audio converters on a pool thread while the upstream is dialled.

The upstream is configured only when they are ready, or when their work has failed or timed out. The first converter
loads numpy and designs a filter: on the dispatcher, that would stop every session. If an upstream then names a format
for which nothing is prepared, the event that names the format waits in the same way.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from router.audio.convert import needs_preparation
from router.audio.formats import LINEAR16_24K
from router.openai import events as openai
from router.session.state.queues import EMPTY
from router.session.state.states import Lifecycle
from router.session.work import PrepareAudio, WorkKind
from router.translation.formats import reported_formats

if TYPE_CHECKING:
    from actors import messages
    from router.audio.formats import Format
    from router.session.context import Context
    from router.session.state.upstream import UpstreamLink

PREPARE_S: Final = 2.0
"""The longest wait for the converters. After it, the first audio builds them on the dispatcher."""


UPSTREAM: Final = "upstream"
"""The name of the preparation for the formats that an upstream names."""

MAX_DEFERRED: Final = 16
"""The most events that wait for a converter. A further event ends the wait of all."""


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


def defers(context: Context, event: openai.SessionUpdated | openai.SessionCreated, generation: int | None) -> bool:
    """Whether an event of the upstream has to wait until a converter for the formats that it names is prepared.

    If so, keep the event, and start the preparation. Later events of this kind wait behind it.
    """
    state = context.state
    link = _link_of(context, generation)
    # A session.created names the formats in use only if it comes after session.updated.
    is_early = isinstance(event, openai.SessionCreated) and state.lifecycle is not Lifecycle.READY
    if link is None or is_early or len(state.deferred) >= MAX_DEFERRED:
        return False
    if not state.deferred:
        conversion = _unprepared(context, link, event)
        if conversion is None:
            return False
        context.start_work(WorkKind.AUDIO, UPSTREAM, PrepareAudio(*conversion), PREPARE_S)
    state.deferred = (*state.deferred, (event, link.generation))
    return True


def _link_of(context: Context, generation: int | None) -> UpstreamLink | None:
    links = (context.state.upstream, context.state.standby)
    return next((it for it in links if it is not None and it.generation == generation), None)


def _unprepared(
    context: Context, link: UpstreamLink, event: openai.SessionUpdated | openai.SessionCreated
) -> tuple[Format, Format] | None:
    """Return the source and the target of a conversion that would load numpy; None if there is none."""
    state = context.state
    if state.has_converters or state.plan.client_formats is not None or state.microphone is None:
        return None
    in_format, out_format = reported_formats(event.session.audio)
    conversions = (
        (state.microphone.source, in_format or link.formats.input),
        (out_format or link.formats.output, state.speaker.target),
    )
    return next((it for it in conversions if needs_preparation(*it)), None)


def prepared(context: Context, name: str, done: messages.WorkDone) -> None:
    """Stop waiting for the converter called `name`. A failure is logged, and does not stop the session."""
    context.state.preparing = context.state.preparing - {name} or EMPTY
    context.state.has_converters |= done.failure is None
    if done.failure is not None:
        context.log(logging.WARNING, f"the audio converter of the {name} is not prepared: {done.failure.kind.value}")
