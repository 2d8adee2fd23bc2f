"""JSON Web Tokens of another issuer: keys, algorithms, claims, and the attacks on them."""

import base64
import hmac
import json
import logging
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from router.access.json_web_tokens import JsonWebTokens
from router.access.request import Principal
from router.config.auth import Jwt
from router.errors import ConfigError
from router.secrets import Secret

SHARED = "a phrase of many more than sixty-four bytes, which only the two sides know"


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


def public(key, encoding=serialization.Encoding.PEM, form=serialization.PublicFormat.SubjectPublicKeyInfo):
    return key.public_key().public_bytes(encoding, form)


def config(key=SHARED, **fields):
    return Jwt(key=Secret(key), **fields)


def claims(**more):
    return {"sub": "ada", "exp": int(time.time()) + 60, **more}


def principal_of(rules, given, key=SHARED, algorithm="HS256", **headers):
    return JsonWebTokens(rules).principal_of(jwt.encode(given, key, algorithm=algorithm, headers=headers))


def test_a_token_names_its_principal_and_its_claims_are_attributes():
    given = claims(plan="gold")
    found = principal_of(config(policy="kiosk"), given)
    assert found == Principal("ada", given, policy="kiosk", expires_s=float(given["exp"]))
    assert principal_of(config(), {"exp": given["exp"]}).id == "jwt"


@pytest.mark.parametrize(
    ("rules", "given", "policy"),
    [
        ({}, {"policy": "kiosk"}, "kiosk"),
        ({"policy": "hall"}, {"policy": "kiosk"}, "kiosk"),
        ({"policy": "hall"}, {}, "hall"),
        ({"policy_claim": "voice_policy"}, {"policy": "other", "voice_policy": "kiosk"}, "kiosk"),
    ],
)
def test_a_claim_names_the_policy_where_there_are_policies(rules, given, policy):
    token = jwt.encode(claims(**given), SHARED)
    assert JsonWebTokens(config(**rules), has_policies=True).principal_of(token).policy == policy
    assert JsonWebTokens(config(**rules)).principal_of(token).policy == rules.get("policy")


@pytest.mark.parametrize("claimed", [7, ["kiosk"], {}, True])
def test_a_claim_that_is_no_name_lets_nobody_in(claimed):
    assert JsonWebTokens(config(), has_policies=True).principal_of(jwt.encode(claims(policy=claimed), SHARED)) is None


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_secret_serves_every_algorithm_of_its_kind(algorithm):
    assert principal_of(config(), claims(), algorithm=algorithm).id == "ada"


def test_public_keys_of_each_type_serve_their_algorithms(rsa_key):
    for key, algorithms in (
        (rsa_key, ("RS256", "PS384")),
        (ec.generate_private_key(ec.SECP256R1()), ("ES256",)),
        (ed25519.Ed25519PrivateKey.generate(), ("EdDSA",)),
    ):
        for algorithm in algorithms:
            assert principal_of(config(public(key).decode()), claims(), key, algorithm).id == "ada"


@pytest.mark.parametrize(
    "given",
    [
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 2_000_000_000_0},
        {"sub": 5},
        {"sub": ""},
        {"aud": "other"},
        {"iss": "https://evil.example"},
    ],
)
def test_an_expired_an_early_and_a_foreign_token_are_refused(given):
    rules = config(audience=("voice",), issuer=("https://issuer.example",))
    right = claims(aud="voice", iss="https://issuer.example")
    assert principal_of(rules, right).id == "ada"
    assert principal_of(rules, {**right, **given}) is None


def test_a_token_without_an_end_is_refused():
    assert principal_of(config(), {"sub": "ada"}) is None


def test_an_audience_that_is_not_configured_does_not_matter():
    assert principal_of(config(), claims(aud="anything")).id == "ada"
    assert principal_of(config(audience=("a", "b")), claims(aud=["b", "c"])).id == "ada"


def test_a_leeway_lets_a_token_of_a_slow_clock_in():
    late = claims(exp=int(time.time()) - 5)
    assert principal_of(config(), late) is None
    assert principal_of(config(leeway_s=30.0), late).id == "ada"


