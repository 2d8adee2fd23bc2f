"""The seeds: a message of every type of both protocols, and the conversations of the machine's tests."""

from router.deepgram.messages import CLIENT_MESSAGES
from router.openai import events as openai
from tests.support.machine.playbook import SETTINGS, delta, error, item_added, text_done, transcribed, transcript_delta
from tests.support.machine.samples import CLIENT as SAMPLES_OF_CLIENT
from tests.support.machine.samples import UPSTREAM as SAMPLES_OF_UPSTREAM

AUDIO = {"input": {"encoding": "mulaw", "sample_rate": 8000}, "output": {"encoding": "linear16", "sample_rate": 48000}}
AGENT = {
    "greeting": "Hello. How are you?",
    "language": "en",
    "listen": {"provider": {"type": "deepgram", "model": "nova-3", "keyterms": ["parcel"], "language_hints": ["en"]}},
    "think": {
        "provider": {"type": "open_ai", "model": "gpt-realtime", "temperature": 0.7},
        "prompt": "Be brief.",
        "functions": [
            {"name": "lookup", "description": "Look it up.", "parameters": {"type": "object", "properties": {}}},
            {"name": "remote", "endpoint": {"url": "https://api.example/f", "method": "POST", "headers": {"a": "b"}}},
        ],
    },
    "speak": [{"provider": {"type": "open_ai", "voice": "cedar", "speed": 1.0}}],
    "context": {
        "messages": [
            {"type": "History", "role": "user", "content": "Hi."},
            {"type": "History", "function_calls": [{"id": "c", "name": "f", "arguments": "{}", "response": "1"}]},
        ]
    },
}

PCM = {"format": {"type": "audio/pcm", "rate": 24000}}
PCMU = {"format": {"type": "audio/pcmu"}}
RICH_SESSION = {
    "type": "realtime",
    "instructions": "Be brief.",
    "output_modalities": ["audio"],
    "audio": {
        "input": {**PCM, "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True}},
        "output": {**PCMU, "voice": "marin", "speed": 1.0},
    },
    "tools": [{"type": "function", "name": "order", "parameters": {"type": "object"}}],
    "max_output_tokens": "inf",
}
"""A session as the Realtime API has it."""

CLIENT = [
    *SAMPLES_OF_CLIENT,
    {"type": "Settings", "audio": AUDIO, "agent": AGENT, "flags": {"history": True}},
    {**SETTINGS, "agent": {**SETTINGS["agent"], "turn_detection": "manual"}},
    {**SETTINGS, "agent": {**SETTINGS["agent"], "sessionAudioOutput": {"voice": {"id": "v"}, "speed": 1.0}}},
    *({"type": kind} for kind in CLIENT_MESSAGES),
    *({"type": kind, "event_id": "e1"} for kind in sorted(openai.FORWARDED)),
    {"type": "input_audio_buffer.append", "audio": "AAAA" * 800},
    {"type": "conversation.item.create", "item": {"id": "mine", "type": "message", "role": "user", "content": []}},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {"type": "response.create", "response": {"conversation": "none", "metadata": {"a": "b"}}},
    {"type": "response.cancel"},
    {"type": "session.update", "event_id": "e2", "session": RICH_SESSION},
    {"type": "FunctionCallResponse", "id": "call_2", "name": "order", "result": {"a": [1]}},
    {"type": "UpdateThink", "think": [AGENT["think"], {"provider": {"type": "open_ai", "model": "other"}}]},
    {"type": "UpdateListen", "listen": {"provider": {"eot_threshold": 0.9, "language_hints": ["en", "de"]}}},
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]},
    },
]
"""Messages of a client."""

SETTINGS_OF_ALL_KINDS = [it for it in CLIENT if it["type"] in ("Settings", "session.update") and len(it) > 1]
"""Messages that may open a session."""

UPSTREAM = [
    *SAMPLES_OF_UPSTREAM,
    *({"type": kind} for kind in sorted(openai.SERVER_EVENTS)),
    *({"type": kind} for kind in sorted(openai.CONSUMED)),
    *({"type": kind} for kind in sorted(openai.ALIASES)),
    {"type": "response.output_item.added", "response_id": "resp_1", "item": {"id": "item_1", "type": "message"}},
    {"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "item_1", "delta": "Hi. "},
    transcript_delta("Hello there. "),
    text_done("Hi. Ho."),
    delta(bytes(4800)),
    transcribed(),
    transcribed(""),
    {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0},
    {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900},
    {"type": "input_audio_buffer.committed", "item_id": "u"},
    error("conversation_already_has_active_response", event_id="e1"),
    error("session_expired"),
    error("rate_limit_exceeded"),
    error(None, param="session.voice"),
    item_added("item_1", "assistant", content=[{"type": "output_text", "text": "Hi."}]),
    {"type": "session.created", "session": {"expires_at": 1_700_003_600}},
    {"type": "session.updated", "session": {**RICH_SESSION, "expires_at": 1_700_003_600}},
    {
        "type": "response.done",
        "response": {
            "id": "resp_1",
            "status": "incomplete",
            "status_details": {"type": "incomplete", "reason": "max_output_tokens"},
            "usage": {"total_tokens": 7, "input_tokens": 3, "output_tokens": 4, "input_token_details": {"a": 1}},
            "output": [{"id": "item_1", "type": "message", "content": [{"type": "output_audio", "transcript": "Hi."}]}],
        },
    },
    {
        "type": "conversation.item.done",
        "item": {"id": "mcp_1", "type": "mcp_call", "name": "find", "arguments": "{}", "output": "here"},
    },
]
"""Events of an upstream."""
