"""Upstreams: whom the router may dial, each with its own credential, headers and names of models.

Must not know which of them is dialled, when the next one is tried, or where the list was said.
"""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from router.config.parsers import (
    is_azure,
    is_on,
    is_openai,
    one_of,
    secret,
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
    """One upstream. Its `repr` shows no key, no header's value and nothing secret of the URL."""

    url: str
    """`openai`, `simulator` (the embedded one) or a URL."""
    api_key: Secret | None = None
    api_key_header: ApiKeyHeader | None = None
    """How the key is sent: `authorization` (as Bearer) or `api-key`. Never None once made: the host decides."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent beside the credential."""
    model: str | None = None
    """Its own name for the model, an Azure deployment's for example; wins over what a session asks for."""
    transcription_model: str | None = None
    """The same for the model that transcribes; else the configuration's."""
    g711: bool | None = None
    """Whether it hears and speaks mu-law and A-law. Never None once made: OpenAI, Azure and the simulator do."""

    def __post_init__(self) -> None:
        if self.api_key_header is None:
            header = "api-key" if is_azure(self.url) else "authorization"
            msgspec.structs.force_setattr(self, "api_key_header", header)
        if self.g711 is None:
            is_known = self.url in ("openai", "simulator") or is_azure(self.url) or is_openai(self.url)
            msgspec.structs.force_setattr(self, "g711", is_known)

    def dial_url(self, model: str) -> str:
        """Return what is dialled; a model in the URL wins over the upstream's own, and that over `model`.

        Raises:
            ConfigError: for the embedded simulator, which has an address only once it runs.
        """
        if self.url == "simulator":
            problem = "is the embedded simulator, which has an address only once it runs"
            raise ConfigError(source="Upstream", name="url", problem=problem)
        url = OPENAI_URL if self.url == "openai" else self.url
        return url_with_model(url, self.model or model)

    def dial_headers(self) -> tuple[tuple[str, str], ...]:
        """Return the credential, where there is one, and the other headers."""
        return (*self._credential(), *self.headers)

    def _credential(self) -> tuple[tuple[str, str], ...]:
        if self.api_key is None:
            return ()
        key = self.api_key.reveal()
        if self.api_key_header == "api-key":
            return (("api-key", key),)
        return (("Authorization", f"Bearer {key}"),)

    def label(self, model: str) -> str:
        """Return what may be printed of it: never a key, not even one in the URL's query."""
        return "simulator" if self.url == "simulator" else shown_url(self.dial_url(model))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log line may hold: the key, and whatever else of it is long enough to be one."""
        key = (self.api_key.reveal(),) if self.api_key else ()
        values = (value for _, value in self.headers if len(value) >= MIN_SECRET_CHARS)
        return (*key, *values, *query_secrets(self.url))

    def __repr__(self) -> str:
        shown = {
            **msgspec.structs.asdict(self),
            "url": shown_url(self.url),
            "headers": tuple((name, "***") for name, _ in self.headers),
        }
        return f"Upstream({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


# What a person writes of one, as the kinds in `router.values` have it.


def listed_upstream(written: Any) -> str:
    """Take `openai` or a URL: of a list, the embedded simulator is no part."""
    if isinstance(written, str) and written.strip() == "simulator":
        raise ValueError("must be openai or a ws:// or wss:// URL: the embedded simulator is in no list")
    return upstream(written)


def variable(written: Any) -> str:
    """Take a variable's name, in capitals: whatever else is written here may be the key itself, and is not shown."""
    if not isinstance(written, str) or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", written):
        raise ValueError("must be the name of an environment variable in capitals, such as AZURE_OPENAI_API_KEY")
    return written


def headers(written: Any) -> tuple[tuple[str, str], ...]:
    """Take a table of HTTP headers; what is wrong is said without showing a value."""
    if not isinstance(written, dict):
        raise ValueError(f"must be a table of HTTP headers, not {reprlib.repr(written)}")  # noqa: TRY004 - as in texts
    names = [name.lower() for name in written]
    if len(set(names)) < len(names):
        raise ValueError("has a header twice: case does not count in their names")
    return tuple((_header_name(name), _header_value(name, value)) for name, value in written.items())


_HANDSHAKE: Final = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding"})


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError(f"has a header whose name is none: {reprlib.repr(name)}")
    if name.lower() in _HANDSHAKE or name.lower().startswith("sec-websocket-"):
        raise ValueError(f"has the header {name}, which belongs to the handshake itself")
    return name


def _header_value(name: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", value):
        raise ValueError(f"has the header {name} with a value that is no printable ASCII text")
    return value


KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "url": listed_upstream,
    "api_key": secret,
    "api_key_env": variable,
    "api_key_header": one_of("authorization", "api-key"),
    "headers": headers,
    "model": text,
    "transcription_model": text,
    "g711": is_on,
}
"""What a table `[[upstreams]]` of the file may hold."""
