"""Key sets: files and URLs, caching, rotation, and a server that does not answer."""

import json
import logging

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from router.access.key_sets import REFRESH_S, RETRY_S, STALE_S, KeySet, fetch, parse_key_set, problem_of
from tests.support.processes.http_endpoint import Endpoint


def entry(key, key_id, **more):
    algorithm = {"RSA": jwt.algorithms.RSAAlgorithm, "EC": jwt.algorithms.ECAlgorithm}.get(
        "RSA" if isinstance(key, rsa.RSAPrivateKey) else "EC" if isinstance(key, ec.EllipticCurvePrivateKey) else "",
        jwt.algorithms.OKPAlgorithm,
    )
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": key_id, **more}


def key_set(*entries):
    return json.dumps({"keys": list(entries)}).encode()


@pytest.fixture(scope="module")
def keys():
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }


class Server:
    """A place of a key set that a test changes, and a clock."""

    def __init__(self, text):
        self.text = text
        self.fetched = 0
        self.now_s = 0.0

    def __call__(self, _place):
        self.fetched += 1
        if isinstance(self.text, Exception):
            raise self.text
        return self.text

    def keys(self):
        return KeySet("https://issuer.example/jwks", self, clock=lambda: self.now_s)


def test_a_key_is_found_by_its_id_and_only_for_its_own_algorithms(keys):
    found = Server(key_set(entry(keys["rsa"], "a"), entry(keys["ec"], "b"), entry(keys["ed"], "c", alg="EdDSA"))).keys()
    assert len(found.of("a", "RS256")) == len(found.of("a", "PS512")) == len(found.of("b", "ES256")) == 1
    assert len(found.of("c", "EdDSA")) == len(found.of(None, "RS256")) == 1
    for key_id, algorithm in (("a", "ES256"), ("a", "HS256"), ("b", "RS256"), ("d", "RS256"), (None, "HS256")):
        assert found.of(key_id, algorithm) == []


def test_a_key_that_names_its_algorithm_serves_no_other(keys):
    found = Server(key_set(entry(keys["rsa"], "a", alg="RS256"))).keys()
    assert len(found.of("a", "RS256")) == 1
    assert found.of("a", "PS256") == []


def test_a_set_is_read_once_and_again_when_it_is_old(keys):
    server = Server(key_set(entry(keys["rsa"], "a")))
    found = server.keys()
    for _ in range(3):
        assert found.of("a", "RS256")
    assert server.fetched == 1
    server.text, server.now_s = key_set(entry(keys["ec"], "b")), REFRESH_S + 1
    assert found.of("a", "RS256") == []
    assert len(found.of("b", "ES256")) == 1
    assert server.fetched == 2


def test_a_new_key_of_the_issuer_is_found_at_once_and_unknown_keys_cause_no_storm(keys):
    server = Server(key_set(entry(keys["rsa"], "a")))
    found = server.keys()
    assert found.of("a", "RS256")
    server.text, server.now_s = key_set(entry(keys["rsa"], "a"), entry(keys["rsa"], "b")), RETRY_S
    assert found.of("b", "RS256")
    for n in range(50):
        assert found.of(f"made up {n}", "RS256") == []
    assert server.fetched == 2


def test_a_key_that_is_new_right_after_the_first_reading_is_found_at_once(keys):
    server = Server(key_set(entry(keys["rsa"], "a")))
    found = server.keys()
    assert found.of("a", "RS256")
    server.text = key_set(entry(keys["rsa"], "b"))
    assert found.of("b", "RS256")
    assert found.of("a", "RS256") == []
    assert server.fetched == 2


def test_a_set_that_cannot_be_read_at_first_is_not_asked_for_at_every_token(keys):
    server = Server(OSError("no route"))
    found = server.keys()
    for _ in range(5):
        assert found.of("a", "RS256") == []
    assert server.fetched == 1
    server.text, server.now_s = key_set(entry(keys["rsa"], "a")), RETRY_S
    assert found.of("a", "RS256")


@pytest.mark.parametrize("failure", [OSError("no route"), b"<html>", b'{"keys": []}', b'{"keys": 5}', b"[]"])
def test_while_the_issuer_fails_the_old_keys_serve_for_a_day(keys, failure, caplog):
    server = Server(key_set(entry(keys["rsa"], "a")))
    found = server.keys()
    assert found.of("a", "RS256")
    server.text, server.now_s = failure, STALE_S - 1
    with caplog.at_level(logging.ERROR):
        assert found.of("a", "RS256")
    assert "the key set cannot be read" in caplog.text
    server.now_s = STALE_S + 1
    assert found.of("a", "RS256") == []


def test_keys_for_another_use_of_an_unknown_type_or_secret_are_left_out(keys):
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}
    others = [{"kty": "XYZ", "kid": "x"}, entry(keys["rsa"], "e", use="enc"), "text", {"kid": "n"}, secret]
    found = parse_key_set(key_set(*others, entry(keys["ec"], "b")), is_public=True)
    assert [key.id for key in found] == ["b"]
    assert [key.id for key in parse_key_set(key_set(secret), is_public=False)] == ["s"]


def test_a_key_set_comes_from_a_file(keys, tmp_path):
    (tmp_path / "jwks.json").write_bytes(key_set(entry(keys["rsa"], "a")))
    assert b'"a"' in fetch(None, str(tmp_path / "jwks.json"))
    with pytest.raises(OSError, match="gone"):
        fetch(None, str(tmp_path / "gone"))


@pytest.mark.parametrize(
    "place", ["http://issuer.example/jwks", "ftp://issuer.example/jwks", "http://127.0.0.1.evil.example/", "http:///x"]
)
def test_a_key_set_over_an_open_network_is_refused(place):
    assert "must be a file, an https:// URL" in problem_of(place)


@pytest.mark.parametrize("place", ["https://a.example/jwks", "http://127.0.0.1:9/jwks", "jwks.json", "/etc/jwks.json"])
def test_a_file_https_and_this_machine_are_accepted(place):
    assert problem_of(place) == ""


@pytest.mark.slow
def test_a_key_set_comes_from_a_server_that_may_not_send_elsewhere(keys):
    with Endpoint() as server:
        server.answers(key_set(entry(keys["rsa"], "a")).decode())
        assert b'"a"' in fetch(None, f"{server.origin}/jwks")
        server.answers("gone", status=302)
        with pytest.raises(OSError, match=r"127\.0\.0\.1 answered 302"):
            fetch(None, f"{server.origin}/jwks")
    with pytest.raises(OSError, match=r"127\.0\.0\.1: "):
        fetch(None, f"{server.origin}/jwks")
