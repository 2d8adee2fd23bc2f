"""The facts about one session that outlive its worker, as a keeper beside the worker has them.

The keeper stores a record of the session before the bytes of a step are written. It also stores the words and messages
after the record, and the number of bytes that were written to the client.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from actors import messages
from actors.connections import frames
from actors.connections.protocol import PROBE
from actors.machine import Carried, Machine
from router.session.recovery import Record

if TYPE_CHECKING:
    from collections.abc import Callable

NO_BOUND = 2**62


class Left(NamedTuple):
    """The facts that a dead worker leaves in addition to its last record."""

    journal: list[str | bytes]
    written: int
    words: str


class Keeper:
    """The keeper of one session."""

    def __init__(self, first_text: str | None, *, makes_records: bool = True) -> None:
        self._makes_records = makes_records
        """Whether each due record is made. Without a record no other worker can adopt the session."""
        self._stream = bytearray(_frames_of(first_text) if first_text is not None else b"")
        """All frames to the client, written or not."""
        self.written = 0
        """The number of bytes that were written to the client."""
        self._arrived: deque[str | bytes] = deque()
        """The client's messages that have arrived and are not handled yet."""
        self._handled: list[str | bytes] = []
        """The client's messages that were handled after the record was stored."""
        self._parser = frames.FrameParser(is_server=True, max_message_bytes=NO_BOUND)
        self.record: Record | None = None
        self.words = ""
        """The words of the agent's answer since the record."""
        self._due = self._words_due = 0
        self.steps = 0
        """The number of inputs that the machine has handled."""
        self.is_dead = False
        """Whether the worker has died."""
        self.dies_at: int | None = None
        """The step at which the worker dies; None if it lives on."""
        self.awaited_transcript = False
        """Whether the last record awaits the transcript of the user's speech."""
        self.stores_last = False
        """Whether the record of the step at which the worker dies is stored. Its bytes are never written."""
        self.kill: Callable[[], None] = lambda: None
        self.stored = 0
        """The number of records so far."""

    @property
    def journal(self) -> list[str | bytes]:
        """The client's messages since the record."""
        return [*self._handled, *self._arrived]

    def note_arrival(self, data: bytes) -> None:
        """Record bytes of the client. In a virtual world they always end with a frame."""
        self._arrived += (event for event in self._parser.feed(data) if isinstance(event, str | bytes))
        assert not self._parser.held_bytes

    def note_step(self, message: messages.Input, commands: list[messages.Command], carried: Carried) -> None:
        """Record an input and its commands, and store a record if one is due."""
        if isinstance(message, messages.ClientTextReceived):
            self._take(message.text)
        elif isinstance(message, messages.ClientBinaryReceived):
            self._take_audio(message.data)
        for command in commands:
            if isinstance(command, messages.SendToClient):
                self._stream += _frames_of(command.frame)
            elif isinstance(command, messages.ProbeClient):
                self._stream += frames.ping_frame(PROBE, mask=False)
        marks = carried.marks
        if not self.stored or marks.record_due != self._due:
            self._due = marks.record_due
            self.stored += 1
            if self._makes_records:
                self.record = Record(carried.snapshot(), self.written, bytes(self._stream[self.written :]))
            self._handled.clear()
            marks.note_stored()
            self.words, self._words_due = "", marks.words_due
        elif marks.words_due != self._words_due:
            self._words_due = marks.words_due
            self.words += marks.take_words()

    def _take(self, message: str | bytes) -> None:
        assert self._arrived[0] == message
        self._handled.append(self._arrived.popleft())

    def _take_audio(self, data: bytes) -> None:
        # Frames that arrive together are joined, and long ones are cut.
        self._handled.append(data)
        while data:
            first = self._arrived.popleft()
            assert isinstance(first, bytes)
            part, data = first[: len(data)], data[len(first) :]
            if len(part) < len(first):
                self._arrived.appendleft(first[len(part) :])


class KeptMachine:
    """A machine whose steps a keeper records."""

    def __init__(self, machine: Machine, carried: Carried, keeper: Keeper) -> None:
        self._machine = machine
        self._carried = carried
        self._keeper = keeper
        self.held_bytes = machine.held_bytes
        self.describe = machine.describe

    def handle(self, message: messages.Input, now_s: float, /) -> list[messages.Command]:
        """Handle an input. The keeper records it before any of its commands is performed."""
        keeper = self._keeper
        if keeper.is_dead:
            # Its actors are left to the supervisor of the dead worker.
            return [messages.EndSession(1000, "")] if isinstance(message, messages.ClientClosed) else []
        is_last = keeper.steps == keeper.dies_at
        keeper.steps += 1
        if is_last and not keeper.stores_last:
            keeper.awaited_transcript = self._awaits_transcript()
        commands = list(self._machine.handle(message, now_s))
        if is_last and keeper.stores_last:
            keeper.awaited_transcript = self._awaits_transcript()
        if not is_last or keeper.stores_last:
            keeper.note_step(message, commands, self._carried)
        if is_last:
            keeper.kill()
            return []
        return commands

    def _awaits_transcript(self) -> bool:
        return bool(self.describe()["owed"]["transcripts"])


def _frames_of(frame: str | bytes) -> bytes:
    make: Any = frames.text_frames if isinstance(frame, str) else frames.binary_frames
    return b"".join(make(frame, mask=False, max_frame_bytes=NO_BOUND))
