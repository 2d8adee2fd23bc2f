"""The agents of the configuration."""

import json

import pytest

from router.errors import ConfigError
from router.fronts.agents import Agents, checked

AUDIO = {"input": {"encoding": "mulaw", "sample_rate": 8000}}


def settings(agents, agent_id=None, **variables):
    written = Agents(agents).settings(agent_id, AUDIO, variables)
    return None if written is None else json.loads(written)


def test_an_agent_becomes_the_settings_of_a_session():
    agents = {"a": {"greeting": "Hello.", "think": {"prompt": "Be brief."}}, "b": {}}
    assert settings(agents, "a") == {"type": "Settings", "audio": AUDIO, "agent": agents["a"]}
    assert settings(agents, "c") is None


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ({}, {}),
        ({"only": {"greeting": "Only."}}, {"greeting": "Only."}),
        ({"default": {"greeting": "Default."}, "a": {}}, {"greeting": "Default."}),
        ({"a": {"greeting": "A."}, "b": {"greeting": "B."}}, {}),
    ],
)
def test_without_an_id_it_is_the_default_one_or_the_only_one(agents, expected):
    assert settings(agents)["agent"] == expected


def test_variables_are_filled_in_at_every_depth_and_unknown_ones_stay():
    agents = {"a": {"greeting": "{{who}} {{ who }} {{nobody}}", "think": [{"prompt": "{{who}}"}], "n": 1}}
    filled = settings(agents, "a", who='A "quoted" Ada')["agent"]
    assert filled == {
        "greeting": 'A "quoted" Ada A "quoted" Ada {{nobody}}',
        "think": [{"prompt": 'A "quoted" Ada'}],
        "n": 1,
    }


@pytest.mark.parametrize(
    ("agent", "problem"),
    [
        ({"greeting": 5}, "Expected `str | null`"),
        ({"listen": {"provider": {"language_hints": 5}}}, "language_hints"),
        ({"think": {"provider": {"temperature": 99}}}, "temperature"),
    ],
)
def test_an_agent_that_is_no_agent_of_settings_is_refused_with_its_id(agent, problem):
    with pytest.raises(ConfigError, match=r"agents.support \(the configuration\) is invalid") as refused:
        checked({"support": agent})
    assert problem in str(refused.value)


def test_valid_agents_are_taken():
    assert checked({"a": {"think": {"prompt": "x"}}}).by_id == {"a": {"think": {"prompt": "x"}}}
