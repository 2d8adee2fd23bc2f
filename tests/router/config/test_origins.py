"""Origins: what may be listed, and what a list covers."""

import pytest

from router.config.origins import is_allowed, networks, origin_of, origins


def test_the_default_scheme_is_https():
    listed = "API.example, *.b.example:8443 ,http://10.0.0.5:8080,https://[2606:4700::1111]/,api.example:443"
    assert origins(listed) == (
        "https://api.example",
        "https://*.b.example:8443",
        "http://10.0.0.5:8080",
        "https://[2606:4700::1111]",
    )


@pytest.mark.parametrize(
    "written",
    [
        *("https://", "ftp://a.example", "a.example/path", "a.example?x", "a.example#x", "me@a.example", "a b", "a:x"),
        *(["*"], ["a.*.example"], ["*.*.example"], [1], {"a": "b"}, "http://[::1", "ä.example"),
    ],
)
def test_an_invalid_origin_is_refused_with_an_example(written):
    with pytest.raises(ValueError, match="must be"):
        origins(written)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.example/x?y", True),
        ("https://API.example.:443/x", True),
        ("https://x.wild.example", True),
        ("https://x.y.wild.example", True),
        ("http://plain.example:8080/", True),
        ("https://wild.example", False),
        ("https://evilwild.example", False),
        ("https://*.wild.example", False),
        ("http://api.example", False),
        ("https://api.example:8443", False),
        ("https://plain.example:8080", False),
        ("https://api.example.evil.example", False),
        ("https://api.example@evil.example", False),
        ("https://evil.example/https://api.example", False),
        ("https://evil.example\\@api.example", False),
        ("ftp://api.example", False),
        ("https://", False),
        ("", False),
    ],
)
def test_a_url_is_allowed_where_its_whole_origin_is_listed(url, allowed):
    assert is_allowed(url, ("https://api.example", "https://*.wild.example", "http://plain.example:8080")) is allowed


def test_an_origin_is_read_from_a_url():
    origin = origin_of("HTTPS://Api.Example:8443/x")
    assert (origin.scheme, origin.host, origin.port) == ("https", "api.example", 8443)


def test_networks_are_read_from_text_and_from_a_list():
    assert networks("10.0.0.0/8, 127.0.0.1") == ("10.0.0.0/8", "127.0.0.1/32")
    assert networks(["fd00::/8"]) == ("fd00::/8",)


@pytest.mark.parametrize("written", ["10.0.0.1/8", "x", ["a"], [1], 5])
def test_an_invalid_network_is_refused_with_an_example(written):
    with pytest.raises(ValueError, match="must be"):
        networks(written)
