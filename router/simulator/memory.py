"""The memory of the brain: it answers questions with facts and sentences of the conversation. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.simulator.words import key_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.simulator.history import Message

_FACT: Final = re.compile(
    r"\bmy (?P<key>[\w' -]+?) (?:is|are|was)(?: called)? (?P<value>[^.,;!?\n]+?)"
    r"(?=\s+(?:and|but) (?:my|our|i|i'm|you|he|she|it|we|they)\b|[.,;!?\n]|$)",
    re.IGNORECASE,
)
"""A pattern of sentences such as `my name is Ann`, and `my dog is called Rex and I ...`."""
_NAME: Final = re.compile(r"\b(?i:i am|i'm|call me|this is) (?P<value>[A-Z][\w-]+)")
"""A pattern of `I am Ann` and `call me Ann`. A name has to begin with a capital letter."""
_ASKED_FACTS: Final = re.compile(r"\b(?:what|who)(?:'s| is| are| was|s)? my (?P<keys>[^?.!]+)", re.IGNORECASE)
_WHO_AM_I: Final = re.compile(r"\bwho am i\b", re.IGNORECASE)
_ASKED_ALL: Final = re.compile(
    r"\bwhat (?:do you (?:know|remember) about me|have i told you|do you remember)\b", re.IGNORECASE
)
_SAID_BEFORE: Final = re.compile(r"\bwhat (?:did|have) i (?:just )?(?:say|said|tell|told|ask|asked)", re.IGNORECASE)
_SAID_BY_YOU: Final = re.compile(
    r"\bwhat (?:did|have) you (?:just )?(?:say|said|tell|told|answer|answered)", re.IGNORECASE
)
_ABOUT_ME: Final = re.compile(r"\b(?:i|me|my|mine)\b", re.IGNORECASE)
_WITHOUT_WORDS: Final = re.compile(r"\(speech, [\d.]+ seconds\)")


def recall(question: str, earlier: Sequence[Message]) -> str | None:
    """Return the answer that the conversation so far gives to a question, or None if it gives none."""
    for rule in (_facts, _said_by_user, _said_by_assistant, _related):
        found = rule(question, earlier)
        if found:
            return found
    return None


def is_speech_without_words(text: str) -> bool:
    """Whether a text stands for speech without a transcript (see `conversation.describe_speech`)."""
    return _WITHOUT_WORDS.fullmatch(text.strip()) is not None


def facts(earlier: Sequence[Message]) -> dict[str, str]:
    """Return the facts that the user stated, the newest for each key, such as `name` or `favourite colour`."""
    return dict(_facts_in(_texts(earlier, "user")))


def introduction(text: str) -> str | None:
    """Return the name with which the user introduces themselves, or None."""
    name = dict(_facts_in([text])).get("name")
    return f"{name[0].upper()}{name[1:]}" if name and not text.rstrip().endswith("?") else None


def _facts(question: str, earlier: Sequence[Message]) -> str | None:
    known = facts(earlier)
    if _ASKED_ALL.search(question):
        return _sentence([f"your {key} is {value}" for key, value in known.items()]) or "You have told me nothing yet."
    asked = _ASKED_FACTS.search(_WHO_AM_I.sub("what is my name", question))
    if asked is None:
        return None
    keys = [re.sub(r"^my | called$", "", key.strip().lower()) for key in re.split(r",| and ", asked.group("keys"))]
    clauses = [f"your {key} is {known[key]}" for key in keys if key in known]
    return _sentence(clauses)


def _sentence(clauses: list[str]) -> str | None:
    text = ", and ".join(clauses)
    return f"{text[0].upper()}{text[1:]}." if text else None


def _facts_in(texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in texts:
        for name in _NAME.finditer(text):
            yield "name", name.group("value")
        for fact in _FACT.finditer(text):
            yield fact.group("key").lower(), fact.group("value").strip()


def _said_by_user(question: str, earlier: Sequence[Message]) -> str | None:
    if not _SAID_BEFORE.search(question):
        return None
    texts = _texts(earlier, "user")
    if not texts:
        return "You have not said anything before."
    first = re.search(r"\bfirst\b", question, re.IGNORECASE)
    return f'First you said: "{texts[0]}"' if first else f'Before that you said: "{texts[-1]}"'


def _said_by_assistant(question: str, earlier: Sequence[Message]) -> str | None:
    if not _SAID_BY_YOU.search(question):
        return None
    texts = _texts(earlier, "assistant")
    return f'I said: "{texts[-1]}"' if texts else "I have not said anything before."


def _related(question: str, earlier: Sequence[Message]) -> str | None:
    """Answer a question about the user with the user's newest sentence that shares a word with the question."""
    if not question.rstrip().endswith("?") or not _ABOUT_ME.search(question):
        return None
    asked = key_words(question)
    for text in reversed(_texts(earlier, "user")):
        if asked & key_words(text) and not text.rstrip().endswith("?"):
            return f'Earlier you said: "{text}"'
    return None


def _texts(earlier: Sequence[Message], role: str) -> list[str]:
    return [message.text.strip() for message in earlier if message.role == role and message.text.strip()]
