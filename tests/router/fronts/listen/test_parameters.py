"""The parameters of a transcription."""

import json

import pytest

from router.access.request import Query
from router.fronts.listen.parameters import is_on, problem_of, settings_of

GOOD = {"encoding": "linear16", "sample_rate": "16000"}


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({}, "encoding"),
        ({"encoding": "opus"}, "encoding"),
        ({**GOOD, "channels": "2"}, "channels"),
        ({**GOOD, "sample_rate": "many"}, "sample_rate"),
        ({**GOOD, "sample_rate": "9" * 5000}, "sample_rate"),
        ({**GOOD, "sample_rate": "99999"}, "sample_rate"),
    ],
)
def test_a_request_that_cannot_be_obeyed_is_refused_by_its_parameter(query, problem):
    assert problem in problem_of(query)


@pytest.mark.parametrize("query", [GOOD, {"encoding": "mulaw", "sample_rate": "8000", "channels": "1", "model": "x"}])
def test_any_other_request_is_served(query):
    assert problem_of(query) is None


def test_language_and_key_terms_are_those_of_the_listen_block():
    settings = json.loads(settings_of({**GOOD, "language": "de", "keyterm": "Ada"}))
    assert settings["audio"] == {"input": {"encoding": "linear16", "sample_rate": 16000}}
    assert settings["agent"]["listen"]["provider"] == {"type": "deepgram", "language": "de", "keyterms": ["Ada"]}


def test_each_key_term_of_a_repeated_parameter_counts():
    query = Query([*GOOD.items(), ("keyterm", "Ada"), ("keyterm", ""), ("keyterm", "Grace")])
    assert json.loads(settings_of(query))["agent"]["listen"]["provider"]["keyterms"] == ["Ada", "Grace"]


def test_a_switch_is_on_where_it_says_true():
    assert is_on({"interim_results": "True"}, "interim_results")
    assert not is_on({"interim_results": "false"}, "interim_results")
    assert not is_on({}, "interim_results")
