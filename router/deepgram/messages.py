"""Client and server messages of Deepgram's Voice Agent protocol, and what our `/openai` profile adds to it.

Fields that we do not act on are not listed: a client may send them, and they are passed over. A field that is
listed and ill-typed is the client's mistake, and is named in the answer.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

# What a client sends.


class AudioFormat(msgspec.Struct, frozen=True):
    """`audio.input` or `audio.output` of Settings."""

    encoding: str = "linear16"
    sample_rate: int | None = None
    container: str | None = None


class Audio(msgspec.Struct, frozen=True):
    """`audio` of Settings. 24 kHz where it names no rate, as in the published schema."""

    input: AudioFormat = AudioFormat(sample_rate=24000)
    output: AudioFormat = AudioFormat()


class Function(msgspec.Struct, frozen=True):
    """An item of `agent.think.functions`. Without an `endpoint` it is the client that runs it."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    endpoint: dict[str, Any] | None = None


class ThinkProvider(msgspec.Struct, frozen=True):
    """`agent.think.provider`."""

    type: str | None = None
    model: str | None = None


class Think(msgspec.Struct, frozen=True):
    """`agent.think`. The camel-cased fields are the React component's own."""

    provider: ThinkProvider = ThinkProvider()
    prompt: str | None = None
    functions: list[Function] | None = None
    toolChoice: str | dict[str, Any] | None = None  # noqa: N815 - as on the wire
    outputModalities: list[str] | None = None  # noqa: N815 - as on the wire
    maxOutputTokens: int | str | None = None  # noqa: N815 - as on the wire


class SpeakProvider(msgspec.Struct, frozen=True):
    """`agent.speak.provider`. `voice` is a string for OpenAI's and an object for some others."""

    type: str | None = None
    voice: Any = None


class Speak(msgspec.Struct, frozen=True):
    """`agent.speak`."""

    provider: SpeakProvider = SpeakProvider()


class ListenProvider(msgspec.Struct, frozen=True):
    """`agent.listen.provider`."""

    type: str | None = None
    language: str | None = None


class Listen(msgspec.Struct, frozen=True):
    """`agent.listen`."""

    provider: ListenProvider = ListenProvider()


class FunctionCallRecord(msgspec.Struct, frozen=True):
    """A call and its answer in the history that a client brings."""

    id: str
    name: str
    arguments: str = "{}"
    response: str = ""
    client_side: bool = True


class ContextMessage(msgspec.Struct, frozen=True):
    """An item of `agent.context.messages`: a text with its role, or calls with their answers."""

    type: str = "History"
    role: Literal["user", "assistant"] | None = None
    content: str | None = None
    function_calls: list[FunctionCallRecord] | None = None


class Context(msgspec.Struct, frozen=True):
    """`agent.context`."""

    messages: list[ContextMessage] | None = None


class Agent(msgspec.Struct, frozen=True):
    """`agent` of Settings. `think` and `speak` may be lists of fallbacks; the first counts.

    `turn_detection` is ours: it chooses how a turn ends for this session.
    """

    think: Think | list[Think] = Think()
    speak: Speak | list[Speak] = Speak()
    listen: Listen = Listen()
    language: str | None = None
    greeting: str | None = None
    context: Context | None = None
    turn_detection: Literal["server_vad", "semantic_vad", "manual"] | None = None


class Settings(msgspec.Struct, frozen=True):
    """The first message of a client. `agent` as a string is the id of a stored agent, which we have none of."""

    audio: Audio
    agent: Agent | str


class InjectUserMessage(msgspec.Struct, frozen=True):
    """Take this as if the user had said it."""

    content: str


class FunctionCallResponse(msgspec.Struct, frozen=True):
    """The answer to one function call, by `id` or else by `name`. `result` and `error` are older spellings."""

    id: str | None = None
    name: str | None = None
    content: Any = None
    result: Any = None
    error: Any = None


class KeepAlive(msgspec.Struct, frozen=True):
    """The client is there. Never answered, never forwarded."""


ClientMessage = Settings | InjectUserMessage | FunctionCallResponse | KeepAlive

CLIENT_MESSAGES: dict[str, type[ClientMessage]] = {
    "Settings": Settings,
    "InjectUserMessage": InjectUserMessage,
    "FunctionCallResponse": FunctionCallResponse,
    "KeepAlive": KeepAlive,
}

# What a client is sent.


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Anything that a client is sent as text; the class's name is its `type`."""


class Welcome(ServerMessage, frozen=True, tag=True):
    """The first frame to every client."""

    request_id: str


class SettingsApplied(ServerMessage, frozen=True, tag=True):
    """The upstream has taken the Settings."""


class ConversationText(ServerMessage, frozen=True, tag=True):
    """What was said."""

    role: Literal["user", "assistant"]
    content: str


class UserStartedSpeaking(ServerMessage, frozen=True, tag=True):
    """Stop playing: the user speaks."""


class AgentThinking(ServerMessage, frozen=True, tag=True):
    """Work is in hand. `content` is required by the schema, and empty."""

    content: str


class AgentStartedSpeaking(ServerMessage, frozen=True, tag=True):
    """The first output of a response follows (`/openai` only)."""


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


class Warning(ServerMessage, frozen=True, tag=True):  # noqa: A001 - Deepgram's name
    """Something that the session goes on after."""

    description: str
    code: str


class Error(ServerMessage, frozen=True, tag=True):
    """Something that went wrong. Where the session cannot go on, a close frame follows."""

    description: str
    code: str
