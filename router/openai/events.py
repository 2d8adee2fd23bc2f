"""Server and client events of the OpenAI Realtime API.

Server events are read leniently, because compatible upstreams leave fields out and add others. The classes list only
fields on which the router acts, each with a default. Client events are written strictly, because the GA API refuses an
event with any field that it does not list. Beta names are accepted (`ALIASES`), but never written.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

# From the upstream.


class ErrorDetail(msgspec.Struct, frozen=True):
    """`error` of an error event, and of a failed response or transcription."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    event_id: str | None = None


class SessionInfo(msgspec.Struct, frozen=True):
    """`session` of session.created and session.updated."""

    id: str | None = None
    model: str | None = None
    expires_at: float | None = None
    audio: Any = None


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a message item."""

    type: str | None = None
    text: str | None = None
    transcript: str | None = None


class Item(msgspec.Struct, frozen=True):
    """A conversation item."""

    id: str | None = None
    type: str | None = None
    role: str | None = None
    status: str | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    output: str | None = None
    error: Any = None
    """The failure of a function call that the upstream itself ran (`mcp_call`)."""
    phase: str | None = None
    """`commentary` or `final_answer`, if the model reports it."""
    content: list[ContentPart] | None = None
    server_label: str | None = None
    """The MCP server of a function call that the upstream itself runs."""


class StatusDetails(msgspec.Struct, frozen=True):
    """The reason of a response's end."""

    type: str | None = None
    reason: str | None = None
    error: ErrorDetail | None = None


class Response(msgspec.Struct, frozen=True):
    """A response. Some compatible services send a string as `status_details`."""

    id: str | None = None
    status: str | None = None
    status_details: StatusDetails | str | None = None
    conversation_id: str | msgspec.UnsetType | None = msgspec.UNSET
    """Null for a response outside the conversation. Some compatible services leave it out."""
    metadata: dict[str, Any] | None = None
    usage: Any = None
    """The usage as an object; None if the service does not report it."""


class ServerEvent(msgspec.Struct, frozen=True):
    """An event of the upstream's."""


class SessionCreated(ServerEvent, frozen=True):
    """session.created: the first event of an upstream that accepts the session."""

    session: SessionInfo = SessionInfo()


class SessionUpdated(ServerEvent, frozen=True):
    """session.updated."""

    session: SessionInfo = SessionInfo()


class Error(ServerEvent, frozen=True):
    """error. Some servers leave out its field `error`. They write code and message beside the type, or not at all."""

    error: ErrorDetail = ErrorDetail()
    event_id: str | None = None
    code: str | None = None
    message: str | None = None


class ConversationItemAdded(ServerEvent, frozen=True):
    """conversation.item.added, and the beta's conversation.item.created."""

    item: Item = Item()


class ConversationItemDone(ServerEvent, frozen=True):
    """conversation.item.done."""

    item: Item = Item()


class InputAudioBufferSpeechStarted(ServerEvent, frozen=True):
    """input_audio_buffer.speech_started: the upstream's detector has found the start of speech."""

    item_id: str | None = None


class InputAudioBufferSpeechStopped(ServerEvent, frozen=True):
    """input_audio_buffer.speech_stopped: the upstream's detector has found the end of speech."""

    audio_end_ms: float | None = None


class InputAudioBufferCommitted(ServerEvent, frozen=True):
    """input_audio_buffer.committed. Some services leave `item_id` out."""

    item_id: str | None = None


class InputAudioBufferCleared(ServerEvent, frozen=True):
    """input_audio_buffer.cleared: the acknowledgement of a client's own event."""


class InputAudioBufferTimeoutTriggered(ServerEvent, frozen=True):
    """input_audio_buffer.timeout_triggered: the user did not speak for `idle_timeout_ms`.

    The upstream then starts a response.
    """

    item_id: str | None = None


class InputAudioTranscriptionDelta(ServerEvent, frozen=True):
    """conversation.item.input_audio_transcription.delta: the next words of the user's transcript."""

    delta: str = ""
    item_id: str | None = None


class InputAudioTranscriptionUpdated(ServerEvent, frozen=True):
    """conversation.item.input_audio_transcription.updated, an event of xAI with all words so far (upstream 12.2)."""

    transcript: str = ""
    item_id: str | None = None


class InputAudioTranscriptionCompleted(ServerEvent, frozen=True):
    """conversation.item.input_audio_transcription.completed. Some services send it repeatedly, with a `status`."""

    transcript: str = ""
    item_id: str | None = None
    status: str | None = None
    usage: Any = None
    words: Any = None
    """The words with their times, if the service reports them."""


class InputAudioTranscriptionFailed(ServerEvent, frozen=True):
    """conversation.item.input_audio_transcription.failed: the user's speech gets no transcript."""

    error: ErrorDetail = ErrorDetail()
    item_id: str | None = None


