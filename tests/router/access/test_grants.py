"""Short-lived tokens of the router's own."""

import base64
import os

import jwt
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.access.grants import EPHEMERAL_PREFIX, TooLongError, issue, principal_of
from router.access.request import NO_TERMS, Principal

KEY = b"k" * 32
NOW_S = 1_000_000.0
ADA = Principal("ada", {"plan": "gold"}, policy="kiosk", is_admin=True)


def test_a_grant_names_its_principal_and_its_policy_and_gives_no_right_of_an_administrator():
    token, ends_s = issue(KEY, ADA, 30, NOW_S)
    assert ends_s == NOW_S + 30
    expected = Principal("ada", policy="kiosk", expires_s=NOW_S + 30, is_granted=True)
    assert principal_of(KEY, token, NOW_S) == expected
    assert principal_of(KEY, EPHEMERAL_PREFIX + token, NOW_S) == expected


def test_a_grant_ends_with_its_time_and_never_after_the_credential_that_earned_it():
    token, _ = issue(KEY, ADA, 30, NOW_S)
    assert principal_of(KEY, token, NOW_S + 29.9)
    assert principal_of(KEY, token, NOW_S + 30) is None
    assert issue(KEY, Principal("ada", expires_s=NOW_S + 5.5), 30, NOW_S)[1] == NOW_S + 5


def test_a_client_without_an_identity_gets_one_for_the_grant():
    token, _ = issue(KEY, None, 30, NOW_S)
    assert principal_of(KEY, token, NOW_S).id == "anonymous"


def test_a_grant_is_a_json_web_token_that_shows_no_attribute():
    token, _ = issue(KEY, ADA, 30, NOW_S)
    claims = jwt.decode(token, KEY, algorithms=["HS256"], options={"verify_exp": False})
    assert set(claims) == {"iss", "sub", "policy", "iat", "exp", "jti"}
    assert issue(KEY, ADA, 30, NOW_S)[0] != token


def altered(token, **claims):
    header, payload, signature = token.split(".")
    found = orjson.loads(base64.urlsafe_b64decode(payload + "=="))
    payload = base64.urlsafe_b64encode(orjson.dumps({**found, **claims})).rstrip(b"=").decode()
    return f"{header}.{payload}.{signature}"


@pytest.mark.parametrize("claims", [{"sub": "bob"}, {"exp": 2_000_000_000}, {"policy": None}])
def test_an_altered_grant_is_worth_nothing(claims):
    token, _ = issue(KEY, ADA, 30, NOW_S)
    assert principal_of(KEY, altered(token, **claims), NOW_S) is None
    assert principal_of(b"x" * 32, token, NOW_S) is None


def test_a_token_of_another_issuer_with_the_same_key_is_no_grant():
    for claims in ({"iss": "other", "sub": "a", "exp": 2_000_000, "iat": 0, "jti": "x"}, {"sub": "a"}, {}):
        token = jwt.encode(claims, KEY, algorithm="HS256")
        assert principal_of(KEY, token, NOW_S) is None


@given(st.text(max_size=80))
def test_any_other_text_is_no_grant(text):
    assert principal_of(KEY, text, NOW_S) is None


def test_a_token_carries_its_terms_whose_repr_shows_no_text():
    session = {"instructions": "Sell tickets. " * 500}
    token, _ = issue(KEY, ADA, 30, NOW_S, is_single_use=True, session=session)
    found = principal_of(KEY, token, NOW_S)
    assert found.terms.session == session
    assert found.terms.single_use_id
    assert found.terms.single_use_id != principal_of(KEY, issue(KEY, ADA, 30, NOW_S, is_single_use=True)[0], NOW_S)
    assert "tickets" not in repr(found)
    assert principal_of(KEY, issue(KEY, ADA, 30, NOW_S)[0], NOW_S).terms == NO_TERMS


def test_a_session_that_fits_into_no_header_is_refused():
    with pytest.raises(TooLongError):
        issue(KEY, ADA, 30, NOW_S, session={"instructions": os.urandom(5000).hex()})
