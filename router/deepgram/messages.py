"""The client and server messages of Deepgram's Voice Agent protocol, and those that the `/openai` profile adds.

Every field that the protocol lists is here, whether or not the router acts on it. A field of the wrong type is the
client's mistake, and the answer names the field. Unknown fields are ignored, because a newer client may send fields
that this version does not know. The blocks of `agent` are in `blocks`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from router.deepgram.blocks import Agent, Listen, Speak, Think  # noqa: TC001 - msgspec resolves the annotation

# From the client.


class AudioFormat(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`audio.input` or `audio.output` of Settings."""

    encoding: str = "linear16"
    sample_rate: int | float | None = None
    """A whole number in any spelling of JSON.

    The type includes `int`, because a look-up of a float in a range takes 2 ms.
    """
    container: str | None = None
    bitrate: float | None = None


class Audio(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`audio` of Settings."""

    input: AudioFormat = AudioFormat()
    output: AudioFormat = AudioFormat()


class Flags(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`flags` of Settings."""

    history: bool | None = None


class Settings(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The first message of a client. A string as `agent` is an id; see `router.fronts.named_agents`."""

    audio: Audio
    agent: Agent | str
    flags: Flags = Flags()
    experimental: bool = False
    tags: list[str] | None = None
    mip_opt_out: bool | None = None


class InjectUserMessage(msgspec.Struct, frozen=True):
    """A text that counts as if the user had said it."""

    content: str


class InjectAgentMessage(msgspec.Struct, frozen=True):
    """A text for the agent to say. The React component names the text `content`. With `is_dynamic` there is no text."""

    message: str | None = None
    content: str | None = None
    behavior: Literal["default", "queue", "interrupt"] | None = None
    is_dynamic: bool = False


class UpdatePrompt(msgspec.Struct, frozen=True):
    """A text that is added to the prompt."""

    prompt: str


class UpdateThink(msgspec.Struct, frozen=True):
    """A think block that replaces the present one, with its functions."""

    think: Think | list[Think]


class UpdateSpeak(msgspec.Struct, frozen=True):
    """A speak block that replaces the present one."""

    speak: Speak | list[Speak]


class UpdateListen(msgspec.Struct, frozen=True):
    """Changes of the listen block. An omitted field stays unchanged, except `language_hints`, which is cleared."""

    listen: Listen


class UpdateThinkLive(msgspec.Struct, frozen=True):
    """Changes of Think Live, a service of Deepgram in early access."""

    think_live: Any = None


class CustomToThinkProvider(msgspec.Struct, frozen=True):
    """Content for a custom think provider."""

    content: Any = None


class FunctionCallResponse(msgspec.Struct, frozen=True):
    """The output of one function call, by `id` or else by `name`. `result` and `error` are older fields."""

    id: str | None = None
    name: str | None = None
    content: Any = None
    result: Any = None
    error: Any = None


class ForceEndTurn(msgspec.Struct, frozen=True):
    """The end of the user's turn, before the detector finds it."""


class KeepAlive(msgspec.Struct, frozen=True):
    """A sign of life of the client. It is never answered and never forwarded."""


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

# To the client.


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """A message to the client, sent as text; the class's name is its `type`."""


class Welcome(ServerMessage, frozen=True, tag=True):
    """The first frame to every client."""

    request_id: str


class SettingsApplied(ServerMessage, frozen=True, tag=True):
    """The upstream has accepted the Settings."""


class PromptUpdated(ServerMessage, frozen=True, tag=True):
    """The upstream has accepted an UpdatePrompt."""


class ThinkUpdated(ServerMessage, frozen=True, tag=True):
    """The upstream has accepted an UpdateThink."""


class SpeakUpdated(ServerMessage, frozen=True, tag=True):
    """The upstream has accepted an UpdateSpeak."""


class ListenUpdated(ServerMessage, frozen=True, tag=True):
    """The upstream has accepted an UpdateListen."""


class ConversationText(ServerMessage, frozen=True, tag=True):
    """A text of the conversation, spoken or written."""

    role: Literal["user", "assistant"]
    content: str


class CallText(ConversationText, frozen=True, tag="ConversationText"):
    """The text that shows a function call (`/openai` only).

    It is no part of the conversation, so no History follows.
    """


class HistoryText(ServerMessage, frozen=True, tag="History"):
    """The ConversationText that was just sent, in the form of `context` for a later session."""

    role: Literal["user", "assistant"]
    content: str


class CalledFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function call with its output."""

    id: str
    name: str
    client_side: bool
    arguments: str
    response: str


class HistoryCalls(ServerMessage, frozen=True, tag="History"):
    """Answered function calls, in the form of `context` for a later session."""

    function_calls: list[CalledFunction]


class UserStartedSpeaking(ServerMessage, frozen=True, tag=True):
    """The user speaks. The client then stops playing and drops its buffer."""


class AgentThinking(ServerMessage, frozen=True, tag=True):
    """A sign that an answer is being prepared. The schema requires `content`, which is empty."""

    content: str


class AgentStartedSpeaking(ServerMessage, frozen=True, tag=True):
    """The agent begins to speak.

    On `/openai` it comes before the first output of a response, without latencies. On other routes it comes before the
    first audio of a turn, with the latencies in seconds, but only if `experimental` is true in Settings.
    """

    total_latency: float | None = None
    tts_latency: float | None = None
    ttt_latency: float | None = None


class LatencyReport(ServerMessage, frozen=True, tag=True):
    """The durations of a turn's steps in seconds, without those that were not measured."""

    stt_latency: float | None = None
    ttt_token_latency: float | None = None
    ttt_text_latency: float | None = None
    ttt_tool_latency: float | None = None
    tts_latency: float | None = None
    total_latency: float | None = None


class AgentAudioDone(ServerMessage, frozen=True, tag=True):
    """The end of the agent's turn: no more of its audio follows."""


class AgentDone(ServerMessage, frozen=True, tag=True):
    """The end of the agent's turn, in the React component's form (`/openai` only)."""


class RequestedFunction(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a FunctionCallRequest; `arguments` is JSON in a string."""

    id: str
    name: str
    arguments: str
    client_side: bool


class FunctionCallRequest(ServerMessage, frozen=True, tag=True):
    """Function calls. The client answers each call that is `client_side` with a FunctionCallResponse."""

    functions: list[RequestedFunction]


class FunctionCallEcho(ServerMessage, frozen=True, tag="FunctionCallResponse"):
    """The output of a function that the server ran, for the client's information."""

    id: str
    name: str
    content: str


class CancelledFunction(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a FunctionCallCancelled."""

    id: str
    name: str


class FunctionCallCancelled(ServerMessage, frozen=True, tag=True):
    """Calls that the user's interruption ended. The session ignores their outputs."""

    functions: list[CancelledFunction]


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """One word of the user, with its times in seconds, as the upstream counts them."""

    word: str
    start: float
    end: float
    confidence: float


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the user's transcript. The words are empty if the upstream gives no times."""

    transcript: str
    confidence: float
    words: list[Word]


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of the transcript of one channel."""

    alternatives: list[Alternative]


class Transcript(ServerMessage, frozen=True, tag=True):
    """The user's transcript in the form for the React component (`/openai` only)."""

    transcript: str
    channel: Channel
    is_final: bool
    speech_final: bool


class UtteranceEnd(ServerMessage, frozen=True, tag=True):
    """The end of the user's speech (`/openai` only), with `last_word_end` in seconds of appended audio."""

    channel: list[int]
    last_word_end: float


class InjectionRefused(ServerMessage, frozen=True, tag=True):
    """The refusal of an InjectAgentMessage that came at the wrong time, with the reason."""

    message: str


class Warning(ServerMessage, frozen=True, tag=True):  # noqa: A001 - Deepgram's name
    """A problem that the session survives."""

    description: str
    code: str


class Error(ServerMessage, frozen=True, tag=True):
    """A failure. If the failure ends the session, a close frame follows."""

    description: str
    code: str
