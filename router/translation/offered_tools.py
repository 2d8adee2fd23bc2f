"""Which functions the model is offered: the server's own, and those of the client's that are admitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import orjson

from router.config.origins import is_allowed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from router.deepgram import blocks


class Admitted(NamedTuple):
    """A think block with the functions that are admitted, and the names of the others."""

    think: blocks.Think
    not_allowed: tuple[str, ...] = ()
    """Their endpoints may not be called."""
    taken: tuple[str, ...] = ()
    """The server has functions of these names: a client cannot answer in their place."""


def admit(think: blocks.Think, hosts: tuple[str, ...], ours: Collection[str]) -> Admitted:
    """Look at a client's functions."""
    functions = think.functions or []
    taken = tuple(it.name for it in functions if it.name in ours)
    not_allowed = tuple(it.name for it in functions if it.name not in ours and not _may_be_called(it, hosts))
    if not taken and not not_allowed:
        return Admitted(think)
    kept = [it for it in functions if it.name not in taken and it.name not in not_allowed]
    return Admitted(msgspec.structs.replace(think, functions=kept), not_allowed, taken)


def _may_be_called(function: blocks.Function, hosts: tuple[str, ...]) -> bool:
    return function.endpoint is None or is_allowed(function.endpoint.url, hosts)


def tool(function: blocks.Function) -> dict[str, Any]:
    """A function as the upstream has it."""
    tool: dict[str, Any] = {"type": "function", "name": function.name}
    if function.description is not None:
        tool["description"] = function.description
    tool["parameters"] = function.parameters or {"type": "object", "properties": {}}
    return tool


def with_ours(text: str, ours: Sequence[blocks.Function], *, is_first: bool) -> str:
    """A client's own `session.update`, with the server's functions among its tools. Unchanged where it has none.

    One that is not the session's first and says nothing of tools leaves them as they are.
    """
    fields = orjson.loads(text)
    session = fields.get("session")
    if not ours or not isinstance(session, dict) or not (is_first or "tools" in session):
        return text
    given = session.get("tools")
    names = {function.name for function in ours}
    theirs = [it for it in given if not _is_named(it, names)] if isinstance(given, list) else []
    tools = [*(tool(function) for function in ours), *theirs]
    return orjson.dumps({**fields, "session": {**session, "tools": tools}}).decode()


def _is_named(tool: Any, names: Collection[str]) -> bool:
    name = tool.get("name") if isinstance(tool, dict) else None
    return isinstance(name, str) and name in names
