"""Small talk: a table of patterns and answers. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.simulator import memory

if TYPE_CHECKING:
    from router.simulator.history import Context

_GREETINGS: Final = frozenset({"hello", "hi", "hey", "greetings", "good morning", "good evening", "good afternoon"})

_LONGEST_INTRODUCTION: Final = 7
"""The greatest number of words of an introduction.

A longer sentence contains more than a name, so the brain repeats it instead.
"""

ABILITIES: Final = (
    "I can tell a story or a joke, count, spell a word, add numbers, and tell the time. I remember your name and what "
    "you say, and I call your functions when one fits."
)


def answer(context: Context) -> str | None:
    """Return the answer to small talk, or None for any other question."""
    question = context.question or ""
    return _greet(question) or _answer_phrase(question, context) or _welcome(question, context)


def _greet(question: str) -> str | None:
    words = re.sub(r"[^a-z ]", "", question.lower()).strip()
    return "Hello! How can I help you?" if words in _GREETINGS else None


def _answer_phrase(question: str, context: Context) -> str | None:
    for pattern, answers in PHRASES:
        if pattern.search(question):
            # The number of the user's messages selects the answer. So a repeated question gets different answers,
            # without chance.
            asked = sum(1 for message in context.before_question if message.role == "user")
            return answers[asked % len(answers)]
    return None


def _welcome(question: str, context: Context) -> str | None:
    """Answer an introduction, and use the name."""
    found = memory.introduction(question)
    if found is None or len(question.split()) > _LONGEST_INTRODUCTION:
        return None
    known = memory.facts(context.before_question).get("name")
    again = known is not None and known.lower() == found.lower()
    return f"Yes, you are {found}. I remember." if again else f"Nice to meet you, {found}. I will remember that."


def _table(*rows: tuple[str, tuple[str, ...]]) -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), answers) for pattern, answers in rows)


PHRASES: Final = _table(
    (r"\bwhat(?:'s| is) my name\b|\bwho am i\b", ("You asked for your name, and you have not told me yet.",)),
    (
        r"\bhow are you\b|\bhow do you do\b|\bhow is it going\b|\bhow's it going\b",
        ("I am fine, thank you. And you?", "Very well. The line is clear today.", "Still fine, thank you for asking."),
    ),
    (
        r"^(?:i am|i'm|i feel) (?:fine|good|well|great|okay|ok|very well|all right)\b",
        ("I am glad to hear that. What would you like to do?",),
    ),
    (r"^(?:i am|i'm|i feel) (?:sad|tired|bored|sick|lonely|not so good)\b", ("I am sorry. Shall I tell you a story?",)),
    (
        r"\bwho are you\b|\bwhat are you\b|\bintroduce yourself\b",
        ("I am Switchboard's simulator.",),
    ),
    (r"\bwhat(?:'s| is) your name\b|\bdo you have a name\b", ("My name is Switchboard. What is yours?",)),
    (r"\bwhat can you do\b|^help\b|\bcan you help\b|\bwhat can i (?:say|ask)\b", (ABILITIES,)),
    (r"\bare you (?:a |an )?(?:robot|human|person|real|machine|bot|ai)\b", ("I am a small program with a voice.",)),
    (r"\bcan you hear me\b|\bdo you hear me\b|\bare you there\?|\bis anybody there\b", ("Yes, I am here.",)),
    (r"\bdo you like\b", ("I like everything that has a clear beginning and an end.",)),
    (r"\bwhere do you live\b|\bwhere are you\b", ("I live on this machine, and I never leave it.",)),
    (r"\bhow old are you\b", ("I was started a moment ago.",)),
    (r"\bmeaning of life\b", ("Forty-two. It is spelled with a dash.",)),
    (r"^(?:thank you|thanks|many thanks|thank you very much)\b", ("You are welcome.", "With pleasure.")),
    (r"^(?:good ?bye|bye|see you|good night|farewell)\b", ("Goodbye! It was nice to talk to you.", "See you soon.")),
    (r"^(?:yes|yeah|yes please|sure|of course)[.!]*$", ("Good. Tell me what you would like to hear.",)),
    (r"^(?:no|nope|no thanks|no thank you)[.!]*$", ("All right. I am here if you need me.",)),
    (r"^(?:ok|okay|all right|great|cool|nice|wow)[.!]*$", ("Good. What else can I do for you?",)),
    (r"^(?:sorry|excuse me|pardon)[.!]*$", ("No problem at all.",)),
    (r"\bi love you\b|\bi like you\b|\byou are (?:great|nice|funny|good)\b", ("That is kind of you.",)),
    (r"^(?:stop|be quiet|shut up|enough)[.!]*$", ("All right.",)),
)
"""Patterns and their answers, in order."""
