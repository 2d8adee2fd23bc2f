"""The skills of the brain: the time, counting, spelling, sums, stories. A table of patterns; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.simulator import memory
from router.simulator.numerals import NUMBER, in_words, number_of, ordinal
from router.simulator.stories import FACTS, JOKES, POEMS, STORIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from router.simulator.history import Context, Message

    Skill = Callable[[re.Match[str], Context], str | None]

MAX_COUNT: Final = 100
_MAX_LETTERS: Final = 40
_NOON: Final = 12


_ANOTHER: Final = re.compile(
    r"^\W*(?:(?:please|and|now|yes|tell me)\W+)*(?:another(?: one)?|one more|(?:once )?again)(?:\W+please)?\W*$",
    re.IGNORECASE,
)
"""A pattern of `another one`, which repeats the last request."""


def answer(context: Context) -> str | None:
    """Return the answer to a request that one of the skills fulfils, or None for any other request."""
    question = context.question or ""
    if not _ANOTHER.match(question):
        return _fulfil(question, context)
    earlier = (message.text for message in reversed(context.before_question) if message.role == "user")
    return next(filter(None, (_fulfil(text, context) for text in earlier)), None)


def _fulfil(question: str, context: Context) -> str | None:
    for pattern, skill in SKILLS:
        match = pattern.search(question)
        found = skill(match, context) if match is not None else None
        if found is not None:
            return found
    return None


def _time(_match: re.Match[str], context: Context) -> str | None:
    return None if context.now is None else f"It is {time_in_words(context.now)}."


def time_in_words(now: datetime) -> str:
    """Return a time of day, such as `ten forty-two in the morning`."""
    hour = in_words((now.hour - 1) % _NOON + 1)
    minute = f" oh {in_words(now.minute)}" if 0 < now.minute < 10 else f" {in_words(now.minute)}"  # noqa: PLR2004
    part = next(name for until, name in _PARTS_OF_DAY if now.hour < until)
    return f"{hour}{minute if now.minute else ' o’clock'} {part}"  # noqa: RUF001 - as it is printed


_PARTS_OF_DAY: Final = ((5, "at night"), (12, "in the morning"), (18, "in the afternoon"), (24, "in the evening"))


def _date(_match: re.Match[str], context: Context) -> str | None:
    if context.now is None:
        return None
    return f"Today is {context.now:%A}, the {ordinal(context.now.day)} of {context.now:%B}."


def _count(match: re.Match[str], _context: Context) -> str:
    asked = match["asked"]
    is_down = _DOWN.search(asked) is not None
    start, goal, other = _FROM.search(asked), _TO.search(asked), _ANY_NUMBER.search(asked)
    first = number_of(start[1]) if start else number_of(other[0]) if other and is_down else None
    last = number_of(goal[1]) if goal else number_of(other[0]) if other and not start and not is_down else None
    if first is None:
        first = 10 if is_down else 1
    if last is None:
        last = 1 if is_down else first + 9
    if abs(last - first) >= MAX_COUNT:
        return f"That would take too long. I count {in_words(MAX_COUNT)} numbers at most."
    step = 1 if last >= first else -1
    numbers = ", ".join(in_words(number) for number in range(first, last + step, step))
    return f"{numbers[0].upper()}{numbers[1:]}."


_DOWN: Final = re.compile(r"\b(?:down|backwards?)\b", re.IGNORECASE)
_FROM: Final = re.compile(rf"\bfrom ({NUMBER})\b", re.IGNORECASE)
_TO: Final = re.compile(rf"\bto ({NUMBER})\b", re.IGNORECASE)
_ANY_NUMBER: Final = re.compile(rf"\b{NUMBER}\b", re.IGNORECASE)


def _spell(match: re.Match[str], context: Context) -> str | None:
    word = match["word"].strip(" ?.!,'\"")
    if word.lower() in ("my name", "it"):
        word = known_name(context) or ""
    spelled = _BACKWARDS.sub("", word)
    letters = [letter.upper() for letter in spelled if letter.isalnum()]
    if not letters:
        return None
    if spelled != word:
        letters.reverse()
    if len(letters) > _MAX_LETTERS:
        return "That word is too long for me."
    return f"{word[0].upper()}{word[1:]} is spelled: {', '.join(letters)}."


_BACKWARDS: Final = re.compile(r"\s+backwards?$", re.IGNORECASE)


def known_name(context: Context) -> str | None:
    """Return the user's name, or None if the conversation has none."""
    return memory.facts(context.before_question).get("name")


