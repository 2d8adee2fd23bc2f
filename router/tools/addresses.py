"""The addresses that an endpoint may have: public ones, and those of the configured networks.

A name is resolved once for each call, and the connection goes to an address that was checked here. A name that resolves
differently a moment later (DNS rebinding) changes nothing.
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

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
MAX_ADDRESSES: Final = 4
"""The addresses of one name that are tried, one after the other, within one deadline."""


class Addresses:
    """A resolver that refuses addresses which may not be called. May be used by several threads."""

    def __init__(self, networks: Iterable[str] = (), resolve: Resolve = socket.getaddrinfo) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._resolve = resolve

    def of(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host that may be called, at least one. Blocks for as long as DNS does.

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
        """Whether an address may be called."""
        return all(self._is_allowed(address) for address in _unwrapped(ipaddress.ip_address(written)))

    def _is_allowed(self, address: Address) -> bool:
        if any(address in network for network in self._networks):
            return True
        return address.is_global and not address.is_multicast


def _unwrapped(address: Address) -> Iterator[Address]:
    # IPv6 carries IPv4 in several ways, which the kernel or a router unwraps: each address in it must be allowed.
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
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
