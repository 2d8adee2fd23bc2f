"""One request to a running server.

The command follows no redirect, because that could send the token to another host.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import orjson
import urllib3

from router.errors import VerbError

TIMEOUT_S: Final = 10.0
"""The longest wait, in seconds, for the answer.

The server asks its workers one after the other, and waits up to 2 s for a worker that hangs.
"""

MAX_PROBLEM_CHARS: Final = 300

_ADVICE: Final = {
    HTTPStatus.UNAUTHORIZED: "give the token of an administrator in SWITCHBOARD_TOKEN, or with --token",
    HTTPStatus.FORBIDDEN: "the token needs admin = true; without authentication, call from the server's machine",
}


def request(url: str, method: str, path: str, token: str | None) -> Any:
    """Send one request, and return the JSON value of the answer.

    Raises:
        VerbError: the server does not answer, or refuses.
    """
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    with urllib3.PoolManager() as pool:
        try:
            answer = pool.request(
                method, url.rstrip("/") + path, headers=headers, redirect=False, retries=False, timeout=TIMEOUT_S
            )
        except urllib3.exceptions.HTTPError as error:
            raise VerbError(f"{url} does not answer: {_cause(error)}. Is this its address (--url)?") from error
    text = answer.data.decode("utf-8", "replace").strip()
    if answer.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        raise VerbError(_sentence(url, path, answer.status, text))
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise VerbError(f"{url}{path} answers with no JSON: it is no Switchboard, or an older one") from None


def _cause(error: urllib3.exceptions.HTTPError) -> str:
    match error:
        case urllib3.exceptions.TimeoutError() if not isinstance(error, urllib3.exceptions.NewConnectionError):
            return f"no answer within {TIMEOUT_S:g} s"
        case urllib3.exceptions.LocationValueError():
            return "the address is no URL"
    return getattr(error.__cause__, "strerror", None) or type(error).__name__


def _sentence(url: str, path: str, status: int, text: str) -> str:
    said = text.removesuffix(".")[:MAX_PROBLEM_CHARS]
    if status == HTTPStatus.NOT_FOUND and said.startswith("No such path"):
        return f"{url} has no {path}: with --admin-bind the verbs are at that address alone"
    advice = _ADVICE.get(HTTPStatus(status)) if status in _ADVICE else None
    return f"{said or 'the server refused'} (HTTP {status})" + (f": {advice}" if advice else "")
