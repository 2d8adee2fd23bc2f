"""The notation of inputs and commands in a recording. It is JSON: people read it, and a replay compares it to the byte.

Pure.
"""

from __future__ import annotations

import contextlib
import enum
import json
import math
import re
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
import orjson
import pybase64

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from router.errors import ToolError
from router.guard.rules import Verdict as GuardVerdict
from router.recording.mask import Hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MIN_RUN: Final = 64
_RUN: Final = re.compile(r"(.)\1{63}", re.DOTALL)
"""The first `MIN_RUN` of a run of equal characters, as in silent audio."""

MAX_CHARS: Final = 256 * 1024 * 1024
"""The longest text that runs of equal characters may expand to. `max_message_bytes` permits no longer message."""


class NotationError(ValueError):
    """A part of a recording cannot be decoded as the value that belongs there, such as an input, a text or bytes."""


# Writing.


def written(value: Any) -> Any:
    """Return a value of a session as JSON. Equal values have the same notation."""
    if value is None or isinstance(value, bool):
        return value
    write = next((write for kind, write in _WRITERS if isinstance(value, kind)), None)
    return write(value) if write is not None else {"other": type(value).__name__}


def _number(value: float) -> Any:
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else {"int": str(value)}
    return value if math.isfinite(value) else {"float": repr(value)}


def _struct(value: msgspec.Struct) -> dict[str, Any]:
    return {name: _field(getattr(value, name)) for name in value.__struct_fields__}


def _field(value: Any) -> Any:
    # For a notification, or the arguments of work, the field alone does not identify the class.
    if isinstance(value, msgspec.Struct):
        return {"is": type(value).__name__, **written(value)}
    return written(value)


def _bytes(data: bytes) -> Any:
    # Most bytes for an upstream are an encoded event.
    if data.startswith(b"{"):
        with contextlib.suppress(UnicodeDecodeError):
            return {"utf8": _text(data.decode())}
    return {"bytes": _text(pybase64.b64encode(data).decode())}


def _text(text: str) -> Any:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, in a text of the application
        return {"escaped": json.dumps(text)}
    if len(text) < MIN_RUN:
        return text
    parts: list[Any] = []
    end = 0
    while found := _RUN.search(text, end):
        before, char = text[end : found.start()], found[1]
        # A pattern of one literal is 50 times as fast as a group that repeats.
        rest = re.compile(f"{re.escape(char)}*").match(text, found.end())
        end = rest.end() if rest else found.end()
        parts += ([before] if before else []) + [[char, end - found.start()]]
    if not parts:
        return text
    return {"runs": [*parts, text[end:]] if end < len(text) else parts}


_WRITERS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (str, _text),
    (bytes, _bytes),
    (int | float, _number),
    (enum.Enum, lambda value: value.value),
    (msgspec.Struct, _struct),
    (list | tuple, lambda value: [written(each) for each in value]),
    (dict, lambda value: {str(name): written(each) for name, each in value.items()}),
    (ToolError, lambda value: {"tool_error": _text(str(value))}),
)
"""The functions that write a value, by type. The first type that fits is used."""


def input_written(message: messages.Input) -> dict[str, Any]:
    """Return an input in the notation."""
    fields = {name: written(getattr(message, name)) for name in message.__struct_fields__}
    if isinstance(message, messages.WorkDone) and isinstance(message.result, dict | list):
        fields["result"] = {"json": orjson.dumps(message.result).decode()}
    if isinstance(message, messages.WorkDone) and isinstance(message.result, GuardVerdict):
        fields["result"] = {"verdict": written(message.result)}
    if isinstance(message, messages.WorkDone) and message.failure is not None:
        fields["failure"] = {"kind": message.failure.kind.value, "error": _error(message.failure.error)}
    return {"in": type(message).__name__, **fields}


def _error(error: BaseException | None) -> Any:
    return {"hidden": str(error)} if isinstance(error, Hidden) else written(error)


def commands_written(commands: Iterable[messages.Command]) -> list[dict[str, Any]]:
    """Return commands in the notation."""
    return [{"do": type(command).__name__, **written(command)} for command in commands]


# Reading.


def read_text(value: Any) -> str:
    """Return the text that `written` wrote.

    Raises:
        NotationError: the value is no text.
    """
    match value:
        case str():
            return value
        case {"escaped": str(text)}:
            return str(json.loads(text))
        case {"runs": list(parts)}:
            return _joined(parts)
    raise NotationError(f"no text: {type(value).__name__}")


def _joined(parts: list[Any]) -> str:
    found, chars = [], 0
    for part in parts:
        match part:
            case str():
                found.append(part)
            case [str(char), int(count)] if 0 <= count <= MAX_CHARS:
                found.append(char * count if len(char) == 1 else "")
            case _:
                raise NotationError("no run of a character")
        chars += len(found[-1])
        if chars > MAX_CHARS:
            raise NotationError("a text is too long")
    return "".join(found)


