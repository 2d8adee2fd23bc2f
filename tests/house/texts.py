"""The sentences of the project, extracted: docstrings, documents, comments, and strings that a running router emits."""

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import Path

from tests.house.tree import ROOT, nodes, parsed

SOURCES = ("actors", "router", "run.py")
DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs")
FEWEST_WORDS = 3
"""The least number of words of a text. Shorter strings of the code are keys, names and formats."""

_BREAK = "\x1e"
"""Marks where a paragraph, a list item or a map's row begins. `str.split` and `\\s` take it for white space."""
_ROW = re.compile(r"\n\s*\n|\n\s*(?=[-*•└├]|\d+\. )")
_LABELLED = re.compile(
    r"""^(
        \s* (?:[-*•]\ )? (?:`[^`\n]+`(?:,\ )?)+ (?:\ {2,} | :\  | \ [–—]\ )  # a row of a map
        | \s* \*{0,2}[a-z_]\w* (?:\ \([^)\n]*\))? :\                       # an argument
    )""",
    re.MULTILINE | re.VERBOSE,
)
_BULLET = re.compile(r"^(?:[-*•>└├─│]|\d+\.|\s)+")
_STRING_OR_COMMENT = re.compile(
    r"""
    (?P<quotes>\"\"\"|''') (?:\\.|.)*? (?P=quotes)
    | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
    | (?P<comment>\#[^\n]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_DIRECTIVE = re.compile(r"#\s*(?:noqa|type:|pragma|fmt:|!)")
_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[-+ #0]*[\d.*]*[a-zA-Z]|\{[^{}]*\}")


@dataclass(frozen=True)
class Sentence:
    """One sentence, with its code spans and placeholders replaced by X."""

    where: str
    text: str
    raw: str
    """The text of the sentence before the replacement, with backticks."""

    @property
    def openings(self):
        """The places where a reader begins: the sentence, and each paragraph or row within it, without a label."""
        return [_BULLET.sub("", part) for part in self.text.split(_BREAK)]


def sentences(where, text):
    """Split a text at the ends of its sentences, as an outside reader counts them. A row is no separate sentence."""
    labelled = _LABELLED.sub(rf"{_BREAK}\1{_BREAK} ", text.strip())
    marked = _ROW.sub(f" {_BREAK} ", labelled)
    flat = re.sub(r"`[^`]*`", "X", re.sub(r"[^\S\x1e]+", " ", marked))
    raws = re.sub(r"\s+", " ", text)
    return [
        Sentence(where, each.strip(), raws)
        for each in re.split(r"(?<=[.!?])\s+", flat)
        if re.search("[A-Za-z]{2}", each)
    ]


def docstrings(root=ROOT):
    """Extract the docstrings of modules, classes, functions and fields."""
    return docstrings_of(python_sources(root))


def docstrings_of(sources):
    """Extract the strings that are statements of files, which are given as paths and syntax."""
    for path, syntax in sources:
        for node in nodes(syntax):
            if _is_docstring(node):
                yield from sentences(f"{path}:{node.lineno}", node.value.value)


def documents(root=ROOT):
    """Extract the prose of the documents, whole paragraphs, without headings, tables and code."""
    for path, lines in _documents(root):
        start, paragraph = 0, []
        for number, line in [*lines, (0, "")]:
            if paragraph and (not line.strip() or re.match(r"\s*(?:[-*]|\d+\.) ", line)):
                yield from sentences(f"{path}:{start}", _unlinked("\n".join(paragraph)))
                paragraph = []
            if line.strip():
                start = start if paragraph else number
                paragraph.append(re.sub(r"^\s*(?:[-*]|\d+\.) ", "", line))


def document_lines(root=ROOT):
    """Extract the documents line by line, because a wrapped line that begins with a refused word looks like one."""
    for path, lines in _documents(root):
        for number, line in lines:
            yield from sentences(f"{path}:{number}", re.sub(r"^[-*\d. >]+", "", line))


def comments(root=ROOT):
    """Extract the comments. Consecutive lines of a comment are one text."""
    for path, _syntax in python_sources(root):
        block, start, last = [], 0, (0, 0)
        for row, column, text in [*_comment_lines((root / path).read_text(encoding="utf-8")), (0, 0, "")]:
            if block and (row, column) != (last[0] + 1, last[1]):
                yield from sentences(f"{path}:{start}", " ".join(block))
                block = []
            start = start if block else row
            block.append(text)
            last = (row, column)


def runtime_strings(root=ROOT):
    """Extract the texts of a running router: log lines, errors, descriptions, help. Each prefix opens a part, too."""
    for path, syntax in python_sources(root):
        for number, text in _strings(syntax):
            plain = _PLACEHOLDER.sub("X", text)
            yield from sentences(f"{path}:{number}", re.sub(r"(^[^.]{1,40}?): +", rf"\1: {_BREAK} ", plain))


@functools.cache
def python_sources(root):
    """Return the paths, relative to the root, and the syntax of the files that are distributed."""
    paths = [path for name in SOURCES for path in _files(root / name, "*.py")]
    return [(path.relative_to(root), parsed(path)) for path in paths]


def _files(place, pattern):
    return [path for path in ([place] if place.suffix else sorted(place.rglob(pattern))) if path.exists()]


def _is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _documents(root):
    for name in DOCUMENTS:
        for path in _files(root / name, "*.md"):
            yield path.relative_to(root), list(_prose_lines(path))


def _prose_lines(path: Path):
    is_code = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        is_fence = line.lstrip().startswith("```")
        is_code ^= is_fence
        is_prose = not (is_fence or is_code or line.startswith(("|", "#", "<!--")))
        yield number, line if is_prose else ""


def _unlinked(text):
    return re.sub(r"\]\([^)\s]*\)", "]", text).replace("[", "").replace("]", "")


def comments_of(source):
    """Find the comments of a file: line, column and text. Ten times as fast as `tokenize`, whose other tokens cost."""
    row, at = 1, 0
    for found in _STRING_OR_COMMENT.finditer(source):
        if found["comment"]:
            row += source.count("\n", at, found.start())
            at = found.start()
            yield row, at - source.rfind("\n", 0, at) - 1, found["comment"]


def _comment_lines(source):
    for row, column, text in comments_of(source):
        if not _DIRECTIVE.match(text):
            yield row, column, text.lstrip("#").strip()


_LEAVES = {ast.Load, ast.Store, ast.Del, ast.Name}
"""Kinds of nodes that hold no string."""


def _strings(syntax):
    """Find strings of at least three words outside of docstrings. A sum or a formatted string is one text."""
    todo = [syntax]
    while todo:
        node = todo.pop()
        text = None if _is_docstring(node) else _text_of(node)
        if text is None:
            todo += [] if _is_docstring(node) else _inside(node)
        elif len(re.findall(r"[A-Za-z']{2,}", text)) >= FEWEST_WORDS and re.search(r"\w \w", text):
            yield node.lineno, text


def _inside(node):
    """Return the children of a node, without tables of words for `.split()` and without patterns of `re`."""
    if type(node) is ast.Call:
        match node.func:
            case ast.Attribute(value=ast.Constant(), attr="split" | "splitlines"):
                return []
            case ast.Attribute(value=ast.Name(id="re")):
                return []
    # `ast.iter_child_nodes` would take twice as long, and most nodes have no children.
    found = []
    for name in node._fields:
        value = getattr(node, name, None)
        if type(value) is list:
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST) and type(value) not in _LEAVES:
            found.append(value)
    return found


def _text_of(node):
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(each.value if isinstance(each, ast.Constant) else "X" for each in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _text_of(left), _text_of(right)
            return None if first is None and second is None else (first or "X") + (second or "X")
    return None
