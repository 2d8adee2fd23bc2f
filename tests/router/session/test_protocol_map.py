"""docs/protocol-map.md against the code: every message has a row, and every row tells the truth."""

import importlib
import re
from pathlib import Path

import pytest

from router.deepgram import messages as deepgram
from router.openai import events as openai
from tests.support.data.oracle import client_event_types, server_event_types, server_message_types

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


FOUR = ("What a client sends", "What a client is sent", "What the upstream sends", "What the upstream is sent")
MAPPED = [row for section in FOUR for row in rows(section)]
PASSED_OVER = dict(row for row in rows("What of the upstream's is passed over") if row[0] != "event")


def test_every_message_of_either_protocol_has_a_row():
    assert names("What a client sends") == set(deepgram.CLIENT_MESSAGES) | openai.FORWARDED
    assert names("What a client is sent") == tags(deepgram.ServerMessage)
    assert names("What the upstream sends") == set(openai.SERVER_EVENTS)
    assert names("What the upstream is sent") == tags(openai.ClientEvent) | {"input_audio_buffer.append"}


def test_what_is_passed_over_stands_there_with_its_reason():
    aliases = {name: f"`{read_as}`" for name, read_as in openai.ALIASES.items()}
    assert {name.strip("`"): why for name, why in PASSED_OVER.items()} == openai.CONSUMED | aliases


def test_every_message_of_the_vendors_own_packages_has_a_row():
    never = names("What is never sent")
    assert server_message_types() <= names("What a client is sent") | never
    assert client_event_types() <= names("What the upstream is sent") | never
    assert server_event_types() <= names("What the upstream sends") | {name.strip("`") for name in PASSED_OVER}
    # tests/router/deepgram/test_messages.py compares the messages of their client.
    assert never <= server_message_types() | client_event_types()
    assert not never & (names("What a client is sent") | names("What the upstream is sent"))


def test_every_event_of_the_upstream_s_own_library_is_known_by_name():
    known = set(openai.SERVER_EVENTS) | set(openai.CONSUMED) | set(openai.ALIASES)
    assert server_event_types() <= known
    assert not set(openai.SERVER_EVENTS) & set(openai.CONSUMED)
    assert set(openai.ALIASES.values()) <= set(openai.SERVER_EVENTS) | set(openai.CONSUMED)


@pytest.mark.parametrize("row", MAPPED, ids=lambda row: row[0])
def test_a_row_names_a_function_and_a_test_that_exist(row):
    _, _, function, test = (cell.strip("`") for cell in row)
    file, _, test_name = test.partition("::")
    assert f"def {test_name}(" in (ROOT / "tests" / "router" / file).read_text(encoding="utf-8")
    assert callable(resolve(f"router.{function}"))


@pytest.mark.parametrize("row", rows("Quirks of compatible upstreams"), ids=lambda row: row[0])
def test_a_quirk_is_shown_by_a_test_that_exists(row):
    file, _, test_name = row[-1].strip("`").partition("::")
    assert f"def {test_name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


def resolve(dotted):
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError:
        owner, _, name = dotted.rpartition(".")
        return getattr(resolve(owner), name)


def test_every_code_of_ours_is_explained():
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "router").rglob("*.py"))
    said = re.compile(r'(?:code=|final_error\(\s*|InvalidSettings\(|UNPARSABLE: Final = )"([A-Z_]+)"')
    explained = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", SECTIONS["Codes of our own"]))
    assert {code for source in sources for code in said.findall(source)} == explained
