"""The signature of Twilio's requests."""

import base64
import hashlib
import hmac

import pytest

from router.fronts.twilio.signature import is_valid, sign

TOKEN = "12345"  # noqa: S105 - of the documentation
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": ["CA1234567890ABCDE"],
    "Caller": ["+14158675309"],
    "Digits": ["1234"],
    "From": ["+14158675309"],
    "To": ["+18005551212"],
}


def test_the_example_of_twilio_s_documentation_has_its_signature():
    assert sign(TOKEN, URL, FORM) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_repeated_values_are_signed_once_each_in_order():
    data = "https://here/Ab1b2c3"
    expected = base64.b64encode(hmac.new(b"t", b"https://here/" + b"Ab1" + b"Ab2", hashlib.sha1).digest()).decode()
    assert sign("t", "https://here/", {"A": ["b2", "b1", "b2"]}) == expected, data


@pytest.mark.parametrize(
    "signed",
    [
        "wss://here.example/twilio",
        "wss://here.example/twilio/",
        "wss://here.example:443/twilio",
        "wss://here.example:8443/twilio",
    ],
)
def test_a_url_may_be_signed_with_and_without_its_port_and_a_slash(signed):
    dialled = "wss://here.example:8443/twilio" if "8443" in signed else "wss://here.example/twilio"
    assert is_valid(sign(TOKEN, signed, {}), TOKEN, [dialled])


@pytest.mark.parametrize(
    ("signature", "token"),
    [("", TOKEN), ("ä", TOKEN), (sign(TOKEN, "wss://other.example/twilio", {}), TOKEN), (sign("x", URL, {}), TOKEN)],
)
def test_any_other_signature_is_invalid(signature, token):
    assert not is_valid(signature, token, ["wss://here.example/twilio"])


def test_one_of_several_urls_is_enough_and_the_form_counts():
    signature = sign(TOKEN, "http://here.example/voice", {"A": ["1"]})
    urls = ["https://here.example/voice", "http://here.example/voice"]
    assert is_valid(signature, TOKEN, urls, {"A": ["1"]})
    assert not is_valid(signature, TOKEN, urls, {"A": ["2"]})


@pytest.mark.parametrize("host", ["here.example:x", "here.example:99999", "[::1", "a]b", "", "ho st\x00"])
def test_a_host_that_is_none_has_no_valid_signature(host):
    assert not is_valid(sign(TOKEN, URL, {}), TOKEN, [f"https://{host}/myapp.php?foo=1&bar=2"])
