"""The credentials that no recording contains, in every spelling."""

import base64
import urllib.parse

import pytest

from router.access.request import Query, Request
from router.recording.secrets import redactor_of

MARKED = "marked/secret+value==&more"
SPELLED = [
    MARKED,
    urllib.parse.quote(MARKED),
    urllib.parse.quote(MARKED, safe=""),
    "marked%2fsecret%2bvalue%3d%3d%26more",
]


def request(**fields):
    return Request(**{"path": "/openai", "profile": "openai", "query": {}, "headers": {}, **fields})


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_within_base64_is_masked_wherever_it_begins(before, encode):
    encoded = encode(f"{before}{MARKED} and more".encode()).decode()
    left = redactor_of([MARKED])(f'"{encoded}"')
    assert "[redacted]" in left
    assert len(left.replace("[redacted]", "")) < len(encoded) - len(MARKED)


@pytest.mark.parametrize("spelled", SPELLED)
def test_a_secret_is_masked_as_it_is_and_in_a_url(spelled):
    assert redactor_of([MARKED])(f"a {spelled} b") == "a [redacted] b"


@pytest.mark.parametrize(
    "fields",
    [
        {"credential": "a-clients-token"},
        {"headers": {"authorization": "Token a-clients-token"}},
        {"headers": {"cookie": "theme=dark; session=a-clients-token"}},
        {"headers": {"sec-websocket-protocol": "token, a-clients-token"}},
        {"query": {"token": "a-clients-token"}},
        {"query": Query([("token", "a-clients-token"), ("token", "x")])},
        {"query": {"resume": "a-clients-token"}},
    ],
)
def test_the_credential_of_the_client_is_masked_wherever_it_came_from(fields):
    assert redactor_of([], request(**fields))("it is a-clients-token.") == "it is [redacted]."


@pytest.mark.parametrize(
    "text",
    [
        "sk-0123456789abcdefghij",
        "Bearer 0123456789",
        "sb_0123456789abcdefghij",
        "ek_0123456789abcdefghij",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
    ],
)
def test_a_text_that_looks_like_a_credential_is_masked(text):
    assert text.rpartition(" ")[2] not in redactor_of([])(f"key: {text}")


def test_other_texts_stay():
    text = "the basket of sk is ready for Bearer"
    assert redactor_of([MARKED], request(headers={"cookie": "a=b"}))(text) == text
