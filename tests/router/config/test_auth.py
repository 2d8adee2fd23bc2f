"""The parsers of authentication: what they accept, and errors that show no credential."""

import datetime as dt

import pytest

from router.config import auth

IN_CLEAR = "s3cret-token"
HASH = "bd1af34f5e72eb8c4ab2f1e9a57aee18d49e0ddec1d0d4fa5cc5fbd6cc4ffe7f"


def test_tokens_in_clear_are_kept_as_hashes_alone():
    alice, bob = auth.named_tokens(f"alice={IN_CLEAR}, bob=a=b==")
    assert (alice.name, bob.name) == ("alice", "bob")
    assert alice.sha256.reveal() == auth.digest(IN_CLEAR)
    assert bob.sha256.reveal() == auth.digest("a=b==")
    assert IN_CLEAR not in repr(alice)
    assert alice.sha256.reveal() not in repr(alice)


@pytest.mark.parametrize(
    "written", [IN_CLEAR, "=" + IN_CLEAR, "alice=", f"alice={IN_CLEAR},{IN_CLEAR}", f"al ice={IN_CLEAR}", 5]
)
def test_tokens_without_a_name_are_refused_and_not_shown(written):
    with pytest.raises(ValueError, match="names and tokens") as caught:
        auth.named_tokens(written)
    assert IN_CLEAR not in str(caught.value)


def test_a_name_may_be_given_once():
    with pytest.raises(ValueError, match="has alice twice"):
        auth.named_tokens(f"alice={IN_CLEAR},alice=other")


@pytest.mark.parametrize(
    ("written", "expected"),
    [("token", ("token",)), ("token, jwt", ("token", "jwt")), (["jwt", "jwt"], ("jwt",)), (["none"], ("none",))],
)
def test_kinds_are_a_list_or_text_with_commas(written, expected):
    assert auth.kinds(written) == expected


@pytest.mark.parametrize("written", ["", [], "open", ["token", "none"], 5, [5]])
def test_an_unknown_kind_is_refused_and_none_beside_another(written):
    with pytest.raises(ValueError, match="must"):
        auth.kinds(written)


def test_a_moment_without_an_offset_is_in_utc():
    at = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    assert auth.moment(at) == auth.moment(at.replace(tzinfo=None)) == at.timestamp()
    with pytest.raises(ValueError, match="date-time"):
        auth.moment("2030-01-01")


@pytest.mark.parametrize("written", [HASH, f" {HASH.upper()}\n"])
def test_a_hash_has_64_hexadecimal_digits_in_any_case(written):
    assert auth.sha256(written).reveal() == HASH


@pytest.mark.parametrize("written", [HASH[:-1], HASH + "0", "g" * 64, IN_CLEAR, 5])
def test_another_text_is_no_hash_and_is_not_shown(written):
    with pytest.raises(ValueError, match="SHA-256") as caught:
        auth.sha256(written)
    assert str(written) not in str(caught.value).replace("SHA-256", "").replace("64 ", "")


def test_algorithms_of_a_secret_and_of_a_public_key_share_no_list():
    assert auth.algorithms(["RS256", "ES256", "EdDSA"]) == ("RS256", "ES256", "EdDSA")
    for wrong in (["HS256", "RS256"], ["none"], [], "RS256"):
        with pytest.raises(ValueError, match="must"):
            auth.algorithms(wrong)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST", "a.localhost"])
def test_a_loopback_host_is_reached_by_this_machine_alone(host):
    assert auth.is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost", "127.1", "", "0"],
)
def test_every_other_host_counts_as_reachable(host):
    assert not auth.is_loopback(host)


def test_a_mapped_loopback_address_is_loopback():
    assert auth.is_loopback("::ffff:127.0.0.1")
    assert not auth.is_loopback("::ffff:10.0.0.1")


@pytest.mark.parametrize("written", ["module", "a:b c", ":f", "a.b:", 5])
def test_a_function_has_a_module_and_a_name(written):
    assert auth.function_place("a.b:c.d") == "a.b:c.d"
    with pytest.raises(ValueError, match="module:function"):
        auth.function_place(written)


def test_texts_are_one_or_a_list():
    assert auth.one_or_more("a") == ("a",)
    assert auth.one_or_more(["a", "b"]) == ("a", "b")
    with pytest.raises(ValueError, match="text"):
        auth.one_or_more([])
