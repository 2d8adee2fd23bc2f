"""docs/protocol-map.md against the code: every message has a row, and every row is true."""

import importlib
import re
from pathlib import Path

import pytest

from router.deepgram import messages as deepgram
from router.fronts.realtime import from_client, from_upstream, streams
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


FOUR = ("From the client", "To the client", "From the upstream", "To the upstream")
RELAYED = ("Relayed, from a client of OpenAI Realtime", "Relayed, to a client of OpenAI Realtime")
FRONTS = ("Deepgram's own backend", "The telephone", "Transcription")
MAPPED = [row for section in (*FOUR, *FRONTS, *RELAYED) for row in rows(section)]
IGNORED = dict(row for row in rows("Events that are ignored") if row[0] != "event")


def test_every_message_of_either_protocol_has_a_row():
    assert names("From the client") == set(deepgram.CLIENT_MESSAGES) | openai.FORWARDED
    assert names("To the client") == tags(deepgram.ServerMessage)
    assert names("From the upstream") == set(openai.SERVER_EVENTS)
    assert names("To the upstream") == tags(openai.ClientEvent) | {"input_audio_buffer.append"}


def test_every_event_that_means_something_to_the_relay_has_a_row():
    assert names(RELAYED[0]) == set(from_client.READY)
    assert names(RELAYED[1]) == {*from_upstream.EVENTS, streams.CREATED, streams.DONE, "response.*"}


def test_every_ignored_event_has_its_reason():
    aliases = {name: f"`{read_as}`" for name, read_as in openai.ALIASES.items()}
    assert {name.strip("`"): why for name, why in IGNORED.items()} == openai.CONSUMED | aliases


def test_every_message_of_the_vendors_packages_has_a_row():
    never = names("Messages that are never sent")
    assert server_message_types() <= names("To the client") | never
    assert client_event_types() <= names("To the upstream") | never
    assert server_event_types() <= names("From the upstream") | {name.strip("`") for name in IGNORED}
    # What their client sends is walked through in tests/router/deepgram/test_against_the_sdk.py.
    assert never <= server_message_types() | client_event_types()
    assert not never & (names("To the client") | names("To the upstream"))


def test_every_event_of_the_upstream_s_library_is_known():
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


def test_every_code_is_explained():
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "router").rglob("*.py"))
    pattern = re.compile(r'(?:code=|final_error\(\s*|InvalidSettings\(|(?:UNPARSABLE|CODE): Final = )"([A-Z_]+)"')
    explained = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", SECTIONS["Error codes"]))
    assert {code for source in sources for code in pattern.findall(source)} == explained
