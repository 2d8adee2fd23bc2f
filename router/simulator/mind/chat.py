"""The chat-completions API: bodies of requests, and the chunks of a stream as pieces of an answer. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from router.simulator.history import FunctionCall, FunctionOutput, Message
from router.simulator.mind.messages import End, ModelCall, Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.simulator.history import Entry
    from router.simulator.mind.messages import Question, Thought

SPOKEN: Final = "Your answer is read aloud: use plain words, a few short sentences, and no lists, markup or emoji."


def chat_url(url: str) -> str:
    """Return the URL of the completions. `url` is a server's URL, with or without a path."""
    base = url.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    has_path = "/" in base.partition("://")[2]
    return f"{base}/chat/completions" if has_path else f"{base}/v1/chat/completions"


def models_url(url: str) -> str:
    """Return the URL of the list of models. `url` is a server's URL, with or without a path."""
    return chat_url(url).removesuffix("/chat/completions") + "/models"


def request_body(question: Question, model: str) -> dict[str, Any]:
    """Return the JSON body of the request."""
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "messages": [
            {"role": "system", "content": f"{question.instructions}\n\n{SPOKEN}"},
            *_messages(question.entries),
        ],
    }
    tools = [_tool(tool) for tool in question.tools if tool["type"] == "function"]
    if tools:
        body |= {"tools": tools, "tool_choice": _choice(question.tool_choice)}
    if question.max_tokens is not None:
        body["max_tokens"] = question.max_tokens
    return body


def _messages(entries: tuple[Entry, ...]) -> Iterator[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    for entry in entries:
        if isinstance(entry, FunctionCall):
            # Consecutive calls become one message, and their outputs follow it.
            function = {"name": entry.name, "arguments": entry.arguments}
            calls.append({"id": entry.call_id, "type": "function", "function": function})
            continue
        if calls:
            yield {"role": "assistant", "content": None, "tool_calls": calls}
            calls = []
        if isinstance(entry, FunctionOutput):
            yield {"role": "tool", "tool_call_id": entry.call_id, "content": entry.output}
        elif isinstance(entry, Message) and entry.text:
            yield {"role": entry.role, "content": entry.text}
    if calls:
        yield {"role": "assistant", "content": None, "tool_calls": calls}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    kept = {key: tool[key] for key in ("name", "description", "parameters") if tool.get(key) is not None}
    return {"type": "function", "function": kept}


def _choice(choice: str | dict[str, Any]) -> str | dict[str, Any]:
    return choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice.get("name")}}


class Stream:
    """The stream of one answer: lines of server-sent events in, pieces out.

    The stream joins the parts of a function call.
    """

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, str]] = {}
        self._is_cut = False
        self.is_over = False

    def feed(self, line: str) -> Iterator[Thought]:
        """Yield the pieces of a line; raises `ValueError` for a line that is no chunk of the API."""
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data == "[DONE]":
            yield from self.end()
        elif data:
            chunk = orjson.loads(data)
            if "error" in chunk:
                raise ValueError(str(chunk["error"]))
            for choice in chunk.get("choices") or ():
                yield from self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> Iterator[Thought]:
        delta = choice.get("delta") or {}
        if delta.get("content"):
            yield Words(delta["content"])
        for part in delta.get("tool_calls") or ():
            call = self._calls.setdefault(part.get("index", len(self._calls)), {"name": "", "arguments": ""})
            function = part.get("function") or {}
            call["name"] += function.get("name") or ""
            call["arguments"] += function.get("arguments") or ""
        self._is_cut = self._is_cut or choice.get("finish_reason") == "length"

    def end(self) -> Iterator[Thought]:
        """Yield the function calls and the end, only once: after `[DONE]`, or after the end of a stream without it."""
        if self.is_over:
            return
        self.is_over = True
        for call in self._calls.values():
            yield ModelCall(call["name"], call["arguments"] or "{}")
        yield End(is_cut=self._is_cut)
