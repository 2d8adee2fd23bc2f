"""The sentences that the prose check reads."""

import io
import tokenize
from pathlib import Path

import pytest

from tests.house import texts
from tests.house.samples import write


@pytest.fixture
def extract(tmp_path):
    """Extract the sentences of one sample file."""

    def extract(extractor, source, name="actors/sample.py"):
        write(tmp_path, {name: source})
        return [(sentence.where, sentence.text) for sentence in extractor(tmp_path)]

    return extract


def openings(text):
    """Return where a reader of a text begins."""
    return [opening for sentence in texts.sentences("", text) for opening in sentence.openings if opening]


def test_docstrings_are_those_of_modules_classes_functions_and_fields(extract):
    source = '''
    """A module. It has two sentences."""

    class Thing:
        """A class."""

        field = 1
        """A field."""

        def act(self):
            """Act."""
            return "not this one"
    '''
    assert sorted(extract(texts.docstrings, source)) == [
        ("actors/sample.py:1", "A module."),
        ("actors/sample.py:1", "It has two sentences."),
        ("actors/sample.py:10", "Act."),
        ("actors/sample.py:4", "A class."),
        ("actors/sample.py:7", "A field."),
    ]


def test_code_spans_and_line_breaks_do_not_end_a_sentence():
    assert [each.text for each in texts.sentences("", "Call `a. b` on\n    it. Then  stop.")] == [
        "Call X on it.",
        "Then stop.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "The map\n\n`one`   who knows\n`two`  the rest",
        "The map\n\n- `one`: who knows",
        "The map\n\n`one`, `two`  who knows",
        "The map\n- who knows",
        "The map\n\n1. who knows",
        "The map\n\nwho knows",
        "Act.\n\nArgs:\n    given: who knows\n    other (str): the rest",
    ],
)
def test_a_reader_begins_at_each_paragraph_row_and_argument(text):
    assert any(opening.startswith("who knows") for opening in openings(text))


@pytest.mark.parametrize(
    "text", ["The `Router`\nof a caller", "`Router` of a caller", "It is\n`one` of them", "3 of 5 fail"]
)
def test_a_reader_does_not_begin_behind_a_name_or_a_line_break(text):
    assert openings(text) == [" ".join(texts.sentences("", text)[0].text.split())]


MARKDOWN = """
# What a heading is

A paragraph over
two lines. Another sentence of it.
- An item that is
  long
- See [a page](docs/who.md)

| who | table |
|---|---|
<!-- a note to nobody -->
```
whoever codes
```
The end.
"""


def test_documents_are_read_by_the_paragraph(extract):
    assert extract(texts.documents, MARKDOWN, "docs/deep/page.md") == [
        ("docs/deep/page.md:3", "A paragraph over two lines."),
        ("docs/deep/page.md:3", "Another sentence of it."),
        ("docs/deep/page.md:5", "An item that is long"),
        ("docs/deep/page.md:7", "See a page"),
        ("docs/deep/page.md:15", "The end."),
    ]


def test_documents_are_read_by_the_line_too(extract):
    lines = [text for _, text in extract(texts.document_lines, MARKDOWN, "README.md")]
    assert lines == ["A paragraph over", "two lines.", "Another sentence of it.", *lines[3:]]
    assert lines[3:] == ["An item that is", "long", "See [a page](docs/who.md)", "The end."]


def test_a_comment_of_several_lines_is_one_text(extract):
    source = """
    # A reason that is
    # long. And another.
    x = 1  # a limit
    y = 2  # noqa: E501

    # Apart.
    z = "# no comment"
    """
    assert extract(texts.comments, source) == [
        ("actors/sample.py:1", "A reason that is long."),
        ("actors/sample.py:1", "And another."),
        ("actors/sample.py:3", "a limit"),
        ("actors/sample.py:6", "Apart."),
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("logger.info('the call %s has ended', name)", "the call X has ended"),
        ("raise ValueError(f'the port {port} is taken')", "the port X is taken"),
        ("session.log('the upstream ' + name + ' is lost')", "the upstream X is lost"),
        ("Warning(description='The upstream is lost.')", "The upstream is lost."),
        ("parser.add_argument('--port', help='port to listen on')", "port to listen on"),
        ("TEXTS = {1: 'the peer did not read'}", "the peer did not read"),
        ("def why():\n    return 'the peer did not read'", "the peer did not read"),
    ],
)
def test_a_string_of_the_code_is_a_runtime_string(extract, source, expected):
    assert [text for _, text in extract(texts.runtime_strings, source)] == [expected]


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring of words."""',
        "KEY = 'session.update'",
        "NAMES = 'one two three four'.split()",
        "re.compile('one two three four')",
        "x = 'two words'",
    ],
)
def test_a_docstring_a_key_and_a_table_of_words_are_no_runtime_strings(extract, source):
    assert extract(texts.runtime_strings, source) == []


def test_a_runtime_string_opens_again_behind_its_prefix(tmp_path):
    write(tmp_path, {"run.py": "log('session %s: nobody has called yet')"})
    assert [each.openings for each in texts.runtime_strings(tmp_path)] == [["session X: ", "nobody has called yet"]]


def test_the_comments_are_those_that_tokenize_finds_in_every_file_of_these_tests():
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        expected = [(*token.start, token.string) for token in tokens if token.type == tokenize.COMMENT]
        assert list(texts.comments_of(source)) == expected, path


def test_a_sign_in_a_string_begins_no_comment():
    source = """x = "# a", '# "b', f"{y}# c", r"\\"  # one\nz = '''\n# d \\''' # e\n'''  # two\n"""
    assert [comment for _, _, comment in texts.comments_of(source)] == ["# one", "# two"]
