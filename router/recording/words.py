"""The replacement of words: a text of the same shape, in which nothing can be read. Pure.

The replacement of a character depends on that character alone, except in JSON. So a part of a plain text gets the same
replacement alone as within the whole text. Equal texts stay equal. Punctuation, white space and the size in UTF-8 do
not change.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import orjson

_OF_TWO_BYTES: Final = 0x80
_OF_THREE_BYTES: Final = 0x800
_OF_FOUR_BYTES: Final = 0x10000

_KEPT_CATEGORIES: Final = "PZC"
"""The Unicode categories whose characters are kept: punctuation, separators, control characters."""

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*')
"""The strings and numbers of a JSON text. Its other tokens carry no words."""

_ESCAPE: Final = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|[^\\]+")


class _Table(dict[int, int]):
    def __missing__(self, code: int) -> int:
        self[code] = _replacement(chr(code))
        return self[code]


def _replacement(char: str) -> int:
    if char.isascii():
        return ord(_ascii_replacement(char))
    if unicodedata.category(char)[0] in _KEPT_CATEGORIES:
        return ord(char)
    if ord(char) < _OF_THREE_BYTES:
        return ord("é")
    return ord("文") if ord(char) < _OF_FOUR_BYTES else ord("𠀀")


def _ascii_replacement(char: str) -> str:
    if char.isdigit():
        return "1"  # a number that begins with 0 would be invalid JSON
    if char.isalpha():
        return "X" if char.isupper() else "x"
    return char


_TABLE: Final = _Table()


def masked(text: str) -> str:
    """Return a text of the same shape, in which nothing can be read. A JSON object or list keeps its structure."""
    if text[:1] in ("{", "[") and _is_json(text):
        return _TOKEN.sub(_masked_token, text)
    return text.translate(_TABLE)


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _masked_token(found: re.Match[str]) -> str:
    token = found[0]
    if not token.startswith('"'):
        # The letter of an exponent is kept.
        return re.sub(r"\d", "1", token)
    if "\\" not in token:
        return token.translate(_TABLE)
    return _ESCAPE.sub(_masked_escape, token)


def _masked_escape(found: re.Match[str]) -> str:
    part = found[0]
    if not part.startswith("\\"):
        return part.translate(_TABLE)
    # A letter may be written as an escape. A single half of a surrogate pair would be invalid JSON.
    return r"\u0078" if part.startswith(r"\u") else part
