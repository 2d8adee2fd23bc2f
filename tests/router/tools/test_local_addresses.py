"""An address that leads into the local network by another spelling is not public."""

import pytest

from router.tools.addresses import Addresses

LEADS_HOME = {
    "site-local, deprecated": "fec0::1",
    "local NAT64 of loopback": "64:ff9b:1::7f00:1",
    "local NAT64 of a private network": "64:ff9b:1::a00:1",
    "IPv4-compatible loopback": "::7f00:1",
    "IPv4-compatible private network": "::a00:1",
    "IPv4-translated loopback (SIIT)": "::ffff:0:127.0.0.1",
    "IPv4-translated metadata service": "::ffff:0:169.254.169.254",
    "NAT64 of a private network": "64:ff9b::a00:1",
    "IPv4-mapped loopback": "::ffff:127.0.0.1",
    "6to4 of loopback": "2002:7f00:1::",
    "unique local": "fd00::1",
    "link-local with a zone": "fe80::1%lo",
    "documentation": "3fff::1",
    "segment identifier": "5f00::1",
    "AS112": "2620:4f:8000::1",
}


@pytest.mark.parametrize("address", LEADS_HOME.values(), ids=LEADS_HOME)
def test_an_address_that_leads_into_our_network_is_not_public(address):
    assert not Addresses().is_allowed(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101", "::101:101"])
def test_an_address_of_the_internet_is_public(address):
    assert Addresses().is_allowed(address)


def test_a_network_that_is_not_public_may_be_allowed_by_its_own_name():
    assert Addresses(["fec0::/10"]).is_allowed("fec0::1")
    assert Addresses(["64:ff9b:1::/48", "10.0.0.0/8"]).is_allowed("64:ff9b:1::a00:1")
