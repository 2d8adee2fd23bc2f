"""Close codes, with websockets and IANA's ranges as oracles, and the source as the place where no number stands."""

import ast
import re
from pathlib import Path

import pytest
from websockets.frames import EXTERNAL_CLOSE_CODES
from websockets.frames import CloseCode as TheirCloseCode

from actors.connections.close_codes import CloseCode, is_wire_code

ROOT = Path(__file__).resolve().parents[3]

HOME = ROOT / "actors/connections/close_codes.py"

SIMULATOR = ROOT / "router/simulator"

NUMBER = re.compile(r"10[01]\d|0[xob]", re.IGNORECASE)
"""A literal that may be one of these numbers, without its underscores."""

SOURCES = sorted(
    path
    for package in ("actors", "router")
    for path in (ROOT / package).rglob("*.py")
    if path != HOME and SIMULATOR not in path.parents and NUMBER.search(path.read_text().replace("_", ""))
)
"""The sources with a number that may be a close code."""


def test_names_and_numbers_are_those_of_the_registry():
    assert {code.name: code.value for code in CloseCode} == {code.name: code.value for code in TheirCloseCode}


def test_a_registered_code_may_stand_in_a_close_frame_where_the_registry_allows_it():
    assert {code for code in range(3000) if is_wire_code(code)} == EXTERNAL_CLOSE_CODES


@pytest.mark.parametrize(("code", "is_allowed"), [(2999, False), (3000, True), (4999, True), (5000, False)])
def test_codes_of_libraries_and_applications_may_stand_in_a_close_frame(code, is_allowed):
    assert is_wire_code(code) is is_allowed


def test_every_code_says_what_it_means():
    (definition,) = (node for node in ast.parse(HOME.read_text()).body if isinstance(node, ast.ClassDef))
    members = definition.body[1:]
    named = [node.targets[0].id for node in members[::2]]
    docstrings = [node.value.value for node in members[1::2]]
    assert named == [code.name for code in CloseCode]
    assert all("RFC 6455" in text or "IANA" in text for text in docstrings)


CLOSING_CALLS = {"CloseConnection", "EndSession", "close", "close_frame", "final_error"}


def _numbers(tree):
    """Yield each number that can only be a close code, and 1000 where a call or a default takes it as one."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=int(number)) if number in range(1001, 1016):
                yield node.lineno, number
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in CLOSING_CALLS:
                yield from ((arg.lineno, 1000) for arg in node.args if _is_1000(arg))
            case ast.keyword(arg="code" | "close_code", value=value) if _is_1000(value):
                yield value.lineno, 1000
            case ast.arguments():
                yield from ((value.lineno, 1000) for value in node.defaults if _is_1000(value))


def _is_1000(node):
    return isinstance(node, ast.Constant) and node.value == 1000


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_number_stands_for_a_close_code(path):
    assert list(_numbers(ast.parse(path.read_text()))) == []
