"""One turn of Deepgram's agent as the events of one response, in OpenAI's order. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pybase64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.fronts.realtime.wire import Fields


class Answer:
    """A response that has begun and not ended.

    Args:
        new_id: returns a new id of a kind.
        previous: the id of the last item of the conversation.
        metadata: the `metadata` of the request that the response answers.
        is_text: whether the response has text alone, so that its audio is dropped.
    """

    def __init__(
        self, new_id: Callable[[str], str], *, previous: str | None, metadata: Fields | None, is_text: bool
    ) -> None:
        self._new_id = new_id
        self.id = new_id("resp")
        self.last_item = previous
        """The id of the last item of the conversation."""
        self._is_text = is_text
        self._fields: Fields = {
            "object": "realtime.response",
            "id": self.id,
            "conversation_id": "conv_deepgram",
            "output_modalities": ["text" if is_text else "audio"],
            "metadata": metadata,
        }
        self._output: list[Fields] = []
        self._message: Fields | None = None
        """The message in progress, or None."""
        self._previous = previous
        """The id of the item before the message in progress."""
        self._text = ""

    def begin(self) -> Iterator[Fields]:
        """Yield the event that begins the response."""
        response = {**self._fields, "status": "in_progress", "status_details": None, "output": [], "usage": None}
        yield {"type": "response.created", "response": response}

    def say(self, text: str) -> Iterator[Fields]:
        """Yield the events for a sentence that the agent speaks."""
        yield from self._begin_message()
        delta = f" {text}" if self._text else text
        self._text += delta
        kind = "response.output_text.delta" if self._is_text else "response.output_audio_transcript.delta"
        yield {"type": kind, **self._place, "delta": delta}

    def play(self, audio: bytes) -> Iterator[Fields]:
        """Yield the events for a piece of the agent's audio; none if the response has text alone."""
        if self._is_text:
            return
        yield from self._begin_message()
        delta = pybase64.b64encode_as_string(audio)
        yield {"type": "response.output_audio.delta", **self._place, "delta": delta}

    def call(self, call_id: str, name: str, arguments: str) -> Iterator[Fields]:
        """Yield the events for a function call. They first end the message in progress, if there is one."""
        yield from self._end_message("completed")
        item: Fields = {
            "id": self._new_id("item"),
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "name": name,
            "call_id": call_id,
            "arguments": "",
        }
        place = {"response_id": self.id, "output_index": len(self._output)}
        yield from self._add(item)
        within = {**place, "item_id": item["id"], "call_id": call_id}
        yield {"type": "response.function_call_arguments.delta", **within, "delta": arguments}
        done = {**within, "name": name, "arguments": arguments}
        yield {"type": "response.function_call_arguments.done", **done}
        yield from self._finish({**item, "status": "completed", "arguments": arguments})

    def end(self, status: str, reason: str | None = None) -> Iterator[Fields]:
        """Yield the events that end the message in progress, if there is one, and then the response.

        `response.done` has the status, and the reason of any status except `completed`.
        """
        yield from self._end_message("completed" if status == "completed" else "incomplete")
        details = None if status == "completed" else {"type": status, "reason": reason}
        response = {**self._fields, "status": status, "status_details": details, "output": self._output, "usage": None}
        yield {"type": "response.done", "response": response}

    # One message.

    @property
    def _place(self) -> Fields:
        item_id = self._message["id"] if self._message is not None else ""
        return {
            "response_id": self.id,
            "item_id": item_id,
            "output_index": len(self._output),
            "content_index": 0,
        }

    @property
    def _part(self) -> Fields:
        return {"type": "text", "text": self._text} if self._is_text else {"type": "audio", "transcript": self._text}

    def _begin_message(self) -> Iterator[Fields]:
        if self._message is not None:
            return
        self._text = ""
        self._message = {
            "id": self._new_id("item"),
            "object": "realtime.item",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        yield from self._add(self._message)
        yield {"type": "response.content_part.added", **self._place, "part": self._part}

    def _end_message(self, status: str) -> Iterator[Fields]:
        if self._message is None:
            return
        place = self._place
        if self._is_text:
            yield {"type": "response.output_text.done", **place, "text": self._text}
        else:
            yield {"type": "response.output_audio.done", **place}
            yield {"type": "response.output_audio_transcript.done", **place, "transcript": self._text}
        yield {"type": "response.content_part.done", **place, "part": self._part}
        key, kind = ("text", "output_text") if self._is_text else ("transcript", "output_audio")
        message = {**self._message, "status": status, "content": [{"type": kind, key: self._text}]}
        self._message = None
        yield from self._finish(message)

    def _add(self, item: Fields) -> Iterator[Fields]:
        index = len(self._output)
        yield {"type": "response.output_item.added", "response_id": self.id, "output_index": index, "item": item}
        self._previous, self.last_item = self.last_item, str(item["id"])
        yield {"type": "conversation.item.added", "previous_item_id": self._previous, "item": item}

    def _finish(self, item: Fields) -> Iterator[Fields]:
        index = len(self._output)
        yield {"type": "conversation.item.done", "previous_item_id": self._previous, "item": item}
        yield {"type": "response.output_item.done", "response_id": self.id, "output_index": index, "item": item}
        self._output.append(item)
