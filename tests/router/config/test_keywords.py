"""The configuration as keywords of `Router`."""

import pytest

from router import ConfigError, Deadlines, Limits, Router, RouterConfig, Secret, Upstream
from router.config.keywords import COMMAND_ONLY, RouterSettings, config_of

KEY = "sk-test-0123456789abcdef"


def test_every_field_of_the_configuration_can_be_given_and_nothing_else():
    assert set(RouterSettings.__annotations__) == set(RouterConfig.__struct_fields__) - COMMAND_ONLY


@pytest.mark.parametrize("name", sorted(COMMAND_ONLY))
def test_a_setting_of_the_command_alone_is_refused(name):
    with pytest.raises(ConfigError, match=rf"^{name} \(Router\(\.\.\.\)\) is a setting of the command alone"):
        Router(**{name: 1})


def test_without_settings_the_simulator_answers():
    assert Router().config == RouterConfig(upstream="simulator")


def test_with_a_key_openai_is_the_upstream():
    config = Router(openai_api_key=KEY).config
    assert (config.upstream, config.openai_api_key) == ("openai", Secret(KEY))
    assert KEY not in repr(config)


def test_with_a_key_in_a_whole_configuration_openai_is_the_upstream_too():
    key = Secret(KEY)
    assert Router(RouterConfig(openai_api_key=key)).config == Router(openai_api_key=key).config
    assert RouterConfig(openai_api_key=key, upstream="simulator").upstream == "simulator"


def test_none_counts_as_not_given(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    config = Router(openai_api_key=None, upstream=None, ca_file=None).config
    assert (config.upstream, config.openai_api_key) == ("simulator", None)


def test_values_may_be_of_our_own_types_or_plain():
    plain = config_of(
        {
            "openai_api_key": KEY,
            "models": ("a", "b"),
            "voices": {"aura-*": "cedar"},
            "deadlines": {"dial_s": 3},
            "limits": {"pool_threads": 5},
            "upstreams": [{"url": "openai"}, {"url": "ws://127.0.0.1:9", "headers": {"X-Tenant": "acme"}}],
        },
        pytest.fail,
    )
    typed = config_of(
        {
            "openai_api_key": Secret(KEY),
            "models": ["a", "b"],
            "voices": {"aura-*": "cedar"},
            "deadlines": Deadlines(dial_s=3.0),
            "limits": Limits(pool_threads=5),
            "upstreams": (Upstream(url="openai"), Upstream(url="ws://127.0.0.1:9", headers=(("X-Tenant", "acme"),))),
        },
        pytest.fail,
    )
    mixed = {"openai_api_key": KEY, "upstreams": [Upstream(url="openai"), {"url": "ws://127.0.0.1:9"}]}
    assert plain == typed
    assert [it.url for it in config_of(mixed, pytest.fail).upstreams] == ["openai", "ws://127.0.0.1:9"]
    assert plain.upstreams[0].api_key == Secret(KEY)
    assert plain.upstreams[1].api_key is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"upstrem": "openai"}, "upstrem (Router(...)) is not a setting; did you mean upstream?"),
        ({"upstream": "openai"}, "upstream (Router(...)) is openai, which needs a key: give openai_api_key, too"),
        ({"upstream": "http://x"}, "not http://"),
        ({"turn_detection": "vad"}, "turn_detection (Router(...)) must be server_vad, semantic_vad or manual"),
        ({"restarts": -1}, "restarts (Router(...)) must be a whole number from 0 to 20"),
        ({"deadlines": Deadlines(dial_s=-1.0)}, "deadlines.dial_s (Router(...)) must be a number of seconds"),
        ({"limits": {"early": 1}}, "limits.early (Router(...)) is not a setting of [limits]"),
        ({"limits": 5}, "limits (Router(...)) must be a table"),
        ({"upstreams": [{}]}, "upstreams[0].url (Router(...)) is missing"),
        ({"upstreams": "openai"}, "upstreams (Router(...)) must be tables"),
        ({"upstreams": [Upstream(url="http://x")]}, "upstreams[0].url (Router(...)) must be openai"),
        ({"upstreams": [Upstream(url="ws://x"), Upstream(url="simulator")]}, "upstreams[1].url (Router(...)) must be"),
        ({"upstreams": [Upstream(url="ws://x", headers=(("Host", "y"),))]}, "upstreams[0].headers (Router(...)) has"),
        ({"upstreams": [{"url": "openai"}]}, "upstreams[0].api_key (Router(...)) is missing"),
        ({"upstreams": [{"url": "ws://x"}], "upstream": "ws://y"}, "upstream (Router(...)) is set beside"),
    ],
)
def test_an_invalid_setting_is_named_with_its_keyword(given, sentence):
    with pytest.raises(ConfigError) as error:
        Router(**given)
    assert sentence in str(error.value)


def test_an_invalid_key_is_refused_without_being_shown():
    with pytest.raises(ConfigError) as error:
        Router(openai_api_key=f"{KEY} and more")
    assert "openai_api_key" in str(error.value)
    assert KEY not in str(error.value)


def test_a_key_of_an_upstream_may_be_plain_text_and_is_shown_no_more():
    config = Router(upstreams=[Upstream(url="ws://x", api_key=KEY)]).config
    assert config.upstreams[0].api_key == Secret(KEY)
    assert KEY not in repr(config)


def test_a_configuration_and_keywords_together_are_refused():
    with pytest.raises(TypeError, match="voice"):
        Router(RouterConfig(), voice="cedar")
