"""A table of rules, by field, for `agent`.

A field may be well formed, and the router may still be unable to obey it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from router.config.origins import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from router.deepgram import blocks

    Rule = tuple[str, Callable[[Any], Any], Callable[[Any], bool], str]
    """A field, the functions that return its value in a block and whether a value is valid, and a text for the client.

    The text describes the valid values. An absent value is valid, too.
    """

MAX_OUTPUT_TOKENS: Final = 4096

MAX_CONTEXT_CHARACTERS: Final = 1_000_000_000
"""The largest `context_length`: more than any model takes, and a number that every JSON parser reads exactly."""

MAX_FUNCTIONS: Final = 128
"""The number of tools that OpenAI's models take."""

MAX_FALLBACKS: Final = 16
"""The most think or speak blocks in a list. The session uses one of them; the others are fallbacks."""

MAX_CONTEXT_MESSAGES: Final = 2000
"""The most messages and function calls of `context`. The ledger keeps fewer of them (`ledger_tokens`)."""

MAX_TERMS: Final = 100
"""The largest number of key terms, and of language hints."""

MAX_NAME_CHARACTERS: Final = 128
MAX_URL_CHARACTERS: Final = 2048
MAX_HEADERS: Final = 32
MAX_HEADER_CHARACTERS: Final = 4096

_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh")


def _within(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: least <= value <= most


def _at_most(count: int) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, list) or len(value) <= count


def _fits(given: list[blocks.ContextMessage]) -> bool:
    """Whether a context has few enough messages, each function call counted as one."""
    return sum(len(message.function_calls or ()) or 1 for message in given) <= MAX_CONTEXT_MESSAGES


def _is_token_limit(value: Any) -> bool:
    return value == "inf" or (isinstance(value, int) and 1 <= value <= MAX_OUTPUT_TOKENS)


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
        lambda value: value == "max" or 1 <= value <= MAX_CONTEXT_CHARACTERS,
        f"`max` or between 1 and {MAX_CONTEXT_CHARACTERS} characters",
    ),
    (
        "maxOutputTokens",
        lambda think: think.maxOutputTokens,
        _is_token_limit,
        f"`inf` or between 1 and {MAX_OUTPUT_TOKENS}",
    ),
    # OpenAI's reusable prompts, which ended on 2026-11-30.
    ("managedPrompt", lambda think: think.managedPrompt, lambda _: False, "absent: OpenAI ended its reusable prompts"),
    (
        "functions",
        lambda think: think.functions,
        _at_most(MAX_FUNCTIONS),
        f"a list of at most {MAX_FUNCTIONS} functions",
    ),
)

_FILLERS: Final = ("initial_agent_filler", "agent_filler_max_count", "agent_filler_interval_ms")

_SPEAK: Final[tuple[Rule, ...]] = (
    ("provider.speed", lambda speak: speak.provider.speed, _is_speed, "between 0.25 and 1.5"),
)

_TERMS: Final = f"a list of at most {MAX_TERMS} words"

_LISTEN: Final[tuple[Rule, ...]] = (
    ("provider.keyterms", lambda listen: listen.provider.keyterms, _at_most(MAX_TERMS), _TERMS),
    ("provider.language_hints", lambda listen: listen.provider.language_hints, _at_most(MAX_TERMS), _TERMS),
    ("provider.language_hint", lambda listen: listen.provider.language_hint, _at_most(MAX_TERMS), _TERMS),
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
        "at least 1 millisecond",
    ),
)

_BLOCKS: Final = f"a list of at most {MAX_FALLBACKS} blocks"
_MESSAGES: Final = f"a list of at most {MAX_CONTEXT_MESSAGES} messages and function calls"

_AGENT: Final[tuple[Rule, ...]] = (
    ("context.messages", lambda agent: agent.context and agent.context.messages, _fits, _MESSAGES),
    ("messages", lambda agent: agent.messages, _fits, _MESSAGES),
    # Think Live is Deepgram's own service, in early access.
    ("think_live", lambda agent: agent.think_live, lambda _: False, "absent: this server does not offer Think Live"),
    (
        "sessionAudioOutput.voice",
        lambda agent: _output(agent, "voice"),
        lambda value: isinstance(value, str | dict),
        "a voice's name, or an object with its `id`",
    ),
    ("sessionAudioOutput.speed", lambda agent: _output(agent, "speed"), _is_speed, "between 0.25 and 1.5"),
)


