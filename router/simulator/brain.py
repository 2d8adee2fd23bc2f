"""The brain: rules that choose an answer. Deterministic and pure.

The rules repeat the user's words, remember the conversation, call a function whose words fit the question and repeat
its output verbatim. They are tried in the order of `RULES`. Asked to continue an interrupted answer, the brain returns
the rest of the one that the rules would have given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.simulator import memory
from router.simulator.continuation import interrupted_answer, rest_of
from router.simulator.history import Context, FunctionCall, FunctionOutput, Message, Output, Say
from router.simulator.tool_calls import fitting_calls, forced_call
from router.simulator.words import unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SAY_EXACTLY: Final = re.compile(r"say exactly\b[^:\n]*:\s*(.+)", re.IGNORECASE | re.DOTALL)
_GREETINGS: Final = frozenset({"hello", "hi", "hey", "greetings", "good morning", "good evening", "good afternoon"})


def answer(context: Context, scripted: Iterable[list[Output]] = ()) -> list[Output]:
    """Return the texts and calls of the answer: none only for an interrupted answer that has no rest.

    Args:
        context: the instructions, the conversation and the tools.
        scripted: answers that a script gave in place of the rules, the newest first: the interrupted one may be theirs.
    """
    interrupted = interrupted_answer(context)
    if interrupted is None:
        return _by_rules(context)
    return rest_of(interrupted, [*scripted, _by_rules(interrupted.context)])


def _by_rules(context: Context) -> list[Output]:
    for rule in RULES:
        outputs = rule(context)
        if outputs:
            return outputs
    return [Say("Hello! How can I help you today?")]


def _say_exactly(context: Context) -> list[Output]:
    """Obey an instruction to say a text exactly: a router has its greeting spoken so."""
    match = _SAY_EXACTLY.search(context.instructions)
    if match is None:
        return []
    return [Say(unquoted(match.group(1).strip()))]


def _call_forced(context: Context) -> list[Output]:
    """Make the call that `tool_choice` forces, for any question."""
    return list(forced_call(context))


def _repeat_outputs(context: Context) -> list[Output]:
    """Repeat the functions' outputs since the last message, word for word."""
    outputs = []
    for entry in reversed(context.entries):
        if isinstance(entry, Message):
            break
        if isinstance(entry, FunctionOutput):
            outputs.append(entry.output)
    return [Say("Here is what I found: " + " ".join(reversed(outputs)))] if outputs else []


def _recall(context: Context) -> list[Output]:
    question = context.question
    recalled = memory.recall(question, context.before_question) if question else None
    return [Say(recalled)] if recalled else []


def _call_fitting(context: Context) -> list[Output]:
    """Call the functions that fit the question, unless any was called since."""
    since = context.since_question
    if context.question is None or any(isinstance(entry, FunctionCall) for entry in since):
        return []
    return list(fitting_calls(context))


def _greet(context: Context) -> list[Output]:
    question = context.question or ""
    words = re.sub(r"[^a-z ]", "", question.lower()).strip()
    return [Say("Hello! How can I help you?")] if words in _GREETINGS else []


def _restate(context: Context) -> list[Output]:
    question = context.question
    if question is None:
        return []
    if not question.strip():  # the empty turn of an idle time-out
        return [Say("Are you still there?")]
    if memory.is_speech_without_words(question):
        return [Say(f"I heard you speak: {question}. There is no speech recognition in this simulator.")]
    if question.rstrip().endswith("?"):
        return [Say(f'You asked: "{question.strip()}" I have no function that knows.')]
    return [Say(f'You said: "{question.strip()}" I will remember that.')]


RULES: Final[tuple[Callable[[Context], list[Output]], ...]] = (
    _say_exactly,
    _call_forced,
    _repeat_outputs,
    _recall,
    _call_fitting,
    _greet,
    _restate,
)
"""In order: the first rule that has an answer gives it."""


def is_dictated(context: Context) -> bool:
    """Whether the instructions alone decide the answer: a script must not replace it, and keeps its next answer."""
    return interrupted_answer(context) is not None or bool(_say_exactly(context))
