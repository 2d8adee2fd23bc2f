"""The origins of endpoints that functions may call: the list that a person writes, and the check of a URL against it.

Pure. `router.tools.addresses` checks the addresses of a name.
"""

from __future__ import annotations

import ipaddress
import re
import reprlib
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

_PORTS: Final = {"https": 443, "http": 80}
_LABELS: Final = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")


class Origin(msgspec.Struct, frozen=True):
    """A scheme, a host in lower case, and a port."""

    scheme: str
    host: str
    """A name, an address without brackets, or `*.` and a suffix of names."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    def covers(self, other: Origin) -> bool:
        """Whether `other` is this origin, or matches the pattern in its host, such as `*.api.example`."""
        if (self.scheme, self.port) != (other.scheme, other.port):
            return False
        return other.host == self.host or (self.host.startswith("*.") and other.host.endswith(self.host[1:]))


def origin_of(url: str) -> Origin:
    """Return the origin of an endpoint's URL.

    Raises:
        ValueError: the endpoint cannot be called. The error's text is the end of a sentence, and repeats nothing of the
            URL.
    """
    if _UNPRINTABLE.search(url):
        raise ValueError("a URL without spaces, line breaks and characters outside ASCII")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        raise ValueError("a URL whose host and port can be read") from None
    if parts.scheme not in _PORTS or not host:
        raise ValueError("an https:// or http:// URL")
    if "@" in parts.netloc:
        raise ValueError("a URL without credentials: put them into `headers`")
    if not _is_host(host):
        raise ValueError("a URL whose host is a name or an address")
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme])


def _is_host(host: str) -> bool:
    return _LABELS.fullmatch(host) is not None or is_address(host)


def is_address(host: str) -> bool:
    """Whether a host is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_allowed(url: str, allowed: tuple[str, ...]) -> bool:
    """Whether the origin of a URL is in a list that `origins` returned."""
    try:
        origin = origin_of(url)
    except ValueError:
        return False
    # Otherwise a URL with a wildcard as its host would equal a listed origin.
    if "*" in origin.host:
        return False
    return any(origin_of(listed).covers(origin) for listed in allowed)


# Parsers, like those of `router.config.parsers`.


def origins(written: Any) -> tuple[str, ...]:
    """Parse several origins: `api.example`, `*.example:8443`, `http://10.0.0.5:8080`; the default scheme is https."""
    return tuple(dict.fromkeys(_origin(part) for part in _parts(written, "origins")))


def _origin(written: Any) -> str:
    if not isinstance(written, str):
        raise ValueError(f"must be a list of origins, not {reprlib.repr(written)}")  # noqa: TRY004 - a parser raises ValueError alone
    lowered = written.strip().lower()
    url = lowered if "://" in lowered else f"https://{lowered}"
    try:
        origin, parts = origin_of(url), urlsplit(url)
        is_more = parts.path not in ("", "/") or parts.query or parts.fragment
    except ValueError:
        is_more = True
    if is_more:
        raise ValueError(f"must be origins such as api.example or http://10.0.0.5:8080, not {reprlib.repr(written)}")
    return str(origin)


def networks(written: Any) -> tuple[str, ...]:
    """Parse several networks: `10.0.0.0/8`, `127.0.0.1`, `fd00::/8`."""
    return tuple(dict.fromkeys(_network(part) for part in _parts(written, "networks")))


def _network(written: Any) -> str:
    try:
        return str(ipaddress.ip_network(written.strip()))
    except (ValueError, AttributeError):
        raise ValueError(f"must be networks such as 10.0.0.0/8, not {reprlib.repr(written)}") from None


def _parts(written: Any, what: str) -> list[Any]:
    parts = [part for part in written.split(",") if part.strip()] if isinstance(written, str) else written
    if not isinstance(parts, list):
        raise ValueError(f"must be a list of {what}, not {reprlib.repr(written)}")  # noqa: TRY004 - a parser raises ValueError alone
    return parts
