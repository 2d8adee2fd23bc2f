"""The request as the client sent it, before trusted proxies changed it.

Any client can send the headers of a proxy. So the headers count only if the connection comes from a trusted network. If
the headers have several addresses, the client's is the last one outside the trusted networks.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def networks_of(written: Sequence[str]) -> tuple[Network, ...]:
    """Return the trusted networks. The configuration has already checked the texts."""
    return tuple(ipaddress.ip_network(each) for each in written)


def as_sent(environ: Mapping[str, Any], trusted: Sequence[Network]) -> dict[str, Any]:
    """Return the environ with the address, the scheme and the host that the client used.

    A second call, with the result of the first, changes nothing.
    """
    seen = dict(environ)
    peer = address_of(seen.get("REMOTE_ADDR", ""))
    if peer is None or not _is_trusted(peer, trusted):
        return seen
    seen["REMOTE_ADDR"] = str(_client_of(_listed(seen, "HTTP_X_FORWARDED_FOR"), peer, trusted))
    # Take the last value, because the nearest proxy wrote it. A client can write only earlier values.
    scheme = _SCHEMES.get((_listed(seen, "HTTP_X_FORWARDED_PROTO") or [""])[-1].lower())
    if scheme:
        seen["wsgi.url_scheme"] = scheme
    hosts = _listed(seen, "HTTP_X_FORWARDED_HOST")
    if hosts:
        seen["HTTP_HOST"] = hosts[-1]
    return seen


def _client_of(forwarded: Sequence[str], peer: Address, trusted: Sequence[Network]) -> Address:
    client = peer
    for each in reversed(forwarded):
        address = address_of(each)
        if address is None:  # the value is no address: then the proxy counts as the client
            return client
        client = address
        if not _is_trusted(address, trusted):
            return client
    return client


def _listed(environ: Mapping[str, Any], name: str) -> list[str]:
    return [part.strip() for part in environ.get(name, "").split(",") if part.strip()]


def address_of(text: str) -> Address | None:
    """Return the IP address in a text, or None if the text holds none.

    A port and a zone are removed, and an IPv4 address in IPv6 form becomes the IPv4 address.
    """
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
