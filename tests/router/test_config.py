"""The configuration itself: the upstream's URL, the key that is never shown, and the documentation's tables."""

import re
import string
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.model import Deadlines, Limits, RouterConfig
from router.config.parsers import model_of, url_with_model
from router.config.schema import SETTINGS
from router.errors import ConfigError
from tests.support.data.configuration import KEY, configure, refusal

DOCS = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"

# The upstream.


@pytest.mark.parametrize(
    ("env", "upstream"),
    [
        ({}, "simulator"),
        ({"OPENAI_API_KEY": KEY}, "openai"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_REALTIME_URL": "simulator"}, "simulator"),
        ({"OPENAI_REALTIME_URL": "ws://127.0.0.1:9000"}, "ws://127.0.0.1:9000"),
    ],
)
def test_the_upstream_is_openai_with_a_key_and_else_the_simulator_unless_it_is_said(env, upstream):
    assert configure(env=env).upstream == upstream


@pytest.mark.parametrize("sourced", [{"env": {"OPENAI_REALTIME_URL": "openai"}}, {"argv": ["--upstream", "openai"]}])
def test_openai_without_a_key_stops_the_start_and_says_what_to_do(sourced):
    error = refusal(*sourced.get("argv", []), env=sourced.get("env"))
    assert "OPENAI_API_KEY" in str(error)
    assert error.name in ("--upstream", "OPENAI_REALTIME_URL")


def test_the_url_of_openai_asks_for_the_model():
    config = configure("--model", "a/b c".replace(" ", ""), env={"OPENAI_API_KEY": KEY})
    assert config.upstream_url() == "wss://api.openai.com/v1/realtime?model=a%2Fbc"
    assert config.upstream_url("other") == "wss://api.openai.com/v1/realtime?model=other"


def test_the_simulator_has_no_url_before_it_runs():
    with pytest.raises(ConfigError, match="once it runs"):
        RouterConfig().upstream_url()


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("ws://h", "ws://h?model=m"),
        ("ws://h:9/v1/realtime", "ws://h:9/v1/realtime?model=m"),
        ("wss://h/x?api-version=1&b=%20c", "wss://h/x?api-version=1&b=%20c&model=m"),
        ("wss://h/x?model=own", "wss://h/x?model=own"),
        ("wss://h/x?a=1&model=own&b=2", "wss://h/x?a=1&model=own&b=2"),
        ("wss://h/x?model=", "wss://h/x?model=m"),
        ("wss://h/x?", "wss://h/x?model=m"),
        ("wss://h/x?models=1", "wss://h/x?models=1&model=m"),
    ],
)
def test_the_model_is_appended_unless_the_url_names_one(url, asked):
    assert url_with_model(url, "m") == asked
    assert configure("--upstream", url, "--model", "m").upstream_url() == asked


@given(st.text(min_size=1), st.dictionaries(st.sampled_from("abc"), st.text(string.ascii_letters, min_size=1)))
def test_any_model_survives_the_way_into_a_url(model, query):
    url = "wss://host/v1" + ("?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else "")
    asked = url_with_model(url, model)
    assert asked.startswith(url)
    assert model_of(asked) == model
    assert parse_qs(urlsplit(asked).query) == {**{key: [value] for key, value in query.items()}, "model": [model]}
    assert url_with_model(asked, "another") == asked


def test_credentials_in_a_url_are_refused_without_being_repeated():
    error = refusal("--upstream", "wss://user:hunter2@host/v1")
    assert "credentials" in str(error)
    assert "hunter2" not in str(error)


# The key.


def test_the_key_is_shown_by_nothing_but_reveal():
    config = configure(env={"OPENAI_API_KEY": f" {KEY} "})
    assert config.openai_api_key is not None
    assert config.openai_api_key.reveal() == KEY
    shown = f"{config} {config!r} {config.openai_api_key} {config.openai_api_key!r}"
    assert KEY not in shown
    assert config.secrets == (KEY,)


def test_a_key_in_the_urls_query_is_hidden_and_known_as_a_secret():
    config = configure("--upstream", "wss://h/x?api-key=0123456789&model=m&v=1")
    assert config.upstream_label == "wss://h/x?api-key=***&model=m&v=***"
    assert config.secrets == ("0123456789",)


# The documentation.


def documented(heading):
    """Return the rows of the table below `heading`, as lists of cells without code marks."""
    section = DOCS.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def test_the_documentation_lists_every_setting_with_its_names_and_default():
    expected = [
        [
            row.flag or "",
            ", ".join([*row.env, *(f"{row.env_switch[0]}=1 is {row.env_switch[1]}" for _ in [0] if row.env_switch)]),
            row.name,
            "none" if row.default is None and not row.default_text else str(row.default_text or row.default),
        ]
        for row in SETTINGS
    ]
    assert [cells[:4] for cells in documented("Settings")] == expected
    assert all(cells[4] for cells in documented("Settings"))


@pytest.mark.parametrize(("heading", "table"), [("Deadlines", Deadlines), ("Limits", Limits)])
def test_the_documentation_lists_every_deadline_and_limit_with_its_default(heading, table):
    expected = [[key, f"{value:g}" if heading == "Deadlines" else str(value)] for key, value in _numbers(table)]
    assert [cells[:2] for cells in documented(heading)] == expected
    assert all(cells[2] for cells in documented(heading))


def _numbers(table):
    return [
        (key, int(value) if isinstance(value, float) and value.is_integer() else value)
        for key, value in msgspec.structs.asdict(table()).items()
    ]
