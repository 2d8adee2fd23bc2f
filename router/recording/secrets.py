"""The credentials that no recording contains: of the configuration, of the client, and texts of their shape."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

from router.access.request import pairs_of
from router.secrets import CREDENTIALS, MIN_SECRET_CHARS, Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.access.request import Request

MIN_CHARS: Final = 4
"""The least length of a credential that is masked.

A shorter text is no secret, and masking it would spoil every line.
"""

REDACTED: Final = "[redacted]"

SECRET_KEY: Final = re.compile(
    r"authori[sz]ation|cookie|secret|passw|credential|signature|api[_-]?key|^key$|^auth$|(?:^|[_-])token$|Token$|^resume$",
    re.IGNORECASE,
)
"""Keys of messages whose texts are credentials, in an endpoint's headers or a provider's settings, for example."""

_HEADERS: Final = ("authorization", "proxy-authorization", "cookie", "sec-websocket-protocol", "x-api-key", "api-key")

_LOOKS: Final = (
    *CREDENTIALS,
    r"\bsb_[\w-]{16,}",  # a static token of the router's own
    r"\bek_[\w-]{16,}",  # OpenAI's client secret
    r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",  # a JSON Web Token
)

_PLAIN: Final = frozenset({"token", "bearer", "basic", "realtime", "upgrade", "websocket"})


def redactor_of(secrets: Iterable[str], request: Request | None = None) -> Redactor:
    """Return the redactor of a session's recording, which knows `secrets` and the credentials in the request."""
    known = [*secrets, *(_credentials(request) if request is not None else ())]
    known = [secret for secret in known if len(secret) >= MIN_CHARS]
    quoted = [part for secret in known for part in _quoted(secret)]
    encoded = [part for secret in known if len(secret) >= MIN_SECRET_CHARS for part in _in_base64(secret)]
    return Redactor([*known, *quoted, *encoded], REDACTED, _LOOKS)


def _credentials(request: Request) -> Iterator[str]:
    if request.credential:
        yield request.credential
    for name in _HEADERS:
        for part in re.split(r"[\s,;=]+", request.headers.get(name, "")):
            if len(part) >= MIN_SECRET_CHARS and part.lower() not in _PLAIN:
                yield part
    for name, value in pairs_of(request.query):
        if SECRET_KEY.search(name) and value:
            yield value


def _quoted(secret: str) -> Iterator[str]:
    """Yield the spellings of a secret in URLs: encoders differ in the slash, the space and the case of digits."""
    for spelled in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield spelled
        yield _ENCODED.sub(lambda found: found[0].lower(), spelled)


def _in_base64(secret: str) -> Iterator[str]:
    """Yield the spellings of a secret within base64: one for each of three alignments, in both alphabets."""
    data = secret.encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        # The characters at both ends also depend on the neighbouring bytes.
        first = -(-before * 8 // 6)
        last = (before + len(data)) * 8 // 6
        yield encoded[first:last]
        yield encoded[first:last].translate(_URL_SAFE)


_ENCODED: Final = re.compile(r"%[0-9A-F]{2}")
_URL_SAFE: Final = str.maketrans("+/", "-_")
