"""Checks the prose rule.

A sentence has subject, verb and object, and its subject is a thing of the system. It does not open with one of
`words.OPENINGS`, and has no phrase of `words.COINED`. A function's docstring opens with an imperative verb of
`words.VERBS`, a predicate's with "Whether", a property's with a noun.
"""

import ast
import functools
import re
from dataclasses import dataclass, field

from tests.house import texts
from tests.house.tree import ROOT, nodes
from tests.house.words import BANNED, HEADLESS, OLD_NAMES, RENAMED, VERBS, instead_of

BOUNDS = {"docstrings": 0.01, "docs": 0.02, "docs, line by line": 0.02, "comments": 0.01, "runtime strings": 0.01}
"""The largest share of sentences that may break the rule."""
MOST_WORDS = 25
SPEECH = re.compile(r"\b(?:told|heard|said)\b", re.IGNORECASE)
"""The words that are for speech alone. The check only counts them, because a program cannot recognize speech."""

_EXTRACTORS = {
    "docstrings": texts.docstrings,
    "docs": texts.documents,
    "docs, line by line": texts.document_lines,
    "comments": texts.comments,
    "runtime strings": texts.runtime_strings,
}
_PREDICATE = re.compile(r"_*(?:is|has|can|may|must|should|was|are)_")


@dataclass(frozen=True)
class Offence:
    """A sentence, and the part that breaks the rule."""

    where: str
    problem: str
    text: str

    def __str__(self):
        return f"{self.where}: {self.problem}: {self.text[:140]}"


@dataclass
class Verdict:
    """The findings in one kind of text."""

    kind: str
    total: int = 0
    too_long: int = 0
    """The number of sentences of more than 25 words."""
    for_speech: int = 0
    """The number of sentences with a word that is for speech alone."""
    headless: list[Offence] = field(default_factory=list)
    banned: list[Offence] = field(default_factory=list)

    @property
    def share(self):
        """The share of sentences that break the rule, by their opening or by a word."""
        return len({(each.where, each.text) for each in self.headless + self.banned}) / max(1, self.total)

    @property
    def is_kept(self):
        """Whether the share is within its bound."""
        return self.share <= BOUNDS[self.kind]

    def __str__(self):
        return (
            f"{self.kind}: {self.share:.1%} of {self.total} sentences break the rule (at most "
            f"{BOUNDS[self.kind]:.0%}): {len(self.headless)} by their opening, {len(self.banned)} by a banned word; "
            f"{self.too_long} have more than {MOST_WORDS} words, {self.for_speech} have told, heard or said"
        )


def judge(root=ROOT):
    """Judge every kind of text of the project."""
    return {kind: judge_sentences(kind, _extracted(kind, root)) for kind in _EXTRACTORS}


@functools.cache
def _extracted(kind, root):
    return list(_EXTRACTORS[kind](root))


def judge_sentences(kind, sentences):
    """Judge the sentences of one kind of text."""
    verdict = Verdict(kind)
    for sentence in sentences:
        verdict.total += 1
        verdict.too_long += len(sentence.text.split()) > MOST_WORDS
        verdict.for_speech += bool(SPEECH.search(sentence.text))
        plain = " ".join(sentence.text.split())
        verdict.headless += [Offence(sentence.where, f"opens with {word!r}", plain) for word in _headless(sentence)[:1]]
        verdict.banned += [Offence(sentence.where, problem, plain) for problem in _banned(plain)[:1]]
    return verdict


def _headless(sentence):
    found = [HEADLESS.match(opening) for opening in sentence.openings]
    return [each[0] for each in found if each and not each[0].isupper()]  # NONE is a constant


def _banned(text):
    return [f"has {found[0]!r} (plainly: {instead_of(found[0])})" for found in BANNED.finditer(text)]


def old_names(root=ROOT):
    """Find replaced names of the code that are still in the prose."""
    found = {}
    for kind in _EXTRACTORS:
        for sentence in _extracted(kind, root):
            for match in OLD_NAMES.finditer(sentence.raw):
                better = next(new for new, old in RENAMED.items() if match[0] in old.split())
                found[sentence.where, match[0]] = Offence(
                    sentence.where, f"has {match[0]!r}, now {better}", sentence.raw
                )
    return list(found.values())


def function_openings(root=ROOT):
    """Find functions' docstrings that open neither with an imperative verb nor with "Whether", and properties' that do.

    Ruff's D401 refuses only words that it knows as other forms, and accepts "How", "Nobody" or "Another".
    """
    for path, syntax in texts.python_sources(root):
        for node in nodes(syntax):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (docstring := ast.get_docstring(node)):
                problem = _problem_of_opening(node, docstring)
                if problem:
                    yield Offence(f"{path}:{node.lineno}", f"{node.name}: {problem}", docstring.split("\n")[0])


def _problem_of_opening(node, docstring):
    first = re.match(r"\W*([\w'-]*)", docstring)[1]
    is_bool = node.returns is not None and ast.unparse(node.returns) == "bool"
    if _is_property(node):
        if is_bool:
            return None if first == "Whether" else 'a property that is a bool opens with "Whether"'
        return (
            f"a property is named by a noun, not {first!r}" if first in {"Return", "Returns", "Get", "Gets"} else None
        )
    if is_bool and _PREDICATE.match(node.name):
        return None if re.match("Whether|Return whether", docstring) else 'a predicate opens with "Whether"'
    if first.lower() in VERBS and first[0].isupper():
        return None
    return None if first == "Whether" and is_bool else f"{first!r} is no imperative verb of tests/house/words.py"


def _is_property(node):
    names = [ast.unparse(each) for each in node.decorator_list]
    return any(name.rpartition(".")[2] in {"property", "cached_property"} for name in names)
