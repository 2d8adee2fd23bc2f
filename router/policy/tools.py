"""The rules about lists of tools: functions by their name, MCP servers by their address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.policy.paths import copied
from router.policy.rules import ABSENT, Denied

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.policy.paths import Fields
    from router.policy.rules import Rule

FUNCTION: Final = "function"
MCP: Final = "mcp"


def judge(
    holder: Fields, place: str, rules: Mapping[str, Rule], *, fills: bool, name: str = "tools", field: str = "tools"
) -> Denied | None:
    """Judge a list of tools, replace it by the forced tools, and return the first denial, or None.

    Args:
        holder: the object with the list.
        place: the place of that object in the message.
        rules: the rules of the policy.
        fills: whether forced tools are also set if the client gives no list.
        name: the key of the list: `functions` on Deepgram's wire.
        field: the field of the policy about the functions.
    """
    rule, mcp = rules.get(field), rules.get(MCP)
    if rule is None and mcp is None:
        return None
    here, given = f"{place}.{name}", holder.get(name)
    if given is not None and not isinstance(given, list):
        return Denied(place=here, field=field, problem="is not a list")
    for index, tool in enumerate(given or ()):
        denied = _denied(tool, f"{here}[{index}]", rule, mcp, field, is_deepgram=name != "tools")
        if denied is not None:
            return denied
    if name not in holder and not fills:
        return None
    # If no tool is left, and the client gave null or no list, leave the field out, so that the session keeps its tools.
    tools = list(_judged(given or (), rule, mcp, is_deepgram=name != "tools"))
    if tools or (name in holder and given is not None):
        holder[name] = tools
    else:
        holder.pop(name, None)
    return None


def _denied(
    tool: object, place: str, rule: Rule | None, mcp: Rule | None, field: str, *, is_deepgram: bool
) -> Denied | None:
    if not isinstance(tool, dict):
        return Denied(place=place, field=field, problem="is not an object")
    kind = FUNCTION if is_deepgram else tool.get("type")
    if kind not in (FUNCTION, MCP):
        return Denied(place=f"{place}.type", field=field)
    if kind == MCP and mcp is not None:
        permitted, field = all(mcp.permits(address) for address in _addresses(tool)), MCP
    else:
        name = tool.get("name") if kind == FUNCTION else tool.get("server_label")
        permitted = rule is None or rule.permits(name)
    return None if permitted else Denied(place=place, field=field)


def _addresses(tool: Mapping[str, Any]) -> list[Any]:
    """Return the addresses of an MCP server: its URL and its connector, if it has any of them, or else its label."""
    found = [tool[key] for key in ("server_url", "connector_id") if tool.get(key) is not None]
    return found or [tool.get("server_label")]


def _judged(given: Any, rule: Rule | None, mcp: Rule | None, *, is_deepgram: bool) -> Iterator[Any]:
    """Yield the tools that the upstream gets. `rule` is the rule about functions, and `mcp` that about MCP servers.

    With `is_deepgram` the tools are functions in the form of Deepgram's wire. If the policy
    forces the functions, or the MCP servers, the forced ones take the place of the client's.
    """
    for kind, own in ((FUNCTION, rule), (MCP, mcp if mcp is not None else rule)):
        if own is None or own.kind != "force":
            yield from (tool for tool in given if (FUNCTION if is_deepgram else tool.get("type")) == kind)
        elif own.value is not ABSENT and (kind == FUNCTION or mcp is not None) and not (is_deepgram and kind == MCP):
            yield from (_as_written(tool, kind, is_deepgram=is_deepgram) for tool in own.value)


def _as_written(tool: Mapping[str, Any], kind: str, *, is_deepgram: bool) -> dict[str, Any]:
    if is_deepgram:
        return {key: copied(value) for key, value in tool.items() if key != "type"}
    # OpenAI's wire has no endpoints of functions.
    return {"type": kind, **{key: copied(value) for key, value in tool.items() if key != "endpoint"}}