def read_bytes(value: Any) -> bytes:
    """Return the bytes that `written` wrote.

    Raises:
        NotationError: the value is no bytes.
    """
    match value:
        case {"utf8": text}:
            return read_text(text).encode()
        case {"bytes": text}:
            try:
                return pybase64.b64decode(read_text(text), validate=True)
            except ValueError as error:
                raise NotationError(f"no bytes: {error}") from None
    raise NotationError("no bytes")


def read_frame(value: Any) -> str | bytes:
    """Return the text or the bytes that `written` wrote.

    Raises:
        NotationError: the value is neither.
    """
    is_binary = isinstance(value, dict) and ("bytes" in value or "utf8" in value)
    return read_bytes(value) if is_binary else read_text(value)


def read_input(fields: Any) -> messages.Input:
    """Return the input that `input_written` wrote.

    Raises:
        NotationError: the fields are no input.
    """
    if not isinstance(fields, dict):
        raise NotationError("no input")
    kind = _INPUTS.get(str(fields.get("in")))
    if kind is None:
        raise NotationError(f"an unknown input: {str(fields.get('in'))[:40]!r}")
    read = _READERS.get(kind, _read_plain)
    try:
        found: messages.Input = read(kind, fields)
    except NotationError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotationError(f"no {kind.__name__}: {error}") from None
    return found


def _read_plain(kind: type[Any], fields: Mapping[str, Any]) -> Any:
    found = {name: fields[name] for name in kind.__struct_fields__}
    return msgspec.convert(found, kind)


def _read_client_text(_kind: type[Any], fields: Mapping[str, Any]) -> Any:
    return messages.ClientTextReceived(read_text(fields["text"]))


def _read_client_binary(_kind: type[Any], fields: Mapping[str, Any]) -> Any:
    return messages.ClientBinaryReceived(read_bytes(fields["data"]))


def _read_upstream_text(_kind: type[Any], fields: Mapping[str, Any]) -> Any:
    return messages.UpstreamTextReceived(_expected(int, fields["generation"]), read_text(fields["text"]))


def _read_upstream_binary(_kind: type[Any], fields: Mapping[str, Any]) -> Any:
    return messages.UpstreamBinaryReceived(_expected(int, fields["generation"]), read_bytes(fields["data"]))


def _read_closed(_kind: type[Any], fields: Mapping[str, Any]) -> Any:
    closed = fields["closed"]
    reason = read_text(closed["reason"])
    return messages.ClientClosed(
        ConnectionClosed(ending=Ending(closed["ending"]), code=_expected(int, closed["code"]), reason=reason)
    )


def _read_lost(_kind: type[Any], fields: Mapping[str, Any]) -> Any:
    loss, verdict = fields["loss"], fields["verdict"]
    return messages.UpstreamLost(
        _expected(int, fields["generation"]),
        Loss(
            kind=LossKind(loss["kind"]),
            code=loss["code"],
            reason=read_text(loss["reason"]),
            cause=read_text(loss["cause"]),
            is_fatal=_expected(bool, loss["is_fatal"]),
        ),
        Verdict(
            decision=Decision(verdict["decision"]), position=verdict["position"], delay_s=float(verdict["delay_s"])
        ),
    )


def _read_work(_kind: type[Any], fields: Mapping[str, Any]) -> Any:
    failure, result = fields["failure"], fields["result"]
    if isinstance(result, dict) and "json" in result:
        result = orjson.loads(result["json"])
    elif isinstance(result, dict) and "verdict" in result:
        verdict = result["verdict"]
        result = msgspec.convert({**verdict, "text": read_text(verdict["text"])}, GuardVerdict)
    elif result is not None:
        result = read_text(result)
    if failure is not None:
        kind = messages.WorkFailureKind(failure["kind"])
        failure = messages.WorkFailure(kind, _read_error(failure["error"]))
    return messages.WorkDone(read_text(fields["key"]), result, failure)


def _read_error(value: Any) -> BaseException | None:
    match value:
        case None:
            return None
        case {"tool_error": text}:
            return ToolError(read_text(text))
        case {"hidden": str(text)}:
            return Hidden(text)
    raise NotationError("no exception")


def _expected(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise NotationError(f"no {kind.__name__}: {type(value).__name__}")
    return value


_INPUTS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in get_args(messages.Input)}
_READERS: Final[dict[type, Callable[[type[Any], Mapping[str, Any]], Any]]] = {
    messages.ClientTextReceived: _read_client_text,
    messages.ClientBinaryReceived: _read_client_binary,
    messages.UpstreamTextReceived: _read_upstream_text,
    messages.UpstreamBinaryReceived: _read_upstream_binary,
    messages.ClientClosed: _read_closed,
    messages.UpstreamLost: _read_lost,
    messages.WorkDone: _read_work,
}
"""The functions that read inputs with nested fields. Every other input has only numbers and short texts."""
