"""The request as the client sent it to trusted proxies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.access.proxies import address_of, as_sent, networks_of

TRUSTED = networks_of(("10.0.0.0/8", "fd00::/8"))


def seen(peer, forwarded=None, **more):
    environ = {"REMOTE_ADDR": peer, "HTTP_HOST": "inner:8080", "wsgi.url_scheme": "http", **more}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    return as_sent(environ, TRUSTED)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
        ("2001:db8::9", "1.1.1.1", "2001:db8::9"),
        ("", "1.1.1.1", ""),
    ],
)
def test_the_last_address_that_no_trusted_proxy_has_is_the_client(peer, forwarded, client):
    assert seen(peer, forwarded)["REMOTE_ADDR"] == client


def test_scheme_and_host_are_those_that_the_nearest_proxy_reports():
    headers = {"HTTP_X_FORWARDED_PROTO": "http, https", "HTTP_X_FORWARDED_HOST": "evil.example, voice.example"}
    through = seen("10.0.0.1", **headers)
    assert (through["wsgi.url_scheme"], through["HTTP_HOST"]) == ("https", "voice.example")
    direct = seen("203.0.113.9", **headers)
    assert (direct["wsgi.url_scheme"], direct["HTTP_HOST"]) == ("http", "inner:8080")


def test_an_odd_scheme_changes_nothing():
    assert seen("10.0.0.1", HTTP_X_FORWARDED_PROTO="javascript")["wsgi.url_scheme"] == "http"


@given(st.lists(st.sampled_from(["10.0.0.2", "203.0.113.7", "x", "", "fd00::2"])).map(", ".join))
def test_a_second_look_changes_nothing(forwarded):
    once = seen("10.0.0.1", forwarded)
    assert as_sent(once, TRUSTED) == once


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_none(text):
    assert address_of(text) is None or str(address_of(text))
