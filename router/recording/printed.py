"""The trace of a recording, as lines for a person: messages of both protocols, timers and work, each with its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actors import messages
from router.recording import notation
from router.recording.transcript import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.recording.header import Header
    from router.recording.reader import RecordedStep

RECEIVED: Final = "──▶"
SENT: Final = "◀──"
SHOWN_CHARS: Final = 400

_OF_NO_INTEREST: Final = frozenset({"StartTimer", "CancelTimer", "ResetRestartBudget"})
"""Commands that a trace leaves out. They would flood it, because each frame of audio restarts a timer."""


def heading(header: Header) -> str:
    """Return the first lines of a trace."""
    kinds = (("content", header.has_content), ("audio", header.has_audio))
    has = ", ".join(f"{'with' if is_there else 'without'} {name}" for name, is_there in kinds)
    by = f" by {header.principal}" if header.principal else ""
    return (
        f"session {header.session} on {header.route or header.front}{by}\n"
        f"{header.started_at}, version {header.version}, {has}"
    )


class Printer:
    """The lines of one trace."""

    def __init__(self, *, has_content: bool) -> None:
        self._has_content = has_content
        self._begin_s: float | None = None

    def lines(self, step: RecordedStep) -> Iterator[str]:
        """Yield the lines of a step: the input, and its commands."""
        if self._begin_s is None:
            self._begin_s = step.now_s
        at = f"{step.now_s - self._begin_s:9.3f}" if not step.is_late else "     late"
        commands = list(self._commands(step))
        cause = self._input(step.message)
        # A timer that causes no command is left out, because it does not interest a reader.
        if commands or not isinstance(step.message, messages.TimerFired):
            yield f"{at}  {cause}"
        for command in commands:
            yield f"{'':9}  {command}"
        if step.live is not None:
            live = ", ".join(step.live) or "nothing"
            yield f"{'':9}  note      the masked session differs from the real one, which gave: {live}"

    def _input(self, message: Any) -> str:
        generation = getattr(message, "generation", None)
        peer = "client" if generation is None else f"upstream{generation}"
        if isinstance(message, _TEXTS):
            return self._frame(peer, RECEIVED, message.text)
        if isinstance(message, _BINARIES):
            return self._frame(peer, RECEIVED, message.data)
        describe = _INPUTS.get(type(message))
        if describe is None:
            return _fact("engine", type(message).__name__)
        return _fact(*describe(message, peer))

    def _commands(self, step: RecordedStep) -> Iterator[str]:
        if "raised" in step.outcome:
            yield f"{'machine':<10}raised {step.outcome['raised']}"
            return
        out = step.outcome["out"]
        for command in out if isinstance(out, list) else []:
            if isinstance(command, dict) and command.get("do") not in _OF_NO_INTEREST:
                yield self._command(command)

    def _command(self, command: dict[str, Any]) -> str:
        peer = f"upstream{command.get('generation', '')}"
        match kind := command.get("do"):
            case "SendToClient":
                return self._frame("client", SENT, _read(command.get("frame")))
            case "SendToUpstream":
                frame = _read(command.get("frame"))
                if isinstance(frame, bytes) and not command.get("is_binary"):
                    frame = frame.decode(errors="replace")
                return self._frame(peer, SENT, frame)
        describe = _COMMANDS.get(str(kind))
        return _fact(*describe(command, peer)) if describe is not None else _fact("engine", str(kind))

    def _frame(self, peer: str, way: str, frame: str | bytes) -> str:
        if isinstance(frame, bytes):
            return f"{peer:<10}{way} audio, {len(frame)} bytes"
        _, _, kind = kind_of(messages.SendToClient(frame)).partition(" ")
        shown = f" {_shortened(frame)}" if self._has_content else ""
        return f"{peer:<10}{way} {kind or 'text'}, {len(frame)} characters{shown}"


def _fact(place: str, text: str) -> str:
    return f"{place:<10}{text}".rstrip()


def _read(value: Any) -> str | bytes:
    try:
        return notation.read_frame(value)
    except notation.NotationError:
        return "(damaged)"


def _shortened(text: str) -> str:
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


_TEXTS: Final = (messages.ClientTextReceived, messages.UpstreamTextReceived)
_BINARIES: Final = (messages.ClientBinaryReceived, messages.UpstreamBinaryReceived)


def _lost(message: messages.UpstreamLost, peer: str) -> tuple[str, str]:
    return peer, f"lost: {message.loss.kind.value} {message.loss}; {message.verdict.decision.value}"


def _closed(message: messages.ClientClosed, peer: str) -> tuple[str, str]:
    return peer, f"closed: {message.closed.ending.value} {message.closed.code} {message.closed.reason}"


def _done(message: messages.WorkDone, _peer: str) -> tuple[str, str]:
    return "work", f"{message.key} {'done' if message.failure is None else message.failure.kind.value}"


def _dial(command: dict[str, Any], peer: str) -> tuple[str, str]:
    return peer, f"dial{' as the standby' if command.get('is_standby') else ''}: {_read(command.get('route'))!s}"


def _end(command: dict[str, Any], _peer: str) -> tuple[str, str]:
    return "session", f"end: {command.get('code')} {_read(command.get('reason'))!s}"


def _notify(command: dict[str, Any], _peer: str) -> tuple[str, str]:
    notification = command.get("notification")
    return "notify", str(notification.get("is") if isinstance(notification, dict) else notification)


_INPUTS: Final[dict[type, Callable[[Any, str], tuple[str, str]]]] = {
    messages.ClientOpened: lambda _, peer: (peer, "opened"),
    messages.ClientAdopted: lambda _, peer: (peer, "adopted"),
    messages.ClientClosed: _closed,
    messages.UpstreamOpened: lambda _, peer: (peer, "opened"),
    messages.UpstreamLost: _lost,
    messages.TimerFired: lambda it, _: ("timer", it.name),
    messages.WorkDone: _done,
}

_COMMANDS: Final[dict[str, Callable[[dict[str, Any], str], tuple[str, str]]]] = {
    "OpenUpstream": _dial,
    "CloseUpstream": lambda _, peer: (peer, "close"),
    "AbandonUpstream": lambda _, peer: (peer, "abandon"),
    "EndSession": _end,
    "Log": lambda it, _: ("log", str(_read(it.get("text")))),
    "Notify": _notify,
    "StartWork": lambda it, _: ("work", f"start {_read(it.get('key'))!s}"),
    "CancelWork": lambda it, _: ("work", f"cancel {_read(it.get('key'))!s}"),
}
