"""The lines of one recording: a second machine takes the masked inputs, and its commands are written.

So a replay gives exactly the recorded commands, although the mask replaced texts. The types of these commands are
compared with those of the real machine, and a difference is noted. The recorder's thread runs this module.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from actors import messages
from router.recording import header, notation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.recording.header import Header
    from router.recording.mask import Mask
    from router.recording.sums import Sums

_TYPE: Final = re.compile(r'\{\s*"(?:type|event)":\s*"([\w.]{1,80})"', re.ASCII)

_FAITHFUL: Final = (
    messages.ClientTextReceived,
    messages.ClientBinaryReceived,
    messages.UpstreamTextReceived,
    messages.TimerFired,
)
"""The most frequent inputs. The notation keeps their fields exactly, so they need not be read back before use."""


_STEP_BYTES: Final = 500
"""The approximate size of a step without its contents, in bytes."""

_CONTENTS: Final[dict[type, str]] = {
    messages.ClientTextReceived: "text",
    messages.ClientBinaryReceived: "data",
    messages.UpstreamTextReceived: "text",
    messages.UpstreamBinaryReceived: "data",
    messages.SendToClient: "frame",
    messages.SendToUpstream: "frame",
}
"""The inputs and commands whose size varies, each with the name of the field that holds its content."""


class Step:
    """An input of the real machine, with its commands."""

    __slots__ = ("commands", "is_late", "message", "now_s", "raised", "today")

    def __init__(
        self,
        message: messages.Input,
        now_s: float,
        commands: Sequence[messages.Command] = (),
        *,
        today: Sequence[Sums] = (),
        is_late: bool = False,
        raised: str | None = None,
    ) -> None:
        self.message = message
        self.now_s = now_s
        self.commands = commands
        self.today = today
        """The client's sums of the day that the session got from `spend_today` in this step."""
        self.is_late = is_late
        """Whether the event came too late for the machine, and only its usage was read."""
        self.raised = raised
        """The class of the exception that ended the session."""

    @property
    def size_bytes(self) -> int:
        """The approximate number of bytes that the step holds in memory."""
        size = _STEP_BYTES
        for part in (self.message, *self.commands):
            name = _CONTENTS.get(type(part))
            if name is not None:
                size += len(getattr(part, name))
        return size


class Transcript:
    """The lines of one session's recording."""

    def __init__(self, written: Header, mask: Mask) -> None:
        self._mask = mask
        self._header = written
        self._replayed = header.machine_of(written)
        self.steps = 0
        self.diverged = 0
        """The number of steps whose commands have other types than the real machine's."""

    def first_line(self) -> bytes:
        """Return the header as a line."""
        return _line(notation.written(self._header))

    def line(self, step: Step) -> bytes:
        """Return the line of a step."""
        self.steps += 1
        message = self._mask.input(step.message)
        fields = notation.input_written(message)
        if not isinstance(message, _FAITHFUL):
            # The machine must get exactly the input that a reader of the recording gets.
            message = notation.read_input(orjson.loads(orjson.dumps(fields)))
        line: dict[str, Any] = {"s": step.now_s, **fields}
        if step.is_late:
            return _line({**line, "late": True, **perform_late(self._replayed, message)})
        if step.today:
            line["today"] = step.today
        self._replayed.today.give(step.today)
        outcome = perform(self._replayed, message, step.now_s)
        line.update(outcome)
        kinds = ["raised " + step.raised] if step.raised is not None else [kind_of(it) for it in step.commands]
        if kinds != kinds_of(outcome):
            self.diverged += 1
            line["live"] = kinds
        return _line(line)

    def last_line(self, torn: str | None = None) -> bytes:
        """Return the last line. If the recording ends before its session, `torn` is the reason."""
        end = {"steps": self.steps, "diverged": self.diverged}
        return _line({"torn": torn, **end} if torn is not None else {"end": end})


def perform(replayed: header.Replayed, message: messages.Input, now_s: float) -> dict[str, Any]:
    """Let the machine handle an input, and return its commands, or its exception's class, in the notation."""
    try:
        return {"out": notation.commands_written(replayed.machine.handle(message, now_s))}
    except Exception as error:  # noqa: BLE001 - the failure of the machine is the finding
        return {"raised": type(error).__name__}


def perform_late(replayed: header.Replayed, message: messages.Input) -> dict[str, Any]:
    """Let the session read a late event, and return the report, or the exception's class, in the notation."""
    try:
        assert isinstance(message, messages.UpstreamTextReceived)  # noqa: S101 - no other input comes late
        return {"out": notation.written(replayed.session.read_late(message))}
    except Exception as error:  # noqa: BLE001 - as above
        return {"raised": type(error).__name__}


def kind_of(command: messages.Command) -> str:
    """Return the name of a command's type, followed by the type of the message in its frame."""
    return _named(type(command).__name__, getattr(command, "frame", None))


def kinds_of(outcome: dict[str, Any]) -> list[str]:
    """Return the type names of an outcome's commands, or of its exception."""
    if "raised" in outcome:
        return ["raised " + outcome["raised"]]
    return [_named(command["do"], _frame_of(command)) for command in outcome["out"]]


def _frame_of(command: dict[str, Any]) -> Any:
    frame = command.get("frame")
    if isinstance(frame, dict):
        frame = frame.get("utf8", frame)
    if isinstance(frame, dict) and "runs" in frame:
        return frame["runs"][0]
    return frame


def _named(name: str, frame: Any) -> str:
    if isinstance(frame, bytes):
        frame = frame[:100].decode(errors="replace") if frame[:1] == b"{" else None
    found = _TYPE.match(frame) if isinstance(frame, str) else None
    return f"{name} {found[1]}" if found else name


def _line(fields: Any) -> bytes:
    return orjson.dumps(fields) + b"\n"
