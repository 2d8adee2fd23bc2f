"""The messages into a session machine and out of it, printed like a packet trace with the first difference marked.

        >> client    InjectUserMessage content='Hello.'
        << upstream  conversation.item.create item={...}
    !!  << client    ConversationText role='user' content='Hallo.'
        expected     ConversationText role='user' content='Hello.'
        differs in   ['content']: 'Hallo.', expected 'Hello.'

`>>` goes into the session, `<<` comes out of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_VALUE = 60
"""The most characters of a value that are printed."""
PEER_WIDTH = 9
ABSENT = type("Absent", (), {"__repr__": lambda _: "absent"})()


@dataclass(frozen=True, eq=False)
class Packet:
    """One message of a trace. Two packets are never equal, because each has its own place."""

    way: str
    """`>>` or `<<`."""
    peer: str
    """The other end: `client`, `upstream`, or another source of inputs."""
    content: Any
    """A message as a dict, audio as bytes, or a text to be printed as it is."""

    def __str__(self) -> str:
        return f"{self.way} {self.peer:<{PEER_WIDTH}} {shown(self.content)}"


@dataclass(frozen=True)
class Mismatch:
    """The first difference between the packets to one peer and those that a test expects."""

    peer: str
    position: int
    """The position of the difference in both lists, from 0."""
    packet: Packet | None
    """The packet that differs; None if too few came."""
    expected: list[Any]
    """The messages that should have come from this position on; empty if too many came."""
    detail: str
    """The first place in the message that differs."""


def first_mismatch(
    peer: str, packets: Sequence[Packet], expected: Sequence[Any], *, is_partial: bool = False
) -> Mismatch | None:
    """Return the first difference, or None. With `is_partial`, compare only the keys that the test gives."""
    for position, (packet, wanted) in enumerate(zip(packets, expected, strict=False)):
        got = only(packet.content, wanted) if is_partial else packet.content
        if got != wanted:
            return Mismatch(peer, position, packet, list(expected[position:]), difference(got, wanted))
    if len(packets) == len(expected):
        return None
    position = min(len(packets), len(expected))
    surplus = packets[position] if len(packets) > len(expected) else None
    return Mismatch(peer, position, surplus, list(expected[position:]), "")


def only(got: Any, wanted: Any) -> Any:
    """Return the part of a message that has the keys of `wanted`, at every depth, with None for a missing key."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return {key: only(got.get(key), wanted[key]) for key in wanted}
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        return [only(one, other) for one, other in zip(got, wanted, strict=True)]
    return got


def difference(got: Any, expected: Any, path: str = "") -> str:
    """Return the first place where two messages differ, with both values; empty if they are equal."""
    if isinstance(got, dict) and isinstance(expected, dict):
        keys = dict.fromkeys([*expected, *got])
        return _first(difference(got.get(key, ABSENT), expected.get(key, ABSENT), f"{path}[{key!r}]") for key in keys)
    if isinstance(got, list) and isinstance(expected, list) and len(got) == len(expected):
        pairs = enumerate(zip(got, expected, strict=True))
        return _first(difference(one, other, f"{path}[{at}]") for at, (one, other) in pairs)
    if got == expected:
        return ""
    if isinstance(got, bytes) and isinstance(expected, bytes) and len(got) == len(expected):
        return f"the audio from byte {next(at for at, byte in enumerate(got) if byte != expected[at])} on"
    if path:
        return f"{path}: {_value(got)}, expected {_value(expected)}"
    if isinstance(got, bytes) and isinstance(expected, bytes):
        return f"{len(got)} bytes, expected {len(expected)} bytes"
    return f"{shown(got)}, expected {shown(expected)}"


def report(trace: Iterable[Packet], mismatch: Mismatch) -> str:
    """Return a line that names the mismatch, and below it the trace with a mark at the mismatch."""
    lines = [_headline(mismatch), ""]
    for packet in trace:
        is_it = packet is mismatch.packet
        lines.append(f"{'!!' if is_it else '  '}  {packet}")
        if is_it:
            lines += _expectation(mismatch)
    if mismatch.packet is None:
        lines += [f"!!  {Packet('<<', mismatch.peer, 'nothing')}", *_expectation(mismatch)]
    return "\n".join(lines)


def shown(content: Any) -> str:
    """Return a message on one line: its type, then its fields."""
    if isinstance(content, bytes):
        return f"{len(content)} bytes of audio"
    if not isinstance(content, dict):
        return str(content)
    fields = (f"{key}={_value(value)}" for key, value in content.items() if key != "type")
    return " ".join([str(content.get("type", "")), *fields])


def _headline(mismatch: Mismatch) -> str:
    message = f"message {mismatch.position + 1} to the {mismatch.peer}"
    if mismatch.packet is None:
        return f"{message} is missing"
    return f"{message} is not the expected one" if mismatch.expected else f"{message} is one too many"


def _expectation(mismatch: Mismatch) -> list[str]:
    first, *rest = [shown(it) for it in mismatch.expected] or ["nothing more"]
    lines = [f"expected     {first}"]
    if mismatch.packet is None:
        lines += [f"and then     {it}" for it in rest]
    elif mismatch.detail:
        lines.append(f"differs in   {mismatch.detail}")
    return [f"    {line}" for line in lines]


def _first(differences: Iterable[str]) -> str:
    return next(filter(None, differences), "")


def _value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
