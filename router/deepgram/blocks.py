"""The blocks of `agent` in Settings: listen, think and speak. The `Update...` messages contain these blocks, too.

Every field that the protocol lists is here, whether or not the router acts on it. A field of the wrong type is the
client's mistake, and the answer names the field. Unknown fields are ignored, because a newer client may send fields
that this version does not know. Camel-cased fields are the React component's own.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Block(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A part of `agent`. Decoded JSON has no cycles, and without the garbage collector a block takes 16 bytes less."""


class Endpoint(Block, frozen=True):
    """An `endpoint`: a service of the client's choice. Its `repr` shows no credential: no header's value, no query."""

    url: str
    method: str | None = None
    headers: dict[str, str] | None = None

    def __repr__(self) -> str:
        url = self.url.partition("?")[0].rpartition("@")[2]
        return f"Endpoint(url={url!r}, method={self.method!r}, headers={sorted(self.headers or {})!r})"


# Think.


class Function(Block, frozen=True):
    """An item of `agent.think.functions`. The client runs a function without an `endpoint`."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    endpoint: Endpoint | None = None
    defer_until_eot: bool | None = None
    initial_agent_filler: bool | None = None
    agent_filler_max_count: int | None = None
    agent_filler_interval_ms: int | None = None


class ThinkProvider(Block, frozen=True):
    """`agent.think.provider`."""

    type: str | None = None
    model: str | None = None
    version: str | None = None
    temperature: float | None = None
    reasoning_mode: str | None = None
    credentials: dict[str, Any] | None = None
    voice_prompt_opt_out: bool | None = None


class Think(Block, frozen=True):
    """`agent.think`."""

    provider: ThinkProvider = ThinkProvider()
    endpoint: Endpoint | None = None
    prompt: str | None = None
    context_length: Literal["max"] | float | None = None
    """The most characters of the conversation that the model gets. The router converts this number to tokens."""
    functions: list[Function] | None = None
    toolChoice: str | dict[str, Any] | None = None  # noqa: N815 - as on the wire
    outputModalities: list[str] | None = None  # noqa: N815 - as on the wire
    maxOutputTokens: int | str | None = None  # noqa: N815 - as on the wire
    managedPrompt: dict[str, Any] | None = None  # noqa: N815 - as on the wire


# Speak.


class SpeakProvider(Block, frozen=True):
    """`agent.speak.provider`. `voice` is a string for OpenAI, and an object for some other providers."""

    type: str | None = None
    model: str | None = None
    model_id: str | None = None
    version: str | None = None
    voice: Any = None
    speed: float | None = None
    expressivity: int | None = None
    volume: float | None = None
    language: str | None = None
    language_code: str | None = None
    engine: str | None = None
    credentials: dict[str, Any] | None = None


class Speak(Block, frozen=True):
    """`agent.speak`."""

    provider: SpeakProvider = SpeakProvider()
    endpoint: Endpoint | None = None


# Listen.


class ListenProvider(Block, frozen=True):
    """`agent.listen.provider`."""

    type: str | None = None
    version: str | None = None
    model: str | None = None
    language: str | None = None
    keyterms: list[str] | None = None
    smart_format: bool | None = None
    language_hints: list[str] | None = None
    language_hint: str | list[str] | None = None
    """An older name of `language_hints`."""
    eot_threshold: float | None = None
    eager_eot_threshold: float | None = None
    eot_timeout_ms: float | None = None

    @property
    def hints(self) -> list[str] | None:
        """The languages that the user may speak, from `language_hints`, or else from `language_hint`."""
        hint = [self.language_hint] if isinstance(self.language_hint, str) else self.language_hint
        return hint if self.language_hints is None else self.language_hints


class Listen(Block, frozen=True):
    """`agent.listen`."""

    provider: ListenProvider = ListenProvider()


# The context.


class FunctionCallRecord(Block, frozen=True):
    """A function call and its output in the client's context."""

    id: str
    name: str
    arguments: str = "{}"
    response: str = ""
    client_side: bool = True
    thought_signature: str | None = None


class ContextMessage(Block, frozen=True):
    """An item of `agent.context.messages`: a text with its role, or function calls with their outputs."""

    type: str = "History"
    role: Literal["user", "assistant"] | None = None
    content: str | None = None
    function_calls: list[FunctionCallRecord] | None = None


class Context(Block, frozen=True):
    """`agent.context`."""

    messages: list[ContextMessage] | None = None


# The whole of `agent`.


class Agent(Block, frozen=True):
    """`agent` of Settings. `think` and `speak` may be lists of fallbacks.

    `turn_detection` and `continued_text` are the router's own fields. `turn_detection` decides how a turn ends.
    `continued_text` decides whether the text of a continued answer is the rest or the whole.
    """

    think: Think | list[Think] = Think()
    speak: Speak | list[Speak] = Speak()
    listen: Listen = Listen()
    think_live: dict[str, Any] | None = None
    language: str | None = None
    greeting: str | None = None
    context: Context | None = None
    messages: list[ContextMessage] | None = None
    """The older place of `context.messages`."""
    turn_detection: Literal["server_vad", "semantic_vad", "manual"] | None = None
    continued_text: Literal["rest", "whole"] | None = None
    idleTimeoutMs: float | None = None  # noqa: N815 - as on the wire
    sessionAudioOutput: dict[str, Any] | None = None  # noqa: N815 - as on the wire