def _sum(match: re.Match[str], _context: Context) -> str | None:
    left, right = number_of(match["left"]), number_of(match["right"])
    operator = next(sign for words, sign in _OPERATORS.items() if match["operator"].lower() in words)
    if operator == "/":
        if right == 0:
            return "Nothing can be divided by zero."
        whole, rest = divmod(left, right)
        remainder = f", with a remainder of {in_words(rest)}" if rest else ""
        return f"{_sentence(left)} divided by {in_words(right)} is {in_words(whole)}{remainder}."
    result = {"+": left + right, "-": left - right, "*": left * right}[operator]
    return f"{_sentence(left)} {_SPOKEN[operator]} {in_words(right)} is {in_words(result)}."


def _sentence(number: int) -> str:
    words = in_words(number)
    return f"{words[0].upper()}{words[1:]}"


_OPERATORS: Final = {
    ("plus", "and", "+"): "+",
    ("minus", "less", "-"): "-",
    ("times", "multiplied by", "x", "*"): "*",
    ("divided by", "over", "/"): "/",
}
_SPOKEN: Final = {"+": "plus", "-": "minus", "*": "times"}


def _repeat(match: re.Match[str], _context: Context) -> str:
    return match["words"].strip().strip("\"'\u201c\u201d")


def _next_of(texts: tuple[str, ...]) -> Skill:
    """Make a skill that returns the next text that the assistant has not said yet.

    After the last text it starts again with the first.
    """

    def tell(_match: re.Match[str], context: Context) -> str:
        told = [message.text for message in context.before_question if _is_of_assistant(message)]
        begun = [text for text in texts if any(_begins(text, each) for each in told)]
        left = [text for text in texts if text not in begun]
        return left[0] if left else texts[len(told) % len(texts)]

    return tell


def _is_of_assistant(message: Message) -> bool:
    return message.role == "assistant" and bool(message.text)


def _begins(text: str, said: str) -> bool:
    """Whether `said` is the whole of `text`, or a beginning that is long enough to identify it."""
    return len(said) > _MIN_BEGINNING and text.startswith(said[: len(text)])


_MIN_BEGINNING: Final = 30
"""The number of characters that identify a text. If a story was interrupted earlier than this, it counts as not told.
"""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_WISH: Final = (
    r"(?:^(?:please )?(?:an? )?(?=stor|tale|fairy|joke|fact|poem|song|rhyme)|\b(?:tell|read|give|sing) (?:me|us)\b|"
    r"\bi(?:'d| would)? (?:want|like)\b|\bdo you know\b|\b(?:another|one more)\b)[^.?!]*?"
)
"""A pattern of the beginning of a request. A sentence that merely contains the word `story` is no request."""

SKILLS: Final[tuple[tuple[re.Pattern[str], Skill], ...]] = (
    (_pattern(r"\b(?:repeat after me|say after me|please say|can you say)\b[,:]?\s+(?P<words>.+)"), _repeat),
    (_pattern(r"\bwhat(?:'s| is)?(?: the)? time\b|\bwhat time\b|\btell me the time\b|\bhow late is it\b"), _time),
    (_pattern(r"\b(?:what|which)(?:'s| is)?(?: the)? (?:date|day)\b|\bwhat day is\b"), _date),
    (_pattern(r"\bcount\b(?! on\b)(?P<asked>[^?!]*)"), _count),
    (_pattern(r"\bspell(?:ed)?(?: the)?(?: word| name)? (?P<word>[^?.!,]+)"), _spell),
    (_pattern(r"\bhow (?:do you|is|would you) (?:spell|write) (?P<word>[^?.!,]+)"), _spell),
    (
        _pattern(
            rf"(?P<left>{NUMBER}) (?P<operator>plus|and|\+|minus|less|-|times|multiplied by|x|\*|divided by|over|/) "
            rf"(?P<right>{NUMBER})\s*(?:\?|$|is\b|equals?\b|makes?\b)"
        ),
        _sum,
    ),
    (_pattern(rf"{_WISH}\b(?:story|stories|fairy ?tale|tale)\b"), _next_of(STORIES)),
    (_pattern(rf"{_WISH}\bjokes?\b|\bmake me laugh\b|{_WISH}\bsomething funny\b"), _next_of(JOKES)),
    (_pattern(rf"{_WISH}\b(?:fact|something(?: interesting)?)[.?!]*$|^surprise me\b"), _next_of(FACTS)),
    (_pattern(rf"{_WISH}\b(?:poem|poetry|rhyme|song)\b|^(?:please )?sing\b"), _next_of(POEMS)),
)
"""The patterns of requests and their skills, in order: the first skill that returns a text answers."""
