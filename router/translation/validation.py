"""What of `agent` is well formed and cannot be obeyed: the table of such values, by field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from router.config.origins import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from router.deepgram import blocks

    Rule = tuple[str, Callable[[Any], Any], Callable[[Any], bool], str]
    """A field, how to get at it, which values are good, and a text that says so. An absent value always is."""

MOST_OUTPUT_TOKENS: Final = 4096

MOST_CONTEXT: Final = 1_000_000_000
"""Characters: more than any model takes, and a number that every JSON has."""

_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh")


def _within(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: least <= value <= most


def _is_token_limit(value: Any) -> bool:
    return value == "inf" or (isinstance(value, int) and 1 <= value <= MOST_OUTPUT_TOKENS)


def _is_prompt_reference(value: dict[str, Any]) -> bool:
    return isinstance(value.get("id"), str)


def _output(agent: blocks.Agent, name: str) -> Any:
    return (agent.sessionAudioOutput or {}).get(name)


def _is_speed(value: Any) -> bool:
    return isinstance(value, int | float) and 0.25 <= value <= 1.5  # noqa: PLR2004 - as the text beside it says


_THINK: Final[tuple[Rule, ...]] = (
    ("provider.temperature", lambda think: think.provider.temperature, _within(0, 2), "between 0 and 2"),
    (
        "provider.reasoning_mode",
        lambda think: think.provider.reasoning_mode,
        lambda value: value in _EFFORTS,
        f"one of {', '.join(_EFFORTS)}",
    ),
    (
        "context_length",
        lambda think: think.context_length,
        lambda value: value == "max" or 1 <= value <= MOST_CONTEXT,
        f"`max` or between 1 and {MOST_CONTEXT} characters",
    ),
    (
        "maxOutputTokens",
        lambda think: think.maxOutputTokens,
        _is_token_limit,
        f"`inf` or between 1 and {MOST_OUTPUT_TOKENS}",
    ),
    ("managedPrompt", lambda think: think.managedPrompt, _is_prompt_reference, "an object with an `id`"),
)

_FILLERS: Final = ("initial_agent_filler", "agent_filler_max_count", "agent_filler_interval_ms")

_SPEAK: Final[tuple[Rule, ...]] = (
    ("provider.speed", lambda speak: speak.provider.speed, _is_speed, "between 0.25 and 1.5"),
)

_LISTEN: Final[tuple[Rule, ...]] = (
    ("provider.eot_threshold", lambda listen: listen.provider.eot_threshold, _within(0.5, 1), "between 0.5 and 1"),
    (
        "provider.eager_eot_threshold",
        lambda listen: listen.provider.eager_eot_threshold,
        _within(0.3, 0.9),
        "between 0.3 and 0.9",
    ),
    (
        "provider.eot_timeout_ms",
        lambda listen: listen.provider.eot_timeout_ms,
        lambda value: value >= 1,
        "a number of milliseconds",
    ),
)

_AGENT: Final[tuple[Rule, ...]] = (
    ("think_live", lambda agent: agent.think_live, lambda _: False, "absent: Think Live is not offered here"),
    (
        "sessionAudioOutput.voice",
        lambda agent: _output(agent, "voice"),
        lambda value: isinstance(value, str | dict),
        "a voice's name, or an object with its `id`",
    ),
    ("sessionAudioOutput.speed", lambda agent: _output(agent, "speed"), _is_speed, "between 0.25 and 1.5"),
)


def of_agent(agent: blocks.Agent, path: str = "agent") -> str | None:
    """A sentence on the first field that cannot be obeyed, or None."""
    found = (
        _validate(agent, _AGENT, path),
        of_think(agent.think, f"{path}.think"),
        of_speak(agent.speak, f"{path}.speak"),
        of_listen(agent.listen, f"{path}.listen"),
    )
    return next((fault for fault in found if fault is not None), None)


def of_think(think: blocks.Think | list[blocks.Think], path: str = "think") -> str | None:
    """The same of one think block, or several."""
    found = (_validate(block, _THINK, at) or _validate_functions(block, at) for block, at in _each(think, path))
    return next((fault for fault in found if fault is not None), None)


def of_speak(speak: blocks.Speak | list[blocks.Speak], path: str = "speak") -> str | None:
    """The same of one speak block, or several."""
    found = (_validate(block, _SPEAK, at) for block, at in _each(speak, path))
    return next((fault for fault in found if fault is not None), None)


def of_listen(listen: blocks.Listen, path: str = "listen") -> str | None:
    """The same of the listen block."""
    return _validate(listen, _LISTEN, path)


def _each(given: Any, path: str) -> Iterator[tuple[Any, str]]:
    if isinstance(given, list):
        yield from ((block, f"{path}[{at}]") for at, block in enumerate(given))
    else:
        yield given, path


def _validate(block: blocks.Block, rules: Iterable[Rule], path: str) -> str | None:
    for field, value_of, is_good, text in rules:
        value = value_of(block)
        if value is not None and not is_good(value):
            return f"`{path}.{field}` must be {text}"
    return None


def _validate_functions(think: blocks.Think, path: str) -> str | None:
    for at, function in enumerate(think.functions or []):
        field = next((field for field in _FILLERS if getattr(function, field)), None)
        if field is not None:
            return f"`{path}.functions[{at}].{field}` needs `agent.think_live`, which is not offered here"
        fault = _validate_endpoint(function.endpoint, f"{path}.functions[{at}].endpoint")
        if fault is not None:
            return fault
    return None


def _validate_endpoint(endpoint: blocks.Endpoint | None, path: str) -> str | None:
    """Nothing of a URL or a header's value is repeated: it may be a credential."""
    if endpoint is None:
        return None
    try:
        origin_of(endpoint.url)
    except ValueError as error:
        return f"`{path}.url` must be {error}"
    if (endpoint.method or "POST").upper() not in METHODS:
        return f"`{path}.method` must be one of {', '.join(METHODS)}"
    for name, value in (endpoint.headers or {}).items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _HEADERS_OF_OURS:
            return f"`{path}.headers` must be HTTP headers, but for {', '.join(sorted(_HEADERS_OF_OURS))}"
        if not _HEADER_VALUE.fullmatch(value):
            return f"`{path}.headers.{name}` must be printable ASCII text"
    return None


METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e\t]*")
_HEADERS_OF_OURS: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "upgrade", "te"})
"""They belong to the request itself."""
