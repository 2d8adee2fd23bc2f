"""What differs between the two routes. One translator serves both; the differences are data."""

from __future__ import annotations

from typing import Final

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A way of speaking to clients."""

    name: str
    early_inputs_wait: bool
    """What comes before Settings is kept; otherwise it is answered NON_SETTINGS_MESSAGE_BEFORE_SETTINGS."""
    openai_events: bool
    """OpenAI client events are forwarded as they are; otherwise they are unparsable."""
    settings_repeat: bool
    """A second Settings is answered SettingsApplied; otherwise SETTINGS_ALREADY_APPLIED."""
    history: bool
    """History is sent unless Settings say otherwise; else only if they ask for it."""
    sentences: bool
    """The agent's text is told sentence by sentence; otherwise item by item."""
    spoken_greeting: bool
    """A greeting is said aloud, unless the configuration says otherwise; else it is a text."""
    component_messages: bool
    """The React component's own messages are sent: AgentStartedSpeaking, AgentDone, Transcript, UtteranceEnd, and
    the text "Function call: ..."."""


OPENAI: Final = Profile(
    name="openai",
    early_inputs_wait=True,
    openai_events=True,
    settings_repeat=True,
    history=False,
    sentences=False,
    spoken_greeting=False,
    component_messages=True,
)
"""What the dg_react_agent component expects, at `/openai`."""

CONVERSE: Final = Profile(
    name="converse",
    early_inputs_wait=False,
    openai_events=False,
    settings_repeat=False,
    history=True,
    sentences=True,
    spoken_greeting=True,
    component_messages=False,
)
"""Deepgram's own: official messages only, at `/v1/agent/converse`."""

PROFILES: Final = {profile.name: profile for profile in (OPENAI, CONVERSE)}
