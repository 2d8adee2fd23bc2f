"""The brain: what to answer. Small, rule-based, deterministic, pure.

It answers about what was said, remembers the conversation, calls a function whose words fit the question and
repeats its output verbatim. The rules are tried in the order of `RULES`. Asked to go on with an answer that was cut
off, it says the rest of the one that it would have given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.simulator import memory
from router.simulator.continuation import cut_in, rest_of
from router.simulator.history import Called, Context, Output, Returned, Said, Say
from router.simulator.tool_calls import fitting_calls, forced_call
from router.simulator.words import unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SAY_EXACTLY: Final = re.compile(r"say exactly\b[^:\n]*:\s*(.+)", re.IGNORECASE | re.DOTALL)
_GREETINGS: Final = frozenset({"hello", "hi", "hey", "greetings", "good morning", "good evening", "good afternoon"})


def answer(context: Context, scripted: Iterable[list[Output]] = ()) -> list[Output]:
    """What to say or call next: nothing only where an answer is to be gone on with of which nothing is left.

    Args:
        context: what it depends on.
        scripted: answers that were given in the brain's place, the newest first: such a one may be the one cut off.
    """
    cut = cut_in(context)
    return _by_rules(context) if cut is None else rest_of(cut, [*scripted, _by_rules(cut.context)])


def _by_rules(context: Context) -> list[Output]:
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
    return [Say(unquoted(match.group(1).strip()))]


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
    return cut_in(context) is not None or bool(_obey(context))
