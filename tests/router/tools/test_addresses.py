"""The addresses that the endpoint of a function may have."""

import socket

import pytest

from router.errors import EndpointError
from router.tools.addresses import Addresses


def resolving(*answers):
    """A resolver that gives each of these answers once."""
    left = list(answers)
    return lambda _host, port, **_: [(0, 0, 6, "", (address, port)) for address in left.pop(0)]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1"),
        *("169.254.169.254", "224.0.0.1", "255.255.255.255", "192.0.2.1", "240.0.0.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        # IPv4 that is not public, in an IPv6 address.
        *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "2002:a9fe:a9fe::1"),
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_an_address_that_is_not_public_is_refused(address):
    with pytest.raises(EndpointError, match="not public"):
        Addresses(resolve=resolving([address])).of("name.example", 443)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_allowed(address):
    assert Addresses(resolve=resolving([address])).of("name.example", 443) == [address]


def test_addresses_of_the_configured_networks_are_allowed_and_no_others():
    addresses = Addresses(["127.0.0.1/32", "fd00::/8"])
    assert addresses.is_allowed("127.0.0.1")
    assert addresses.is_allowed("::ffff:127.0.0.1")
    assert addresses.is_allowed("fd12::1")
    assert not addresses.is_allowed("127.0.0.2")
    assert not addresses.is_allowed("fe80::1")


def test_the_first_four_allowed_addresses_of_a_name_are_kept_each_once():
    found = ["10.0.0.1", "8.8.8.8", "8.8.8.8", *(f"8.8.4.{n}" for n in range(9))]
    assert Addresses(resolve=resolving(found)).of("name.example", 443) == ["8.8.8.8", "8.8.4.0", "8.8.4.1", "8.8.4.2"]


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("too long")])
def test_a_host_without_an_address_is_an_endpoint_error(error):
    def resolve(*_args, **_more):
        raise error

    with pytest.raises(EndpointError, match="cannot be resolved"):
        Addresses(resolve=resolve).of("name.example", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "127.1", "::1"])
def test_other_spellings_of_an_address_are_recognized(host):
    with pytest.raises(EndpointError, match="not public"):
        Addresses().of(host, 443)
