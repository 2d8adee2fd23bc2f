"""Static tokens."""

from router.access.request import Principal
from router.access.tokens import new_token, principal_of
from router.config.auth import Token, digest, named_tokens
from router.secrets import Secret

NOW_S = 1_000_000.0


def token(name="alice", text="one", **fields):
    return Token(name=name, sha256=Secret(digest(text)), **fields)


def test_a_token_names_its_principal_with_its_policy_and_its_right():
    tokens = (token(), token("bob", "two", policy="kiosk", is_admin=True, expires_s=NOW_S + 1))
    assert principal_of(tokens, "one", NOW_S) == Principal("alice")
    bob = Principal("bob", policy="kiosk", is_admin=True, expires_s=NOW_S + 1)
    assert principal_of(tokens, "two", NOW_S) == bob


def test_another_credential_an_empty_one_and_an_expired_one_name_nobody():
    tokens = (token(), token("bob", "two", expires_s=NOW_S))
    for credential in ("three", "", "One", digest("one"), "two", "one\x00", "\udc80"):
        assert principal_of(tokens, credential, NOW_S) is None


def test_every_hash_is_compared_so_that_the_place_of_a_token_takes_no_time(monkeypatch):
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda one, other: compared.append(one) or one == other)
    tokens = tuple(token(str(n), str(n)) for n in range(5))
    assert principal_of(tokens, "0", NOW_S) == Principal("0")
    assert len(compared) == 5


def test_a_new_token_is_long_random_and_recognized_by_its_hash():
    text, hashed = new_token()
    assert text.startswith("sb_")
    assert len(text) > 40
    assert digest(text) == hashed
    assert new_token()[0] != text
    assert principal_of(named_tokens(f"alice={text}"), text, NOW_S) == Principal("alice")
