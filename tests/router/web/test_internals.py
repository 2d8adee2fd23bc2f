"""The undocumented parts of gunicorn: all of those that are used are listed, and a missing one stops the start."""

import ast
import importlib
import inspect
import operator
from pathlib import Path

import pytest

from router.config.model import RouterConfig
from router.errors import StartError
from router.web import internals, server, worker

PLACES = [(parts, name) for parts in internals.OWN_SERVER for name in parts.names.split()]


def place_of(parts):
    module = importlib.import_module(parts.module)
    return operator.attrgetter(parts.place)(module) if parts.place else module


def test_the_installed_gunicorn_has_every_part():
    assert internals.problem(internals.OWN_SERVER) == ""
    assert internals.problem(internals.HOST) == ""


@pytest.mark.parametrize(
    ("parts", "name"), PLACES, ids=[f"{parts.place or parts.module}-{name}" for parts, name in PLACES]
)
def test_a_missing_part_stops_the_start_with_a_sentence(monkeypatch, parts, name):
    remove(monkeypatch, parts, name)
    with pytest.raises(StartError) as caught:
        server.serve(RouterConfig(port=0), pytest.fail, print)
    owner = parts.place.removesuffix(".__init__")
    assert f" has no {f'{owner}.{name}'.removeprefix('.')}, " in str(caught.value)
    assert str(caught.value).startswith("gunicorn 27.")
    assert str(caught.value).endswith("which the router uses: install gunicorn>=27,<28")


def remove(monkeypatch, parts, name):
    """Take a name out of a module, out of a class and its bases, or out of the code of a function."""
    place = place_of(parts)
    if not inspect.isfunction(place):
        for owner in (it for it in getattr(place, "__mro__", (place,)) if name in vars(it)):
            monkeypatch.delattr(owner, name)
        return
    code = place.__code__
    names, constants = (replaced(it, name) for it in (code.co_names, code.co_consts))
    monkeypatch.setattr(place, "__code__", code.replace(co_names=names, co_consts=constants))


def replaced(values, name):
    """Return a tuple, and the tuples in it, with another text in place of a name."""
    return tuple(replaced(it, name) if isinstance(it, tuple) else "gone" if it == name else it for it in values)


def test_a_missing_class_stops_the_start_with_a_sentence(monkeypatch):
    monkeypatch.delattr("gunicorn.workers.gthread.PollableMethodQueue")
    assert " has no PollableMethodQueue, " in internals.problem(internals.OWN_SERVER)


# The list is whole.


OURS = {
    "Worker": (internals.WORKER, internals.WORKER_SETS, internals.ANY_WORKER_SETS),
    "GunicornLogger": (internals.LOGGER, internals.LOGGER_SETS, internals.LOGGER_SETUP),
    "_Arbiter": (internals.ARBITER, internals.ARBITER_SETS, internals.ANY_WORKER_SETS),
}


def _classes():
    for module in (server, worker):
        for node in ast.parse(Path(module.__file__).read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name in OURS:
                yield pytest.param(node, getattr(module, node.name), OURS[node.name], id=node.name)


@pytest.mark.parametrize(("syntax", "kind", "listed"), list(_classes()))
def test_every_part_of_gunicorn_that_a_class_uses_is_listed(syntax, kind, listed):
    names = {name for parts in listed for name in parts.names.split()}
    base = kind.__mro__[1]
    own = {name for name in vars(kind) if not hasattr(base, name)} | set(vars(kind).get("__annotations__", {}))
    used = {node.attr for node in ast.walk(syntax) if isinstance(node, ast.Attribute) and is_self(node.value)}
    overridden = {name for name in vars(kind) if hasattr(base, name) and not name.startswith("__")}
    assert (used | overridden) - own - names == set()


def is_self(node):
    match node:
        case ast.Name(id="self") | ast.Call(func=ast.Name(id="super")):
            return True
    return False
