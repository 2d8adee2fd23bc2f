"""Client and server messages of Deepgram's Voice Agent protocol, and what our `/openai` profile adds to it.

Every field that the protocol lists is here, acted on or not: a field that is listed and ill-typed is the client's
mistake, and is named in the answer. Unknown ones are passed over. The blocks of `agent` stand in `blocks`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from router.deepgram.blocks import Agent, Listen, Speak, Think  # noqa: TC001 - msgspec resolves the annotation

# What a client sends.


class AudioFormat(msgspec.Struct, frozen=True):
    """`audio.input` or `audio.output` of Settings."""

    encoding: str = "linear16"
    sample_rate: int | float | None = None
    """A whole number, in whatever spelling. As an int it is found in a range at once, as a float by a search."""
    container: str | None = None
    bitrate: float | None = None


class Audio(msgspec.Struct, frozen=True):
    """`audio` of Settings. 24 kHz where it names no rate, as in the published schema."""

    input: AudioFormat = AudioFormat(sample_rate=24000)
    output: AudioFormat = AudioFormat()


class Flags(msgspec.Struct, frozen=True):
    """`flags` of Settings."""

    history: bool | None = None


class Settings(msgspec.Struct, frozen=True):
    """The first message of a client. `agent` as a string is the id of a stored agent, which we have none of."""

    audio: Audio
    agent: Agent | str
    flags: Flags = Flags()
    experimental: bool = False
    tags: list[str] | None = None
    mip_opt_out: bool | None = None


class InjectUserMessage(msgspec.Struct, frozen=True):
    """Take this as if the user had said it."""

    content: str


class InjectAgentMessage(msgspec.Struct, frozen=True):
    """Have the agent say this. The React component names its text `content`; a dynamic one has none."""

    message: str | None = None
    content: str | None = None
    behavior: Literal["default", "queue", "interrupt"] | None = None
    is_dynamic: bool = False


class UpdatePrompt(msgspec.Struct, frozen=True):
    """Add to the prompt."""

    prompt: str


class UpdateThink(msgspec.Struct, frozen=True):
    """Replace the think block, functions and all."""

    think: Think | list[Think]


class UpdateSpeak(msgspec.Struct, frozen=True):
    """Speak with another voice."""

    speak: Speak | list[Speak]


class UpdateListen(msgspec.Struct, frozen=True):
    """Change how the user is heard. What is left out stays, but for `language_hints`."""

    listen: Listen


class UpdateThinkLive(msgspec.Struct, frozen=True):
    """Change Think Live, which is Deepgram's own (early access)."""

    think_live: Any = None


class CustomToThinkProvider(msgspec.Struct, frozen=True):
    """Something for a custom think provider."""

    content: Any = None


class FunctionCallResponse(msgspec.Struct, frozen=True):
    """The answer to one function call, by `id` or else by `name`. `result` and `error` are older spellings."""

    id: str | None = None
    name: str | None = None
    content: Any = None
    result: Any = None
    error: Any = None


class ForceEndTurn(msgspec.Struct, frozen=True):
    """The user has finished, whatever the detector thinks."""


class KeepAlive(msgspec.Struct, frozen=True):
    """The client is there. Never answered, never forwarded."""


ClientMessage = (
    Settings
    | InjectUserMessage
    | InjectAgentMessage
    | FunctionCallResponse
    | KeepAlive
    | ForceEndTurn
    | UpdatePrompt
    | UpdateThink
    | UpdateSpeak
    | UpdateListen
    | UpdateThinkLive
    | CustomToThinkProvider
)

CLIENT_MESSAGES: dict[str, type[ClientMessage]] = {
    "Settings": Settings,
    "InjectUserMessage": InjectUserMessage,
    "InjectAgentMessage": InjectAgentMessage,
    "FunctionCallResponse": FunctionCallResponse,
    "KeepAlive": KeepAlive,
    "ForceEndTurn": ForceEndTurn,
    "UpdatePrompt": UpdatePrompt,
    "UpdateThink": UpdateThink,
    "UpdateSpeak": UpdateSpeak,
    "UpdateListen": UpdateListen,
    "UpdateThink_Live": UpdateThinkLive,
    "__customToThinkProvider": CustomToThinkProvider,
}

# What a client is sent.


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Anything that a client is sent as text; the class's name is its `type`."""


class Welcome(ServerMessage, frozen=True, tag=True):
    """The first frame to every client."""

    request_id: str


