"""A value with its source: checked, and printed as a line of a file."""

import tomllib

import pytest

from router.config.parsers import whole
from router.config.provenance import SourcedValue, checked, did_you_mean, line, refuse_unknown
from router.errors import ConfigError
from router.secrets import Secret

WHERE = SourcedValue(9001, "--port", "the command line")


def test_an_invalid_value_is_named_with_its_source():
    with pytest.raises(ConfigError) as caught:
        checked(whole(0, 9), "x", "ROUTER_PORT", ".env")
    assert str(caught.value) == "ROUTER_PORT (.env) must be a whole number from 0 to 9, not 'x'"


def test_an_unknown_key_is_named_with_the_nearest_known_one():
    with pytest.raises(ConfigError) as caught:
        refuse_unknown("dail_s", ["dial_s", "hook_s"], "a.toml", "setting of [deadlines]", "deadlines.")
    assert str(caught.value) == "deadlines.dail_s (a.toml) is not a setting of [deadlines]; did you mean dial_s?"


def test_without_a_near_name_nothing_is_suggested():
    assert did_you_mean("colour", ["dial_s"]) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (9001, 9001),
        (2.5, 2.5),
        (True, True),
        ("döner", "döner"),
        (("a", "b"), ["a", "b"]),
        ({"aura-*": "Ara"}, {"aura-*": "Ara"}),
        ("wss://h/x?key=0123456789", "wss://h/x?key=***"),
    ],
)
def test_a_value_is_printed_as_toml_with_its_source_in_a_comment(value, shown):
    printed = line("name", value, WHERE)
    assert tomllib.loads(printed) == {"name": shown}
    assert printed.endswith("  # --port, the command line")
    assert line("name", value, None).endswith("  # default")


def test_a_credential_and_a_missing_value_are_comments():
    assert line("openai_api_key", Secret("k"), None) == '# openai_api_key = "***"  # default'
    assert line("headers", {"X-A": Secret("k")}, None) == '# headers = { "X-A" = "***" }  # default'
    assert line("ca_file", None, None) == "# ca_file is not set"
