"""The addresses that an endpoint may have: public ones, and those of the configured networks.

A name is resolved once for each call, and the connection goes to an address that was checked here. So a name that
resolves differently a moment later (DNS rebinding) has no effect.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any, Final

from router.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Resolve = Callable[..., list[tuple[Any, ...]]]
    """A resolver with the signature of `socket.getaddrinfo`."""

_CARRIERS: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "::/96",  # IPv4-compatible (RFC 4291, 2.5.5.1)
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765, 2.1)
    )
)
"""IPv6 networks whose addresses carry an IPv4 address in their last 32 bits."""

_NOT_PUBLIC: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "fec0::/10",  # site-local (RFC 3879)
        "64:ff9b:1::/48",  # NAT64 of the local network (RFC 8215)
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment identifiers (RFC 9602)
        "2620:4f:8000::/48",  # AS112 (RFC 7534)
    )
)
"""Networks that are not public, although some versions of Python treat them as public."""

MAX_ADDRESSES: Final = 4
"""The most addresses of a name that are tried, one after the other, within one deadline."""


class Addresses:
    """A resolver that returns only addresses that may be called. Several threads may use it."""

    def __init__(self, networks: Iterable[str] = (), resolve: Resolve = socket.getaddrinfo) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._resolve = resolve

    def of(self, host: str, port: int) -> list[str]:
        """Return the host's addresses that may be called: at least one. The call blocks during the DNS look-up.

        Raises:
            EndpointError: the host has no address, or none that may be called.
        """
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise EndpointError("its host cannot be resolved") from None
        addresses = dict.fromkeys(str(address[0]) for *_, address in found)
        allowed = [address for address in addresses if self.is_allowed(address)]
        if not allowed:
            raise EndpointError("its address is not public, and calls to it are not allowed here")
        return allowed[:MAX_ADDRESSES]

    def is_allowed(self, written: str) -> bool:
        """Whether an address may be called: it and each IPv4 address in it are public or in a configured network."""
        return all(self._is_allowed(address) for address in _unwrapped(ipaddress.ip_address(written)))

    def _is_allowed(self, address: Address) -> bool:
        if any(address in network for network in self._networks):
            return True
        if not address.is_global or address.is_multicast:
            return False
        return not any(address in network for network in _NOT_PUBLIC)


def _unwrapped(address: Address) -> Iterator[Address]:
    # An IPv6 address can carry an IPv4 address in several ways, which the kernel or a router unwraps. Each carried
    # address must be allowed.
    if isinstance(address, ipaddress.IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
        if any(address in network for network in _CARRIERS):
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
