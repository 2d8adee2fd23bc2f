"""The signature of Twilio's requests: the header `X-Twilio-Signature`, made with the account's auth token. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def sign(auth_token: str, url: str, form: Mapping[str, Sequence[str]]) -> str:
    """Return the signature of a request. It covers the URL, and the form's fields in the order of their names."""
    data = url + "".join(name + value for name in sorted(form) for value in sorted(set(form[name])))
    return base64.b64encode(hmac.new(auth_token.encode(), data.encode(), hashlib.sha1).digest()).decode()


def is_valid(
    signature: str, auth_token: str, urls: Iterable[str], form: Mapping[str, Sequence[str]] | None = None
) -> bool:
    """Whether a signature fits one of the URLs. Each is tried with and without its port, and with a slash at its end.

    `form` has the fields of a POST. Twilio signs the URL that it dialled. A proxy may have changed the scheme of that
    URL. Reports differ on whether Twilio signs the port and the last slash of a WebSocket's URL.
    """
    # Every URL is compared, so that the time does not show which one fits.
    found = [
        hmac.compare_digest(signature.encode(), sign(auth_token, form_of_url, form or {}).encode())
        for url in urls
        for form_of_url in _forms(url)
    ]
    return any(found)


def _forms(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:  # the host is the peer's, and may be anything
        return
    host = parts.netloc.rpartition(":")[0] if has_port else parts.netloc
    for netloc in dict.fromkeys((parts.netloc, host, f"{host}:{_PORTS[parts.scheme]}")):
        for path in dict.fromkeys((parts.path, f"{parts.path.rstrip('/')}/")):
            yield urlunsplit(parts._replace(netloc=netloc, path=path))
