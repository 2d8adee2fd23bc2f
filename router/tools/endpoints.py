"""HTTP endpoints of functions: one request for each call, bounded in time and size, to a checked address.

A connection serves one request. Redirects are not followed, proxies are not used, and compressed responses are refused.
A redirect, a proxy or a compressed response could bypass the check of the address or the bounds (docs/decisions/0013).
Certificates are verified against the name in the URL. An error repeats neither a header nor the query of a URL.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import ssl
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import orjson
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from router.config.origins import origin_of
from router.errors import EndpointError
from router.http_deadline import shut_down_at
from router.tools.registry import MAX_OUTPUT_BYTES
from router.trace_context import OUTGOING

if TYPE_CHECKING:
    from router.config.origins import Origin
    from router.session.work import CallEndpoint
    from router.tools.addresses import Addresses

IN_QUERY: Final = frozenset({"GET", "DELETE"})
"""Methods without a body. The arguments are sent in the query."""

SAFE_TO_REPEAT: Final = frozenset({"GET", "PUT", "DELETE"})
"""Idempotent methods: a second request has no further effect (RFC 9110, 9.2.2)."""

_FAILURES: Final = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)


class _NoResponseError(EndpointError):
    """A failure before any response. The request may have been sent."""


class Endpoints:
    """A caller of endpoints. Several threads may use it."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        timeout_s: float,
        ca_file: str | None = None,
        max_bytes: int = MAX_OUTPUT_BYTES,
    ) -> None:
        self._addresses = addresses
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._max_bytes = max_bytes

    def call(self, work: CallEndpoint) -> str:
        """Return the body of the endpoint's response. Block for at most the configured time-out, plus the DNS look-up.

        Raises:
            EndpointError: the request failed, or the response is invalid; the text is the reason.
        """
        deadline_s = time.monotonic() + self._timeout_s
        try:
            return self._call(work, deadline_s)
        except _FAILURES:
            error = EndpointError("its response broke off")
        except EndpointError as its_own:
            error = its_own
        # The shutdown at the deadline causes the same exceptions as a failure of the connection.
        raise EndpointError("it did not respond in time") if time.monotonic() >= deadline_s else error

    def _call(self, work: CallEndpoint, deadline_s: float) -> str:
        origin, request = origin_of(work.endpoint.url), _request(work)
        addresses = self._addresses.of(origin.host, origin.port)
        try:
            return self._try(origin, addresses, request, deadline_s)
        except _NoResponseError:
            if request["method"] not in SAFE_TO_REPEAT:
                raise
        return self._try(origin, addresses, request, deadline_s)

    def _try(self, origin: Origin, addresses: list[str], request: dict[str, Any], deadline_s: float) -> str:
        connection = self._connect(origin, addresses, deadline_s)
        with contextlib.closing(connection), shut_down_at(connection.sock, deadline_s):
            try:
                # Otherwise urllib3 would read the body at once, whatever its length, and decompress it.
                connection.request(**request, preload_content=False, decode_content=False)
                response = connection.getresponse()
            except _FAILURES:
                raise _NoResponseError("it closed the connection without a response") from None
            with contextlib.closing(response):
                return self._read(response, deadline_s)

    def _connect(self, origin: Origin, addresses: list[str], deadline_s: float) -> HTTPConnection:
        for address in addresses:
            # At least 1 ms, because a time-out of 0 would make the socket non-blocking.
            connection = self._connection(origin, address, max(0.001, deadline_s - time.monotonic()))
            try:
                connection.connect()
            except ssl.SSLCertVerificationError:
                connection.close()
                raise EndpointError("its certificate is not trusted") from None
            except _FAILURES:
                connection.close()
            else:
                return connection
        raise EndpointError("it cannot be reached")

    def _connection(self, origin: Origin, address: str, timeout_s: float) -> HTTPConnection:
        # The connection goes to the checked address, but the certificate is verified against the name in the URL.
        if origin.scheme == "http":
            return HTTPConnection(address, origin.port, timeout=timeout_s)
        return HTTPSConnection(
            address, origin.port, timeout=timeout_s, ssl_context=self._tls, server_hostname=origin.host
        )

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context

    def _read(self, response: Any, deadline_s: float) -> str:
        if not 200 <= response.status < 300:  # noqa: PLR2004 - success
            also = ", and redirects are not followed" if response.status in (301, 302, 303, 307, 308) else ""
            raise EndpointError(f"it responded with HTTP {response.status}{also}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise EndpointError("its response is compressed, which the request did not accept")
        body = b""
        while len(body) <= self._max_bytes and (piece := response.read(self._max_bytes + 1 - len(body))):
            body += piece  # read up to the empty piece, because a read beyond the end raises if the response broke off
        if len(body) > self._max_bytes:
            raise EndpointError(f"its response is longer than {self._max_bytes} bytes")
        if time.monotonic() >= deadline_s:  # the shutdown looks like the end of a response without a length
            raise TimeoutError
        return body.decode(errors="replace") or "null"


# The request.


def _request(work: CallEndpoint) -> dict[str, Any]:
    endpoint, parts = work.endpoint, urlsplit(work.endpoint.url)
    arguments = _arguments(work.arguments)
    method = (endpoint.method or "POST").upper()
    query, body = parts.query, None
    if method in IN_QUERY:
        query = "&".join(part for part in (query, urlencode(_in_query(arguments))) if part)
    else:
        body = orjson.dumps(arguments)
    target = (parts.path or "/") + (f"?{query}" if query else "")
    return {"method": method, "url": target, "body": body, "headers": _headers(work, parts.netloc, body)}


def _arguments(written: str) -> dict[str, Any]:
    try:
        arguments = orjson.loads(written or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        raise EndpointError("its arguments are not a JSON object")
    return arguments


def _in_query(arguments: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in arguments.items()
        if value is not None
    }


def _headers(work: CallEndpoint, host: str, body: bytes | None) -> dict[str, str]:
    given = work.endpoint.headers or {}
    names = {name.lower() for name in given}
    # The client's own headers take precedence, because an endpoint may need another content type.
    ours = {"Accept": "application/json, */*", "User-Agent": "switchboard"}
    if body is not None:
        ours["Content-Type"] = "application/json"
    ours |= OUTGOING.get()
    return {"Host": host, **{name: value for name, value in ours.items() if name.lower() not in names}, **given}
