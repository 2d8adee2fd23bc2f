"""A recording as a pytest playbook: the inputs of the session, and the messages that must follow from each."""

from __future__ import annotations

import pprint
from typing import TYPE_CHECKING, Any, Final

import orjson

from actors import messages
from router.recording import header, notation
from router.recording.transcript import perform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.recording.header import Header
    from router.recording.reader import RecordedStep

FRONTS: Final = ("openai", "converse")
"""The fronts for which a playbook can be printed. A playbook decodes only their messages."""

WIDTH: Final = 112
MIN_SILENCE: Final = 8

_HEAD: Final = '''"""Session {session}, recorded at {started_at} by version {version}."""

from actors import messages
from router.recording import header
from router.recording.notation import read_input
from tests.support.machine.playbook import Playbook

HEADER = {header!r}


def test_the_recorded_session():
    book = Playbook({front!r})
    book.session = header.machine_of(header.read(HEADER)).session
    book.prepares_at_once = False
'''


def lines(written: Header, steps: Iterable[RecordedStep]) -> Iterator[str]:
    """Yield the parts of the test file, in order.

    Raises:
        NotationError: a playbook cannot decode the wire of this front, the configuration is invalid, or a line is
            damaged.
    """
    if written.front not in FRONTS:
        raise notation.NotationError(f"a playbook speaks the wires {' and '.join(FRONTS)}, not {written.front!r}")
    if written.guard is not None:
        raise notation.NotationError("a playbook has no guard, and this session has one")
    replayed = header.machine_of(written)
    line = orjson.dumps(notation.written(written)).decode()
    yield _HEAD.format(
        session=written.session,
        started_at=written.started_at,
        version=written.version,
        front=written.front,
        header=line.encode(),
    )
    now_s: float | None = None
    for step in steps:
        if step.is_late:
            continue
        if step.now_s != now_s:
            now_s = step.now_s
            yield f"\n    book.now_s = {now_s!r}"
        yield f"    {_call(step.message, replayed.session.state.upstream.generation)}"
        replayed.today.give(step.today)
        perform(replayed, step.message, step.now_s)
        try:
            to_client, to_upstream = _sent(step.outcome.get("out", []))
        except (KeyError, TypeError, ValueError) as error:
            raise notation.NotationError(f"line {step.line} is damaged: {error}") from None
        yield _expectation(to_client, to_upstream)


def _call(message: messages.Input, generation: int) -> str:
    match message:
        case messages.ClientTextReceived(text):
            return f"book.client({_indented(_json(text))})"
        case messages.ClientBinaryReceived(data):
            return f"book.client({_shown(data)})"
        case messages.UpstreamTextReceived(number, text) if number == generation and isinstance(_json(text), dict):
            return f"book.upstream({_indented(_json(text))})"
        case messages.ClientOpened():
            return "book.feed(messages.ClientOpened())"
        case messages.TimerFired(name):
            return f"book.feed(messages.TimerFired({name!r}))"
    return f"book.feed(read_input({_indented(notation.input_written(message))}))"


def _sent(out: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Return the messages to the client and to the upstream, decoded, without those that a playbook leaves out."""
    to_client: list[Any] = []
    to_upstream: list[Any] = []
    for command in out:
        if command["do"] == "SendToUpstream":
            to_upstream.append(orjson.loads(notation.read_frame(command["frame"])))
        elif command["do"] == "SendToClient":
            frame = notation.read_frame(command["frame"])
            content = frame if isinstance(frame, bytes) else orjson.loads(frame)
            if not _is_apart(content):
                to_client.append(content)
    return to_client, to_upstream


def _is_apart(content: Any) -> bool:
    # A playbook keeps these messages apart, because one of them follows each turn, or each text.
    return isinstance(content, dict) and content.get("type") in ("LatencyReport", "History")


def _expectation(to_client: list[Any], to_upstream: list[Any]) -> str:
    arguments = [_shown(content) for content in to_client]
    if to_upstream:
        arguments.append(f"upstream={_indented(to_upstream)}")
    if not arguments:
        return "    book.expect()"
    inner = "".join(f"        {argument},\n" for argument in arguments)
    return f"    book.expect(\n{inner}    )"


def _shown(content: Any) -> str:
    if isinstance(content, bytes):
        first = content[:1]
        is_run = len(content) >= MIN_SILENCE and content == first * len(content)
        return f"{first!r} * {len(content)}" if is_run else repr(content)
    return _indented(content)


def _indented(value: Any) -> str:
    return pprint.pformat(value, width=WIDTH, sort_dicts=False).replace("\n", "\n        ")


def _json(text: str) -> Any:
    """Return the decoded message if the text is a JSON object, or else the text itself."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value if isinstance(value, dict) else text
