"""The audio formats that a line agrees to: G.711 as the client has it, or linear16 at 24 kHz, which all of them know.

G.711 is asked for only of an upstream that is known for it, and counts only once it says so: one that takes any
`session.update`, and goes on reading samples of two bytes, would hear noise (docs/decisions/0009).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import orjson

from router.openai import events as openai
from router.session import inputs
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
"""The `event_id` of a session.update that configures a line: an error that brings it back refuses the Settings."""


def requested_formats(context: Context, link: UpstreamLink) -> Formats:
    """What to ask this line for."""
    given, position = context.state.settings, link.position
    if isinstance(given, inputs.PassthroughSessionUpdate):
        return passthrough_formats(given)
    is_known = any(context.options.g711[position : position + 1]) and position not in context.state.linear16_only
    if given is None or not is_known:
        return LINEAR16
    return native_formats(input_format(given.audio), output_format(given.audio))


def passthrough_formats(given: inputs.PassthroughSessionUpdate) -> Formats:
    """What a client's own `session.update` asks for: it sends and is sent just that."""
    config = orjson.loads(given.text).get("session")
    heard, spoken = reported_formats(config.get("audio") if isinstance(config, dict) else None)
    return Formats(heard or LINEAR16.input, spoken or LINEAR16.output)


def record_formats(link: UpstreamLink, event: openai.SessionUpdated) -> None:
    """Take what the upstream says of its formats."""
    heard, spoken = reported_formats(event.session.audio)
    link.formats = Formats(heard or link.formats.input, spoken or link.formats.output)
    link.has_said_formats = heard is not None and spoken is not None


def is_reached(context: Context, link: UpstreamLink) -> bool:
    """Whether what was asked for is sure to hold."""
    is_theirs = not context.state.is_passthrough
    return link.formats == LINEAR16 or link.has_said_formats or not is_theirs


def ask_for_linear16(context: Context, link: UpstreamLink) -> None:
    """Ask for what every upstream knows; one more `session.updated` is to come."""
    _give_up_g711(context, link, "does not say what it took")
    link.formats = LINEAR16
    link.updates += 1
    audio = {"input": {"format": wire_format(LINEAR16.input)}, "output": {"format": wire_format(LINEAR16.output)}}
    context.to_upstream(
        openai.SessionUpdate(session={"type": "realtime", "audio": audio}, event_id=SETTINGS_EVENT_ID), link
    )


def is_refused(context: Context, link: UpstreamLink, error: openai.ErrorDetail) -> bool:
    """Whether an error may be about G.711: the same is to be asked for again then, without."""
    is_asked = link.formats != LINEAR16 and not context.state.is_passthrough
    if not is_asked or error.event_id not in (SETTINGS_EVENT_ID, None):
        return False
    _give_up_g711(context, link, "refuses it")
    return True


def _give_up_g711(context: Context, link: UpstreamLink, why: str) -> None:
    context.state.linear16_only.add(link.position)
    context.log(logging.WARNING, f"G.711 was asked for, and the upstream {why}: it gets linear16")


def apply(context: Context) -> None:
    """Hear and speak as the line in use does."""
    state = context.state
    if not state.is_passthrough and state.microphone is not None:
        state.microphone.use(state.upstream.formats.input)
        state.speaker.use(state.upstream.formats.output)
