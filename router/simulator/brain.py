"""The brain: what to answer. Small, rule-based, deterministic, pure.

It answers about what was said, remembers the conversation, calls a function whose words fit the question and
repeats its output verbatim. The rules are tried in the order of `RULES`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.simulator import memory
from router.simulator.history import Called, Context, Output, Returned, Said, Say
from router.simulator.tools import fitting_calls, forced_call

if TYPE_CHECKING:
    from collections.abc import Callable

_SAY_EXACTLY: Final = re.compile(r"say exactly\b[^:\n]*:\s*(.+)", re.IGNORECASE | re.DOTALL)
_QUOTES: Final = {'"': '"', "'": "'", "\u201c": "\u201d", "\u00ab": "\u00bb"}
_GREETINGS: Final = frozenset({"hello", "hi", "hey", "greetings", "good morning", "good evening", "good afternoon"})


def answer(context: Context) -> list[Output]:
    """What to say or call next: never nothing."""
    for rule in RULES:
        outputs = rule(context)
        if outputs:
            return outputs
    return [Say("Hello! How can I help you today?")]


def _obey(context: Context) -> list[Output]:
    """An instruction to say something exactly is obeyed: that is how routers have greetings spoken."""
    match = _SAY_EXACTLY.search(context.instructions)
    if match is None:
        return []
    return [Say(_unquoted(match.group(1).strip()))]


def _unquoted(text: str) -> str:
    closing = _QUOTES.get(text[0])
    if closing is None:
        return text
    end = text.rfind(closing)
    return text[1:end] if end > 0 else text[1:]


def _call_as_told(context: Context) -> list[Output]:
    """A forced `tool_choice` wins over everything that was said."""
    return list(forced_call(context))


def _report(context: Context) -> list[Output]:
    """What the functions gave since the user last spoke, word for word."""
    outputs = []
    for entry in reversed(context.entries):
        if isinstance(entry, Said):
            break
        if isinstance(entry, Returned):
            outputs.append(entry.output)
    return [Say("Here is what I found: " + " ".join(reversed(outputs)))] if outputs else []


def _remember(context: Context) -> list[Output]:
    question = context.question
    recalled = memory.recall(question, context.earlier_than_question) if question else None
    return [Say(recalled)] if recalled else []


def _ask_functions(context: Context) -> list[Output]:
    """Call what fits the question, unless that was done already and the answer is still to come."""
    since = context.since_question
    if context.question is None or any(isinstance(entry, Called) for entry in since):
        return []
    return list(fitting_calls(context))


def _greet(context: Context) -> list[Output]:
    question = context.question or ""
    words = re.sub(r"[^a-z ]", "", question.lower()).strip()
    return [Say("Hello! How can I help you?")] if words in _GREETINGS else []


def _talk_about_it(context: Context) -> list[Output]:
    question = context.question
    if question is None:
        return []
    if not question.strip():
        return [Say("Are you still there?")]
    if memory.is_speech_without_words(question):
        return [Say(f"I heard you speak: {question}. There is no speech recognition in this simulator.")]
    if question.rstrip().endswith("?"):
        return [Say(f'You asked: "{question.strip()}" I have no function that knows.')]
    return [Say(f'You said: "{question.strip()}" I will remember that.')]


RULES: Final[tuple[Callable[[Context], list[Output]], ...]] = (
    _obey,
    _call_as_told,
    _report,
    _remember,
    _ask_functions,
    _greet,
    _talk_about_it,
)


def is_told_what_to_say(context: Context) -> bool:
    """Whether the instructions leave no choice: a script must not answer in their place."""
    return bool(_obey(context))
