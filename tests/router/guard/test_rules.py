"""Verdicts, and the texts to check."""

import pytest

from router.config.guard import Rule
from router.guard.rules import MAX_REPLACED_CHARS, MAX_TEXT_CHARS, PASS, CheckText, Verdict, judge, verdict_of


def check(text, source="user"):
    return CheckText(source=source, text=text)


def test_the_first_rule_that_is_found_decides():
    rules = (Rule(expression="a", action="block", on=("agent",)), Rule(expression="a+", action="say", say="No."))
    assert judge(rules, check("aa")) == Verdict("say", "No.")
    assert judge(rules, check("aa", "agent")).action == "block"
    assert judge(rules, check("b")) == PASS


def test_replacements_add_up_unless_another_rule_decides():
    rules = (
        Rule(expression=r"\d+", action="replace", replacement="#"),
        Rule(expression="x", action="replace", replacement=r"\1"),
        Rule(expression="end", action="end"),
    )
    assert judge(rules, check("12 x 34")) == Verdict("replace", r"# \1 #")
    assert judge(rules, check("12 end")).action == "end"


@pytest.mark.parametrize("before", [0, 10_000, MAX_TEXT_CHARS - 3, 2 * MAX_TEXT_CHARS - 1003, 3 * MAX_TEXT_CHARS])
def test_a_very_long_text_is_checked_everywhere(before):
    text = "x" * before + "secret" + "x" * (3 * MAX_TEXT_CHARS - before)
    assert judge((Rule(expression="secret"),), check(text)).action == "block"
    assert all(len(piece) <= MAX_TEXT_CHARS for piece in check(text).pieces())


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [(None, PASS), ({"action": "block"}, Verdict("block")), ({"action": "say", "text": "x"}, Verdict("say", "x"))],
)
def test_a_url_or_a_function_answers_with_a_mapping_or_nothing(answer, verdict):
    assert verdict_of(answer) == verdict


@pytest.mark.parametrize("answer", [5, "block", {"action": "explode"}, {"action": 1}, {"action": "say", "text": 5}])
def test_any_other_answer_is_an_error(answer):
    with pytest.raises(ValueError, match="must have an action"):
        verdict_of(answer)


def test_a_long_text_whose_words_would_be_replaced_is_blocked():
    rules = (Rule(expression="secret", action="replace"),)
    assert judge(rules, check("x" * MAX_REPLACED_CHARS + " secret")).action == "block"
    assert judge(rules, check("x" * MAX_REPLACED_CHARS + " word")) == PASS
