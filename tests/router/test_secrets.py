"""Credentials are masked in values, texts and URLs."""

import base64
import json
from urllib.parse import quote

import pytest

from router.secrets import CREDENTIALS, MASK, Redactor, Secret, query_secrets, shown_url

KEY = 'sk"proj\\0123456789'
"""With characters that JSON, `repr` and URLs write in another way."""


def test_a_secret_is_shown_by_nothing_but_reveal():
    secret = Secret(KEY)
    assert secret.reveal() == KEY
    assert (str(secret), repr(secret)) == ("***", "Secret(***)")


def test_secrets_compare_and_hash_by_value():
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize("spell", [str, json.dumps, repr, quote], ids=["plain", "JSON", "repr", "URL"])
def test_a_known_credential_is_masked_in_every_spelling(spell):
    shown = Redactor([KEY], "[redacted]")(f"the key {spell(KEY)} is odd")
    assert "[redacted]" in shown
    assert "0123456789" not in shown


@pytest.mark.parametrize("ahead", ["", "k", "Be", "token:"])
def test_a_known_credential_is_masked_in_base64_hex_and_backwards(ahead):
    redact = Redactor([KEY], "***")
    whole = f"{ahead}{KEY}?!".encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = redact(encode(whole).decode())
        assert "***" in shown
        assert len(shown) <= len("***") + 12  # what surrounds it, and 2 characters that it shares with that
    assert redact(whole.hex()) == f"{ahead.encode().hex()}***3f21"
    assert redact(KEY.encode().hex().upper()) == "***"
    assert redact(KEY[::-1]) == "***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /openai?a=1&token=abc.def&b=2", "GET /openai?a=1&token=***&b=2"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("Incorrect API key provided: sk-proj-abcdefghijklmnop1234.", "Incorrect API key provided: ***."),
        ("risk-averse and task-oriented-but-not-a-key", "risk-averse and task-oriented-but-not-a-key"),
        ("https://host/?key=sk%22proj%5C0123456789", "https://host/?key=***"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_a_text_that_looks_like_a_credential_is_masked_by_the_patterns_of_the_log(text, shown):
    assert Redactor([KEY], MASK, CREDENTIALS)(text) == shown


def test_of_two_credentials_where_one_begins_the_other_nothing_is_left():
    assert Redactor(["abcd", "abcdefgh"], MASK)("abcdefgh abcd") == "*** ***"


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_a_credential_nothing_is_masked(secrets):
    assert Redactor(secrets, MASK)("abc") == "abc"


def test_a_url_is_shown_with_its_model_and_without_the_other_values_of_its_query():
    assert shown_url("wss://h/x?api-key=0123456789&model=m&v=1") == "wss://h/x?api-key=***&model=m&v=***"
    assert shown_url("ws://h/x") == "ws://h/x"


def test_long_values_of_a_query_are_credentials_and_short_ones_are_not():
    assert query_secrets("wss://h/x?api-key=0123456789&model=a-long-name&v=1") == ("0123456789",)
