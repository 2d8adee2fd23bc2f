"""Upstreams: the servers that the router may dial, each with its own credential, headers and names of models.

This module must not know which upstream is dialled, when the next one is tried, or the source of the list.
"""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from router.config.parsers import (
    amount,
    is_azure,
    is_openai,
    one_of,
    secret,
    switch,
    text,
    upstream,
    url_with_model,
)
from router.errors import ConfigError
from router.secrets import MIN_SECRET_CHARS, query_secrets, shown_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.secrets import Secret

OPENAI_URL: Final = "wss://api.openai.com/v1/realtime"

ApiKeyHeader = Literal["authorization", "api-key"]


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream. Its `repr` shows no key, no value of a header and no secret of the URL."""

    url: str
    """`openai`, `simulator` (the embedded one) or a URL."""
    api_key: Secret | None = None
    further_keys: tuple[Secret, ...] = ()
    """The keys after `api_key`. A call dials with the healthiest key, or among equals with the one in fewest calls."""
    weight: float | None = None
    """The upstream's share of the calls, relative to the weights of the others; None or 0 for a fallback."""
    api_key_header: ApiKeyHeader | None = None
    """The header of the key: `authorization` (as Bearer) or `api-key`. If it is None, the host decides."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers that are sent in addition to the credential."""
    model: str | None = None
    """The upstream's own name for the model, such as an Azure deployment.

    It replaces the model that a session requests.
    """
    transcription_model: str | None = None
    """The upstream's own name for the model that transcribes. It replaces the configuration's transcription model."""
    g711: bool | None = None
    """Whether the upstream takes and sends mu-law and A-law. If it is None, the host decides."""

    def __post_init__(self) -> None:
        if self.api_key_header is None:
            header = "api-key" if is_azure(self.url) else "authorization"
            msgspec.structs.force_setattr(self, "api_key_header", header)
        if self.g711 is None:
            is_known = self.url in ("openai", "simulator") or is_azure(self.url) or is_openai(self.url)
            msgspec.structs.force_setattr(self, "g711", is_known)

    def dial_url(self, model: str) -> str:
        """Return the URL to dial.

        The model is the one in the URL, else the upstream's `model`, else the argument `model`.

        Raises:
            ConfigError: for the embedded simulator, which has an address only once it runs.
        """
        if self.url == "simulator":
            problem = "is the embedded simulator, which has an address only once it runs: start the router first"
            raise ConfigError(source="Upstream", name="url", problem=problem)
        url = OPENAI_URL if self.url == "openai" else self.url
        return url_with_model(url, self.model or model)

    def dial_headers(self, key: int = 0) -> tuple[tuple[str, str], ...]:
        """Return the credential with the key of this index, if there is one, and the other headers."""
        return (*self._credential(key), *self.headers)

    @property
    def key_count(self) -> int:
        """The number of different credentials. It is at least 1, because a dial without a key counts as one."""
        return max(1, len(self.keys))

    @property
    def keys(self) -> tuple[Secret, ...]:
        """All keys; empty for an upstream without a key."""
        return (self.api_key, *self.further_keys) if self.api_key is not None else ()

    def _credential(self, index: int) -> tuple[tuple[str, str], ...]:
        if self.api_key is None:
            return ()
        key = self.keys[index].reveal()
        if self.api_key_header == "api-key":
            return (("api-key", key),)
        return (("Authorization", f"Bearer {key}"),)

    def label(self, model: str) -> str:
        """Return the upstream's URL for printing. It contains no key, not even in its query."""
        return "simulator" if self.url == "simulator" else shown_url(self.dial_url(model))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys, and every other value that is long enough to be a key. Log lines must mask them."""
        keys = (key.reveal() for key in self.keys)
        values = (value for _, value in self.headers if len(value) >= MIN_SECRET_CHARS)
        return (*keys, *values, *query_secrets(self.url))

    def __repr__(self) -> str:
        shown = {
            **msgspec.structs.asdict(self),
            "url": shown_url(self.url),
            "headers": tuple((name, "***") for name, _ in self.headers),
        }
        return f"Upstream({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


# Parsers of one table, like those of `router.config.parsers`.


def listed_upstream(written: Any) -> str:
    """Parse `openai` or a URL. A list cannot contain the embedded simulator, which never fails over."""
    if isinstance(written, str) and written.strip() == "simulator":
        raise ValueError("must be openai or a ws:// or wss:// URL: a list cannot contain the embedded simulator")
    return upstream(written)


def variable(written: Any) -> str:
    """Parse the name of a variable, in capitals. Another text may be the key itself, so the error does not show it."""
    if not isinstance(written, str) or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", written):
        raise ValueError("must be the name of an environment variable in capitals, such as AZURE_OPENAI_API_KEY")
    return written


def headers(written: Any) -> tuple[tuple[str, str], ...]:
    """Parse a table of HTTP headers. No error shows the value of a header."""
    if not isinstance(written, dict):
        raise ValueError(f"must be a table of HTTP headers, not {reprlib.repr(written)}")  # noqa: TRY004 - a parser raises ValueError alone
    names = [name.lower() for name in written]
    if len(set(names)) < len(names):
        raise ValueError("has a header twice: names are compared without case")
    return tuple((_header_name(name), _header_value(name, value)) for name, value in written.items())


def _one_or_several(parse: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Make a parser of one value or a list of different ones. The errors show no value."""

    def several(written: Any) -> tuple[Any, ...]:
        if not isinstance(written, list | tuple):
            return (parse(written),)
        if not written:
            raise ValueError("must not be an empty list")
        found = tuple(parse(it) for it in written)
        if any(it in found[:index] for index, it in enumerate(found)):
            raise ValueError("has one entry twice")
        return found

    return several


_HANDSHAKE: Final = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding"})


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError(f"has an invalid header name: {reprlib.repr(name)}")
    if name.lower() in _HANDSHAKE or name.lower().startswith("sec-websocket-"):
        raise ValueError(f"has the header {name}, which the handshake sets itself: remove it")
    return name


def _header_value(name: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", value):
        raise ValueError(f"has the header {name} with a value that is not printable ASCII")
    return value


PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "url": listed_upstream,
    "api_key": _one_or_several(secret),
    "api_key_env": _one_or_several(variable),
    "weight": amount(0, 1000),
    "api_key_header": one_of("authorization", "api-key"),
    "headers": headers,
    "model": text,
    "transcription_model": text,
    "g711": switch,
}
"""The keys of a table `[[upstreams]]` of the file."""
