"""The numbered facts of both wires: each stands once, with its modules and its sources, and each citation resolves."""

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.house.texts import comments_of
from tests.house.tree import nodes

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"upstream": "docs/upstream-protocol.md", "client": "docs/client-protocol.md"}
SOURCES = ("actors", "router", "tests", "run.py")
DOCUMENTS = ("docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")

SECTION = re.compile(r"## (\d+) \S")
FACT = re.compile(
    r'<a id="(?P<anchor>[\d.]+)"></a> \*\*(?P<number>\d+\.\d+)\*\* (?P<text>\S.*) '
    r"\*Used by:\* (?P<users>\S.*)\. \*Source:\* (?P<sources>\S.*)\."
)

CITATION = re.compile(r"\b(upstream|client)[\s#]+(\d+\.\d+)\b")
ABSENT = re.compile(r"the reference\b|reference, \d|DESIGN\b|shared/(?!recordings\b)")
"""Documents that are not in the repository. The recordings are not either, and tests name where they look for them.

Each alternative begins with a letter: a search for a word's beginning takes ten times as long.
"""


@dataclass(frozen=True)
class Fact:
    """One numbered paragraph."""

    number: str
    users: tuple[str, ...]
    sources: tuple[str, ...]


# The pages.


def blocks(page):
    """Split a page into its paragraphs, each on one line."""
    return [" ".join(block.split()) for block in page.split("\n\n") if block.strip()]


def facts(page):
    """Read the facts of a page."""
    found = (FACT.fullmatch(block) for block in blocks(page))
    return [
        Fact(each["number"], tuple(each["users"].split(", ")), tuple(each["sources"].split("; ")))
        for each in found
        if each
    ]


def source_names(page):
    """Read the first column of the table of sources."""
    table = page.split("\n| source | is |\n", 1)[1].split("\n\n")[0].splitlines()[1:]
    return [line.split("|")[1].strip() for line in table]


def faults(page):
    """Say what is wrong with a page's form and its numbers."""
    section, fact = 0, 0
    for block in blocks(page):
        if heading := SECTION.match(block):
            if int(heading[1]) != section + 1:
                yield f"section {heading[1]} follows {section}"
            section, fact = int(heading[1]), 0
        elif section:
            each = FACT.fullmatch(block)
            if not each:
                yield f"is no fact: {block[:60]}"
                continue
            if each["anchor"] != each["number"]:
                yield f"{each['number']} has the anchor {each['anchor']}"
            of_section, count = map(int, each["number"].split("."))
            if of_section != section or count <= fact:
                yield f"{each['number']} follows {section}.{fact}"
            fact = count


@pytest.fixture(params=PAGES)
def page(request):
    """The text of each page."""
    return (ROOT / PAGES[request.param]).read_text(encoding="utf-8")


def test_every_number_stands_once_and_in_order_with_its_anchor(page):
    assert list(faults(page)) == []
    assert facts(page)


def a_fact(number, anchor=None):
    return f'<a id="{anchor or number}"></a>\n**{number}** It is so.\n*Used by:* machine. *Source:* API.'


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (["## 1 A", a_fact("1.1"), a_fact("1.1")], "1.1 follows 1.1"),
        (["## 1 A", a_fact("1.2"), a_fact("1.1")], "1.1 follows 1.2"),
        (["## 1 A", a_fact("2.1")], "2.1 follows 1.0"),
        (["## 2 A"], "section 2 follows 0"),
        (["## 1 A", a_fact("1.1", anchor="1.2")], "1.1 has the anchor 1.2"),
        (["## 1 A", "**1.1** It is so."], "is no fact: **1.1** It is so."),
    ],
)
def test_a_fault_of_a_page_is_found(bad, fault):
    assert list(faults("\n\n".join(["# Page", *bad]))) == [fault]


def test_every_fact_names_its_sources(page):
    names = source_names(page)
    unknown = [
        f"{fact.number}: {source}"
        for fact in facts(page)
        for source in fact.sources
        if not any(re.match(rf"{name}\b", source) for name in names)
    ]
    assert unknown == []


@cache
def modules():
    """Count the modules by each name that a fact may give them: alone, and with the package before it."""
    names = Counter()
    for path in (path for top in ("actors", "router") for path in (ROOT / top).rglob("*.py")):
        words = [part.replace("_", " ") for part in path.relative_to(ROOT).with_suffix("").parts]
        names.update({words[-1], " ".join(words[-2:])})
    return names


def test_every_fact_names_the_modules_that_rely_on_it(page):
    users = [(fact.number, user) for fact in facts(page) for user in fact.users]
    unclear = [f"{number}: {user}" for number, user in users if modules()[user.replace("-", " ")] != 1]
    assert unclear == [], "each has to be the name of one module, with its package where several have it"


# The citations.


@cache
def texts(places, pattern):
    """Read the files of these places, but for this one, whose examples cite nothing."""
    paths = (
        path for name in places for path in ([ROOT / name] if "." in name else sorted((ROOT / name).rglob(pattern)))
    )
    return [(path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in paths if path != Path(__file__)]


def citations():
    """Find every citation: its file and line, its page and its number."""
    for path, text in texts(SOURCES, "*.py") + texts(DOCUMENTS, "*.md"):
        for each in CITATION.finditer(text):
            yield f"{path}:{text.count(chr(10), 0, each.start()) + 1}", each[1], each[2]


def test_every_citation_resolves():
    known = {name: {fact.number for fact in facts((ROOT / path).read_text("utf-8"))} for name, path in PAGES.items()}
    found = list(citations())
    assert [f"{where}: {page} {number}" for where, page, number in found if number not in known[page]] == []
    assert {page for where, page, _ in found if not where.startswith("docs/")} == set(PAGES)


@pytest.mark.parametrize("text", ["(upstream\n    # 4.2)", "as of client 4.2, and", "(upstream 4.2)"])
def test_a_citation_is_found_across_the_end_of_a_line(text):
    assert [each[2] for each in CITATION.finditer(text)] == ["4.2"]


# Documents that are elsewhere.


def found_in_prose(pattern):
    """Find a pattern in the docstrings and comments of all modules; each match has its file and line.

    A file is parsed if the pattern is anywhere in it.
    """
    for path, text in texts(SOURCES, "*.py"):
        if pattern.search(text):
            yield from (
                (f"{path}:{line}", each[0]) for line, said in _prose_of(text) for each in pattern.finditer(said)
            )


@cache
def _prose_of(text):
    statements = (node for node in nodes(ast.parse(text)) if isinstance(node, ast.Expr))
    strings = [
        node for node in statements if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    docstrings = [(node.lineno, node.value.value) for node in strings]
    return docstrings + [(line, comment) for line, _column, comment in comments_of(text)]


def test_no_document_is_cited_that_is_not_in_the_repository():
    documents = [(str(path), each[0]) for path, text in texts(DOCUMENTS, "*.md") for each in ABSENT.finditer(text)]
    assert [*found_in_prose(ABSENT), *documents] == []


@pytest.mark.parametrize("text", ["so (reference, 6.4)", "listed in the reference", "(DESIGN 3)", "../shared/notes.md"])
def test_a_document_that_is_elsewhere_is_found(text):
    assert ABSENT.search(text)


def test_every_document_that_prose_links_to_is_there():
    named = re.compile(r"docs/[\w/-]+\.md\b|docs/decisions/\d{4}\b")
    found = list(found_in_prose(named))
    pattern = {name: name if name.endswith(".md") else f"{name}-*.md" for _, name in found}
    assert found
    assert [f"{where}: {name}" for where, name in found if not list(ROOT.glob(pattern[name]))] == []
