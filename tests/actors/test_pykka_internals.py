"""Every private name of pykka that the engine uses is in one table, and a version without one is refused."""

import ast
import importlib
import sys
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pykka
import pytest

from actors import pykka_internals
from actors.pykka_internals import PRIVATE_NAMES, SUPPORTED, UnsupportedPykkaError

ROOT = Path(__file__).resolve().parents[2]

SOURCES = sorted(path for package in ("actors", "router") for path in (ROOT / package).rglob("*.py"))


def take_away(monkeypatch, name):
    """Have the installed pykka lack a name."""
    parent, _, last = name.rpartition(".")
    _, _, owner = parent.rpartition(".")
    holder = getattr(pykka, owner) if owner[:1].isupper() else importlib.import_module(parent)
    if last in vars(holder):
        monkeypatch.delattr(holder, last)
    monkeypatch.delitem(getattr(holder, "__annotations__", {}), last, raising=False)


def test_the_installed_version_has_every_name():
    pykka_internals.check()


@pytest.mark.parametrize("name", PRIVATE_NAMES)
def test_a_version_without_a_name_is_refused_with_a_sentence(monkeypatch, name):
    take_away(monkeypatch, name)
    with pytest.raises(UnsupportedPykkaError) as caught:
        pykka_internals.check()
    assert caught.value.missing == name
    assert str(caught.value) == (
        f"pykka {metadata.version('pykka')} has no {name}, which the engine of the router needs: install pykka>=4.5,<5"
    )


def test_a_version_without_a_module_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "pykka._envelope", None)
    with pytest.raises(UnsupportedPykkaError, match=r"has no pykka\._envelope\.Envelope"):
        pykka_internals.check()


def test_the_engine_cannot_be_imported_with_a_version_that_lacks_a_name(monkeypatch):
    take_away(monkeypatch, "pykka.Actor._handle_receive")
    for module in ("actors.actor", "actors.pykka_internals"):
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ImportError, match=r"has no pykka\.Actor\._handle_receive"):
        importlib.import_module("actors.actor")


def test_setup_cfg_has_the_same_bounds():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    requirements = setup["options"]["install_requires"].split()
    assert f"pykka{SUPPORTED}" in requirements


def _is_private(name):
    return name.startswith("_") and not name.startswith("__")


def _used(path):
    """Yield the private names of pykka that a module uses."""
    text = path.read_text()
    for node in ast.walk(ast.parse(text if "pykka" in text else "")):
        match node:
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "pykka":
                names = (f"{module}.{alias.name}" for alias in node.names)
                yield from (name for name in names if any(map(_is_private, name.split("."))))
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="pykka"), attr=owner), attr=name):
                if _is_private(name):
                    yield f"pykka.{owner}.{name}"
            case ast.ClassDef():
                for base in node.bases:
                    yield from _inherited(node, ast.unparse(base).partition("[")[0])


def _inherited(definition, base):
    """Yield the private names that a class overrides, or uses, of a class of pykka that it extends."""
    if not base.startswith("pykka."):
        return
    parent = getattr(pykka, base.removeprefix("pykka."))
    theirs = {name for kind in parent.__mro__ for name in (*vars(kind), *getattr(kind, "__annotations__", {}))}
    for node in ast.walk(definition):
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "name", "")
        if name and _is_private(name) and name in theirs:
            yield f"{base}.{name}"


def test_no_private_name_of_pykka_is_used_but_those_of_the_table():
    assert {name for path in SOURCES for name in _used(path)} == set(PRIVATE_NAMES)
