"""Tests of single rules."""

from __future__ import annotations

import pytest

from router.policy.rules import Denied, Rule, begins


@pytest.mark.parametrize(
    ("given", "is_permitted"), [("a", True), ("b", False), (200, True), (200.0, False), (True, False), (1, True)]
)
def test_an_allowed_value_has_the_same_type(given, is_permitted):
    assert Rule("allow", ["a", 200, 1]).permits(given) is is_permitted


@pytest.mark.parametrize(
    "given",
    [
        "https://a.example.evil",
        "https://a.example@evil.example",
        "https://a.example:8443/x",
        "HTTPS://a.example",
        "http://a.example",
        " https://a.example",
    ],
)
def test_the_host_of_a_url_ends_where_that_of_the_prefix_does(given):
    assert not begins(given, "https://a.example")


def test_a_path_stays_behind_its_prefix():
    assert begins("https://a.example/x/y?z", "https://a.example")
    assert begins("https://a.example/x/y", "https://a.example/x/")
    assert begins("any..name", "any")


@pytest.mark.parametrize("rest", ["../y", "%2e%2E/y", ".%2e/y", ".\t./y", "..\\y", "z\\..\\..\\y", " "])
def test_a_path_does_not_lead_out_of_its_prefix_in_any_spelling(rest):
    assert not begins(f"https://a.example/x/{rest}", "https://a.example/x/")


def test_a_denial_is_a_sentence_with_the_place():
    denied = Denied(place="session.voice", field="voice")
    assert denied.sentence == "`session.voice` is not allowed for this client"
