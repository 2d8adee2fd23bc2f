"""docs/protocol-map.md against the code: every message has a row, and every row tells the truth."""

import importlib
import re
from pathlib import Path

import pytest

from oracle import server_event_types
from router.deepgram import messages as deepgram
from router.openai import events as openai

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "protocol-map.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def rows(section):
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(section):
    return {name for row in rows(section) for name in re.findall(r"`([^`]+)`", row[0])}


def tags(base):
    return {struct.__struct_config__.tag for struct in base.__subclasses__()}


MAPPED = [row for section in list(SECTIONS)[:4] for row in rows(section)]


def test_every_message_of_either_protocol_has_a_row():
    assert names("What a client sends") == set(deepgram.CLIENT_MESSAGES) | openai.FORWARDED
    assert names("What a client is sent") == tags(deepgram.ServerMessage)
    assert names("What the upstream sends") == set(openai.SERVER_EVENTS)
    assert names("What the upstream is sent") == tags(openai.ClientEvent) | {"input_audio_buffer.append"}


def test_every_event_of_the_upstream_s_own_library_is_known_by_name():
    known = set(openai.SERVER_EVENTS) | set(openai.CONSUMED) | set(openai.ALIASES)
    assert server_event_types() <= known
    assert not set(openai.SERVER_EVENTS) & set(openai.CONSUMED)
    assert all(openai.CONSUMED.values())
    assert set(openai.ALIASES.values()) <= set(openai.SERVER_EVENTS) | set(openai.CONSUMED)


@pytest.mark.parametrize("row", MAPPED, ids=lambda row: row[0])
def test_a_row_names_a_function_and_a_test_that_exist(row):
    _, _, function, test = (cell.strip("`") for cell in row)
    file, _, test_name = test.partition("::")
    assert f"def {test_name}(" in (ROOT / "tests" / "router" / file).read_text(encoding="utf-8")
    assert callable(resolve(f"router.{function}"))


def resolve(dotted):
    parts = dotted.split(".")
    module = importlib.import_module(".".join(parts[:3]))
    target = module
    for part in parts[3:]:
        target = getattr(target, part)
    return target


def test_every_code_of_ours_is_explained():
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "router").rglob("*.py"))
    said = re.compile(r'(?:code=|farewell\(\s*|InvalidSettings\(|UNPARSABLE: Final = )"([A-Z_]+)"')
    explained = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", SECTIONS["Codes of our own"]))
    assert {code for source in sources for code in said.findall(source)} == explained
