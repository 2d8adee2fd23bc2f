"""The parameters of a transcription."""

import json

import pytest

from router.access.request import Query
from router.fronts.listen.parameters import is_on, permitted, problem_of, settings_of
from router.policy.policy import Policy
from router.policy.rules import Denied, Rule
from tests.support.machine.policies import policy

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


def allowed(query, **rules):
    """Return the names and values that Deepgram gets under a policy, or the name of the denied parameter."""
    judged = permitted(policy(**rules), query)
    return judged.place if isinstance(judged, Denied) else list(judged.pairs)


def test_a_forced_transcription_replaces_every_model_of_the_url_and_its_details():
    query = Query([("model", "a"), ("language", "xx"), ("keyterm", "y"), ("punctuate", "true"), ("model", "b")])
    assert allowed(query, transcription={"force": "nova-3"}) == [("punctuate", "true"), ("model", "nova-3")]
    found = allowed(query, transcription={"force": {"model": "nova-3", "language": "de"}})
    assert found == [("punctuate", "true"), ("model", "nova-3"), ("language", "de")]


def test_each_model_of_the_url_has_to_be_allowed():
    rule = {"allow": ["nova-3"]}
    assert allowed(Query([("model", "nova-3")]), transcription=rule) == [("model", "nova-3")]
    assert allowed(Query([]), transcription=rule) == []
    assert allowed(Query([("model", "other"), ("model", "nova-3")]), transcription=rule) == "model"
    assert allowed(Query([("keyterm", "y")]), transcription={"deny": True}) == "keyterm"


def test_the_rule_about_the_agent_s_model_does_not_concern_a_transcription():
    assert allowed(Query([("model", "nova-3")]), model={"allow": ["gpt-realtime"]}) == [("model", "nova-3")]


def test_a_call_back_is_an_endpoint_and_an_encoding_is_a_format():
    call_back = Query([("callback", "https://evil.example/x")])
    assert allowed(call_back, endpoints={"deny": True}) == "callback"
    assert allowed(call_back, endpoints={"prefix": "https://fine.example"}) == "callback"
    assert allowed(Query([("encoding", "mulaw")]), input_format={"allow": ["linear16"]}) == "encoding"
    found = allowed(Query([("encoding", "mulaw"), ("sample_rate", "8000")]), input_format={"force": "linear16"})
    assert found == [("encoding", "linear16"), ("sample_rate", "24000")]


@pytest.mark.parametrize("name", ["Model", "MODEL", "model ", "mode\u0131", "access_token"])
def test_an_unknown_parameter_is_denied_under_a_policy(name):
    assert allowed(Query([(name, "x")]), transcription={"force": "nova-3"}) == name
    of_an_application = Policy(rules={"transcription": Rule("force", "nova-3")}, is_lenient=True)
    assert permitted(of_an_application, Query([(name, "x")])).pairs == ((name, "x"), ("model", "nova-3"))


def test_the_router_s_own_parameters_are_no_business_of_a_policy():
    own = [("service", "transcription"), ("token", "t")]
    assert allowed(Query(own), transcription={"deny": True}) == own
