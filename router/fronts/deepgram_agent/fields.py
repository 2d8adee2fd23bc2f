"""The JSON of text frames: read into fields, and written. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from router.json_bounds import MAX_RECOUNT_CHARS, exceeded_bound

Fields = dict[str, Any]


def read(text: str) -> Fields | str:
    """Return the fields of a frame.

    If the frame exceeds a bound or is no JSON object, return the problem, as a sentence for the client.
    """
    exceeded = exceeded_bound(text)
    if exceeded is not None:
        return f"the message {exceeded}"
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"the message is not valid JSON: {error}"
    if not isinstance(fields, dict):
        return "the message is not a JSON object"
    if len(text) > MAX_RECOUNT_CHARS and not _can_be_written(fields):
        return "the message is nested too deeply"
    return fields


def _can_be_written(fields: Fields) -> bool:
    # The depth of such a long text was not counted, and a part of the text may have to be written again.
    try:
        orjson.dumps(fields)
    except orjson.JSONEncodeError:
        return False
    return True


def write(fields: Fields) -> str:
    """Return the text frame with these fields."""
    return orjson.dumps(fields).decode()


def text_of(fields: Fields, name: str) -> str:
    """Return the text in a field, or an empty text if the field is missing or of another type."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def objects_of(fields: Fields, name: str) -> list[Fields]:
    """Return the objects in the list of a field; an empty list if the field is missing or no list."""
    value = fields.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
