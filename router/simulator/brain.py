"""The brain: rules that choose an answer. Deterministic and pure.

The rules repeat the user's words, remember the conversation, call a function whose words fit the question and repeat
its output verbatim. They are tried in the order of `RULES`. If the instructions ask to continue an interrupted answer,
the brain computes that answer by the rules again, and returns its rest.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from router.simulator import memory, skills, smalltalk
from router.simulator.continuation import interrupted_answer, rest_of
from router.simulator.history import Context, FunctionCall, FunctionOutput, Message, Output, Say
from router.simulator.tool_calls import fitting_calls, forced_call
from router.simulator.words import unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SAY_EXACTLY: Final = re.compile(r"say exactly\b[^:\n]*:\s*(.+)", re.IGNORECASE | re.DOTALL)
_SAY_MESSAGE: Final = re.compile(r"say exactly the (?:text|words) of the (?:only|last) message", re.IGNORECASE)
_GO_ON: Final = re.compile(
    r"^\W*(?:(?:please|okay|ok|and|now|yes|so)\W+)*"
    r"(?:continue|go on|keep going|carry on|go ahead|and then|what then|what happened (?:then|next)|tell me more)\b"
    r"(?! to\b)[^?]{0,40}\??$",
    re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"[.!?][\"')]*\s+")
_MAX_LOOK_BACK: Final = 8
"""The number of the newest answers among which the interrupted one is searched."""
_MINUTES_BACK: Final = 3
"""The greatest age, in minutes, of an interrupted answer with the time of day that the brain can still continue."""


def answer(context: Context, scripted: Iterable[list[Output]] = ()) -> list[Output]:
    """Return the texts and calls of the answer. The list is empty only if an interrupted answer has no rest.

    Args:
        context: the instructions, the conversation and the tools.
        scripted: answers that a script gave in place of the rules, the newest first. The interrupted answer may be one
            of them.
    """
    interrupted = interrupted_answer(context)
    if interrupted is None:
        return _by_rules(context)
    return rest_of(interrupted, [*scripted, *_at_any_minute(interrupted.context)])


def _at_any_minute(context: Context) -> Iterator[list[Output]]:
    """Yield the answers for this minute and, if the time is known, for the `_MINUTES_BACK` minutes before.

    An answer may contain the time of day.
    """
    yield _by_rules(context)
    if context.now is not None:
        for minutes in range(1, _MINUTES_BACK + 1):
            yield _by_rules(msgspec.structs.replace(context, now=context.now - timedelta(minutes=minutes)))


def _by_rules(context: Context) -> list[Output]:
    for rule in RULES:
        outputs = rule(context)
        if outputs:
            return outputs
    return [Say("Hello! How can I help you today?")]


def _say_exactly(context: Context) -> list[Output]:
    """Return the text that the instructions dictate; an empty list if they dictate none.

    A router uses such an instruction for its greeting.
    """
    if _SAY_MESSAGE.search(context.instructions):
        return [Say(context.question)] if context.question else []
    match = _SAY_EXACTLY.search(context.instructions)
    if match is None:
        return []
    return [Say(unquoted(match.group(1).strip()))]


def _call_forced(context: Context) -> list[Output]:
    """Return the call that `tool_choice` forces, whatever the question is; an empty list if it forces none."""
    return list(forced_call(context))


def _repeat_outputs(context: Context) -> list[Output]:
    """Repeat, word for word, the outputs of functions that came after the last message."""
    outputs = []
    for entry in reversed(context.entries):
        if isinstance(entry, Message):
            break
        if isinstance(entry, FunctionOutput):
            outputs.append(entry.output)
    return [Say("Here is what I found: " + " ".join(reversed(outputs)))] if outputs else []


def _go_on(context: Context) -> list[Output]:
    """Continue the last answer that was interrupted, from the beginning of the sentence."""
    if context.question is None or not _GO_ON.search(context.question):
        return []
    answers = [
        at for at, entry in enumerate(context.entries) if isinstance(entry, Message) and entry.role == "assistant"
    ]
    for at in reversed(answers[-_MAX_LOOK_BACK:]):
        entry = context.entries[at]
        before = msgspec.structs.replace(context, entries=context.entries[:at])
        if not isinstance(entry, Message) or before.question is None:
            continue
        for outputs in _at_any_minute(before):
            rest = _unsaid(outputs, entry.text)
            if rest:
                return [Say(rest)]
    return [Say("That was all that I had to say. Ask me for a story, if you like.")]


def _newest_answers(context: Context) -> list[tuple[int, str]]:
    """Return the index and the text of the assistant's newest messages, the newest first."""
    messages = ((at, entry) for at, entry in enumerate(context.entries) if isinstance(entry, Message))
    answers = [(at, message.text) for at, message in messages if message.role == "assistant"]
    return answers[: -_MAX_LOOK_BACK - 1 : -1]


def _unsaid(outputs: list[Output], said: str) -> str:
    """Return the rest of an answer, from the beginning of the sentence in which it was interrupted.

    The rest is empty if the answer has other parts than one text, does not begin with `said`, or was said as a whole.
    """
    if len(outputs) != 1 or not isinstance(outputs[0], Say):
        return ""
    whole = outputs[0].text
    if not whole.startswith(said.strip()) or len(said.strip()) >= len(whole):
        return ""
    ends = [match.end() for match in _SENTENCE_END.finditer(whole, 0, len(said.strip()) + 1)]
    return whole[ends[-1] if ends else 0 :]


def _recall(context: Context) -> list[Output]:
    question = context.question
    recalled = memory.recall(question, context.before_question) if question else None
    return [Say(recalled)] if recalled else []


def _call_fitting(context: Context) -> list[Output]:
    """Call the functions that fit the question, unless a function was called after the question."""
    since = context.since_question
    if context.question is None or any(isinstance(entry, FunctionCall) for entry in since):
        return []
    return list(fitting_calls(context))


def _show_skill(context: Context) -> list[Output]:
    found = skills.answer(context)
    return [Say(found)] if found else []


def _make_small_talk(context: Context) -> list[Output]:
    found = smalltalk.answer(context)
    return [Say(found)] if found else []


def _restate(context: Context) -> list[Output]:
    question = context.question
    if question is None:
        return []
    if not question.strip():  # the empty turn of an idle time-out
        return [Say("Are you still there?")]
    if memory.is_speech_without_words(question):
        if context.hears:
            return [Say("I heard you, and I did not understand the words. Could you say that again?")]
        return [Say(f"I heard you speak: {question}. There is no speech recognition in this simulator.")]
    if question.rstrip().endswith("?"):
        return [Say(f'You asked: "{question.strip()}" I have no function that knows. Ask me what I can do.')]
    return [Say(f'You said: "{question.strip()}" I will remember that.')]


RULES: Final[tuple[Callable[[Context], list[Output]], ...]] = (
    _say_exactly,
    _call_forced,
    _repeat_outputs,
    _go_on,
    _recall,
    _call_fitting,
    _show_skill,
    _make_small_talk,
    _restate,
)
"""The rules in order: the first rule that returns outputs gives the answer."""


def is_dictated(context: Context) -> bool:
    """Whether the instructions alone determine the answer.

    No scripted answer replaces such an answer, so the script keeps its next answer for a later response.
    """
    return is_rest(context) or bool(_say_exactly(context))


def is_rest(context: Context) -> bool:
    """Whether the instructions ask for the rest of an interrupted answer."""
    return interrupted_answer(context) is not None
