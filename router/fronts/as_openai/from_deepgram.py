"""Deepgram's messages, each as the events that OpenAI would have sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from actors.restart import LossKind
from router.fronts.as_openai.agent import ASK_AGAIN_S, LIFE_S, PAUSE_MS, Agent, Stage
from router.fronts.deepgram_agent.fields import objects_of, text_of
from router.fronts.realtime.wire import SERVER_ERROR, Fields, error_of
from router.translation.validation import MAX_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.fronts.as_openai.agent import Speech


CANCELLED_OUTPUT: Final = '{"error": "The user has cancelled the response. The function did not run."}'
"""The output of a function that Deepgram calls in a turn that the client has cancelled."""

DROPPED_OUTPUT: Final = '{"error": "Too many functions are called at once. The function did not run."}'
"""The output of a function that is called beyond the bound of one message."""


def _welcome(agent: Agent, _fields: Fields) -> None:
    if agent.stage is Stage.DIALLING:
        agent.stage = Stage.WELCOMED
        expires_at = round(agent.opened_unix_s) + LIFE_S
        agent.emit({"type": "session.created", "session": {**agent.session.shown, "expires_at": expires_at}})


def _applied(agent: Agent, _fields: Fields) -> None:
    agent.stage = Stage.READY
    agent.commands += agent.held
    agent.held = []
    if agent.is_think_stale:
        agent.is_think_stale = False
        agent.update_think()
    if agent.waiting.dropped_bytes:
        lost = agent.waiting.dropped_bytes
        agent.log(logging.WARNING, f"{lost} bytes of audio are dropped, because Deepgram's Settings took too long")
    for frame in agent.waiting.take():
        agent.send(frame if isinstance(frame, bytes) else orjson.loads(frame))
    if agent.commit is not None:
        agent.commit.sent_s = agent.now_s


def _user_spoke(agent: Agent, _fields: Fields) -> None:
    if agent.speech is not None:
        return
    agent.speech = agent.new_speech()
    agent.is_muted = agent.speech.is_cancelled
    agent.end_answer("cancelled", "turn_detected")


def _said(agent: Agent, fields: Fields) -> None:
    text = text_of(fields, "content")
    if text_of(fields, "role") == "user":
        _user_said(agent, text)
    elif text and not agent.is_muted:
        if text_of(fields, "conversational_behavior") != "backchannel":  # a sign of listening, during speech
            agent.drop_speech()
        agent.begin_answer()
        if agent.answer is not None:
            agent.emit_all(agent.answer.say(text))


def _user_said(agent: Agent, text: str) -> None:
    agent.is_muted = False
    speech = agent.speech
    is_echo = bool(agent.echoes) and (speech is None or agent.echoes[0].text.strip() == text.strip())
    agent.end_answer("cancelled", "turn_detected")
    if is_echo:
        agent.is_muted = agent.echoes.popleft().is_cancelled
    elif speech is not None and speech.is_repeated:
        agent.speech = None
        agent.is_muted = speech.is_cancelled
    else:
        if speech is None:
            speech = agent.new_speech()
        agent.speech = None
        agent.is_muted = speech.is_cancelled
        _commit_speech(agent, speech, text)


def _commit_speech(agent: Agent, speech: Speech, text: str) -> None:
    agent.stop_speech(speech)
    agent.commit = None
    agent.owes_answer = not speech.is_cancelled
    previous, agent.last_item = agent.last_item, speech.item_id
    place = {"previous_item_id": previous}
    agent.emit({"type": "input_audio_buffer.committed", **place, "item_id": speech.item_id})
    item = {
        "id": speech.item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": text}],
    }
    agent.emit({"type": "conversation.item.added", **place, "item": item})
    agent.emit({"type": "conversation.item.done", **place, "item": item})
    if agent.session.transcribes:
        kind = "conversation.item.input_audio_transcription.completed"
        usage = {"type": "duration", "seconds": 0}
        agent.emit({"type": kind, "item_id": item["id"], "content_index": 0, "transcript": text, "usage": usage})


def _agent_done(agent: Agent, _fields: Fields) -> None:
    agent.is_muted = False
    agent.asks_from_s = 0.0
    agent.end_answer("completed")


def _refused(agent: Agent, fields: Fields) -> None:
    """Let a refused question wait. Deepgram takes no question while the agent or the user speaks."""
    agent.log(logging.INFO, f"Deepgram refuses a question: {text_of(fields, 'message')}")
    ask = agent.current
    if agent.echoes and (agent.echoes[-1].is_cancelled or ask is not None):
        agent.echoes.pop()
    if ask is not None and ask.question is not None and ask.question.text:
        agent.current = None
        agent.asks_from_s = agent.now_s + ASK_AGAIN_S
        agent.put_back(msgspec.structs.replace(ask, outputs=()))


def _called(agent: Agent, fields: Fields) -> None:
    functions = [it for it in objects_of(fields, "functions") if it.get("client_side") is not False]
    if not functions:
        return
    if agent.is_muted:
        for function in functions:
            name = text_of(function, "name")
            agent.log(
                logging.WARNING, f"a call of {name} is not passed on, because the client has cancelled the response"
            )
        _answer_here(agent, functions, CANCELLED_OUTPUT)
        return
    if len(functions) > MAX_FUNCTIONS:
        agent.log(logging.WARNING, f"{len(functions) - MAX_FUNCTIONS} calls of one message of Deepgram's are dropped")
        _answer_here(agent, functions[MAX_FUNCTIONS:], DROPPED_OUTPUT)
        del functions[MAX_FUNCTIONS:]
    agent.begin_answer()
    for function in functions:
        call_id, name = text_of(function, "id") or agent.new_id("call"), text_of(function, "name")
        agent.calls[call_id] = name
        if agent.answer is not None:
            agent.emit_all(agent.answer.call(call_id, name, text_of(function, "arguments") or "{}"))
    agent.end_answer("completed")


def _answer_here(agent: Agent, functions: list[Fields], content: str) -> None:
    """Send Deepgram an output for each call that the client does not get, because Deepgram waits for these outputs."""
    for function in functions:
        output = {"type": "FunctionCallResponse", "id": text_of(function, "id"), "name": text_of(function, "name")}
        agent.send({**output, "content": content})


def _calls_cancelled(agent: Agent, fields: Fields) -> None:
    cancelled = {text_of(function, "id") for function in objects_of(fields, "functions")}
    agent.calls = {call_id: name for call_id, name in agent.calls.items() if call_id not in cancelled}
    agent.outputs = [output for output in agent.outputs if output["id"] not in cancelled]


def _warned(agent: Agent, fields: Fields) -> None:
    agent.log(logging.WARNING, f"Deepgram warns: {text_of(fields, 'code')}: {text_of(fields, 'description')}")
    if text_of(fields, "code") == "FORCE_END_TURN_UNSUPPORTED" and agent.commit is not None:
        agent.send(agent.session.silence(PAUSE_MS))


def _failed(agent: Agent, fields: Fields) -> None:
    code, description = text_of(fields, "code"), text_of(fields, "description")
    if agent.stage is not Stage.READY:
        agent.log(logging.ERROR, f"Deepgram refuses the session: {code}: {description}")
        agent.abandon(LossKind.REFUSED, agent.parts.options.redact(code), is_fatal=True)
        return
    # Deepgram closes the connection next, and the relay then drops the error.
    error = error_of(code.lower(), description, kind=SERVER_ERROR)
    agent.emit({"type": "error", "error": error})


MESSAGES: Final[dict[str, Callable[[Agent, Fields], None]]] = {
    "Welcome": _welcome,
    "SettingsApplied": _applied,
    "UserStartedSpeaking": _user_spoke,
    "ConversationText": _said,
    "AgentAudioDone": _agent_done,
    "InjectionRefused": _refused,
    "FunctionCallRequest": _called,
    "FunctionCallCancelled": _calls_cancelled,
    "Warning": _warned,
    "Error": _failed,
}
"""Deepgram's messages that change something, and the handler of each. Any other message has no event of OpenAI's."""
