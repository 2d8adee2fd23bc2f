"""Parsers of single values: each takes a value as it was written, and returns it checked.

A parser is called with text (from a flag or a variable) or with any TOML value (from a file). It returns the value, or
raises `ValueError` with the rest of a sentence ("must be ..."). Pure. This module must not know which settings exist.
"""

from __future__ import annotations

import json
import re
import reprlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from router.secrets import Secret, SecretText, query_of

if TYPE_CHECKING:
    from collections.abc import Callable

_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
"""Characters that neither a URL nor an HTTP header can carry unencoded."""


def secret(written: Any) -> Secret:
    """Parse a credential that fits into an HTTP header. The error does not show the credential."""
    if not isinstance(written, str) or not written.strip():
        raise ValueError("must be text and not empty")
    value = written.strip()
    if _UNPRINTABLE.search(value):
        raise ValueError("contains a space, a line break or a character outside ASCII: copy the key again")
    return Secret(value)


def whole(low: int, high: int) -> Callable[[Any], int]:
    """Make a parser of whole numbers between two bounds, both included."""

    def parse(written: Any) -> int:
        number = _number(written, int)
        if not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {reprlib.repr(written)}")
        return number

    return parse


def seconds(low: float, high: float, *, zero_is_off: bool = False) -> Callable[[Any], float]:
    """Make a parser of seconds between two bounds, both included. With `zero_is_off` it also accepts 0."""

    def parse(written: Any) -> float:
        number = _number(written, float)
        if number is None or not (low <= number <= high or (zero_is_off and number == 0)):
            also = ", or 0 for off" if zero_is_off else ""
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}{also}, not {reprlib.repr(written)}")
        return float(number)

    return parse


def amount(low: float, high: float) -> Callable[[Any], float]:
    """Make a parser of a number between two bounds, both included."""

    def parse(written: Any) -> float:
        number = _number(written, float)
        if number is None or not low <= number <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, not {reprlib.repr(written)}")
        return float(number)

    return parse


def _number(written: Any, read: Callable[[str], float]) -> Any:
    try:
        number = read(written) if isinstance(written, str) else written
    except ValueError:
        return None
    # True is an int to Python, but a mistake in a file.
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None


def one_of(*choices: str) -> Callable[[Any], str]:
    """Make a parser of one of a few words."""
    spelled = f"{', '.join(choices[:-1])} or {choices[-1]}"

    def parse(written: Any) -> str:
        if written not in choices:
            raise ValueError(f"must be {spelled}, not {reprlib.repr(written)}")
        return str(written)

    return parse


def text(written: Any) -> str:
    """Parse a name: printable, without spaces, not empty."""
    foreign = next((character for character in str(written) if character > "~"), None)
    if isinstance(written, str) and foreign:
        raise ValueError(f"contains {foreign!a}, a character outside ASCII: type the value again in ASCII")
    if not isinstance(written, str) or not written.strip() or _UNPRINTABLE.search(written.strip()):
        raise ValueError(f"must be text without spaces, and not empty, not {reprlib.repr(written)}")
    return written.strip()


MAX_SENTENCE_CHARS: Final = 500


def sentence(written: Any) -> str:
    """Parse words that the agent speaks; an empty text for none."""
    if not isinstance(written, str) or len(written) > MAX_SENTENCE_CHARS:
        raise ValueError(f"must be a text of at most {MAX_SENTENCE_CHARS} characters")
    return written.strip()


def store_url(written: Any) -> SecretText:
    """Parse the URL of a Redis, or an empty text for none. The error does not show the URL: it may have a password."""
    schemes = ("redis", "rediss", "unix")
    if not isinstance(written, str) or (written.strip() and urlsplit(written.strip()).scheme not in schemes):
        raise ValueError("must be a URL such as redis://10.0.0.5:6379/0, or rediss:// for TLS")
    return SecretText(written.strip())


def texts(written: Any) -> tuple[str, ...]:
    """Parse several names: a list, or text with commas between them."""
    parts = [part for part in written.split(",") if part.strip()] if isinstance(written, str) else written
    if not isinstance(parts, list):
        raise ValueError(f"must be a list of names, not {reprlib.repr(written)}")  # noqa: TRY004 - a parser raises ValueError alone
    return tuple(dict.fromkeys(text(part) for part in parts))


def pairs(written: Any) -> dict[str, str]:
    """Parse a table of names to names, or text such as `a=b,c=d`.

    The first name of each pair is converted to lower case.
    """
    table = _pairs_written(written) if isinstance(written, str) else written
    if not isinstance(table, dict):
        raise ValueError(f"must be a table of names, not {reprlib.repr(written)}")  # noqa: TRY004 - a parser raises ValueError alone
    return {text(name).lower(): _text_for(name, value) for name, value in table.items()}


def _text_for(name: str, written: Any) -> str:
    try:
        return text(written)
    except ValueError as error:
        raise ValueError(f"{error} (for {name})") from None


def tables(written: Any) -> dict[str, dict[str, Any]]:
    """Parse a table of tables, or such an object as JSON text.

    The errors show no value, because a value may be a credential.
    """
    found = _json(written) if isinstance(written, str) else written
    if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
        raise ValueError("must be a table of tables, or a JSON object of objects")
    return {text(name): table for name, table in found.items()}


def _json(written: str) -> Any:
    try:
        return json.loads(written)
    except ValueError:
        return None


def _pairs_written(written: str) -> dict[str, str]:
    parts = [part.partition("=") for part in written.split(",") if part.strip()]
    if not all(equals for _, equals, _ in parts):
        raise ValueError(f"must be names with = between them, and a comma between pairs, not {reprlib.repr(written)}")
    return {name: value for name, _, value in parts}