class ResponseCreated(ServerEvent, frozen=True):
    """response.created."""

    response: Response = Response()


class ResponseDone(ServerEvent, frozen=True):
    """response.done. xAI puts the usage beside the response, and not into it."""

    response: Response = Response()
    usage: Any = None


class ResponseOutputItemAdded(ServerEvent, frozen=True):
    """response.output_item.added."""

    item: Item = Item()
    response_id: str | None = None


class ResponseOutputTextDelta(ServerEvent, frozen=True):
    """response.output_text.delta."""

    delta: str = ""
    item_id: str | None = None
    content_index: int | None = None
    response_id: str | None = None


class ResponseOutputTextDone(ServerEvent, frozen=True):
    """response.output_text.done."""

    text: str = ""
    item_id: str | None = None
    content_index: int | None = None
    response_id: str | None = None


class ResponseOutputAudioTranscriptDelta(ServerEvent, frozen=True):
    """response.output_audio_transcript.delta: the next words of the agent's speech."""

    delta: str = ""
    item_id: str | None = None
    content_index: int | None = None
    response_id: str | None = None


class ResponseOutputAudioTranscriptDone(ServerEvent, frozen=True):
    """response.output_audio_transcript.done: all words of a part of the agent's speech."""

    transcript: str = ""
    item_id: str | None = None
    content_index: int | None = None
    response_id: str | None = None


class ResponseOutputAudioDelta(ServerEvent, frozen=True):
    """response.output_audio.delta. `delta` is base64, and is decoded when the audio is converted."""

    delta: str = ""
    response_id: str | None = None
    item_id: str | None = None


class ResponseFunctionCallArgumentsDone(ServerEvent, frozen=True):
    """response.function_call_arguments.done. Older servers leave `name` out, but the item has it."""

    call_id: str = ""
    arguments: str = ""
    name: str | None = None
    item_id: str | None = None
    response_id: str | None = None


class RateLimit(msgspec.Struct, frozen=True):
    """One limit of the operator's account. `remaining` counts requests or tokens, as `name` says."""

    name: str = ""
    limit: float | None = None
    remaining: float | None = None
    reset_seconds: float | None = None


class RateLimitsUpdated(ServerEvent, frozen=True):
    """rate_limits.updated."""

    rate_limits: list[RateLimit] | None = None


class Ignored(ServerEvent, frozen=True):
    """An event of a known type that has no effect for the client (see `CONSUMED`)."""


SERVER_EVENTS: dict[str, type[ServerEvent]] = {
    "session.created": SessionCreated,
    "session.updated": SessionUpdated,
    "error": Error,
    "conversation.item.added": ConversationItemAdded,
    "conversation.item.done": ConversationItemDone,
    "input_audio_buffer.speech_started": InputAudioBufferSpeechStarted,
    "input_audio_buffer.speech_stopped": InputAudioBufferSpeechStopped,
    "input_audio_buffer.committed": InputAudioBufferCommitted,
    "input_audio_buffer.cleared": InputAudioBufferCleared,
    "input_audio_buffer.timeout_triggered": InputAudioBufferTimeoutTriggered,
    "conversation.item.input_audio_transcription.delta": InputAudioTranscriptionDelta,
    "conversation.item.input_audio_transcription.updated": InputAudioTranscriptionUpdated,
    "conversation.item.input_audio_transcription.completed": InputAudioTranscriptionCompleted,
    "conversation.item.input_audio_transcription.failed": InputAudioTranscriptionFailed,
    "response.created": ResponseCreated,
    "response.done": ResponseDone,
    "response.output_item.added": ResponseOutputItemAdded,
    "response.output_text.delta": ResponseOutputTextDelta,
    "response.output_text.done": ResponseOutputTextDone,
    "response.output_audio_transcript.delta": ResponseOutputAudioTranscriptDelta,
    "response.output_audio_transcript.done": ResponseOutputAudioTranscriptDone,
    "response.output_audio.delta": ResponseOutputAudioDelta,
    "rate_limits.updated": RateLimitsUpdated,
    "response.function_call_arguments.done": ResponseFunctionCallArgumentsDone,
}

ALIASES: dict[str, str] = {
    "conversation.item.created": "conversation.item.added",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
}
"""A map from beta names, which compatible servers still send, to the GA names."""

