"""The pages that may connect, and the names under which the router is reached."""

import pytest

from router.access.origins import is_allowed_host, is_allowed_origin

HOST = "voice.example:8080"


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "http://voice.example:8080",
        "https://voice.example:8080",
        "http://localhost",
        "http://localhost:3000",
        "https://a.localhost:3000",
        "http://127.0.0.1:5173",
        "http://127.1.2.3",
        "http://[::1]:3000",
        "HTTP://LOCALHOST:3000",
    ],
)
def test_no_origin_the_own_origin_and_this_machine_pass(origin):
    assert is_allowed_origin(origin, HOST, ())


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://voice.example",
        "http://voice.example:8081",
        "http://voice.example.evil.example:8080",
        "http://evilvoice.example:8080",
        "http://localhost.evil.example",
        "http://evil-localhost",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1@evil.example",
        "http://evil.example#http://localhost",
        "http://evil.example/localhost",
        "http://0.0.0.0:3000",
        "http://127.1",
        "http://[::ffff:1.2.3.4]",
        "http://10.0.0.1",
        "ftp://localhost",
        "chrome-extension://localhost",
        "file://",
        "localhost",
        "//localhost",
    ],
)
def test_null_look_alikes_and_all_others_do_not(origin):
    assert not is_allowed_origin(origin, HOST, ())
    assert is_allowed_origin(origin, HOST, ("*",))


def test_behind_a_proxy_with_tls_the_default_port_is_that_of_the_page():
    assert is_allowed_origin("https://voice.example", "voice.example", ())
    assert is_allowed_origin("https://voice.example:443", "voice.example", ())
    assert is_allowed_origin("http://voice.example", "voice.example:80", ())
    assert not is_allowed_origin("https://voice.example", "voice.example:8080", ())


@pytest.mark.parametrize(
    ("pattern", "origin", "passes"),
    [
        ("https://app.example", "https://app.example", True),
        ("https://app.example", "https://app.example:443", True),
        ("https://app.example", "http://app.example", False),
        ("https://app.example", "https://app.example:8443", False),
        ("https://app.example", "https://app.example.evil.example", False),
        ("https://*.app.example", "https://a.b.app.example", True),
        ("https://*.app.example", "https://app.example", False),
        ("https://*.app.example", "https://evilapp.example", False),
        ("http://*.dev.example:3000", "http://a.dev.example:3000", True),
        ("chrome-extension://abc", "chrome-extension://abc", True),
        ("chrome-extension://abc", "chrome-extension://abcd", False),
    ],
)
def test_a_listed_origin_passes_with_its_scheme_and_its_port(pattern, origin, passes):
    assert is_allowed_origin(origin, HOST, (pattern,)) is passes


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "[::1]:8080", "localhost", "a.localhost:1", "10.0.0.1", "[fd00::1]"]
)
def test_addresses_and_the_names_of_this_machine_are_served(host):
    assert is_allowed_host(host, ())


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "a b"]
)
def test_every_other_name_has_to_be_listed(host):
    assert not is_allowed_host(host, ("voice.example", "*.app.example"))
    assert is_allowed_host("voice.example:443", ("voice.example",))
    assert is_allowed_host("a.app.example", ("*.app.example",))
