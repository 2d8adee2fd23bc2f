"""The replay of a recording through the machine of the installed version, and the first step that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.recording import header, notation
from router.recording.reader import RecordingError
from router.recording.transcript import perform, perform_late

if TYPE_CHECKING:
    from router.recording.reader import RecordedStep, Recording

AROUND: Final = 60
"""The number of characters that are shown before the first character that differs."""
SHOWN: Final = 240


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first step whose commands differ."""

    step: RecordedStep
    number: int
    """The number of the step's first command that differs, counted from 1."""
    expected: str
    got: str

    def __str__(self) -> str:
        return (
            f"line {self.step.line}, {type(self.step.message).__name__} at {self.step.now_s:.3f} s: "
            f"command {self.number} differs\n  recorded: {self.expected}\n  today:    {self.got}"
        )


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a replay: the compared steps and commands, and the difference, if there is one."""

    steps: int
    commands: int
    difference: Difference | None = None


def verify(recording: Recording, path: str) -> Verified:
    """Run the inputs through the installed version's machine.

    Compare the commands to the byte, up to the first difference.

    Raises:
        RecordingError: the recording cannot be replayed, or it is torn and no step before the tear differs.
    """
    try:
        replayed = header.machine_of(recording.header)
    except notation.NotationError as error:
        raise RecordingError(path, str(error)) from None
    steps = commands = 0
    for step in recording.steps():
        replayed.today.give(step.today)
        late = perform_late(replayed, step.message) if step.is_late else None
        outcome = late or perform(replayed, step.message, step.now_s)
        steps += 1
        difference = _difference(step, _items(step.outcome), _items(outcome))
        if difference is not None:
            return Verified(steps=steps, commands=commands, difference=difference)
        commands += len(_items(outcome))
    return Verified(steps=steps, commands=commands)


def _items(outcome: dict[str, Any]) -> list[bytes]:
    if "raised" in outcome:
        return [orjson.dumps({"raised": outcome["raised"]})]
    out = outcome["out"]
    return [orjson.dumps(item) for item in (out if isinstance(out, list) else [out])]


def _difference(step: RecordedStep, expected: list[bytes], got: list[bytes]) -> Difference | None:
    if expected == got:
        return None
    number = next(
        (at for at, (one, other) in enumerate(zip(expected, got, strict=False)) if one != other),
        min(len(expected), len(got)),
    )
    texts = [items[number].decode() if number < len(items) else "nothing" for items in (expected, got)]
    first = next((at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), 0)
    shown = [_around(text, first) for text in texts]
    return Difference(step=step, number=number + 1, expected=shown[0], got=shown[1])


def _around(text: str, at: int) -> str:
    begin = max(0, at - AROUND)
    if len(text) <= SHOWN:
        return text
    return ("…" if begin else "") + text[begin : begin + SHOWN] + ("…" if begin + SHOWN < len(text) else "")
