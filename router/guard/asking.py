"""The request to the URL of the operator's own check, with one deadline for the whole exchange."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
import time
import weakref
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from router.http_deadline import shut_down_at

MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_IDLE: Final = 16
"""The most idle connections that are kept for later checks."""

_FAILURES: Final = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, orjson.JSONDecodeError)


class GuardCheckError(Exception):
    """A check gave no verdict."""


class GuardUrl:
    """The URL of a check, with connections that are reused. Methods may be called from any thread.

    The router follows no redirect and repeats no request, because a late verdict is useless.
    """

    def __init__(self, url: str, *, timeout_s: float, ca_file: str | None = None) -> None:
        self._parts = urlsplit(url)
        self._timeout_s = timeout_s
        self._tls = _tls(ca_file) if self._parts.scheme == "https" else None
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        weakref.finalize(self, _close_all, self._idle)

    def ask(self, question: dict[str, str]) -> Any:
        """Send a question, and return the answer.

        Block for at most the guard's time-out over an open connection. Each step of a new connection may take that
        time, too, and a DNS look-up has no limit.

        Raises:
            GuardCheckError: no answer came in time, or the answer is no JSON or too long, or its status is not 200.
        """
        deadline_s = time.monotonic() + self._timeout_s
        try:
            return orjson.loads(self._exchange(orjson.dumps(question), deadline_s))
        except _FAILURES as error:
            # The shutdown at the deadline causes the same exceptions as a failure of the connection.
            cause = "it is late" if time.monotonic() >= deadline_s else type(error).__name__
            raise GuardCheckError(f"the guard's URL gave no verdict: {cause}") from None

    def _exchange(self, body: bytes, deadline_s: float) -> bytes:
        connection = self._idle_connection() or self._new_connection()
        with contextlib.ExitStack() as undo:
            undo.callback(connection.close)
            if connection.sock is None:
                connection.connect()
            with shut_down_at(connection.sock, deadline_s):
                answer = self._request(connection, body)
            if time.monotonic() >= deadline_s:  # the shutdown may cut the answer off at any point without an exception
                raise TimeoutError
            with self._lock:
                if len(self._idle) < MAX_IDLE:
                    self._idle.append(connection)
                    undo.pop_all()
        return answer

    def _request(self, connection: HTTPConnection, body: bytes) -> bytes:
        parts = self._parts
        connection.request(
            "POST",
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            body,
            {"Content-Type": "application/json"},
            preload_content=False,
            decode_content=False,
        )
        response = connection.getresponse()
        answer = response.read(MAX_ANSWER_BYTES + 1)
        if response.status != 200 or len(answer) > MAX_ANSWER_BYTES:  # noqa: PLR2004 - the only good status
            raise GuardCheckError(f"the guard's URL answered with HTTP {response.status}")
        response.read()
        return answer

    def _idle_connection(self) -> HTTPConnection | None:
        """Return an idle connection that its server has not closed; None if there is none."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or connection.is_connected:
                return connection
            connection.close()

    def _new_connection(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is None:
            return HTTPConnection(host, port, timeout=self._timeout_s)
        return HTTPSConnection(host, port, timeout=self._timeout_s, ssl_context=self._tls)


def _tls(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _close_all(connections: list[HTTPConnection]) -> None:
    for connection in connections:
        connection.close()
