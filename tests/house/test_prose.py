"""The prose rule: the project keeps it, and the judge refuses samples that break it."""

import pytest

from tests.house import history, prose, texts
from tests.house.failures import listed
from tests.house.samples import write


@pytest.fixture(scope="module")
def verdicts():
    """Judge every kind of text once."""
    return prose.judge()


@pytest.mark.parametrize("kind", prose.BOUNDS)
def test_nearly_every_sentence_opens_with_a_thing_of_the_system(verdicts, kind):
    verdict = verdicts[kind]
    assert verdict.total > 100
    assert verdict.is_kept, listed(f"sentences. {verdict}", verdict.headless + verdict.banned)


@pytest.mark.parametrize("kind", prose.BOUNDS)
def test_no_text_has_a_banned_word(verdicts, kind):
    banned = verdicts[kind].banned
    assert not banned, listed("sentences with a banned word", banned)


def test_no_text_has_a_name_that_was_replaced():
    found = prose.old_names()
    assert not found, listed("names that were replaced", found)


def test_every_function_s_docstring_opens_with_an_imperative_verb():
    found = list(prose.function_openings())
    assert not found, listed("docstrings of functions", found)


@pytest.mark.slow
def test_every_new_commit_subject_has_an_area_a_verb_and_an_object():
    commits = history.read()
    print(commits.gap or f"{len(commits.subjects)} commits since {history.BASE}")
    found = history.offences(commits)
    assert not found, listed("commit subjects", found)


def judged(text):
    """Judge one text."""
    return prose.judge_sentences("docstrings", texts.sentences("here", text))


@pytest.mark.parametrize(
    "text",
    [
        "Who looks whether the dispatchers run.",
        "whatever comes is dropped",
        "Those of another session.",
        "So much of the transcript was sent.",
        "So long as it runs.",
        "None of them.",
        "Nobody else calls it.",
        "As much as fits.",
        "One who waits.",
        "Of the two it is the first.",
        "The map.\n\n`door`  who may come in",
    ],
)
def test_a_sentence_without_a_subject_is_refused(text):
    assert len(judged(text).headless) == 1
    assert not judged(text).is_kept


@pytest.mark.parametrize(
    "text",
    [
        "The client, who waits, is served.",
        "Offer a format.",
        "Whole frames only.",
        "Whether it runs.",
        "NONE is the first state.",
        "`None` stands for no limit.",
        "Nonetheless it runs.",
    ],
)
def test_a_sentence_with_a_subject_passes(text):
    assert judged(text).headless == []


@pytest.mark.parametrize(
    "text",
    [
        "The session forsakes its upstream.",
        "An answer is gone on with.",
        "The text is told ahead.",
        "The supervisor is told every ending.",
        "It was never told.",
        "It has never heard of OpenAI.",
        "The ward ends.",
        "It plugs it together.",
        "The spare is ready.",
        "A worker that is not well leaves.",
        "The worker is ill.",
        "It waits for ever.",
        "The value is no good.",
        "The client is behind.",
        "The board has a place.",
        "A want waits.",
        "No news came.",
    ],
)
def test_a_coined_word_is_refused(text):
    assert len(judged(text).banned) == 1


@pytest.mark.parametrize(
    "text",
    [
        "The log line is forwarded.",
        "The router is behind a proxy.",
        "The agent told the caller a story.",
        "The switchboard wants a key.",
        "It goes on, with no pause.",
        "Plug-in authors read this.",
        "The illness of the patient.",
        "Towards the end.",
        "It is not well-formed.",
    ],
)
def test_ordinary_english_passes(text):
    assert judged(text).banned == []


def test_a_refusal_says_where_and_what_to_write_instead():
    (offence,) = judged("The supervisor disowns it.").banned
    assert str(offence) == "here: has 'disowns' (plainly: unregister): The supervisor disowns it."


def test_the_share_counts_a_sentence_once_however_often_it_breaks_the_rule():
    verdict = judged("Whoever is told. The client reads. The client writes. The client closes.")
    assert (verdict.total, verdict.share) == (4, 0.25)


def test_sentences_of_more_than_25_words_and_words_for_speech_are_counted():
    verdict = judged(f"The client reads {'and reads ' * 12}it. The user said so. The user reads.")
    assert (verdict.too_long, verdict.for_speech) == (1, 1)


def test_a_replaced_name_is_found_within_backticks(tmp_path):
    write(tmp_path, {"docs/page.md": "The `told_ahead` of `/told_ahead` and `xtold_ahead`."})
    assert [each.problem for each in prose.old_names(tmp_path)] == ["has 'told_ahead', now resent_chars, sent_chars"]


@pytest.mark.parametrize(
    ("function", "docstring", "is_good"),
    [
        ("def f():", "Return the flags.", True),
        ("async def f():", "Send it.", True),
        ("def f():", "The flags.", False),
        ("def f():", "Returns the flags.", False),
        ("def f():", "return the flags.", False),
        ("def f():", "Tell the client.", False),
        ("def f():", "Whether it runs.", False),
        ("def f() -> bool:", "Whether it runs.", True),
        ("def f() -> bool:", "Take it, if it fits.", True),
        ("def is_f() -> bool:", "Whether it runs.", True),
        ("def is_f() -> bool:", "Return whether it runs.", True),
        ("def is_f() -> bool:", "Look at it.", False),
        ("@property\n    def f() -> bool:", "Whether it runs.", True),
        ("@property\n    def f() -> bool:", "The flag.", False),
        ("@property\n    def f():", "The flags.", True),
        ("@functools.cached_property\n    def f():", "Return the flags.", False),
    ],
)
def test_a_function_s_docstring_opens_as_the_rule_says(tmp_path, function, docstring, is_good):
    write(tmp_path, {"router/sample.py": f'class Sample:\n    {function}\n        """{docstring}"""\n'})
    assert (not list(prose.function_openings(tmp_path))) == is_good
