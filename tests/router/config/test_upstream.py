"""One upstream: the URL, the headers and the credential that it is dialled with."""

import pytest

from router.config.upstream import Upstream
from router.errors import ConfigError
from router.secrets import Secret

AZURE_URL = "wss://acme.openai.azure.com/openai/v1/realtime"


def test_openai_is_dialled_with_a_bearer():
    upstream = Upstream(url="openai", api_key=Secret("k"))
    assert upstream.dial_url("m") == "wss://api.openai.com/v1/realtime?model=m"
    assert upstream.dial_headers() == (("Authorization", "Bearer k"),)


@pytest.mark.parametrize(
    "host",
    ["acme.openai.azure.com", "ACME.OpenAI.Azure.com", "a.cognitiveservices.azure.com", "a.services.ai.azure.com:443"],
)
def test_azure_is_dialled_with_its_deployment_and_its_own_header(host):
    upstream = Upstream(url=f"wss://{host}/openai/v1/realtime", api_key=Secret("k"), model="my-deployment")
    assert upstream.dial_url("gpt-realtime-2.1") == f"wss://{host}/openai/v1/realtime?model=my-deployment"
    assert upstream.dial_headers() == (("api-key", "k"),)


@pytest.mark.parametrize("url", ["ws://openai.azure.com.evil.example/x", "wss://openai.azure.com/", "ws://h/x"])
def test_a_host_that_only_looks_like_azure_s_gets_a_bearer(url):
    assert Upstream(url=url, api_key=Secret("k")).dial_headers() == (("Authorization", "Bearer k"),)


def test_the_header_of_the_key_can_be_set_and_others_follow_it():
    entra = Upstream(url=AZURE_URL, api_key=Secret("token"), api_key_header="authorization", headers=(("X-A", "b"),))
    assert entra.dial_headers() == (("Authorization", "Bearer token"), ("X-A", "b"))
    assert Upstream(url="ws://h", api_key=Secret("k"), api_key_header="api-key").dial_headers() == (("api-key", "k"),)
    assert Upstream(url="ws://h", headers=(("X-A", "b"),)).dial_headers() == (("X-A", "b"),)


@pytest.mark.parametrize(
    ("url", "is_known"),
    [
        ("openai", True),
        ("simulator", True),
        ("wss://api.openai.com/v1/realtime", True),
        ("wss://acme.openai.azure.com/openai/v1/realtime", True),
        ("wss://notopenai.com/v1/realtime", False),
        ("wss://api.openai.com.example/v1/realtime", False),
        ("ws://127.0.0.1:8765/v1/realtime", False),
    ],
)
def test_an_upstream_is_known_for_g711_by_its_host_unless_it_is_set(url, is_known):
    assert Upstream(url=url).g711 is is_known
    assert Upstream(url=url, g711=not is_known).g711 is not is_known


def test_the_model_of_the_url_wins_over_the_upstream_s_own_and_that_over_the_requested_one():
    assert Upstream(url="ws://h?model=u", model="own").dial_url("requested") == "ws://h?model=u"
    assert Upstream(url="ws://h", model="own").dial_url("requested") == "ws://h?model=own"
    assert Upstream(url="ws://h").dial_url("requested") == "ws://h?model=requested"


def test_the_embedded_simulator_has_no_url():
    with pytest.raises(ConfigError, match="once it runs"):
        Upstream(url="simulator").dial_url("m")
    assert Upstream(url="simulator").label("m") == "simulator"


def test_the_repr_shows_no_credential():
    upstream = Upstream(
        url="ws://h/x?token=0123456789", api_key=Secret("abcdefgh"), headers=(("X-Tenant", "acme-tenant"), ("X-A", "b"))
    )
    assert upstream.secrets == ("abcdefgh", "acme-tenant", "0123456789")
    assert not any(secret in repr(upstream) for secret in upstream.secrets)
    assert "X-Tenant" in repr(upstream)
