"""The differences between `/openai` and `/v1/agent/converse`, as data: one session machine serves both routes."""

from __future__ import annotations

from typing import Final

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The behaviour of one route."""

    name: str
    early_inputs_wait: bool
    """Input before Settings is kept. Otherwise it is answered with NON_SETTINGS_MESSAGE_BEFORE_SETTINGS."""
    openai_events: bool
    """OpenAI client events are forwarded unchanged. Otherwise they are unparsable."""
    sparse_settings: bool
    """Settings may leave out `audio` and `agent`. Otherwise they are unparsable without them."""
    linear16_rate: int
    """The rate of linear16 from a microphone if Settings name none."""
    settings_repeat: bool
    """A second Settings is answered with SettingsApplied, otherwise with SETTINGS_ALREADY_APPLIED."""
    history: bool
    """History is sent unless Settings refuse it. If false, History is sent only if Settings request it."""
    sentences: bool
    """The agent's text is sent sentence by sentence, otherwise item by item."""
    spoken_greeting: bool
    """A greeting is spoken unless the configuration says otherwise. If false, a greeting is a text."""
    component_messages: bool
    """The React component's own messages are sent (client 9.5): AgentStartedSpeaking, AgentDone, Transcript,
    UtteranceEnd, and the text "Function call: ..."."""


OPENAI: Final = Profile(
    name="openai",
    early_inputs_wait=True,
    openai_events=True,
    sparse_settings=True,
    # As the React component records.
    linear16_rate=16_000,
    settings_repeat=True,
    history=False,
    sentences=False,
    spoken_greeting=False,
    component_messages=True,
)
"""The route `/openai`, as the React component of dg_react_agent expects it."""

CONVERSE: Final = Profile(
    name="converse",
    early_inputs_wait=False,
    openai_events=False,
    sparse_settings=False,
    # As in the published schema (docs/decisions/0006).
    linear16_rate=24_000,
    settings_repeat=False,
    history=True,
    sentences=True,
    spoken_greeting=True,
    component_messages=False,
)
"""The route `/v1/agent/converse`, as Deepgram documents it: official messages only."""

PROFILES: Final = {profile.name: profile for profile in (OPENAI, CONVERSE)}
