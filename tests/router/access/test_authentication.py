"""The configured kinds together: who comes in, and a refusal that tells nothing."""

import os
import time

import jwt
import pytest

from actors.connections.handover import HandshakeRefused
from actors.pool import Pool
from router.access.authentication import REFUSAL_S, Authentication
from router.access.request import Principal, Request
from router.config.auth import Auth, Jwt, Token, digest, named_tokens
from router.config.model import RouterConfig
from router.errors import ConfigError
from router.policy.table import policies
from router.secrets import Secret

TOKENS = (*named_tokens("alice=one"), Token(name="old", sha256=Secret(digest("old")), expires_s=1.0))
SHARED = "a phrase of many more than sixty-four bytes, which only the two sides know"
EVERY = Auth(kinds=("token", "jwt"), tokens=TOKENS, jwt=Jwt(key=Secret(SHARED)))


@pytest.fixture
def pool():
    pool = Pool("auth", 1)
    yield pool
    pool.close()


@pytest.fixture
def identify(pool):
    def identify(auth, credential, hook=None):
        request = Request(path="/openai", profile="openai", query={}, headers={}, credential=credential)
        it = auth if isinstance(auth, Authentication) else Authentication(RouterConfig(auth=auth), hook)
        return it.identify(request, pool, session_id="7f3a", timeout_s=5.0).principal

    return identify


@pytest.fixture
def refused(identify):
    def refused(*given, **hook):
        with pytest.raises(HandshakeRefused) as caught:
            identify(*given, **hook)
        return caught.value

    return refused


def a_jwt(**claims):
    return jwt.encode({"sub": "ada", "exp": int(time.time()) + 60, **claims}, SHARED)


def test_without_authentication_every_client_comes_in_without_an_identity(identify):
    assert identify(Auth(), None) is None
    assert identify(Auth(), "anything") is None


def test_any_of_the_configured_kinds_lets_a_client_in(identify):
    assert identify(EVERY, "one").id == "alice"
    assert identify(EVERY, a_jwt()).id == "ada"
    assert identify(EVERY, "hooked", hook=lambda request: Principal(request.credential)).id == "hooked"


def test_a_kind_that_is_set_up_and_not_listed_lets_nobody_in(refused):
    assert refused(Auth(kinds=("jwt",), tokens=TOKENS, jwt=EVERY.jwt), "one").status == 401
    assert refused(Auth(kinds=("token",), tokens=TOKENS, jwt=EVERY.jwt), a_jwt()).status == 401


@pytest.mark.parametrize("credential", [None, "", "wrong", "old", "a.b.c", "x" * 10_000, "ek_one", "\udc80"])
def test_an_absent_a_wrong_and_an_expired_credential_get_the_same_refusal(refused, credential):
    first, again = refused(EVERY, "wrong"), refused(EVERY, credential)
    assert (again.status, again.description, again.headers) == (first.status, first.description, first.headers)
    assert again.status == 401


def test_a_credential_that_names_an_unknown_policy_lets_nobody_in(identify, refused, caplog):
    config = RouterConfig(auth=EVERY, policies=policies({"kiosk": {}}))
    it = Authentication(config, None)
    assert identify(it, a_jwt(policy="kiosk")).policy == "kiosk"
    assert refused(it, a_jwt(policy="kisok")).status == 401
    assert "which does not exist" in caplog.text
    hooked = Authentication(config, lambda request: Principal("ada", policy=request.credential))
    assert identify(hooked, "kiosk").policy == "kiosk"
    assert refused(hooked, "kisok").status == 500


def test_a_short_lived_token_has_the_policy_of_its_principal_and_no_other(identify, refused):
    config = RouterConfig(auth=EVERY, policies=policies({"kiosk": {}}))
    token, _ = Authentication(config, None).grant(Principal("ada", policy="kiosk"), 30)
    assert identify(Authentication(config, None), token).policy == "kiosk"
    # On a machine without this policy.
    assert refused(Authentication(RouterConfig(auth=EVERY), None), token).status == 401


@pytest.mark.alone
def test_every_refusal_takes_the_same_time(identify):
    it = Authentication(RouterConfig(auth=EVERY), None)

    def refusal_s(credential):
        begun_s = time.perf_counter()
        with pytest.raises(HandshakeRefused):
            identify(it, credential)
        return time.perf_counter() - begun_s

    credentials = (None, "wrong", "old", a_jwt(exp=1), a_jwt()[:-4])
    # The shortest of many: a loaded machine wakes a thread late, and never early.
    shortest_s = [min(times) for times in zip(*([refusal_s(it) for it in credentials] for _ in range(15)), strict=True)]
    assert min(shortest_s) >= REFUSAL_S
    assert max(shortest_s) - min(shortest_s) < 0.002


def test_a_grant_lets_its_client_in_once_more_and_earns_no_other():
    it = Authentication(RouterConfig(auth=EVERY), None)
    token, _ = it.grant(Principal("alice"), 30)
    pool = Pool("auth", 1)
    request = Request(path="/", profile="openai", query={}, headers={}, credential=token)
    found = it.identify(request, pool, session_id="7f3a", timeout_s=5.0).principal
    pool.close()
    assert (found.id, found.is_granted) == ("alice", True)
    with pytest.raises(HandshakeRefused) as caught:
        it.grant(found, 30)
    assert caught.value.status == 403


def test_a_token_with_terms_is_read_where_no_credential_is_demanded_and_a_plain_one_is_not(identify):
    it = Authentication(RouterConfig(), None)
    token, _ = it.grant(None, 30, session={"instructions": "Be brief."})
    assert identify(it, token).terms.session == {"instructions": "Be brief."}
    assert identify(it, it.grant(None, 30)[0]) is None
    assert identify(it, "sk-of-the-client") is None


def test_a_session_that_fits_into_no_token_is_a_bad_request():
    session = {"instructions": os.urandom(5000).hex()}
    with pytest.raises(HandshakeRefused) as caught:
        Authentication(RouterConfig(), None).grant(None, 30, session=session)
    assert caught.value.status == 400


def test_another_worker_and_another_machine_accept_a_grant(identify):
    machines = [Authentication(RouterConfig(auth=EVERY), None) for _ in range(2)]
    assert identify(machines[1], machines[0].grant(Principal("alice"), 30)[0]).id == "alice"
    stranger = Authentication(RouterConfig(auth=Auth(kinds=("token",), tokens=named_tokens("alice=other"))), None)
    with pytest.raises(HandshakeRefused):
        identify(stranger, machines[0].grant(Principal("alice"), 30)[0])


def test_a_function_is_found_by_its_place(identify, tmp_path, monkeypatch):
    (tmp_path / "own_auth.py").write_text(
        "class A:\n    @staticmethod\n    def decide(request):\n        return None\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [])
    auth = Auth(kinds=("callable",), function="own_auth:A.decide")
    with pytest.raises(HandshakeRefused):
        identify(auth, "one")


@pytest.mark.parametrize("place", ["no_such_module:f", "json:no_such_name", "json:__name__"])
def test_a_function_that_does_not_exist_stops_the_start(place):
    with pytest.raises(ConfigError, match=r"auth\.callable"):
        Authentication(RouterConfig(auth=Auth(kinds=("callable",), function=place)), None)
