"""The layers of setup.cfg, resolved as import-linter resolves them: containers, wildcards, optional layers, exhaustive.

Contracts of other kinds place no module: the forbidden ones name whole root packages, and would place every module.
"""

import configparser
import functools
import re
from dataclasses import dataclass

from tests.house.tree import ROOT

_SECTION = "importlinter"


@dataclass(frozen=True)
class Floors:
    """The layers of one contract, the highest first, below one container or none."""

    contract: str
    layers: tuple[frozenset[str], ...]
    """The full names of modules. Each name also stands for the descendants of its module."""
    are_independent: tuple[bool, ...]
    """For each layer, whether its modules must not import each other (`|`) or may (`:`)."""
    ignored: frozenset[str] = frozenset()
    """The children of the container that an exhaustive contract ignores."""

    @property
    def names(self):
        """Every module that is named."""
        return frozenset().union(*self.layers)

    @functools.cached_property
    def _floors(self):
        return {name: index for index, layer in reversed([*enumerate(self.layers)]) for name in layer}

    def floor_of(self, module):
        """Return the index of the layer and the named module that a module belongs to, or None."""
        found = [(self._floors[name], name) for name in _with_packages(module) if name in self._floors]
        return min(found, default=None)

    def arrows_back(self, graph):
        """Return the imports that run up, or across a layer of independent modules."""
        return [
            (importer, imported)
            for importer, targets in graph.items()
            for imported in targets
            if (here := self.floor_of(importer)) and (there := self.floor_of(imported)) and self._is_back(here, there)
        ]

    def _is_back(self, here, there):
        return there[0] < here[0] or (there[0] == here[0] and there[1] != here[1] and self.are_independent[here[0]])


def read(modules, root=ROOT):
    """Read the contracts of type layers."""
    return [floors for name, options in _contracts(root) for floors in _floors(name, options, modules)]


def root_packages(root=ROOT):
    """Read which packages import-linter looks at."""
    options = dict(_sections(root)).get(_SECTION, {})
    return _list(options.get("root_packages") or options.get("root_package", ""))


def exceptions(root=ROOT):
    """Find the options that let import-linter ignore an import, because each hides an arrow."""
    session = dict(_sections(root)).get(_SECTION, {})
    if _is_true(session.get("exclude_type_checking_imports")):
        yield "importlinter: exclude_type_checking_imports"
    for name, options in _contracts(root):
        for each in _list(options.get("ignore_imports", "")):
            yield f"{name}: ignore_imports {each}"


def unplaced(modules, floors, roots):
    """Return the modules that no layer names, neither directly nor by a package around them.

    A package whose children are layers has a place by them, because its `__init__` is their map. So has a root package.
    """
    names = frozenset().union(*(each.names for each in floors))
    above = {package for name in names for package in _with_packages(name)}
    placed = {module for module in modules if module in above or not names.isdisjoint(_with_packages(module))}
    return sorted(set(modules) - placed - set(roots))


def besides(modules, floors):
    """Return the modules that no layer names although layers name other modules of the same package.

    `exhaustive` refuses such modules. This function also finds them in contracts without containers.
    """
    names = frozenset().union(*(each.names for each in floors))
    ignored = frozenset().union(*(each.ignored for each in floors))
    divided = {name.rpartition(".")[0] for name in names}
    named = {package for name in names for package in _with_packages(name)}
    return sorted(m for m in modules if m.rpartition(".")[0] in divided - {""} and m not in named | ignored)


@functools.cache
def _with_packages(module):
    """Return a module and all packages that it lies in, by their names."""
    parts = module.split(".")
    return tuple(".".join(parts[:count]) for count in range(len(parts), 0, -1))


def _sections(root):
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    return [(name, dict(config[name])) for name in config.sections()]


def _contracts(root):
    prefix = f"{_SECTION}:contract:"
    return [(name.removeprefix(prefix), options) for name, options in _sections(root) if name.startswith(prefix)]


def _floors(name, options, modules):
    if options.get("type") != "layers":
        return
    lines = _list(options["layers"])
    tails = [[tail.strip().removeprefix("(").removesuffix(")") for tail in re.split("[|:]", line)] for line in lines]
    ignores = _list(options.get("exhaustive_ignores", "")) if _is_true(options.get("exhaustive")) else []
    for container in _matching(_list(options.get("containers", "")), modules) or [None]:
        prefix = f"{container}." if container else ""
        yield Floors(
            contract=name,
            layers=tuple(frozenset(prefix + tail for tail in layer) for layer in tails),
            are_independent=tuple(":" not in line for line in lines),
            ignored=frozenset(prefix + each for each in ignores),
        )


def _matching(expressions, modules):
    """Resolve module expressions: `*` stands for one part of a name, `**` for one and more."""
    found = []
    for expression in expressions:
        parts = [{"*": r"[^.]+", "**": r".+"}.get(part, re.escape(part)) for part in expression.split(".")]
        pattern = re.compile(r"\.".join(parts))
        found += sorted(name for name in modules if pattern.fullmatch(name)) if "*" in expression else [expression]
    return found


def _list(value):
    return [line.strip() for line in value.strip().split("\n") if line.strip()]


def _is_true(value):
    return str(value).lower() == "true"
