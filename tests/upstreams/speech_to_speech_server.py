"""`speech-to-speech` as a Realtime server whose pipeline is a script: no model, the same words every time.

The server is Hugging Face's own, with its protocol code, queues and response rules. Two threads per session slot do
the work of its models here. It runs in an environment of its own, never in the project's, and is independent of the
router. Its address is the first line that it prints; SIGTERM ends it.

The script: a text that the instructions say to say exactly is said. A text turn is answered with the user's words. A
question about the weather calls the first of the session's tools, and its result is read out. A count is made. Loud
audio is a turn.
"""

import json
import re
import signal
import socket
import sys
import threading
from dataclasses import dataclass, field
from queue import Queue
from typing import Any

import numpy as np
import uvicorn
from openai.types.realtime import RealtimeConversationItemFunctionCall
from speech_to_speech.api.openai_realtime.pipeline_unit import PipelineUnit
from speech_to_speech.api.openai_realtime.service import RealtimeService
from speech_to_speech.api.openai_realtime.websocket_router import create_app
from speech_to_speech.LLM.chat import make_assistant_message
from speech_to_speech.pipeline.cancel_scope import CancelScope
from speech_to_speech.pipeline.control import is_control_message
from speech_to_speech.pipeline.events import (
    AssistantOutputEvent,
    AssistantResponseDoneEvent,
    SpeechStartedEvent,
    SpeechStoppedEvent,
    TranscriptionCompletedEvent,
)
from speech_to_speech.pipeline.messages import (
    AUDIO_RESPONSE_DONE,
    AssistantTextPart,
    AssistantToolCallPart,
    AudioOutput,
)
from speech_to_speech.utils.utils import response_wants_audio

SESSIONS = 2
TRANSCRIPT = "What is the capital of France?"
"""The words of the WAV file that the canary speaks."""
CHUNK_MS = 32
SILENCE_CHUNKS = 10
LOUD = 500
STOP = object()


def main() -> None:
    """Serve until SIGTERM, on the port given or a free one."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 0))
    stop = threading.Event()
    pipelines = [Pipeline(index) for index in range(SESSIONS)]
    app = create_app(pool=[pipeline.unit for pipeline in pipelines], stop_event=stop)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    serving.start()
    print(f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/realtime", flush=True)
    stop.wait()
    server.should_exit = True
    serving.join()
    for pipeline in pipelines:
        pipeline.close()


class Pipeline:
    """The pipeline of one session slot: one thread detects speech, one answers."""

    def __init__(self, index: int) -> None:
        prompts: Queue[Any] = Queue()
        listening = threading.Event()
        self.unit = PipelineUnit(
            index=index,
            service=RealtimeService(text_prompt_queue=prompts, should_listen=listening),
            cancel_scope=CancelScope(),
            should_listen=listening,
            response_playing=threading.Event(),
            input_queue=Queue(),
            output_queue=Queue(),
            text_output_queue=Queue(),
            text_prompt_queue=prompts,
            handlers=[],
        )
        self._threads = [threading.Thread(target=work) for work in (self._detect, self._answer)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End both threads."""
        self.unit.input_queue.put(STOP)
        self.unit.text_prompt_queue.put(STOP)
        for thread in self._threads:
            thread.join()

    def _detect(self) -> None:
        detector = Detector()
        while (item := self.unit.input_queue.get()) is not STOP:
            if is_control_message(item):  # the end of a session, which every stage passes to the next
                detector = Detector()
                self.unit.output_queue.put(item)
                continue
            for event in detector.judge(item[0]):
                self.unit.text_output_queue.put(event)

    def _answer(self) -> None:
        while (request := self.unit.text_prompt_queue.get()) is not STOP:
            self._respond(request)

    def _respond(self, request: Any) -> None:
        ids = {"response_key": request.response_key, "cancel_generation": self.unit.cancel_scope.generation}
        chat, session = request.runtime_config.chat, request.runtime_config.session
        given = given_text(request.response)
        last = None if given else chat.buffer[-1]
        call = given is None and requested_call(last, session.tools or [], f"call_{request.response_key[:12]}")
        put = self.unit.output_queue.put
        if call:
            # The server refuses the output of a call that is not in the history, where a model puts it.
            chat.add_item(RealtimeConversationItemFunctionCall(**call))
            put(AssistantOutputEvent(parts=[AssistantToolCallPart(tool=call)], **ids))
        else:
            text = given or answer_to(last)
            chat.add_item(make_assistant_message(text))
            put(AssistantOutputEvent(parts=[AssistantTextPart(text=text)], **ids))
            if response_wants_audio(request.response):
                for chunk in spoken(text):
                    put(AudioOutput(audio=chunk, **ids))
        put(AssistantResponseDoneEvent(**ids))
        put(AudioOutput(audio=AUDIO_RESPONSE_DONE, **ids))