def test_a_token_of_another_key_is_refused(rsa_key):
    assert principal_of(config(), claims(), key="another secret of more than thirty-two bytes") is None
    assert principal_of(config(public(rsa_key).decode()), claims(), key=SHARED) is None


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header, key):
    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims()).encode())}"
    return f"{signed}.{part(hmac.digest(key, signed.encode(), 'sha256'))}"


def test_a_public_key_never_serves_as_a_secret(rsa_key):
    verifier = JsonWebTokens(config(public(rsa_key).decode()))
    for key in (public(rsa_key), public(rsa_key).strip(), public(rsa_key).strip() + b"\n"):
        assert verifier.principal_of(forged({"alg": "HS256", "typ": "JWT"}, key)) is None
    der = public(rsa_key, serialization.Encoding.DER)
    ssh = public(rsa_key, serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    for text in (base64.b64encode(der).decode(), ssh.decode(), '{"kty": "RSA"}'):
        with pytest.raises(ConfigError, match="would serve as a secret"):
            JsonWebTokens(config(text, algorithms=("HS256",)))
    with pytest.raises(ConfigError, match=r"algorithms \(\[auth\.jwt\]\) does not fit the key: use RS256"):
        JsonWebTokens(config(public(rsa_key).decode(), algorithms=("HS256",)))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, 5, "HS999", ["HS256"]])
def test_a_token_without_a_signature_is_refused(algorithm):
    verifier = JsonWebTokens(config())
    assert verifier.principal_of(forged({"alg": algorithm, "typ": "JWT"}, SHARED.encode())) is None
    header, payload, _ = forged({"alg": algorithm}, b"").split(".")
    assert verifier.principal_of(f"{header}.{payload}.") is None


@pytest.mark.parametrize("header", [{"kid": 5}, {"kid": ["a"]}, {"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}])
def test_a_token_with_an_odd_header_is_refused(header):
    assert JsonWebTokens(config()).principal_of(forged({"alg": "HS256", **header}, SHARED.encode())) is None


def test_the_key_that_a_token_brings_along_is_not_used(rsa_key):
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key()))
    headers = {"jwk": jwk, "jku": "https://evil.example/jwks", "x5u": "https://evil.example/cert"}
    other = rsa.generate_private_key(65537, 2048)
    assert principal_of(config(public(other).decode()), claims(), rsa_key, "RS256", **headers) is None


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "\udc80.a.b", "a" * 10_000, "e30.e30.e30"])
def test_another_text_is_refused(text):
    assert JsonWebTokens(config()).principal_of(text) is None


def test_a_key_set_in_a_file_serves_by_key_id_and_rotates(rsa_key, tmp_path):
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key()))
    place = tmp_path / "jwks.json"
    place.write_text(json.dumps({"keys": [{**jwk, "kid": "a"}]}))
    rules = Jwt(jwks=str(place))
    assert principal_of(rules, claims(), rsa_key, "RS256", kid="a").id == "ada"
    assert principal_of(rules, claims(), rsa_key, "RS256").id == "ada"
    assert principal_of(rules, claims(), rsa_key, "RS256", kid="b") is None
    assert principal_of(rules, claims(), SHARED, "HS256", kid="a") is None


def test_a_private_key_and_a_broken_one_are_refused_and_not_shown(rsa_key):
    private = rsa_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    for text in (private, "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----"):
        with pytest.raises(ConfigError, match="must be a public key as PEM") as caught:
            JsonWebTokens(config(text))
        assert text not in str(caught.value)


def test_a_short_secret_is_warned_of_and_serves(caplog):
    with caplog.at_level(logging.WARNING):
        assert principal_of(config("short"), claims(), "short".ljust(32, "\0")).id == "ada"
    assert "fewer than 32 bytes" in caplog.text


def test_a_key_set_over_an_open_network_stops_the_start():
    with pytest.raises(ConfigError, match=r"jwks \(\[auth\.jwt\]\) must be a file"):
        JsonWebTokens(Jwt(jwks="http://issuer.example/jwks"))
