"""The client's Settings as Deepgram takes them. Pure.

Deepgram ends a session whose Settings have an unknown field. The router's own routes take more fields, and require
fewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.fronts.deepgram_agent.fields import Fields, objects_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOP: Final = ("type", "tags", "experimental", "flags", "mip_opt_out")
_AGENT: Final = ("language", "context", "greeting")
_INPUT: Final = ("encoding", "sample_rate")
_OUTPUT: Final = ("encoding", "sample_rate", "bitrate", "container")
_THINK: Final = ("provider", "endpoint", "prompt", "context_length", "functions")
_FUNCTION: Final = ("name", "description", "parameters", "endpoint", "defer_until_eot")

_OUTPUT_RATE: Final = 24_000

DEFAULT_PROVIDER: Final = {"type": "open_ai", "model": "gpt-4o-mini"}
"""The provider of `think` if neither the client nor the configuration names one: the React component's default."""

OWN_BLOCKS: Final = ("listen", "speak")
"""The blocks of `agent` that are taken as a whole from the configured agent, if it has them."""


def for_deepgram(settings: Fields, blocks: Mapping[str, Any], input_rate: int) -> Fields:
    """Return Settings that Deepgram takes, made from those of a client.

    Args:
        settings: the Settings of the client.
        blocks: the fields of the configured agent whose `listen`, `speak`, and provider of `think` replace the
            client's.
        input_rate: the rate of the microphone's linear16 if the client names none.
    """
    written = _chosen(settings, _TOP)
    audio = settings.get("audio")
    agent = settings.get("agent")
    written["audio"] = _audio(audio if isinstance(audio, dict) else {}, input_rate)
    written["agent"] = _agent(agent, blocks) if isinstance(agent, dict) else agent or _agent({}, blocks)
    return written


def _audio(audio: Fields, input_rate: int) -> Fields:
    heard = {"encoding": "linear16", **_chosen(_object(audio, "input"), _INPUT)}
    if heard["encoding"] == "linear16":
        heard.setdefault("sample_rate", input_rate)
    spoken = {"encoding": "linear16", **_chosen(_object(audio, "output"), _OUTPUT)}
    if spoken["encoding"] == "linear16":
        spoken.setdefault("sample_rate", _OUTPUT_RATE)
    return {"input": heard, "output": spoken}


def _agent(agent: Fields, blocks: Mapping[str, Any]) -> Fields:
    written = _chosen(agent, _AGENT)
    if "context" not in written and agent.get("messages"):
        written["context"] = {"messages": agent["messages"]}
    for name in OWN_BLOCKS:
        block = blocks.get(name) or _with_provider(agent.get(name))
        if block:
            written[name] = block
    think, own = agent.get("think"), _object(blocks, "think")
    each = objects_of(agent, "think") if isinstance(think, list) else [think if isinstance(think, dict) else {}]
    if own:
        each = each[:1] or [{}]
    thinks = [_think(it, own) for it in each]
    written["think"] = thinks if len(thinks) > 1 else thinks[0]
    return written


def _think(think: Fields, own: Fields) -> Fields:
    written = _chosen(think, _THINK)
    provider = _object(think, "provider")
    if own.get("provider"):
        written["provider"] = own["provider"]
        written.pop("endpoint", None)
        written |= _chosen(own, ("endpoint",))
    elif not (provider.get("type") and provider.get("model")):
        written["provider"] = {**DEFAULT_PROVIDER, **provider}
    functions = objects_of(think, "functions")
    if functions:
        written["functions"] = [_chosen(it, _FUNCTION) for it in functions]
    else:
        written.pop("functions", None)
    return written


def _with_provider(block: Any) -> Any:
    """Return a block `listen` or `speak` whose provider has a type; None for a block that Deepgram would refuse."""
    if isinstance(block, list):
        return [it for it in block if _with_provider(it)] or None
    is_whole = isinstance(block, dict) and _object(block, "provider").get("type")
    return block if is_whole else None


def _object(fields: Mapping[str, Any], name: str) -> Fields:
    value = fields.get(name)
    return dict(value) if isinstance(value, dict) else {}


def _chosen(fields: Mapping[str, Any], names: tuple[str, ...]) -> Fields:
    return {name: fields[name] for name in names if fields.get(name) is not None}