CONSUMED: dict[str, str] = {
    "conversation.created": "the conversation has no name of its own here",
    "conversation.item.deleted": "the acknowledgement of a client's own event",
    "conversation.item.retrieved": "the acknowledgement of a client's own event",
    "conversation.item.truncated": "the acknowledgement of a client's own event",
    "conversation.item.input_audio_transcription.segment": "the completed transcript follows",
    "input_audio_buffer.dtmf_event_received": "SIP only",
    "output_audio_buffer.started": "WebRTC and SIP only",
    "output_audio_buffer.stopped": "WebRTC and SIP only",
    "output_audio_buffer.cleared": "WebRTC and SIP only",
    "response.cancelled": "a compatible server's own: response.done says the same",
    "response.content_part.added": "its text follows",
    "response.content_part.done": "its text was sent already",
    "response.output_item.done": "its text was sent with an earlier event",
    "response.output_audio.done": "response.done ends the turn",
    "response.function_call_arguments.delta": "the complete arguments follow",
    "response.mcp_call_arguments.delta": "the upstream runs MCP tools itself",
    "response.mcp_call_arguments.done": "the upstream runs MCP tools itself",
    "response.mcp_call.in_progress": "the upstream runs MCP tools itself",
    "response.mcp_call.completed": "the upstream runs MCP tools itself",
    "response.mcp_call.failed": "the upstream runs MCP tools itself",
    "mcp_list_tools.in_progress": "the upstream runs MCP tools itself",
    "mcp_list_tools.completed": "the upstream runs MCP tools itself",
    "mcp_list_tools.failed": "the upstream runs MCP tools itself",
    "ping": "an application-level ping of a compatible service",
}
"""Events that are ignored on purpose, each with the reason."""

# To the upstream. `input_audio_buffer.append` has no class: `codec.append_event` builds its bytes.


class ClientEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """An event to the upstream; the tag is its `type`."""


class SessionUpdate(ClientEvent, frozen=True, tag="session.update"):
    """A change of the session's configuration. An error that the change causes repeats its `event_id`."""

    session: dict[str, Any]
    event_id: str | None = None


class InputText(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_text", gc=False):
    """A text of the user."""

    text: str


class OutputText(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="output_text", gc=False):
    """A text of the assistant. The API refuses `text`, the beta's name for it."""

    text: str


class InputAudio(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio"):
    """Speech of the user without a transcript, in the session's input format; base64 on the wire."""

    audio: bytes


class MessageItem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message", gc=False):
    """A message of the user or the assistant."""

    id: str
    role: Literal["user", "assistant"]
    content: list[InputText | OutputText | InputAudio]


class FunctionCallItem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call", gc=False):
    """A function call of an earlier response."""

    id: str
    call_id: str
    name: str
    arguments: str


class FunctionCallOutputItem(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output", gc=False
):
    """The output of a function call."""

    id: str
    call_id: str
    output: str


class McpApprovalResponseItem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_approval_response"):
    """The answer to an `mcp_approval_request`."""

    id: str
    approval_request_id: str
    approve: bool


NewItem = MessageItem | FunctionCallItem | FunctionCallOutputItem | McpApprovalResponseItem


class ConversationItemCreate(ClientEvent, frozen=True, tag="conversation.item.create"):
    """A new item at the end of the conversation."""

    item: NewItem
    event_id: str | None = None


class ResponseParameters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of a response. Its `instructions` replace those of the session for this response."""

    instructions: str | None = None
    conversation: Literal["none"] | None = None
    """`none` for a response outside the conversation, which may run at the same time as one in the conversation."""
    input: list[NewItem] | None = None
    """The context in place of the conversation. An empty list means no context at all."""
    output_modalities: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | None = None
    metadata: dict[str, str] | None = None
    """Data that the upstream repeats in response.created."""


class ResponseCreate(ClientEvent, frozen=True, tag="response.create"):
    """A request for a response. The API refuses it while another response is active."""

    event_id: str | None = None
    response: ResponseParameters | None = None


class ResponseCancel(ClientEvent, frozen=True, tag="response.cancel"):
    """A request to end a response. Without an id it means the active response of the conversation."""

    response_id: str | None = None
    event_id: str | None = None


class ConversationItemTruncate(ClientEvent, frozen=True, tag="conversation.item.truncate"):
    """A cut of an item's audio at `audio_end_ms`, which must not be beyond its end."""

    item_id: str
    content_index: int
    audio_end_ms: int
    event_id: str | None = None


class ConversationItemDelete(ClientEvent, frozen=True, tag="conversation.item.delete"):
    """The removal of an item from the conversation."""

    item_id: str
    event_id: str | None = None


class InputAudioBufferCommit(ClientEvent, frozen=True, tag="input_audio_buffer.commit"):
    """The end of the user's turn without a detector: with turn detection `manual`, or by ForceEndTurn."""

    event_id: str | None = None


FORWARDED = frozenset(
    {
        "session.update",
        "conversation.item.create",
        "conversation.item.truncate",
        "conversation.item.delete",
        "response.create",
        "response.cancel",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_buffer.clear",
    }
)
"""The types of OpenAI's client events that a client of the `/openai` profile may send and that the router forwards."""
