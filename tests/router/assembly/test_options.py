"""The options of a session, from the configuration and the policy of its client."""

import pytest

from actors.connections.handover import HandshakeRefused
from router import Request, RouterConfig, Secret, Upstream
from router.access.request import Principal, Query, Terms
from router.assembly.factory import SessionFactory
from router.assembly.options import policy_of
from router.config.model import Limits
from router.config.policy_table import parse
from router.config.route import Route
from router.fronts.table import FRONTS
from router.hooks import Hooks
from router.policy.table import policies
from router.tools.registry import FunctionRegistry

KEY = "sk-test-0123456789abcdef"
POLICED = RouterConfig(policies=policies({"default": {"model": {"allow": ["gpt-realtime"]}}}))


def redact_of(config):
    request = Request(path="/openai", profile="openai", query={}, headers={})
    factory = SessionFactory(config, FunctionRegistry(), Hooks())
    return factory.of("s", request, None, perform=print, on_end=print).machine.context.options.redact


@pytest.mark.parametrize("spelled", ["a/b+c=defgh", "a%2Fb%2Bc%3Ddefgh"])
def test_a_key_of_the_url_is_redacted_from_what_clients_are_sent(spelled):
    """A server may repeat the key decoded, and a proxy as it was sent."""
    redact = redact_of(RouterConfig(upstream="ws://h/?key=a%2Fb%2Bc%3Ddefgh"))
    assert redact(f"{spelled} is no key") == "[redacted] is no key"


def test_a_key_that_begins_like_another_is_redacted_to_its_end():
    config = RouterConfig(upstream=f"ws://h/?key={KEY}-of-theirs", openai_api_key=Secret(KEY))
    assert redact_of(config)(f"{KEY}, {KEY}-of-theirs") == "[redacted], [redacted]"


def test_without_a_credential_a_text_stays_as_it_is():
    assert redact_of(RouterConfig(upstream="ws://h"))("nothing of the kind") == "nothing of the kind"


def test_a_model_of_the_url_that_the_policy_denies_is_refused_with_403():
    request = Request(path="/v1/realtime", profile="realtime", query={"model": "gpt-5"}, headers={})
    with pytest.raises(HandshakeRefused) as refused:
        policy_of(POLICED, FRONTS["realtime"], request, None)
    assert refused.value.status == 403


def test_a_transcription_s_model_is_judged_by_the_rule_about_transcription():
    request = Request(path="/", profile="deepgram-listen", query=Query([("model", "nova-3")]), headers={})
    assert policy_of(POLICED, FRONTS["deepgram-listen"], request, None) is not None
    assert policy_of(POLICED, FRONTS["listen"], request, None) is not None
    held = RouterConfig(policies=policies({"default": {"transcription": {"allow": ["nova-2"]}}}))
    with pytest.raises(HandshakeRefused) as refused:
        policy_of(held, FRONTS["deepgram-listen"], request, None)
    assert refused.value.status == 403


def test_deepgram_gets_the_parameters_that_the_policy_permits():
    forced = policies({"default": {"transcription": {"force": "nova-2"}}})
    config = RouterConfig(policies=forced, deepgram_listen_url="wss://here.example/v1/listen")
    request = Request(path="/", profile="deepgram-listen", query=Query([("model", "nova-3")]), headers={})
    factory = SessionFactory(config, FunctionRegistry(), Hooks())
    spec = factory.of("s", request, None, perform=print, on_end=print)
    assert spec.dial_target("", 0).url == "wss://here.example/v1/listen?model=nova-2"


def test_a_client_secret_whose_session_the_policy_denies_by_now_is_refused_with_403():
    principal = Principal("ada", terms=Terms(session={"model": "gpt-5"}))
    request = Request(path="/v1/realtime", profile="realtime", query={}, headers={}, principal=principal)
    with pytest.raises(HandshakeRefused) as refused:
        policy_of(POLICED, FRONTS["realtime"], request, None)
    assert refused.value.status == 403


def test_a_policy_sets_the_limits_of_its_sessions():
    limited = parse({"default": {"limits": {"max_cost_usd": 0.5, "max_messages_per_s": 50}}})
    config = RouterConfig(policies=limited, limits=Limits(max_turns=9, max_cost_usd=7))
    request = Request(path="/openai", profile="openai", query={}, headers={})
    spec = SessionFactory(config, FunctionRegistry(), Hooks()).of("s", request, None, perform=print, on_end=print)
    options = spec.machine.context.options
    assert (options.limits.max_cost_usd, options.limits.max_turns, spec.client_rates.messages_per_s) == (0.5, 9, 50)
    assert options.price_table is not None


def on_route(config, path, profile="openai", principal=None):
    request = Request(path=path, route=path, profile=profile, query={}, headers={}, principal=principal)
    factory = SessionFactory(config, FunctionRegistry(), Hooks())
    return factory.of("s", request, None, perform=print, on_end=print)


def test_a_route_has_settings_of_its_own():
    upstreams = (Upstream(url="ws://a"), Upstream(url="ws://b/?model=mine"), Upstream(url="ws://c"))
    own = Route(path="/own", front="openai", upstreams=(1, 2), defaults={"voice": "cedar", "vad_silence_ms": 900})
    config = RouterConfig(upstreams=upstreams, routes=(own,))
    found, other = (on_route(config, path).machine.context.options for path in ("/own", "/openai"))
    assert (found.voices.default, found.tuning.vad_silence_ms, found.fixed_model) == ("cedar", 900, "mine")
    assert (other.voices.default, other.tuning.vad_silence_ms, other.fixed_model) == ("marin", 500, None)


def test_a_route_dials_its_own_upstreams_alone():
    upstreams = tuple(Upstream(url=f"ws://{name}") for name in "abc")
    config = RouterConfig(upstreams=upstreams, routes=(Route(path="/own", front="openai", upstreams=(1, 2)),))
    own, other = (on_route(config, path) for path in ("/own", "/openai"))
    assert [own.is_paused(position) for position in range(3)] == [True, False, False]
    assert not any(other.is_paused(position) for position in range(3))


def test_the_policy_of_a_route_holds_where_the_credential_names_none():
    held = policies({"default": {}, "kiosk": {}, "staff": {}})
    config = RouterConfig(policies=held, routes=(Route(path="/own", front="openai", policy="kiosk"),))

    def name(path, policy):
        principal = Principal(id="alice", policy=policy)
        return on_route(config, path, principal=principal).machine.context.options.policy.name

    assert [name("/own", None), name("/own", "staff"), name("/openai", None)] == ["kiosk", "staff", "default"]


def test_a_telephone_is_under_no_policy():
    request = Request(path="/twilio", profile="twilio", query={}, headers={})
    assert policy_of(POLICED, FRONTS["twilio"], request, None) is None
    assert policy_of(POLICED, FRONTS["openai"], request, None) is not None
