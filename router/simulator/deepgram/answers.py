"""The rules of the agent's answers: repeat the question, recall earlier texts, or call a function that it names."""

from __future__ import annotations

import re
from typing import Any

_SENTENCE = re.compile(r"[^.!?]+[.!?]*\s*")


def answer_to(question: str, before: list[str]) -> str:
    """Return the answer to a question. `before` holds the user's earlier texts, the oldest first."""
    if "remember" in question.lower() and before:
        return f"You said before: {'; '.join(before)}."
    if question.rstrip().endswith("?"):
        return f'You asked: "{question.strip()}" I have no function that knows.'
    return f'You said: "{question.strip()}" I will remember that.'


def function_for(question: str, functions: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the first function whose name has only words of the question, apart from `get`; None if there is none."""
    words = question.lower()
    for function in functions:
        named = [word for word in str(function.get("name", "")).lower().split("_") if word != "get"]
        if named and all(word in words for word in named):
            return function
    return None


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, with their punctuation and without white space around them."""
    return [found.strip() for found in _SENTENCE.findall(text) if found.strip()]
