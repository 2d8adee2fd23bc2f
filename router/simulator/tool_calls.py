"""The choice of functions by their words, and their arguments by their JSON schema. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from router.simulator.history import Call
from router.simulator.words import all_words, is_stop_word, key_words, stem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.simulator.history import Context

_MAX_CALLS: Final = 4
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED: Final = re.compile(r"[\"\u201c]([^\"\u201d]+)[\"\u201d]")
_PREPOSITION: Final = re.compile(
    r"\b(?:in|for|at|to|of|from|about|on|near|with|number|called|named)\s+(?:the |a |an |my |our |your )?"
    r"(?P<phrase>[^?.!,;]+?)(?=\s+(?:in|for|at|to|of|from|about|on|near|with|and|or|is|please|today|now)\b|[?.!,;]|$)",
    re.IGNORECASE,
)
_CAPITALIZED: Final = re.compile(r"(?<!^)(?<![.?!] )\b[A-Z][\w'-]*(?:\s+[A-Z][\w'-]*)*")
_NEGATION: Final = re.compile(r"\b(?:no|not|off|disable|without|stop)\b", re.IGNORECASE)


def fitting_calls(context: Context) -> Iterator[Call]:
    """Yield calls of the functions whose names fit the question, or else of the one whose description fits best."""
    question = context.question
    if context.tool_choice == "none" or question is None:
        return
    for tool in _fitting(question, context)[: _MAX_CALLS if context.is_parallel else 1]:
        yield _call(tool, question)


def forced_call(context: Context) -> list[Call]:
    """Return the call that `tool_choice` demands, whatever the question is; an empty list if it demands no call."""
    tools = _functions(context)
    choice = context.tool_choice
    question = context.question or ""
    if isinstance(choice, dict):
        return [_call(tool, question) for tool in tools if tool["name"] == choice.get("name")][:1]
    if choice != "required" or not tools:
        return []
    return [_call(tool, question) for tool in (_fitting(question, context) or tools)[:1]]


def _functions(context: Context) -> list[dict[str, Any]]:
    return [tool for tool in context.tools if tool["type"] == "function"]


def _fitting(question: str, context: Context) -> list[dict[str, Any]]:
    asked = key_words(question)
    tools = _functions(context)
    by_name = [tool for tool in tools if asked & key_words(tool["name"])]
    if by_name:
        return by_name
    scores = [len(asked & key_words(tool.get("description", ""))) for tool in tools]
    best = max(scores, default=0)
    return [tools[scores.index(best)]] if best else []


def _call(tool: dict[str, Any], question: str) -> Call:
    arguments = build_arguments(tool.get("parameters") or {}, question, _tool_words(tool))
    return Call(tool["name"], orjson.dumps(arguments).decode())


def _tool_words(tool: dict[str, Any]) -> set[str]:
    return key_words(tool["name"]) | key_words(tool.get("description", ""))


def build_arguments(schema: dict[str, Any], question: str, known: set[str] | None = None) -> dict[str, Any]:
    """Build arguments for a JSON schema: every required property, filled from the question's words.

    Args:
        schema: the function's `parameters`.
        question: the user's message.
        known: stems of the words in the function's name and description, which must not become arguments.
    """
    words = _Phrases(question, known or set())
    return _object(schema, words)


class _Phrases:
    """The question's phrases, one after the other, so that two string arguments get two phrases."""

    def __init__(self, question: str, known: set[str]) -> None:
        self.question = question
        self._phrases = list(_phrases(question, known))
        self._numbers = [float(number) for number in _NUMBER.findall(question)]

    def next(self) -> str:
        # All further arguments get the last phrase.
        return self._phrases.pop(0) if len(self._phrases) > 1 else self._phrases[0]

    def next_number(self) -> float | None:
        return self._numbers.pop(0) if self._numbers else None


def _phrases(question: str, known: set[str]) -> Iterator[str]:
    """Yield the parts of a question that may be an argument, the likeliest first. Yield at least one."""
    yielded = set()
    candidates = [match.group(1) for match in _QUOTED.finditer(question)]
    candidates += [match.group("phrase").strip() for match in _PREPOSITION.finditer(question)]
    candidates += [match.group() for match in _CAPITALIZED.finditer(question)]
    for phrase in candidates:
        if phrase not in yielded and not key_words(phrase) <= known and not is_stop_word(phrase):
            yielded.add(phrase)
            yield phrase
    if not yielded:
        rest = [word for word in all_words(question) if not is_stop_word(word) and stem(word) not in known]
        yield " ".join(rest) or question.strip()


def _value(schema: dict[str, Any], words: _Phrases) -> Any:
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        # If the question names none of the choices, take the first one.
        lower = words.question.lower()
        return next((choice for choice in schema["enum"] if str(choice).lower() in lower), schema["enum"][0])
    kind = schema.get("type", "string")
    kind = next((name for name in kind if name != "null"), "null") if isinstance(kind, list) else kind
    return _BY_TYPE.get(kind, _string)(schema, words)


def _string(_schema: dict[str, Any], words: _Phrases) -> str:
    return words.next()


def _integer(schema: dict[str, Any], words: _Phrases) -> int:
    return int(_number(schema, words))


def _number(schema: dict[str, Any], words: _Phrases) -> float:
    found = words.next_number()
    return float(schema.get("minimum", 0)) if found is None else found


def _boolean(_schema: dict[str, Any], words: _Phrases) -> bool:
    return not _NEGATION.search(words.question)


def _array(schema: dict[str, Any], words: _Phrases) -> list[Any]:
    return [_value(schema.get("items") or {}, words)]


def _object(schema: dict[str, Any], words: _Phrases) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    return {name: _value(properties.get(name) or {}, words) for name in schema.get("required") or ()}


def _null(_schema: dict[str, Any], _words: _Phrases) -> None:
    return None


_BY_TYPE: Final[dict[str, Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
    "null": _null,
}
