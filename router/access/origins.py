"""The pages that may connect, and the names under which the router is reached.

A browser lets any page open a WebSocket to any server, with the cookies of that server. Only the header `Origin` names
the page, so the server has to check that header.

A page can also make its own name resolve to this machine (DNS rebinding). The page then has the same origin as the
router, and only the header `Host` shows the foreign name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.config.auth import is_loopback
from router.config.sites import ANY, DEFAULT_PORTS, Site, covers, is_address, origin_parts, site_of

if TYPE_CHECKING:
    from collections.abc import Collection


def is_allowed_origin(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a page of this origin may connect to the router at `host`.

    A client without an origin is allowed, because only browsers send one. A page of this machine is allowed, too.
    """
    if origin is None or ANY in allowed:
        return True
    parts = origin_parts(origin)
    if parts is None:
        return False
    scheme, site = parts
    if scheme in ("http", "https") and (is_loopback(site.host) or _is_same(scheme, site, host)):
        return True
    return any(_covers(pattern, scheme, site) for pattern in allowed)


def _is_same(scheme: str, site: Site, host: str) -> bool:
    # The scheme is not compared, because a proxy may have terminated TLS.
    ours = site_of(host)
    default = DEFAULT_PORTS[scheme]
    return ours is not None and ours.host == site.host and (ours.port or default) == (site.port or default)


def _covers(pattern: str, scheme: str, site: Site) -> bool:
    listed_scheme, _, authority = pattern.partition("://")
    listed = site_of(authority.removeprefix("*."))
    if listed is None or listed_scheme != scheme:
        return False
    default = DEFAULT_PORTS.get(scheme)
    host = f"*.{listed.host}" if authority.startswith("*.") else listed.host
    return covers(host, site.host) and (listed.port or default) == (site.port or default)


def is_allowed_host(host: str, allowed: Collection[str]) -> bool:
    """Whether the router may be reached under this name.

    An address and a loopback name are always allowed, because no other site can have one.
    """
    site = site_of(host)
    if site is None:
        return False
    return is_address(site.host) or is_loopback(site.host) or any(it == ANY or covers(it, site.host) for it in allowed)
