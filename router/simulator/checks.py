"""Checks of JSON values, built from small parts.

A failed check raises the `RequestError` with which OpenAI would answer.

A check takes a value and its path (`session.tools[0].name`), which becomes `param`. No check depends on an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pybase64

from router.simulator.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Check = Callable[[Any, str], None]

_TYPE_NAMES: Final = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def anything(_value: Any, _path: str) -> None:
    """Accept any value."""


def boolean(value: Any, path: str) -> None:
    """Accept true and false."""
    _expect(value, path, bool, "a boolean")


def json_object(value: Any, path: str) -> None:
    """Accept any object."""
    _expect(value, path, dict, "an object")


def string(max_length: int | None = None) -> Check:
    """Make a check for strings of at most `max_length` characters."""

    def check(value: Any, path: str) -> None:
        _expect(value, path, str, "a string")
        if max_length is not None and len(value) > max_length:
            raise RequestError(
                "string_above_max_length",
                f"Invalid '{path}': string too long. Expected a string with maximum length {max_length}, "
                f"but got a string with length {len(value)} instead.",
                path,
            )

    return check


def base64_audio(max_bytes: int) -> Check:
    """Make a check for the length of base64 text that holds at most `max_bytes`.

    `decoded_audio` checks the alphabet.
    """

    def check(value: Any, path: str) -> None:
        _expect(value, path, str, "a string")
        if len(value) > max_bytes * 4 / 3 + 4:
            raise RequestError("string_above_max_length", f"Invalid '{path}': more than {max_bytes} bytes.", path)

    return check


def decoded_audio(value: str, path: str) -> bytes:
    """Return the bytes of base64 audio; raises `RequestError` for a text that is no base64."""
    try:
        return pybase64.b64decode(value, validate=True)
    except ValueError:
        raise RequestError("invalid_value", f"Invalid '{path}'. Expected base64-encoded audio.", path) from None


def integer(minimum: int | None = None, maximum: int | None = None) -> Check:
    """Make a check for whole numbers within bounds."""

    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):  # Python's bool is an int, JSON's is not
            _refuse_type(value, path, "an integer")
        _expect_range(value, path, "integer", minimum, maximum)

    return check


def number(minimum: float, maximum: float) -> Check:
    """Make a check for numbers within bounds."""

    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            _refuse_type(value, path, "a decimal")
        _expect_range(value, path, "decimal", minimum, maximum)

    return check


def one_of(*allowed: str) -> Check:
    """Make a check for strings that are in `allowed`."""

    def check(value: Any, path: str) -> None:
        _expect(value, path, str, "a string")
        if value not in allowed:
            refuse_value(value, path, allowed)

    return check


def nullable(inner: Check) -> Check:
    """Make a check for null, and for the values that `inner` accepts."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def either(kinds: Mapping[type, Check], expected: str) -> Check:
    """Make a check that selects another check by the value's Python type. `expected` names the types in the error."""

    def check(value: Any, path: str) -> None:
        inner = kinds.get(type(value))
        if inner is None:
            _refuse_type(value, path, expected)
        else:
            inner(value, path)

    return check


def array(item: Check, max_length: int | None = None) -> Check:
    """Make a check for lists of at most `max_length` values that `item` accepts."""

    def check(value: Any, path: str) -> None:
        _expect(value, path, list, "an array")
        if max_length is not None and len(value) > max_length:
            raise RequestError(
                "array_above_max_length",
                f"Invalid '{path}': array too long. Expected an array with maximum length {max_length}, "
                f"but got an array with length {len(value)} instead.",
                path,
            )
        for index, element in enumerate(value):
            item(element, f"{path}[{index}]")

    return check


def mapping(value_check: Check, max_pairs: int, max_key_length: int) -> Check:
    """Make a check for objects with free keys, such as metadata.

    An object has at most `max_pairs` keys of at most `max_key_length` characters. `value_check` checks each value.
    """

    def check(value: Any, path: str) -> None:
        _expect(value, path, dict, "an object")
        if len(value) > max_pairs:
            raise RequestError(
                "object_above_max_properties",
                f"Invalid '{path}': too many properties. Expected an object with at most {max_pairs} properties, "
                f"but got an object with {len(value)} properties instead.",
                path,
            )
        for key, element in value.items():
            string(max_key_length)(key, f"{path}.{key[:max_key_length]}")
            value_check(element, f"{path}.{key}")

    return check


def fields(known: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """Make a check for objects. They may have only the keys in `known`, and must have every key in `required`."""

    def check(value: Any, path: str) -> None:
        _expect(value, path, dict, "an object")
        for key in value:
            if key not in known:
                unknown = _join(path, key)
                raise RequestError("unknown_parameter", f"Unknown parameter: '{unknown}'.", unknown)
        for key in required:
            _expect_key(value, path, key)
        for key, element in value.items():
            known[key](element, _join(path, key))

    return check


def tagged(tag: str, variants: Mapping[str, Check]) -> Check:
    """Make a check for objects whose field `tag` selects the check in `variants` that the object has to pass."""

    def check(value: Any, path: str) -> None:
        _expect(value, path, dict, "an object")
        _expect_key(value, path, tag)
        _expect(value[tag], _join(path, tag), str, "a string")
        variant = variants.get(value[tag])
        if variant is None:
            refuse_value(value[tag], _join(path, tag), tuple(variants))
        else:
            variant(value, path)

    return check


def refuse_value(value: Any, path: str, allowed: tuple[str, ...]) -> None:
    """Raise a `RequestError` that names `value` and `allowed`. The caller has found that `allowed` lacks the value."""
    quoted = [f"'{name}'" for name in allowed]
    listed = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
    raise RequestError("invalid_value", f"Invalid value: '{value}'. Supported values are: {listed}.", path)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _expect_key(value: dict[str, Any], path: str, key: str) -> None:
    if key not in value:
        missing = _join(path, key)
        raise RequestError("missing_required_parameter", f"Missing required parameter: '{missing}'.", missing)


def _expect(value: Any, path: str, kind: type, expected: str) -> None:
    if not isinstance(value, kind):
        _refuse_type(value, path, expected)


def _refuse_type(value: Any, path: str, expected: str) -> None:
    found = _TYPE_NAMES.get(type(value), "something else")
    message = f"Invalid type for '{path}': expected {expected}, but got {found} instead."
    raise RequestError("invalid_type", message, path or None)


def _expect_range(value: float, path: str, kind: str, minimum: float | None, maximum: float | None) -> None:
    for side, name, bound, is_broken in (
        ("below_min", "below minimum value. Expected a value >=", minimum, minimum is not None and value < minimum),
        ("above_max", "above maximum value. Expected a value <=", maximum, maximum is not None and value > maximum),
    ):
        if is_broken:
            message = f"Invalid '{path}': {kind} {name} {bound}, but got {value} instead."
            raise RequestError(f"{kind}_{side}_value", message, path)