@dataclass
class Detector:
    """Voice activity detection by loudness, over chunks of 32 ms at 16 kHz."""

    all_chunks: int = 0
    quiet_chunks: int = 0
    turn: int = 0
    is_speaking: bool = False
    started_ms: int = field(default=0)

    def judge(self, chunk: bytes) -> list[Any]:
        """Return the events that this chunk causes."""
        self.all_chunks += 1
        is_loud = bool(np.abs(np.frombuffer(chunk, np.int16).astype(np.int32)).mean() > LOUD)
        self.quiet_chunks = 0 if is_loud else self.quiet_chunks + 1
        now_ms = self.all_chunks * CHUNK_MS
        if is_loud and not self.is_speaking:
            self.is_speaking, self.started_ms, self.turn = True, now_ms, self.turn + 1
            return [SpeechStartedEvent(audio_start_ms=now_ms, **self._turn_ids())]
        if self.is_speaking and self.quiet_chunks >= SILENCE_CHUNKS:
            self.is_speaking = False
            stopped = SpeechStoppedEvent(
                audio_end_ms=now_ms, duration_s=(now_ms - self.started_ms) / 1000, **self._turn_ids()
            )
            return [stopped, TranscriptionCompletedEvent(transcript=TRANSCRIPT, **self._turn_ids())]
        return []

    def _turn_ids(self) -> dict[str, Any]:
        return {"turn_id": f"turn_{self.turn}", "turn_revision": 0}


def given_text(response: Any) -> str | None:
    """Return the text that the response's own instructions say to say exactly, or None."""
    instructions = getattr(response, "instructions", None) or ""
    return instructions[instructions.index('"') + 1 : -1] if "Say exactly" in instructions else None


def requested_call(item: Any, tools: list[Any], call_id: str) -> dict[str, Any] | None:
    """Return the call of the first tool if `item` is a user's question about the weather."""
    if not tools or item.type != "message" or "weather" not in text_of(item):
        return None
    arguments = json.dumps({"city": text_of(item).rstrip("?").split()[-1]})
    return {"type": "function_call", "call_id": call_id, "name": tools[0].name, "arguments": arguments}


def answer_to(item: Any) -> str:
    """Return the agent's answer to a user's words or to a tool's output."""
    if item.type == "function_call_output":
        return f"The tool says: {item.output}"
    if "Count slowly" in text_of(item):
        return ", ".join(map(str, range(1, 26)))
    if item.role == "assistant":  # an interrupted count
        made = re.findall(r"\d+", text_of(item)) or [0]
        return ", ".join(map(str, range(int(made[-1]) + 1, 26)))
    return f"You said: {text_of(item)}"


def text_of(item: Any) -> str:
    """Return the text of a message's parts."""
    return " ".join(part.text or part.transcript or "" for part in item.content)


def spoken(text: str) -> list[bytes]:
    """Return a hum at 16 kHz in chunks of 100 ms, one for each word."""
    chunk = (8000 * np.sin(np.arange(1600) * 2 * np.pi * 220 / 16000)).astype(np.int16).tobytes()
    return [chunk] * len(text.split())


if __name__ == "__main__":
    main()
