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
from router.guard.texts import UncheckableError, said, said_by_client, with_text, withheld

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actors.machine import Machine, Marks
    from router.config.guard import Guard, Source

KEY: Final = "guard:"
"""The beginning of the keys of a guard's work. The key of a session's own work begins with the kind of the work."""

MAX_WAITING: Final = 256
"""The most messages of the client that may wait for a verdict.

Further messages are dropped, and the client is notified.
"""

MAX_WAITING_CHARS: Final = 16 * 1024 * 1024
"""The most characters of all waiting messages of the client. The first message may have any length."""

CONTINUE: Final = f"{KEY}continue"
"""The name of the timer that continues with the waiting messages in the dispatcher's next turn."""

_MAX_STEP_CHARS: Final = 64 * 1024
"""The characters of messages after which a step ends. Thus a step reads, or passes on, one long message at most."""

_MESSAGE_CHARS: Final = 1024
"""The characters that each message counts for in addition to its own, because a short message costs time, too."""

OVER_BOUNDS: Final = "over_bounds"
"""The key in `hits` of the texts that are withheld because they exceed a bound or are unreadable."""

TOO_MANY: Final = "too many messages wait for the guard: this one is dropped"
BLOCKED: Final = "the guard withheld a text"
UNCHECKED: Final = "the guard withheld a message that it does not check"


class GuardedInputs(abc.ABC):
    """A machine with a guard. It is pure, like the machine in it."""

    def __init__(self, machine: Machine, guard: Guard, session_id: str) -> None:
        self._machine = machine
        self._guard = guard
        self._session_id = session_id
        self._checks = 0
        self.waiting: deque[messages.Input] = deque()
        """The waiting messages of the client and outputs of functions. The first of them is being checked."""
        self._said: tuple[Source | None, str] | None = None
        """The source and the texts of the first waiting message, if that message was read."""
        self.hits: dict[str, int] = {}
        self.record_due = 0
        """A number that changes when the memory has to be stored, besides the changes that the machine notes itself."""

    # The interface of a machine.

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input of the machine, or the verdict of a check."""
        return list(self._handle(message, now_s))

    def held_bytes(self) -> int:
        """Return the bytes that the machine holds, plus the size of the client's messages that wait for a verdict."""
        return self._machine.held_bytes() + sum(map(_chars, self.waiting))

    def describe(self) -> messages.Facts:
        """Return the machine's facts, and the number of verdicts other than `pass`, by action."""
        return {**self._machine.describe(), "guard": dict(self.hits)}

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing waits for a verdict, so that a configuration without a guard can take the session over."""
        return not self.waiting

    @property
    def can_move(self) -> bool:
        """Whether a planned move at this moment interrupts no check and no answer that the guard has to follow."""
        return self.is_at_rest

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
    def marks_around(self, marks: Marks) -> Marks:
        """Return the signs that the machine and this guard have to be stored. `marks` are those of the machine."""

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
            case messages.TimerFired(name) if name == CONTINUE:
                yield from self._check_next_input(now_s)
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
        if isinstance(message, messages.ClientTextReceived) and not self._has_room(message):
            self.record_due += 1
            yield from self._tell(TOO_MANY, message)
            return
        self.waiting.append(message)
        if len(self.waiting) == 1:
            yield from self._check_next_input(now_s)

    def _has_room(self, message: messages.ClientTextReceived) -> bool:
        if len(self.waiting) >= MAX_WAITING:
            return False
        return not self.waiting or sum(map(_chars, self.waiting)) + len(message.text) <= MAX_WAITING_CHARS

    def _check_next_input(self, now_s: float, spent_chars: int = 0) -> Iterator[messages.Command]:
        """Pass the waiting messages on up to the first one that has to be checked, and begin its check.

        `spent_chars` are the characters that this step has handled already. After `_MAX_STEP_CHARS` a timer continues.
        """
        while self.waiting:
            if spent_chars >= _MAX_STEP_CHARS:
                yield messages.StartTimer(CONTINUE, 0.0)
                return
            message = self.waiting[0]
            if self._said is None:
                spent_chars += _chars(message) + _MESSAGE_CHARS
                try:
                    self._said = said(message)
                except UncheckableError as problem:
                    self.waiting.popleft()
                    yield from self._withhold_unchecked(str(problem), message)
                continue
            source, text = self._said
            if source is not None and text.strip() and self._guard.checks(source):
                yield self._work("input", source, text)
                return
            self._take_first()
            spent_chars += _chars(message)
            yield from self._pass_on(self._machine.handle(message, now_s))

    def _take_first(self) -> messages.Input:
        self._said = None
        return self.waiting.popleft()

    def _withhold_unchecked(self, problem: str, message: messages.Input | None = None) -> Iterator[messages.Command]:
        """Report that a text is withheld because the guard does not check it. `message` is the input with the text."""
        self.record_due += 1
        self.hits[OVER_BOUNDS] = self.hits.get(OVER_BOUNDS, 0) + 1
        yield messages.Log(logging.WARNING, f"the guard withholds what it does not check: {problem}")
        yield from self._tell(f"{UNCHECKED}: {problem}", message)

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
        source, text = self._said or said(self.waiting[0])
        message = self._take_first()
        passed: messages.Input | None = message
        if verdict.action == "replace":
            passed = with_text(message, verdict.text) or withheld(message, source)
        elif verdict.action != "pass":
            passed = withheld(message, source)
        if verdict.action != "pass":
            yield from self._tell(BLOCKED, message)
        if passed is not None:
            if source == "user":
                self._note_typed(verdict.text if verdict.action == "replace" else text)
            yield from self._pass_on(self._machine.handle(passed, now_s))
        yield from self._act(verdict, now_s)
        yield from self._check_next_input(now_s, _chars(message))


def _chars(message: messages.Input) -> int:
    return len(message.text) if isinstance(message, messages.ClientTextReceived) else 0
