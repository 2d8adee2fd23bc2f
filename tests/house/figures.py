"""The figures by which the layout, the sizes and the prose of a tree are compared with those of other projects."""

import ast
import statistics
from collections import Counter

from tests.house import contracts, history, maps, prose, texts, tree

LAYOUT = {
    "modules": "files, without those of tests",
    "packages": "directories",
    "flat": "the most files in one directory",
    "imports": "arrows between files, those of TYPE_CHECKING and of functions included",
    "circles": "files in each circle of imports",
    "back": "fewest arrows found whose removal opens the circles",
    "up": "arrows that run up between the layers of setup.cfg",
    "function": "lines of a function, without its docstring: median / 95 % / longest",
    "module": "lines of a module: median / longest",
    "comments": "lines that are a comment alone, of all lines",
    "flags": "booleans that a class may change",
    "docstrings": "sentences of docstrings that open with a refused word",
    "docs": "the same of README, CHANGELOG, CONTRIBUTING and docs/",
    "tested": "modules that have a test file of their name, anywhere",
    "mirrored": "modules whose test file lies where tests mirror the source",
    "helpers": "files directly in tests/ that are no tests",
    "subjects": "commit subjects over 72 characters",
    "new subjects": f"the same since {history.BASE}",
}
"""The rows of the table, with their meanings. A figure that a tree does not have is None."""


def measure(subject, *, is_ours=False):
    """Measure a tree. Only our own tree has documents, tests and commits."""
    sources = [(module.path.relative_to(subject.root), module.syntax) for module in subject.modules.values()]
    figures = {
        **_layout(subject),
        **_sizes(subject),
        "flags": len(_flags(subject.modules.values())),
        "docstrings": _headless(texts.docstrings_of(sources)),
        "tested": _tested(subject),
    }
    return figures | (_of_the_project(subject) if is_ours else {})


def packages(subject):
    """Measure each package by itself: its own files, the arrows between them, and the flags of their classes."""
    found = {}
    for package in subject.packages():
        files = [name for name, module in subject.modules.items() if module.package == package.name]
        graph = {name: [each for each in subject.imports[name] if each in files] for name in files}
        found[package.name] = {
            "files": len(files) - 1,
            "imports": sum(map(len, graph.values())),
            "circles": [len(circle) for circle in tree.circles(graph)],
            "flags": len(_flags(subject.modules[name] for name in files)),
        }
    return found


def _layout(subject):
    directories = Counter(module.path.parent for module in subject.modules.values() if not module.is_package)
    return {
        "modules": len(subject.modules),
        "packages": len(subject.packages()),
        "flat": max(directories.values(), default=0),
        "imports": sum(len(targets) for targets in subject.imports.values()),
        "circles": [len(circle) for circle in tree.circles(subject.imports)],
        "back": len(tree.arrows_back(subject.imports)),
    }


def _sizes(subject):
    lines = [module.source.splitlines() for module in subject.modules.values()]
    functions = sorted(_function_lengths(subject))
    return {
        "function": [statistics.median_low(functions), functions[int(len(functions) * 0.95)], functions[-1]],
        "module": [statistics.median_low(map(len, lines)), max(map(len, lines))],
        "comments": sum(line.lstrip().startswith("#") for each in lines for line in each) / sum(map(len, lines)),
    }


def _function_lengths(subject):
    for module in subject.modules.values():
        for node in ast.walk(module.syntax):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = node.body[0] if ast.get_docstring(node) is not None else None
                inside = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
                yield node.end_lineno - node.lineno + 1 - inside


def _flags(modules):
    """Find the booleans of classes that are not frozen: annotated fields, and attributes that a method sets."""
    found = set()
    for module in modules:
        for outer in ast.walk(module.syntax):
            if isinstance(outer, ast.ClassDef) and not _is_frozen(outer):
                found |= {(module.name, outer.name, name) for node in ast.walk(outer) for name in _flag(node)}
    return found


def _is_frozen(node):
    return any("frozen=True" in ast.unparse(each) for each in [*node.decorator_list, *node.keywords])


def _flag(node):
    match node:
        case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name), annotation=ast.Name(id="bool")):
            return [name]
        case ast.Assign(targets=targets, value=ast.Constant(value=bool())):
            return [each.attr for each in targets if isinstance(each, ast.Attribute) and _is_self(each.value)]
    return []


def _is_self(node):
    return isinstance(node, ast.Name) and node.id == "self"


def _headless(sentences):
    verdict = prose.judge_sentences("docstrings", sentences)
    return len(verdict.headless) / verdict.total if verdict.total else None


def _tested(subject):
    """Count the tested modules by the names of tests. Return None if the tree has no tests."""
    places = [directory for base in _bases(subject) for directory in (base / "tests", base / "test")]
    tests = {path.stem for place in places if place.is_dir() for path in place.rglob("test_*.py")}
    modules = [module.path.stem for module in subject.modules.values() if not module.is_package]
    return [sum(f"test_{name.strip('_')}" in tests for name in modules), len(modules)] if tests else None


def _bases(subject):
    tops = [subject.modules[name].path.parent for name in subject.modules if "." not in name]
    return [subject.root, *tops] + ([subject.root.parent] if subject.root.name == "src" else [])


def _of_the_project(subject):
    floors = contracts.read(subject.modules, subject.root)
    due = [module for module in subject.modules.values() if maps.has_code(module)]
    everything, new = history.read(subject.root, since=None), history.read(subject.root)
    return {
        "up": sum(len(each.arrows_back(subject.imports)) for each in floors),
        "docs": _headless(texts.documents(subject.root)),
        "mirrored": [sum((subject.root / maps.mirror(module)).exists() for module in due), len(due)],
        "helpers": len(maps.helpers_at_the_root(subject.root)),
        "subjects": _long_subjects(everything),
        "new subjects": _long_subjects(new),
    }


def _long_subjects(commits):
    return None if commits.gap else [history.too_long(commits), len(commits.subjects)]


def show(name, value):
    """Return a figure as the table has it."""
    if value is None:
        return "–"
    if name in {"docstrings", "docs", "comments"}:
        return f"{value:.1%}"
    if name in {"tested", "mirrored", "subjects", "new subjects"}:
        return "{} of {}".format(*value)
    if isinstance(value, list):
        return (" + " if name == "circles" else " / ").join(map(str, value)) or "none"
    return str(value)