def validate_agent(agent: blocks.Agent, path: str = "agent") -> str | None:
    """Return a sentence about the first field that the router cannot obey, or None.

    The sentence names the field by its path, which begins with `path`.
    """
    return (
        _validate(agent, _AGENT, path)
        or validate_think(agent.think, f"{path}.think")
        or validate_speak(agent.speak, f"{path}.speak")
        or validate_listen(agent.listen, f"{path}.listen")
    )


def validate_think(think: blocks.Think | list[blocks.Think], path: str = "think") -> str | None:
    """Return a sentence about the first field of the think blocks that cannot be obeyed, or None.

    The sentence names the field by its path, which begins with `path`.
    """
    found = (_validate(block, _THINK, at) or _validate_functions(block, at) for block, at in _each(think, path))
    return _validate_count(think, path) or next((problem for problem in found if problem is not None), None)


def validate_speak(speak: blocks.Speak | list[blocks.Speak], path: str = "speak") -> str | None:
    """Return a sentence about the first field of the speak blocks that cannot be obeyed, or None.

    The sentence names the field by its path, which begins with `path`.
    """
    found = (_validate(block, _SPEAK, at) for block, at in _each(speak, path))
    return _validate_count(speak, path) or next((problem for problem in found if problem is not None), None)


def validate_listen(listen: blocks.Listen, path: str = "listen") -> str | None:
    """Return a sentence about the first field of the listen block that cannot be obeyed, or None.

    The sentence names the field by its path, which begins with `path`.
    """
    return _validate(listen, _LISTEN, path)


def _validate_count(given: Any, path: str) -> str | None:
    return None if _at_most(MAX_FALLBACKS)(given) else f"`{path}` must be {_BLOCKS}"


def _each(given: Any, path: str) -> Iterator[tuple[Any, str]]:
    if isinstance(given, list):
        yield from ((block, f"{path}[{at}]") for at, block in enumerate(given))
    else:
        yield given, path


def _validate(block: blocks.Block, rules: Iterable[Rule], path: str) -> str | None:
    for field, value_of, is_valid, text in rules:
        value = value_of(block)
        if value is not None and not is_valid(value):
            return f"`{path}.{field}` must be {text}"
    return None


def _validate_functions(think: blocks.Think, path: str) -> str | None:
    found = (_validate_function(it, f"{path}.functions[{at}]") for at, it in enumerate(think.functions or []))
    return next((problem for problem in found if problem is not None), None)


def _validate_function(function: blocks.Function, path: str) -> str | None:
    field = next((field for field in _FILLERS if getattr(function, field)), None)
    if field is not None:
        return f"`{path}.{field}` needs `agent.think_live`, which this server does not offer"
    if len(function.name) > MAX_NAME_CHARACTERS:
        return f"`{path}.name` must have at most {MAX_NAME_CHARACTERS} characters"
    if function.endpoint is None:
        return None
    return _validate_size(function.endpoint, f"{path}.endpoint") or _validate_endpoint(
        function.endpoint, f"{path}.endpoint"
    )


def _validate_endpoint(endpoint: blocks.Endpoint, path: str) -> str | None:
    # No error sentence repeats the URL or a header's value, because either may hold a credential.
    try:
        origin_of(endpoint.url)
    except ValueError as error:
        return f"`{path}.url` must be {error}"
    if (endpoint.method or "POST").upper() not in METHODS:
        return f"`{path}.method` must be one of {', '.join(METHODS)}"
    for name, value in (endpoint.headers or {}).items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            return f"`{path}.headers` must be HTTP headers other than {', '.join(sorted(_RESERVED_HEADERS))}"
        if not _HEADER_VALUE.fullmatch(value):
            return f"`{path}.headers.{name}` must be printable ASCII text"
    return None


def _validate_size(endpoint: blocks.Endpoint, path: str) -> str | None:
    if len(endpoint.url) > MAX_URL_CHARACTERS:
        return f"`{path}.url` must have at most {MAX_URL_CHARACTERS} characters"
    headers = endpoint.headers or {}
    if len(headers) > MAX_HEADERS or any(len(value) > MAX_HEADER_CHARACTERS for value in headers.values()):
        return f"`{path}.headers` must be at most {MAX_HEADERS} headers of {MAX_HEADER_CHARACTERS} characters"
    return None


METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# Line breaks are refused, because with one a value could add headers or a request.
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e\t]*")
_RESERVED_HEADERS: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "upgrade", "te"})
"""The headers that describe the request and its connection. The router writes them itself."""
