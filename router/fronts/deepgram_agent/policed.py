"""The relay behind the policy of its client, which judges each message before the relay takes it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import orjson

from actors import messages as engine
from router.deepgram import codec
from router.deepgram import messages as deepgram
from router.policy.rules import CODE, Denied

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.machine import Machine
    from router.policy.policy import Policy


class PolicedMachine:
    """A machine whose client's messages obey a policy. The upstream gets no field that the router does not know."""

    def __init__(self, machine: Machine, policy: Policy) -> None:
        self.wrapped = machine
        """The machine within."""
        self._policy = policy

    def handle(self, message: engine.Input, now_s: float, /) -> Iterable[engine.Command]:
        """Take an input, and return the commands that follow."""
        if isinstance(message, engine.ClientTextReceived):
            judged = judge(self._policy, message.text)
            if isinstance(judged, Denied):
                return self._denial(judged)
            message = engine.ClientTextReceived(judged)
        return [self._shown(command) for command in self.wrapped.handle(message, now_s)]

    def held_bytes(self) -> int:
        """Return the bytes that the machine keeps for its peers."""
        return self.wrapped.held_bytes()

    def describe(self) -> engine.Facts:
        """Return a few facts about the session; see `Machine.describe`."""
        return self.wrapped.describe()

    def _denial(self, denied: Denied) -> list[engine.Command]:
        line = f"the policy {self._policy.name} denies a message of the client: {denied.sentence}"
        answer = deepgram.Error(description=denied.sentence, code=CODE)
        return [engine.Log(logging.WARNING, line), engine.SendToClient(codec.encode(answer))]

    def _shown(self, command: engine.Command) -> engine.Command:
        if not isinstance(command, engine.SendToClient) or not isinstance(command.frame, str):
            return command
        shown = self._policy.shown(command.frame) if _may_show(command.frame) else command.frame
        return engine.SendToClient(shown)


def judge(policy: Policy, text: str) -> str | Denied:
    """Return a client's message in the form that the policy permits, or the denial.

    The form has no field that the router does not know.
    """
    fields = codec.read(text)
    if isinstance(fields, codec.Unparsable):
        # The relay would pass the message on, and a server might read it in an unknown way.
        return Denied(place="type", field="", problem=f"cannot be read: {fields.problem}")
    judged = policy.settings(fields, is_strict=True)
    return judged if isinstance(judged, Denied) else orjson.dumps(judged).decode()


def _may_show(frame: str) -> bool:
    # The agent's words are the model's own, and the upstream's other messages repeat nothing of Settings.
    return '"Error"' in frame or '"Warning"' in frame or '"History"' in frame
