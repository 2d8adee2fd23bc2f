"""Maps: of a package, in the docstring of its `__init__`, and of the tests, in tests/README.md.

A row of a package's map opens a line: the name of a module or subpackage in backticks, two spaces, a colon or a dash,
and the purpose:

    `machine`   looks an input up in the tables and settles what follows
    - `state`: the memory of a session

A row of the tests' map is needed for a module only that has no test file of its name:

    | `router.session.handlers.items` | `tests/router/session/test_history.py` |
"""

import ast
import functools
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.house.tree import nodes, parsed

TEST_MAP = "tests/README.md"
HEADER = "| module | covered by |"
FEWEST_WORDS = 2
"""The least number of words of a purpose."""
ROOT_FILES = {"__init__.py", "conftest.py", "README.md"}
"""The files besides tests that may lie directly in tests/. Helpers lie in tests/support/."""

_ROW = re.compile(r"^\s*(?:[-*•] )?(?P<names>`\w+`(?:, `\w+`)*)(?: {2,}|: | [–—] )(?P<purpose>.*)$")
_SPAN = re.compile(r"`((\w+)(?:\.\w+)+)`")


def package_problems(package, tree):
    """Return the faults of a package's map."""
    docstring = ast.get_docstring(package.syntax) or ""
    rows = [row for line in docstring.split("\n") if (row := _ROW.match(line))]
    names = Counter(name for row in rows for name in re.findall(r"\w+", row["names"]))
    children = {name.rpartition(".")[2] for name in tree.children(package.name)}
    known = children | _symbols(package)
    return [
        *(f"{package.name}: its map has no row for `{name}`" for name in sorted(children - set(names))),
        *(
            f"{package.name}: its map has a row for `{name}`, which does not exist"
            for name in sorted(set(names) - known)
        ),
        *(f"{package.name}: its map has {n} rows for `{name}`" for name, n in sorted(names.items()) if n > 1),
        *(f"{package.name}: its map gives no purpose of {row['names']}" for row in rows if not _has_purpose(row)),
        *(
            f"{package.name}: there is no `{name}`"
            for name, root in _SPAN.findall(docstring)
            if root in tree.modules and not _exists(name, tree)
        ),
    ]


def _has_purpose(row):
    return len(re.findall(r"\w+", row["purpose"])) >= FEWEST_WORDS


def _exists(name, tree):
    home, _, symbol = name.rpartition(".")
    return name in tree.modules or (home in tree.modules and symbol in _symbols(tree.modules[home]))


def _symbols(module):
    """Return the public names that a module defines or imports at its top."""
    names = set()
    for node in module.syntax.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
    return {name for name in names if not name.startswith("_")}


def defines(module):
    """Return the public names that a module itself defines, other than by an import."""
    imported = {a.asname or a.name for n in module.syntax.body if isinstance(n, ast.ImportFrom) for a in n.names}
    return _symbols(module) - imported


def has_code(module):
    """Whether a module needs a test. An `__init__` that is only a map needs none."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return not module.is_package or any(isinstance(node, kinds) for node in module.syntax.body)


def mirror(module):
    """Return the path of the test file of a module's name: tests mirror the source."""
    *packages, last = module.name.split(".")
    if module.is_package:
        packages, last = [*packages, last], "init"
    return Path("tests", *packages, f"test_{last.strip('_')}.py")


@dataclass(frozen=True)
class Row:
    """A module and the test files that cover it in place of one of its name."""

    module: str
    files: tuple[str, ...]


def rows(root):
    """Read the rows of the tests' map, from all of its tables."""
    path = root / TEST_MAP
    is_table = False
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        is_table = line == HEADER or (is_table and line.startswith("|"))
        cells = re.findall(r"[\w./-]*\w", line) if is_table and line != HEADER else []
        if cells:
            yield Row(cells[0], tuple(cells[1:]))


def test_problems(tree, root):
    """Return the modules without a test file, and the faults in the rows of the tests' map."""
    listed, sole = list(rows(root)), sole_names(tree)
    mapped = Counter(row.module for row in listed)
    due = {name: mirror(module) for name, module in tree.modules.items() if has_code(module)}
    missing = [name for name, path in due.items() if not (root / path).exists() and name not in mapped]
    return [
        *(f"{name}: there is no {due[name]}, and {TEST_MAP} has no row for it" for name in sorted(missing)),
        *(f"{TEST_MAP}: {name} has {count} rows" for name, count in sorted(mapped.items()) if count > 1),
        *(problem for row in listed for problem in _row_problems(row, due, sole, tree, root)),
    ]


def _row_problems(row, due, sole, tree, root):
    if row.module not in due:
        yield f"{TEST_MAP}: there is no module {row.module} to be tested"
    elif (root / due[row.module]).exists():
        yield f"{TEST_MAP}: {row.module} has a test file of its name, and needs no row"
    elif not row.files:
        yield f"{TEST_MAP}: {row.module} is covered by no file"
    else:
        for file in row.files:
            if not (root / file).is_file():
                yield f"{TEST_MAP}: {row.module}: there is no {file}"
            elif not exercises(root / file, tree.modules[row.module], sole[row.module], root):
                yield f"{TEST_MAP}: {row.module}: {file} neither imports it nor uses a name that only it defines"


def sole_names(tree):
    """Return for each module the public names that no other module defines."""
    defined = {name: defines(module) for name, module in tree.modules.items()}
    counts = Counter(name for names in defined.values() for name in names)
    return {module: {name for name in names if counts[name] == 1} for module, names in defined.items()}


def exercises(test, module, sole, root):
    """Whether a test file or its helper imports a module, starts it, or uses a name that only this module defines."""
    return any(_touches(parsed(path), module, sole) for path in _with_helpers(test, root))


def _touches(syntax, module, sole):
    home, _, last = module.name.rpartition(".")
    started = home if last == "__main__" else module.name
    for node in nodes(syntax):
        match node:
            case ast.Import(names=names) if any(alias.name == module.name for alias in names):
                return True
            case ast.ImportFrom(module=source, names=names) if source == module.name or (
                source == home and last in {alias.name for alias in names}
            ):
                return True
            case ast.Constant(value=str(text)) if text == started:
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) if name in sole:
                return True
    return False


def _with_helpers(test, root):
    """Return a test file and the files below tests/ that it imports, directly or indirectly."""
    found, todo = [], [test]
    while todo:
        path = todo.pop()
        found.append(path)
        todo += [each for each in _helpers_of(path, root) if each not in found and each not in todo]
    return found


@functools.cache
def _helpers_of(path, root):
    """Return the files below tests/ that a file imports, each once."""
    return list(dict.fromkeys(helper for node in nodes(parsed(path)) for helper in _imported(node, root)))


def _imported(node, root):
    names = []
    match node:
        case ast.Import(names=aliases):
            names = [alias.name for alias in aliases]
        case ast.ImportFrom(module=str(source), level=0, names=aliases):
            names = [source, *(f"{source}.{alias.name}" for alias in aliases)]
    paths = [base / Path(*name.split(".")) for name in names for base in (root / "tests", root)]
    files = [file for path in paths for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return [file for file in files if file.is_relative_to(root / "tests")]


def helpers_at_the_root(root):
    """Return the files directly in tests/ that are no tests."""
    files = [path.name for path in sorted((root / "tests").iterdir()) if path.is_file()]
    return [name for name in files if name not in ROOT_FILES and not re.fullmatch(r"test_\w+\.py|\..*", name)]
