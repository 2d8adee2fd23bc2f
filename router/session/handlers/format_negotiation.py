"""Agree on audio formats with an upstream: the client's own G.711, or linear16 at 24 kHz, which all upstreams support.

G.711 is requested only from an upstream that is known to support it, and counts only once session.updated names it. One
compatible server acknowledges it and continues with 16-bit samples, which the caller would hear as noise (upstream
12.5, docs/decisions/0009).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.translation.formats import (
    Formats,
    input_format,
    native_formats,
    output_format,
    reported_formats,
    wire_format,
)

if TYPE_CHECKING:
    from router.session.context import Context
    from router.session.state.upstream import UpstreamLink

LINEAR16: Final = Formats()

SETTINGS_EVENT_ID: Final = "sb_settings"
"""The `event_id` of a configuring session.update. An error that carries it refuses the Settings (upstream 8.1)."""


def requested_formats(context: Context, link: UpstreamLink) -> Formats:
    """Return the formats to request from an upstream."""
    plan, position = context.state.plan, link.position
    if plan.client_formats is not None:
        return plan.client_formats
    is_known = any(context.options.g711[position : position + 1]) and position not in context.state.linear16_only
    if not isinstance(plan.source, deepgram.Settings) or not is_known:
        return LINEAR16
    return native_formats(input_format(plan.source.audio), output_format(plan.source.audio))


def record_formats(link: UpstreamLink, event: openai.SessionUpdated | openai.SessionCreated) -> None:
    """Record the formats that session.updated names. A format that it leaves out stays as requested.

    A session.created that arrives after session.updated names the formats in use, too.
    """
    in_format, out_format = reported_formats(event.session.audio)
    link.formats = Formats(in_format or link.formats.input, out_format or link.formats.output)
    link.has_confirmed_formats = in_format is not None and out_format is not None


def is_agreed(context: Context, link: UpstreamLink) -> bool:
    """Whether the formats are certain. Formats that the client chose at the upstream itself count as certain."""
    is_certain = link.formats == LINEAR16 or link.has_confirmed_formats
    return is_certain or context.state.plan.client_formats is not None


def request_linear16(context: Context, link: UpstreamLink) -> None:
    """Request linear16 from an upstream that did not confirm G.711. One more `session.updated` follows."""
    _rule_out_g711(context, link, "does not name the formats that it accepted")
    link.formats = LINEAR16
    link.pending_updates += 1
    audio = {"input": {"format": wire_format(LINEAR16.input)}, "output": {"format": wire_format(LINEAR16.output)}}
    context.to_upstream(
        openai.SessionUpdate(session={"type": "realtime", "audio": audio}, event_id=SETTINGS_EVENT_ID), link
    )


def rule_out_refused_g711(context: Context, link: UpstreamLink, error: openai.ErrorDetail) -> bool:
    """Record that an upstream lacks G.711, if its error may be a refusal of G.711.

    Return whether the error may be such a refusal. The calling handler then sends the configuration again, without
    G.711.
    """
    is_requested = link.formats != LINEAR16 and context.state.plan.client_formats is None
    # Some servers leave the `event_id` out of their errors.
    if not is_requested or error.event_id not in (SETTINGS_EVENT_ID, None):
        return False
    _rule_out_g711(context, link, "refuses it")
    return True


def _rule_out_g711(context: Context, link: UpstreamLink, reason: str) -> None:
    # Record the position and not the generation: the next connection to this upstream need not try G.711 again.
    context.state.linear16_only |= {link.position}
    context.log(logging.WARNING, f"G.711 was requested, and the upstream {reason}: linear16 is used")


def apply_formats(context: Context) -> None:
    """Set the converters between the client's audio and the formats of the upstream in use.

    A client that chose the upstream's formats itself needs no converters.
    """
    state = context.state
    if state.plan.client_formats is None and state.microphone is not None:
        state.microphone.use(state.upstream.formats.input)
        state.speaker.use(state.upstream.formats.output)