class SettingsApplied(ServerMessage, frozen=True, tag=True):
    """The upstream has taken the Settings."""


class PromptUpdated(ServerMessage, frozen=True, tag=True):
    """The upstream has taken an UpdatePrompt."""


class ThinkUpdated(ServerMessage, frozen=True, tag=True):
    """The upstream has taken an UpdateThink."""


class SpeakUpdated(ServerMessage, frozen=True, tag=True):
    """The upstream has taken an UpdateSpeak."""


class ListenUpdated(ServerMessage, frozen=True, tag=True):
    """The upstream has taken an UpdateListen."""


class ConversationText(ServerMessage, frozen=True, tag=True):
    """What was said."""

    role: Literal["user", "assistant"]
    content: str


class CallText(ConversationText, frozen=True, tag="ConversationText"):
    """The line that shows a function call (`/openai` only). Nobody said it: it is no part of the history."""


class HistoryText(ServerMessage, frozen=True, tag="History"):
    """The ConversationText before it, for the `context` of a later session."""

    role: Literal["user", "assistant"]
    content: str


class CalledFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A call with its answer."""

    id: str
    name: str
    client_side: bool
    arguments: str
    response: str


class HistoryCalls(ServerMessage, frozen=True, tag="History"):
    """Calls that were answered, for the `context` of a later session."""

    function_calls: list[CalledFunction]


class UserStartedSpeaking(ServerMessage, frozen=True, tag=True):
    """Stop playing: the user speaks."""


class AgentThinking(ServerMessage, frozen=True, tag=True):
    """Work is in hand. `content` is required by the schema, and empty."""

    content: str


class AgentStartedSpeaking(ServerMessage, frozen=True, tag=True):
    """The agent begins to speak.

    On `/openai` it comes before a response's first output, bare. Elsewhere it comes where Settings ask for what is
    experimental, before a turn's first audio, with what led up to it, in seconds.
    """

    total_latency: float | None = None
    tts_latency: float | None = None
    ttt_latency: float | None = None


class LatencyReport(ServerMessage, frozen=True, tag=True):
    """How long the steps of a turn took, in seconds; what was not measured is left out."""

    stt_latency: float | None = None
    ttt_token_latency: float | None = None
    ttt_text_latency: float | None = None
    ttt_tool_latency: float | None = None
    tts_latency: float | None = None
    total_latency: float | None = None


class AgentAudioDone(ServerMessage, frozen=True, tag=True):
    """The agent's turn is complete: nothing more of it will come."""


class AgentDone(ServerMessage, frozen=True, tag=True):
    """The same in the React component's words (`/openai` only)."""


class RequestedFunction(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a FunctionCallRequest; `arguments` is JSON in a string."""

    id: str
    name: str
    arguments: str
    client_side: bool


class FunctionCallRequest(ServerMessage, frozen=True, tag=True):
    """Run these and answer each with a FunctionCallResponse."""

    functions: list[RequestedFunction]


class FunctionCallEcho(ServerMessage, frozen=True, tag="FunctionCallResponse"):
    """What a function answered that the server ran."""

    id: str
    name: str
    content: str


class CancelledFunction(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a FunctionCallCancelled."""

    id: str
    name: str


class FunctionCallCancelled(ServerMessage, frozen=True, tag=True):
    """Stop these: the user has interrupted, and what they answer is not waited for any more."""

    functions: list[CancelledFunction]


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of what was heard."""

    transcript: str
    confidence: float


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """The readings of one channel."""

    alternatives: list[Alternative]


class Transcript(ServerMessage, frozen=True, tag=True):
    """What the user said, as the React component counts it (`/openai` only)."""

    transcript: str
    channel: Channel
    is_final: bool
    speech_final: bool


class UtteranceEnd(ServerMessage, frozen=True, tag=True):
    """The user stopped speaking (`/openai` only); `last_word_end` in seconds of audio sent."""

    channel: list[int]
    last_word_end: float


class InjectionRefused(ServerMessage, frozen=True, tag=True):
    """An InjectAgentMessage came at the wrong time; the message says why."""

    message: str


class Warning(ServerMessage, frozen=True, tag=True):  # noqa: A001 - Deepgram's name
    """Something that the session goes on after."""

    description: str
    code: str


class Error(ServerMessage, frozen=True, tag=True):
    """Something that went wrong. Where the session cannot go on, a close frame follows."""

    description: str
    code: str
