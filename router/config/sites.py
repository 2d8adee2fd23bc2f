"""The pages and hosts that an operator allows: parsers, and the parts of an `Origin` or a `Host` header. Pure."""

from __future__ import annotations

import ipaddress
import re
import reprlib
from typing import Any, Final

import msgspec

ANY: Final = "*"

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_HOST: Final = r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*))"
_AUTHORITY: Final = re.compile(_HOST + r"(?::(?P<port>\d{1,5}))?")
_ORIGIN: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>.+)")
_PATTERN: Final = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class Site(msgspec.Struct, frozen=True):
    """A host in lower case, without brackets, and its port, or None without a port."""

    host: str
    port: int | None = None


def site_of(authority: str) -> Site | None:
    """Return the parts of a `Host` header, or None if its value is no host."""
    found = _AUTHORITY.fullmatch(authority.strip().lower())
    if found is None:
        return None
    return Site(found["v6"] or found["name"], int(found["port"]) if found["port"] else None)


def origin_parts(origin: str) -> tuple[str, Site] | None:
    """Return scheme and site of an `Origin` header; None if the header names no site, such as `null`."""
    found = _ORIGIN.fullmatch(origin.strip().lower())
    site = site_of(found["authority"]) if found else None
    return (found["scheme"], site) if found and site else None


def is_address(host: str) -> bool:
    """Whether a host is an address, not a name.

    Only the plain form of an address counts, because a browser writes every address in that form.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def covers(pattern: str, host: str) -> bool:
    """Whether a pattern matches a host. The pattern is a host, or `*.` and a suffix of hosts."""
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))


# Parsers, like those of `router.config.parsers`.


def allowed_origins(written: Any) -> tuple[str, ...]:
    """Parse origins of pages: `https://app.example`, `https://*.app.example`, or `*` for all."""
    return tuple(dict.fromkeys(_origin(part) for part in _parts(written, "origins such as https://app.example")))


def _origin(written: Any) -> str:
    lowered = written.strip().lower().removesuffix("/") if isinstance(written, str) else ""
    found = _ORIGIN.fullmatch(lowered)
    if lowered == ANY or (found and site_of(found["authority"].removeprefix("*."))):
        return lowered
    raise ValueError(f"must be origins such as https://app.example, not {reprlib.repr(written)}")


def allowed_hosts(written: Any) -> tuple[str, ...]:
    """Parse names of this server: `voice.example`, `*.voice.example`, or `*` for all."""
    return tuple(dict.fromkeys(_host(part) for part in _parts(written, "host names such as voice.example")))


def _host(written: Any) -> str:
    lowered = written.strip().lower() if isinstance(written, str) else ""
    if lowered == ANY or _PATTERN.fullmatch(lowered):
        return lowered
    raise ValueError(f"must be host names such as voice.example, without a port, not {reprlib.repr(written)}")


def _parts(written: Any, what: str) -> list[Any]:
    parts = [part for part in written.split(",") if part.strip()] if isinstance(written, str) else written
    if not isinstance(parts, list):
        raise ValueError(f"must be {what}, not {reprlib.repr(written)}")  # noqa: TRY004 - a parser raises ValueError alone
    return parts