def host(written: Any) -> str:
    """Parse a host name or an address. An IPv6 address may have brackets; the result has none."""
    if isinstance(written, str) and not written.isascii():
        raise ValueError("contains a character outside ASCII: write an international name in its form with xn--")
    return text(written).removeprefix("[").removesuffix("]")


def address(written: Any) -> str:
    """Parse a host and a port, such as `127.0.0.1:9090` or `[::1]:9090`."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]+):(\d{1,5})", written) if isinstance(written, str) else None
    if found is None or int(found[2]) > _MAX_PORT:
        raise ValueError(f"must be a host and a port, such as 127.0.0.1:9090, not {reprlib.repr(written)}")
    return found[0]


_MAX_PORT: Final = 65535


def host_and_port(address: str) -> tuple[str, int]:
    """Return the host of an address, without brackets, and its port."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def file_path(written: Any) -> str:
    """Parse the path of a file."""
    if not isinstance(written, str) or not written.strip():
        raise ValueError(f"must be the path of a file, not {reprlib.repr(written)}")
    return written


def route(*taken: str) -> Callable[[Any], str]:
    """Make a parser of paths for a WebSocket route. It refuses the paths in `taken`."""

    def parse(written: Any) -> str:
        path = text(written)
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
            raise ValueError(f"must be a path such as /openai, without a slash at its end, not {reprlib.repr(written)}")
        if path in taken:
            raise ValueError(f"must not be {path}, which the router serves itself")
        return path

    return parse


def switch(written: Any) -> bool:
    """Parse a switch: 1, true, yes or on, and their opposites."""
    word = str(written).strip().lower()
    if word not in _SWITCH:
        raise ValueError(f"must be 1 or 0, not {reprlib.repr(written)}")
    return _SWITCH[word]


_SWITCH: Final = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


def upstream(written: Any) -> str:
    """Check and return an upstream: `openai`, `simulator`, or the URL of another upstream."""
    if not isinstance(written, str):
        raise ValueError(f"must be openai, simulator, or a ws:// or wss:// URL, not {reprlib.repr(written)}")  # noqa: TRY004 - a parser raises ValueError alone
    url = written.strip()
    if url not in ("openai", "simulator"):
        _check_url(url)
    return url


def websocket_url(written: Any) -> str:
    """Parse the URL of a WebSocket server."""
    if not isinstance(written, str) or not written.strip():
        raise ValueError(f"must be a ws:// or wss:// URL, not {reprlib.repr(written)}")
    url = written.strip()
    _check_url(url)
    return url


def web_url(written: Any) -> str:
    """Parse an http:// or https:// URL.

    The errors about its parts repeat nothing of the URL, because it may hold a credential.
    """
    url = text(written)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL, such as http://localhost:11434")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be a URL without credentials, query and fragment: the key has a variable of its own")
    return url


def collector(written: Any) -> str:
    """Parse `application` (the program's own provider of spans), or the http:// or https:// URL of a collector."""
    if isinstance(written, str) and written.strip() == "application":
        return "application"
    try:
        return web_url(written)
    except ValueError as error:
        raise ValueError(f"{error}; or application, for the provider of the host") from None


def _check_url(url: str) -> None:
    # The errors repeat nothing of the URL except its scheme, because any other part may hold a credential.
    if _UNPRINTABLE.search(url):
        raise ValueError("contains a space, a line break or a character outside ASCII: percent-encode it")
    try:
        parts = urlsplit(url)
        hostname, has_credentials, _ = parts.hostname, "@" in parts.netloc, parts.port
    except ValueError as error:
        raise ValueError("is not a URL: its host or port cannot be read") from error
    if has_credentials:
        raise ValueError("contains credentials, and URLs end up in logs: set OPENAI_API_KEY instead")
    if parts.scheme not in ("ws", "wss"):
        raise ValueError(f"must be openai, simulator, or a ws:// or wss:// URL{_instead_of(url)}")
    if not hostname:
        raise ValueError("has no host")
    if "#" in url:
        raise ValueError("has a fragment (#), which no WebSocket URL may have: remove it")
    if is_azure(url) and any(name.lower() == "api-version" for name, _ in query_of(url)):
        raise ValueError(f"has an api-version, which the GA path refuses: use {_AZURE_GA}")


_AZURE_GA: Final = "wss://<resource>.openai.azure.com/openai/v1/realtime"

_AZURE_HOSTS: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


def is_azure(url: str) -> bool:
    """Whether the host of a URL is one of Azure OpenAI's."""
    return (urlsplit(url).hostname or "").endswith(_AZURE_HOSTS)


def is_openai(url: str) -> bool:
    """Whether the host of a URL is OpenAI's own."""
    return (urlsplit(url).hostname or "").endswith(".openai.com")


def _instead_of(url: str) -> str:
    scheme, colon, _ = url.partition("://")
    if colon:
        return f", not {scheme}://"
    return f", not {reprlib.repr(url)}" if url.isalpha() else ""


def model_of(url: str) -> str | None:
    """Return the model in the query of a URL; None if the query names none."""
    return dict(parse_qsl(urlsplit(url).query)).get("model")


def url_with_model(url: str, model: str) -> str:
    """Return `url` with `model` in its query. A URL that already names a model stays unchanged."""
    if model_of(url) is not None:
        return url
    parts = urlsplit(url)
    # Remove an empty `model=`, because a server would read it in place of the router's.
    others = [part for part in parts.query.split("&") if part not in ("", "model", "model=")]
    return urlunsplit(parts._replace(query="&".join([*others, f"model={quote(model, safe='')}"])))
