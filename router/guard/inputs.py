"""The part that every guarded machine shares: its checks, and the client's messages that wait for a verdict.

Texts of the client and outputs of functions wait for their verdict before they reach the machine. Later messages of the
client wait, too, so that the order stays.
"""

from __future__ import annotations

import abc
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from actors import messages
from router.guard.rules import CheckText, Verdict
from router.guard.texts import said, said_by_client, with_text, withheld

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actors.machine import Machine
    from router.config.guard import Guard, Source

KEY: Final = "guard:"
"""The beginning of the keys of a guard's work. The key of a session's own work begins with the kind of the work."""

MAX_WAITING: Final = 256
"""The most messages of the client that may wait for a verdict.

Further messages are dropped, and the client is notified.
"""

TOO_MANY: Final = "too many messages wait for the guard: this one is dropped"
BLOCKED: Final = "the guard withheld a text"


class GuardedInputs(abc.ABC):
    """A machine with a guard. It is pure, like the machine in it."""

    def __init__(self, machine: Machine, guard: Guard, session_id: str) -> None:
        self._machine = machine
        self._guard = guard
        self._session_id = session_id
        self._checks = 0
        self.waiting: deque[messages.Input] = deque()
        """The waiting messages of the client and outputs of functions. The first of them is being checked."""
        self.hits: dict[str, int] = {}
        self.record_due = 0
        """A number that changes when the memory has to be stored, besides the changes that the machine notes itself."""

    # The interface of a machine.

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input of the machine, or the verdict of a check."""
        return list(self._handle(message, now_s))

    def held_bytes(self) -> int:
        """Return the bytes that the machine holds, plus the size of the client's messages that wait for a verdict."""
        waiting = sum(len(it.text) for it in self.waiting if isinstance(it, messages.ClientTextReceived))
        return self._machine.held_bytes() + waiting

    def describe(self) -> messages.Facts:
        """Return the machine's facts, and the number of verdicts other than `pass`, by action."""
        return {**self._machine.describe(), "guard": dict(self.hits)}

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing waits for a verdict, so that the guard of another process can continue."""
        return not self.waiting

    def _pass_on(self, commands: Iterable[messages.Command]) -> Iterator[messages.Command]:
        for command in commands:
            if isinstance(command, messages.EndSession):
                yield from self._release_the_rest()
            if isinstance(command, messages.SendToClient):
                yield from self._to_client(command)
            else:
                yield command

    # The abstract methods, in which the two kinds of machine differ.

    @abc.abstractmethod
    def _to_client(self, command: messages.SendToClient) -> Iterator[messages.Command]:
        """Pass a frame on to the client, or hold it back if it must wait."""

    @abc.abstractmethod
    def _release_the_rest(self) -> Iterator[messages.Command]:
        """Pass on the waiting frames that need no verdict, because the session ends. Drop the others."""

    @abc.abstractmethod
    def _judge_window(self, verdict: Verdict, now_s: float) -> Iterator[messages.Command]:
        """Take the verdict about a text for the client."""

    @abc.abstractmethod
    def _act(self, verdict: Verdict, now_s: float, *, is_cancelled: bool = False) -> Iterator[messages.Command]:
        """Perform the effects of a verdict beyond the text itself, such as words that the agent says.

        `is_cancelled` says that the answer in progress was already cancelled, if the verdict requires that.
        """

    @abc.abstractmethod
    def _tell(self, description: str, message: messages.Input | None = None) -> Iterator[messages.Command]:
        """Report to the client that a text was withheld. `message` is the input with the text, if it was an input."""

    @abc.abstractmethod
    def _note_typed(self, text: str) -> None:
        """Record that a typed text of the user has passed its check, so that its echo passes without a check."""

    # Inputs.

    def _handle(self, message: messages.Input, now_s: float) -> Iterator[messages.Command]:
        match message:
            case messages.WorkDone(key) if key.startswith(KEY):
                yield from self._take_verdict(message, now_s)
            case messages.ClientTextReceived() if self.waiting or said_by_client(message.text):
                yield from self._wait_for_verdict(message, now_s)
            case messages.WorkDone(_, str(), None) if self._guard.checks("function"):
                yield from self._wait_for_verdict(message, now_s)
            case _:
                yield from self._take(message, now_s)

    def _take(self, message: messages.Input, now_s: float) -> Iterator[messages.Command]:
        yield from self._pass_on(self._machine.handle(message, now_s))

    def _wait_for_verdict(self, message: messages.Input, now_s: float) -> Iterator[messages.Command]:
        # The machine waits for the output of each function, so no output is dropped.
        if len(self.waiting) >= MAX_WAITING and isinstance(message, messages.ClientTextReceived):
            self.record_due += 1
            yield from self._tell(TOO_MANY, message)
            return
        self.waiting.append(message)
        if len(self.waiting) == 1:
            yield from self._check_next_input(now_s)

    def _check_next_input(self, now_s: float) -> Iterator[messages.Command]:
        while self.waiting:
            message = self.waiting[0]
            source, text = said(message)
            if source is not None and text.strip() and self._guard.checks(source):
                yield self._work("input", source, text)
                return
            self.waiting.popleft()
            yield from self._pass_on(self._machine.handle(message, now_s))

    def _work(self, place: str, source: Source, text: str) -> messages.StartWork:
        self._checks += 1
        work = CheckText(source=source, text=text, session_id=self._session_id)
        return messages.StartWork(f"{KEY}{place}:{self._checks}", work, self._guard.timeout_s)

    # Verdicts.

    def _take_verdict(self, done: messages.WorkDone, now_s: float) -> Iterator[messages.Command]:
        self.record_due += 1
        if done.failure is None and isinstance(done.result, Verdict):
            verdict = done.result
        else:
            verdict = Verdict("pass" if self._guard.on_failure == "pass" else "block")
            yield messages.Log(logging.WARNING, f"a check of the guard failed: the text counts as {verdict.action}")
        if verdict.action != "pass":
            self.hits[verdict.action] = self.hits.get(verdict.action, 0) + 1
        if done.key.startswith(f"{KEY}input"):
            yield from self._judge_input(verdict, now_s)
        else:
            yield from self._judge_window(verdict, now_s)

    def _judge_input(self, verdict: Verdict, now_s: float) -> Iterator[messages.Command]:
        if not self.waiting:
            return  # this happens only in a replay, whose masked text may have no words to check
        message = self.waiting.popleft()
        source, text = said(message)
        passed: messages.Input | None = message
        if verdict.action == "replace":
            passed = with_text(message, verdict.text) or withheld(message)
        elif verdict.action != "pass":
            passed = withheld(message)
        if verdict.action != "pass":
            yield from self._tell(BLOCKED, message)
        if passed is not None:
            if source == "user":
                self._note_typed(verdict.text if verdict.action == "replace" else text)
            yield from self._pass_on(self._machine.handle(passed, now_s))
        yield from self._act(verdict, now_s)
        yield from self._check_next_input(now_s)
