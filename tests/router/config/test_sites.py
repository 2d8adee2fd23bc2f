"""Origins and hosts of web sites, as an operator lists them and as a browser sends them."""

import pytest

from router.config.sites import Site, allowed_hosts, allowed_origins, covers, is_address, origin_parts, site_of


@pytest.mark.parametrize(
    ("written", "site"),
    [
        ("Voice.Example", Site("voice.example")),
        ("voice.example:8080", Site("voice.example", 8080)),
        ("[::1]:8080", Site("::1", 8080)),
        ("10.0.0.1", Site("10.0.0.1")),
    ],
)
def test_a_host_has_a_name_and_perhaps_a_port(written, site):
    assert site_of(written) == site


@pytest.mark.parametrize("written", ["", "a b", "a@b", "a/b", "a:b", "::1", "a.", ".a", "a..b", "[::1", "a:123456"])
def test_other_texts_are_no_host(written):
    assert site_of(written) is None


def test_an_origin_has_a_scheme_and_a_site():
    assert origin_parts("HTTPS://App.Example:8443") == ("https", Site("app.example", 8443))
    for other in ("null", "", "app.example", "https://", "https://a@b", "https://a/b", "file://"):
        assert origin_parts(other) is None


def test_a_pattern_covers_every_name_below_its_suffix():
    assert covers("*.example", "a.b.example")
    assert not covers("*.example", "example")
    assert not covers("*.example", "evilexample")
    assert covers("a.example", "a.example")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.1"])
def test_an_address_is_no_name(host):
    assert is_address(host)
    assert not is_address(f"{host}.example")


def test_origins_are_listed_with_their_scheme_and_hosts_without():
    assert allowed_origins(["HTTPS://App.Example/", "https://app.example", "*"]) == ("https://app.example", "*")
    assert allowed_origins("chrome-extension://abc") == ("chrome-extension://abc",)
    assert allowed_hosts("Voice.Example, *.example, *") == ("voice.example", "*.example", "*")
    for wrong in ("app.example", "null", 5, [5], "https://*"):
        with pytest.raises(ValueError, match="origins"):
            allowed_origins(wrong)
    for wrong in ("https://voice.example", "voice.example:80", "*.*", 5, [5]):
        with pytest.raises(ValueError, match="host names"):
            allowed_hosts(wrong)
