"""The vendors' own packages as oracles for the objects that the router puts on their wires.

`openai` judges every event for the upstream, `deepgram-sdk` every message for a Deepgram client. Their types
accept unknown keys at any depth, so that old clients work with new servers; the real peers do not accept them. So an
object is right if its model accepts it in strict mode (without coercion: an integer is not a string), and no model
keeps a key of it in `model_extra`.

`OURS` has the messages that the `/openai` profile adds for the React component. They are judged as strictly.
"""

import collections
import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args

import orjson
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter, ValidationError

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it imports websockets.legacy
    from deepgram.agent.v1.socket_client import V1SocketClientResponse


class _Ours(BaseModel, extra="allow"):  # as the vendors' models: `_check` finds the unknown keys
    pass


class AgentStartedSpeaking(_Ours):
    """The start of the agent's speech, without latencies, which are not known before the answer."""

    type: Literal["AgentStartedSpeaking"]


class AgentDone(_Ours):
    """The end of the agent's turn, as the component reads it."""

    type: Literal["AgentDone"]


class _Word(_Ours):
    word: str
    start: float
    end: float
    confidence: float


class _Alternative(_Ours):
    transcript: str
    confidence: float
    words: list[_Word]


class _Channel(_Ours):
    alternatives: list[_Alternative]


class Transcript(_Ours):
    """A transcript of Deepgram's Listen API, as far as the component reads it."""

    type: Literal["Transcript"]
    transcript: str
    channel: _Channel
    is_final: bool
    speech_final: bool


class UtteranceEnd(_Ours):
    """The end of speech, as in Deepgram's Listen API."""

    type: Literal["UtteranceEnd"]
    channel: list[int]
    last_word_end: float


OURS = (AgentStartedSpeaking, AgentDone, Transcript, UtteranceEnd)
"""Messages of `/openai` that Deepgram's agent does not send: docs/protocol-map.md marks them *oi*."""


class OracleError(AssertionError):
    """An object, `wrong`, that its vendor's types do not allow, with a list of its `problems`."""

    def __init__(self, wrong: dict[str, Any], problems: list[str]) -> None:
        self.wrong = wrong
        self.problems = problems

    def __str__(self) -> str:
        return f"{'; '.join(self.problems)} in {self.wrong!r}"


_Adapters = dict[str, TypeAdapter[Any]]
"""The models of one direction of a wire, by the `type` of their objects."""

MOST_KNOWN = 100_000
"""The most objects that the oracle remembers as right. It need not judge them again, and most tests send equal ones."""


def _adapters(members: tuple[Any, ...]) -> _Adapters:
    models: defaultdict[str, list[Any]] = defaultdict(list)
    for model in members:
        if issubclass(model, BaseModel):  # deepgram's union holds bytes as well
            for kind in get_args(model.model_fields["type"].annotation):
                models[kind].append(model)
    unions: dict[str, Any] = {kind: Union[tuple(found)] for kind, found in models.items()}  # noqa: UP007
    return {kind: TypeAdapter(union) for kind, union in unions.items()}


# The event unions are Annotated[Union[...], discriminator].
_CLIENT_EVENTS = _adapters(get_args(get_args(RealtimeClientEvent)[0]))
_SERVER_EVENTS = _adapters(get_args(get_args(RealtimeServerEvent)[0]))
_SERVER_MESSAGES = _adapters(get_args(V1SocketClientResponse))
_COMPONENT_MESSAGES = _SERVER_MESSAGES | _adapters(OURS)


def assert_client_event(event: dict[str, Any]) -> None:
    """Assert that `event` may be sent to OpenAI's GA API: it has no unknown type, key or value.

    Raises:
        OracleError: an AssertionError that names the path of every problem.
    """
    _check(event, _CLIENT_EVENTS)


def assert_server_message(message: dict[str, Any]) -> None:
    """Assert that Deepgram's own server could send `message` to its SDK. Raises OracleError."""
    _check(message, _SERVER_MESSAGES)


def assert_message_of(profile: str, message: dict[str, Any]) -> None:
    """Assert that `message` may be sent to a client of this profile. Raises OracleError."""
    _check(message, _COMPONENT_MESSAGES if profile == "openai" else _SERVER_MESSAGES)


def server_event_types() -> set[str]:
    """Return every `type` in the openai package's server event union."""
    return set(_SERVER_EVENTS)


def client_event_types() -> set[str]:
    """Return every `type` in the openai package's client event union."""
    return set(_CLIENT_EVENTS)


def server_message_types() -> set[str]:
    """Return every `type` in the deepgram-sdk's union of messages to a Voice Agent client."""
    return set(_SERVER_MESSAGES)


def forget() -> None:
    """Forget the objects that were judged as right."""
    _known.clear()


def _check(wire: dict[str, Any], adapters: _Adapters) -> None:
    raw = orjson.dumps(wire)
    known = _known[id(adapters)]
    digest = hashlib.blake2b(raw, digest_size=16).digest()
    if digest in known:
        return
    _judge(wire, raw, adapters)
    if len(known) < MOST_KNOWN:
        known.add(digest)


_known: collections.defaultdict[int, set[bytes]] = collections.defaultdict(set)


def _judge(wire: dict[str, Any], raw: bytes, adapters: _Adapters) -> None:
    kind = wire.get("type")
    if kind not in adapters:
        raise OracleError(wire, [f"type: {kind!r} is not among the vendor's"])
    try:
        model = adapters[kind].validate_json(raw, strict=True)
    except ValidationError as error:
        raise OracleError(wire, [_describe(problem) for problem in error.errors()]) from None
    if unknown := list(_unknown_keys(model, "")):
        raise OracleError(wire, [f"{path}: unknown key" for path in unknown])


def _describe(problem: Any) -> str:
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def _unknown_keys(value: Any, path: str) -> Iterator[str]:
    match value:
        case BaseModel():
            yield from (f"{path}{key}" for key in value.model_extra or {})
            children = [(f"{path}{name}", getattr(value, name)) for name in value.model_fields_set]
        case list() | tuple():
            children = [(f"{path}{index}", child) for index, child in enumerate(value)]
        case dict():
            children = [(f"{path}{key}", child) for key, child in value.items()]
        case _:
            return
    for child_path, child in children:
        yield from _unknown_keys(child, f"{child_path}.")
