"""The verdicts of a guard, and the texts to check. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.config.guard import ACTIONS, Action, Rule, Source, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TEXT_CHARS: Final = 20_000
"""The longest text of one search.

A longer text is searched in pieces, because the time of a search may grow with the square of the length.
"""

OVERLAP_CHARS: Final = 1000
"""The characters at the end of a piece that the next piece repeats, so that words across the border are found."""


MAX_REPLACED_CHARS: Final = 256 * 1024
"""The longest text in which words are replaced. A longer text with such words is blocked.

A replacement is one call on the whole text, and no other thread runs during that call.
"""


class CheckText(msgspec.Struct, frozen=True, kw_only=True):
    """A text to check: work for a pool."""

    source: Source
    text: str
    session_id: str = ""

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces of a bounded length, which overlap."""
        step = MAX_TEXT_CHARS - OVERLAP_CHARS
        for start in range(0, max(1, len(self.text) - OVERLAP_CHARS), step):
            yield self.text[start : start + MAX_TEXT_CHARS]


class Verdict(msgspec.Struct, frozen=True):
    """The result of a check."""

    action: Action = "pass"
    text: str = ""
    """For `replace` the new text, and for `say` the words that the agent speaks."""


PASS: Final = Verdict()


def judge(rules: tuple[Rule, ...], check: CheckText) -> Verdict:
    """Return the verdict of the first rule whose expression is in the text and whose action is not `replace`.

    Without such a rule, all matching `replace` rules together give one verdict. If no rule matches, the text passes.
    A text with words to replace is blocked if it has more than `MAX_REPLACED_CHARS`. Rules that are not for the source
    of the text are skipped.
    """
    text, is_replaced = check.text, False
    for rule in rules:
        if check.source not in rule.on:
            continue
        expression = compiled(rule.expression)
        if not any(expression.search(piece) for piece in check.pieces()):
            continue
        if rule.action != "replace":
            return Verdict(rule.action, rule.say)
        if len(text) > MAX_REPLACED_CHARS:
            return Verdict("block")
        text, is_replaced = expression.sub(lambda _found, rule=rule: rule.replacement, text), True  # type: ignore[misc]
    return Verdict("replace", text) if is_replaced else PASS


def verdict_of(answer: Any) -> Verdict:
    """Return the verdict in the answer of a URL or a function.

    The answer is None, or a mapping with `action` and perhaps `text`.

    Raises:
        ValueError: the answer is neither, or has an unknown action.
    """
    if answer is None:
        return PASS
    try:
        return msgspec.convert(dict(answer), Verdict)
    except (TypeError, ValueError, msgspec.ValidationError):
        raise ValueError("the answer must have an action of " + ", ".join(ACTIONS)) from None
