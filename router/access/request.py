"""The request of a client, its identity, and the order of the places of its credential."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

SCHEMES: Final = ("token", "bearer")
"""The words before a credential. Deepgram's SDKs send the first one, and most other clients send the second one."""

_ALIKE: Final = ("host", "upgrade", "connection", "sec-websocket-version", "user-agent", "origin")
"""The headers whose values are the same in many requests."""

OPENAI_KEY: Final = "openai-insecure-api-key."
"""The beginning of the subprotocol in which OpenAI's SDKs for browsers offer a credential."""


class Terms(msgspec.Struct, frozen=True):
    """The terms that a short-lived token sets for its sessions. Their `repr` shows no text of a session."""

    single_use_id: str | None = None
    """The id of a token that opens only one session; None for a token that opens any number until it expires."""
    session: Mapping[str, Any] | None = None
    """The configuration with which a session begins, as the `session` of OpenAI's `session.update`."""

    def __repr__(self) -> str:
        return f"Terms(is_single_use={self.single_use_id is not None}, has_session={self.session is not None})"


NO_TERMS: Final = Terms()


class Principal(msgspec.Struct, frozen=True):
    """The identity of a client, as `authenticate` returns it."""

    id: str
    attributes: Mapping[str, Any] = {}
    """Facts about the client that the application needs in its other hooks."""
    policy: str | None = None
    """The name of the policy that applies to this client."""
    is_admin: bool = False
    """Whether the client may see the pages for administrators."""
    expires_s: float | None = None
    """The time at which the client's credential expires, on the clock of `time.time`."""
    is_granted: bool = False
    """Whether the client came with a short-lived token of the router's own, with which it can get no other token."""
    terms: Terms = NO_TERMS
    """The terms of the client's short-lived token; `NO_TERMS` without one."""


class Query(dict[str, str]):
    """The parameters of a URL.

    If a parameter is repeated, this mapping has its last value, and `pairs` has all values.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)
        super().__init__(self.pairs)


def pairs_of(query: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the names and values of all parameters, in the order of the URL."""
    return query.pairs if isinstance(query, Query) else tuple(query.items())


def values_of(query: Mapping[str, str], name: str) -> list[str]:
    """Return each value of a parameter that may be repeated, in the order of the URL."""
    return [value for key, value in pairs_of(query) if key == name]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP request for a session. Its `repr` shows no credential."""

    path: str
    route: str = ""
    """The path without the mount point of the application, as in a table `[[routes]]`."""
    profile: str
    """The profile of the route; empty for a request that begins no session, such as one for a short-lived token."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """The values of the headers, by their names in lower case."""
    remote_address: str | None = None
    """The address of the client. Behind a trusted proxy it is the address that the proxy reports."""
    credential: str | None = None
    """The credential from the Authorization header, the subprotocols, or the parameter `token`."""
    principal: Principal | None = None
    """The identity of the client; None before authentication."""

    @classmethod
    def of(cls, environ: Mapping[str, Any], profile: str) -> Request:
        """Make a request from the environ of a WSGI server."""
        headers = {
            # A request is kept as long as its session, and nearly all requests have the same names.
            sys.intern(key[5:].replace("_", "-").lower()): str(value)
            for key, value in environ.items()
            if key.startswith("HTTP_")
        }
        headers |= {name: sys.intern(headers[name]) for name in _ALIKE if name in headers}
        query = Query(parse_qsl(environ.get("QUERY_STRING", "")))
        return cls(
            path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
            route=environ.get("PATH_INFO", ""),
            profile=profile,
            query=query,
            headers=headers,
            remote_address=environ.get("REMOTE_ADDR"),
            credential=credential_of(headers, query),
        )

    def __repr__(self) -> str:
        return f"Request({self.path!r}, profile={self.profile!r}, principal={self.principal!r})"


Authenticate = Callable[[Request], Principal | None]


def is_upgrade(environ: Mapping[str, Any]) -> bool:
    """Whether a request asks for an upgrade to a WebSocket."""
    return "websocket" in environ.get("HTTP_UPGRADE", "").lower()


def credential_of(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Return the credential of a request, or None.

    Take it from the Authorization header, else from the subprotocols, else from the parameter `token`.
    """
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    if scheme.lower() in SCHEMES and credential.strip():
        return credential.strip()
    offered = _offered_credentials(headers.get("sec-websocket-protocol", ""))
    return next(offered, None) or query.get("token") or None


def _offered_credentials(header: str) -> Iterator[str]:
    # The WebSocket of a browser can set no header, so its subprotocols carry the credential.
    offered = [part.strip() for part in header.split(",")]
    for name, following in itertools.pairwise([*offered, ""]):
        if name.lower() in SCHEMES and following:
            yield following
        elif name.startswith(OPENAI_KEY) and name != OPENAI_KEY:
            yield name.removeprefix(OPENAI_KEY)
