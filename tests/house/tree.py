"""Trees of Python packages, read from their files: modules, imports and circles. No module is imported for it."""

import ast
import configparser
import fnmatch
import functools
import gc
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TEST_DIRECTORIES = {"test", "tests"}


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    """The dotted name. A package has the name of its directory."""
    path: Path

    @property
    def is_package(self):
        """Whether the file is an `__init__.py`."""
        return self.path.name == "__init__.py"

    @property
    def package(self):
        """The dotted name that a relative import starts from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @functools.cached_property
    def source(self):
        """The file's text."""
        return self.path.read_text(encoding="utf-8")

    @functools.cached_property
    def syntax(self):
        """The parsed file."""
        return parsed(self.path)


@functools.cache
def parsed(path):
    """Parse a file, once for all tests of a process.

    A collection of garbage finds none in a tree, and would take most of the time. Later ones skip the trees, too.
    """
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        gc.freeze()
        if is_collecting:
            gc.enable()


@functools.cache
def nodes(syntax):
    """Return all nodes of a parsed file, which several tests look through, in the order of `ast.walk`.

    That function takes three times as long.
    """
    found = [syntax]
    for node in found:
        for name in node._fields:
            value = getattr(node, name, None)
            if type(value) is list:
                found += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)
    return found


@dataclass(frozen=True)
class Tree:
    """The modules of some packages in one directory."""

    root: Path
    """The directory with the packages, to which their names are relative."""
    modules: dict[str, Module]

    def children(self, package):
        """Return the names of the modules and subpackages that lie directly in a package."""
        return sorted(name for name in self.modules if name.rpartition(".")[0] == package)

    def packages(self):
        """Return the modules that are packages."""
        return [module for module in self.modules.values() if module.is_package]

    @functools.cached_property
    def imports(self):
        """The import graph: importer to imported to the line of the first such import."""
        return {name: _imports_of(module, self.modules) for name, module in self.modules.items()}


def load(root=ROOT):
    """Read the packages that setup.cfg distributes."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    patterns = config["options.packages.find"]["include"].split()
    directories = [init.parent for init in sorted(root.glob("*/__init__.py"))]
    return _tree(root, [one for one in directories if any(fnmatch.fnmatch(one.name, each) for each in patterns)])


def load_directory(directory):
    """Read one package, or subpackage, of another project."""
    root = directory.resolve().parent
    while (root / "__init__.py").exists():
        root = root.parent
    return _tree(root, [directory.resolve()])


def _tree(root, directories):
    modules = {}
    for directory in directories:
        for path in sorted(directory.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if not _TEST_DIRECTORIES & set(path.relative_to(directory).parts[:-1]):
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                modules[name] = Module(name, path)
    return Tree(root, modules)


def _imports_of(module, known):
    """Collect the imports at any depth of the file. Imports of functions and under TYPE_CHECKING count, too."""
    found = {}
    for node in nodes(module.syntax):
        for name in _targets(node, module, known):
            if name in known and name != module.name:
                found.setdefault(name, node.lineno)
    return found


def _targets(node, module, known):
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(names=names):
            base = _base(node, module)
            return [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in names]
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
            return [name]
    return []


def _base(node, module):
    if not node.level:
        return node.module
    parts = module.package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def circles(graph):
    """Return the strongly connected components of more than one file, the largest first (Tarjan)."""
    finder = _Components(graph)
    for name in graph:
        finder.visit(name)
    return sorted((sorted(each) for each in finder.found if len(each) > 1), key=lambda each: (-len(each), each))


class _Components:
    def __init__(self, graph):
        self.found = []
        self._graph = graph
        self._index = {}
        self._low = {}
        self._stack = []

    def visit(self, name):
        if name in self._index:
            return
        self._index[name] = self._low[name] = len(self._index)
        self._stack.append(name)
        for target in self._graph[name]:
            if target not in self._index:
                self.visit(target)
                self._low[name] = min(self._low[name], self._low[target])
            elif target in self._stack:
                self._low[name] = min(self._low[name], self._index[target])
        if self._low[name] == self._index[name]:
            at = self._stack.index(name)
            self.found.append(self._stack[at:])
            del self._stack[at:]


def arrows_back(graph):
    """Return the imports that run against the best order of the files that a greedy search finds.

    Files in no circle have an order without such arrows. Within a circle the order is that of Eades, Lin and Smyth,
    "A fast and effective heuristic for the feedback arc set problem" (1993).
    """
    back = []
    for circle in circles(graph):
        inside = {name: set(graph[name]) & set(circle) for name in circle}
        rank = {name: at for at, name in enumerate(_order(inside))}
        back += [(name, target) for name in circle for target in inside[name] if rank[target] < rank[name]]
    return sorted(back)


def _order(graph):
    left, importers, imported = set(graph), [], []
    while left:
        outgoing = {name: len(graph[name] & left) for name in left}
        incoming = {name: sum(name in graph[other] for other in left) for name in left}
        sinks = sorted(name for name in left if not outgoing[name])
        sources = sorted(name for name in left if not incoming[name])
        if sinks:
            imported[:0] = sinks[:1]
            left.remove(sinks[0])
        else:
            best = sources[0] if sources else max(sorted(left), key=lambda name: outgoing[name] - incoming[name])
            importers.append(best)
            left.remove(best)
    return importers + imported
