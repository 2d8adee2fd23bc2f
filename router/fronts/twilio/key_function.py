"""The function by which the model reads the keys of a caller (`twilio_dtmf = "function"`). Pure.

The front adds the function to the agent. The model calls the function when it has asked the caller for a number, and
gets the number as the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "read_keys"

WAIT_S: Final = 20.0
"""The longest wait for the keys. After this time the output has no keys, and the model may ask the caller again."""

_FUNCTION: Final = {
    "name": NAME,
    "description": (
        "Returns the keys that the caller presses on the telephone, such as a number or a choice. Ask the caller to"
        " press them first. The result is empty if no key is pressed."
    ),
    "parameters": {"type": "object", "properties": {}},
}


def added_to(settings: str) -> str:
    """Return Settings whose agent also has the function `NAME`.

    If the agent already has a function of this name, its own function stays.
    """
    fields = orjson.loads(settings)
    think = fields["agent"].get("think") or {}
    # The session uses one of several blocks, so each block needs the function.
    fields["agent"]["think"] = [_with(each) for each in think] if isinstance(think, list) else _with(think)
    return orjson.dumps(fields).decode()


def _with(think: dict[str, Any]) -> dict[str, Any]:
    functions = think.get("functions") or []
    if any(function.get("name") == NAME for function in functions):
        return think
    return {**think, "functions": [*functions, _FUNCTION]}


class KeyFunction:
    """The model's calls of the function `NAME` in one telephone call."""

    def __init__(self, waiting: Sequence[str] = (), keys: str | None = None) -> None:
        self._waiting = list(waiting)
        """The ids of the calls without an output."""
        self._keys = keys
        """The newest number that the caller pressed before the model called the function, or None."""

    @property
    def memory(self) -> tuple[list[str], str | None]:
        """The arguments from which another object can continue in place of this one."""
        return self._waiting, self._keys

    @property
    def is_waiting(self) -> bool:
        """Whether a call of the function waits for keys."""
        return bool(self._waiting)

    def call(self, identity: str) -> str | None:
        """Record a call. Return its output if the keys were pressed already, or else None."""
        if self._keys is None:
            self._waiting.append(identity)
            return None
        keys, self._keys = self._keys, None
        return _output(keys)

    def cancel(self, identity: str) -> None:
        """Forget a call that the caller interrupted. Keys that are pressed from now on wait for the next call."""
        if identity in self._waiting:
            self._waiting.remove(identity)

    def press(self, keys: str) -> list[tuple[str, str]]:
        """Record the keys of a whole number. Return the id of each call that waits for keys, with the call's output."""
        if not self._waiting:
            self._keys = keys
        return self._answer(keys)

    def time_out(self) -> list[tuple[str, str]]:
        """Return the id of each call that waited in vain, with its output, which has no keys."""
        return self._answer("")

    def _answer(self, keys: str) -> list[tuple[str, str]]:
        answered, self._waiting = self._waiting, []
        return [(identity, _output(keys)) for identity in answered]


def _output(keys: str) -> str:
    return orjson.dumps({"keys": keys}).decode()
