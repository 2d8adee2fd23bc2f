"""The secret that signs short-lived tokens: the same on every machine with the same credentials."""

import os

from router.access import signing
from router.access.signing import share_random_secret, signing_key
from router.config.auth import Auth, Token, digest, named_tokens
from router.config.model import RouterConfig
from router.secrets import Secret
from router.shared_areas import Areas, LastingAreas


def key(*, auth=None, **config):
    return signing_key(RouterConfig(auth=auth or Auth(), **config), "grants")


def test_two_machines_with_the_same_credentials_have_the_same_key():
    one, other = (key(openai_api_key=Secret("sk-1"), auth=Auth(tokens=named_tokens("a=1,b=2"))) for _ in range(2))
    assert one == other
    assert key(openai_api_key=Secret("sk-1"), auth=Auth(tokens=named_tokens("b=2,a=1"))) == one


def test_another_credential_makes_another_key():
    keys = {
        key(openai_api_key=Secret("sk-1")),
        key(openai_api_key=Secret("sk-2")),
        key(auth=Auth(tokens=named_tokens("a=1"))),
        key(auth=Auth(tokens=named_tokens("a=2"))),
        key(auth=Auth(secret=Secret("one"))),
        key(auth=Auth(secret=Secret("two"))),
        signing_key(RouterConfig(auth=Auth(secret=Secret("two"))), "other"),
    }
    assert len(keys) == 7


def test_a_configured_secret_replaces_the_other_credentials():
    secret = Auth(secret=Secret("shared"))
    assert key(auth=secret, openai_api_key=Secret("sk-1")) == key(auth=secret, openai_api_key=Secret("sk-2"))


def test_a_hash_that_a_file_contains_signs_nothing():
    token = Token(name="a", sha256=Secret(digest("1")))
    assert key(auth=Auth(tokens=(token,))) == key()
    assert key(auth=Auth(tokens=named_tokens("a=1"))) != key()


def test_the_processes_of_a_reload_share_the_random_secret(monkeypatch):
    areas = LastingAreas()
    share_random_secret(areas)
    first = key()
    monkeypatch.setattr(signing, "_RANDOM", bytearray(os.urandom(signing.SECRET_BYTES)))
    assert key() != first
    share_random_secret(LastingAreas(areas.handed))
    assert key() == first
    share_random_secret(Areas())
    assert key() == first
    areas.close()
