"""The functions that the model may call: the server's own, and the accepted ones of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import orjson

from router.config.origins import is_allowed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from router.deepgram import blocks


class FilteredFunctions(NamedTuple):
    """A think block with only the accepted functions, and the names of the functions that were left out."""

    think: blocks.Think
    not_allowed: tuple[str, ...] = ()
    """The functions whose endpoints the router may not call."""
    taken: tuple[str, ...] = ()
    """The functions with the name of a function of the server. A client cannot answer in place of the server."""


def filter_functions(
    think: blocks.Think, allowed_origins: tuple[str, ...], server_names: Collection[str]
) -> FilteredFunctions:
    """Return the think block without the functions that the client may not declare, and the names of these functions.

    A client may not declare a function with a name in `server_names`, or an endpoint whose origin is not allowed.
    """
    functions = think.functions or []
    taken = tuple(it.name for it in functions if it.name in server_names)
    not_allowed = tuple(
        it.name for it in functions if it.name not in server_names and not _may_be_called(it, allowed_origins)
    )
    if not taken and not not_allowed:
        return FilteredFunctions(think)
    left_out = {*taken, *not_allowed}
    kept = [it for it in functions if it.name not in left_out]
    return FilteredFunctions(msgspec.structs.replace(think, functions=kept), not_allowed, taken)


def _may_be_called(function: blocks.Function, allowed_origins: tuple[str, ...]) -> bool:
    return function.endpoint is None or is_allowed(function.endpoint.url, allowed_origins)


def tool(function: blocks.Function) -> dict[str, Any]:
    """Return a function as a tool of the upstream's session."""
    tool: dict[str, Any] = {"type": "function", "name": function.name}
    if function.description is not None:
        tool["description"] = function.description
    tool["parameters"] = function.parameters or {"type": "object", "properties": {}}
    return tool


def add_server_functions(text: str, functions: Sequence[blocks.Function], *, is_first: bool) -> str:
    """Return a client's own `session.update` with the server's functions among its tools.

    A client's tool with the name of such a function is left out. An update without `tools` stays unchanged unless
    `is_first`, because the upstream keeps the tools that it has.
    """
    fields = orjson.loads(text)
    session = fields.get("session")
    if not functions or not isinstance(session, dict) or not (is_first or "tools" in session):
        return text
    given = session.get("tools")
    names = {function.name for function in functions}
    others = [it for it in given if not _is_named(it, names)] if isinstance(given, list) else []
    tools = [*(tool(function) for function in functions), *others]
    return orjson.dumps({**fields, "session": {**session, "tools": tools}}).decode()


def _is_named(tool: Any, names: Collection[str]) -> bool:
    name = tool.get("name") if isinstance(tool, dict) else None
    return isinstance(name, str) and name in names
