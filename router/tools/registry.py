"""The functions that an embedding application registers. Each session that starts later offers them to the model."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.deepgram import blocks
from router.errors import HandlerError

if TYPE_CHECKING:
    from router.access.request import Principal

logger = logging.getLogger(__name__)

MAX_OUTPUT_BYTES: Final = 128 * 1024
"""The longest output of a function, in bytes.

That is some 32,000 tokens, which is more than a new upstream gets as its history.
"""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""OpenAI's rule for the name of a function.

OpenAI refuses the whole `session.update` for a name that breaks the rule.
"""

_MISPLACED: Final = {
    "properties": "belongs into `parameters`, or beside `type: object`",
    "function": "is Chat Completions': pass its value instead",
}
"""Misplaced fields of a schema, each with advice.

The model would see neither such a field nor the function's parameters.
"""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a call that its handler receives in addition to the arguments."""

    session_id: str
    call_id: str
    name: str
    principal: Principal | None = None
    """The identity of the client; None without authentication."""


Handler = Callable[[dict[str, Any], ToolCall], Any]
"""A function that takes a call's arguments and the call, and returns text or any value that `orjson` can write.

The router calls it on threads of the tools pool, several calls at a time. It may block for `deadlines.tool_call_s`.
After that time the model gets a time-out, and the result is dropped. An exception is logged. The model is informed that
the call failed, but not of the reason.
"""


class Tool(msgspec.Struct, frozen=True):
    """A function and its handler."""

    function: blocks.Function
    handler: Handler


class FunctionRegistry:
    """The registered functions by name. Several threads may use the registry."""

    def __init__(self, *, max_bytes: int = MAX_OUTPUT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._tools: dict[str, Tool] = {}
        """The functions, by name. No lock guards the dict, because a fork could copy a held lock.

        Each access is one step of the interpreter.
        """

    def add(self, name: str | None, schema: Mapping[str, Any], handler: Handler) -> Handler:
        """Register a function, and return its handler.

        Args:
            name: the name, or None if the schema has it.
            schema: OpenAI's and Deepgram's shape, `{name, description, parameters}`; or the JSON Schema of the
                parameters alone, `{"type": "object", …}`.
            handler: see `Handler`.

        Raises:
            ValueError: the schema or the name is invalid, the name is taken, or the handler is a coroutine.
        """
        tool = Tool(_function(name, schema), handler)
        if not callable(handler) or inspect.iscoroutinefunction(handler):
            raise ValueError(
                f"the handler of {tool.function.name} must be a plain function, which is called on a thread"
            )
        if self._tools.setdefault(tool.function.name, tool) is not tool:
            raise ValueError(f"a function {tool.function.name} is registered already: choose another name")
        return handler

    def functions(self) -> tuple[blocks.Function, ...]:
        """Return the functions that a session offers to the model, in the order of registration."""
        return tuple(tool.function for tool in list(self._tools.values()))

    def call(self, call: ToolCall, arguments: str) -> str:
        """Call the handler of a function, and return its result as text.

        Raises:
            HandlerError: the handler failed, or its result cannot be sent.
        """
        try:
            given = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:
            given = None
        if not isinstance(given, dict):
            raise HandlerError("its arguments are not a JSON object")
        try:
            answer = self._tools[call.name].handler(given, call)
        except Exception:
            logger.exception("session %s: the handler of %s failed", call.session_id, call.name)
            raise HandlerError("its handler failed") from None
        return self._written(answer)

    def _written(self, answer: Any) -> str:
        try:
            written = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
        except TypeError:
            raise HandlerError("its handler returned a value that JSON cannot express") from None
        sent = written.encode(errors="replace")  # a text may have a lone surrogate, which UTF-8 cannot carry
        if len(sent) > self._max_bytes:
            raise HandlerError(f"its result is longer than {self._max_bytes} bytes")
        return sent.decode()


def _function(name: str | None, schema: Mapping[str, Any]) -> blocks.Function:
    if not isinstance(schema, Mapping):
        raise ValueError("a schema must be a mapping")  # noqa: TRY004 - one kind of error for every schema
    is_of_parameters = schema.get("type") == "object"
    fields = {"parameters": schema} if is_of_parameters else schema
    parameters = fields.get("parameters")
    named: Any = name if name is not None else fields.get("name")
    if not isinstance(named, str) or not _NAME.fullmatch(named):
        raise ValueError("a function's name must be 1 to 64 letters, digits, _ or -")
    misplaced = next((field for field in _MISPLACED if field in fields), None)
    if misplaced is not None:
        raise ValueError(f"the schema of {named} is invalid: `{misplaced}` {_MISPLACED[misplaced]}")
    given = {
        "name": named,
        "description": fields.get("description"),
        "parameters": dict(parameters) if isinstance(parameters, Mapping) else parameters,
    }
    try:
        return msgspec.json.decode(orjson.dumps(given), type=blocks.Function)  # a copy, which is certainly valid JSON
    except (TypeError, msgspec.ValidationError) as error:
        raise ValueError(f"the schema of {named} is invalid: {error}") from None
