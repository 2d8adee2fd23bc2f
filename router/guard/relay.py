"""A machine around a relay. It holds back texts and audio that the guard has not checked yet.

The agent's text is checked in windows, and each window is sent as one frame. Audio waits for the window of its text,
and every other frame keeps its place. The rest of the answer after a blocked text is withheld. The answer is also
cancelled if the wire has a message for that. A dialect describes the relay's wire.
"""

from __future__ import annotations

import json
import math
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import orjson

from actors import messages
from router.guard.dialect import Fields, Kind, Seen
from router.guard.inputs import BLOCKED, GuardedInputs
from router.guard.marks import RelayGuardMarks
from router.guard.rules import PASS
from router.guard.texts import UncheckableError
from router.guard.windows import Windows
from router.json_bounds import MAX_RECOUNT_CHARS, exceeded_bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actors.machine import Machine, Marks
    from router.config.guard import Guard, Source
    from router.guard.dialect import Dialect
    from router.guard.rules import Verdict

MAX_FRAME_CHARS: Final = 4 * 1024 * 1024
"""The longest frame that is read: a minute of audio. A longer frame is withheld."""

MAX_TEXTS: Final = 64
"""The most texts and answers that are remembered. The oldest are forgotten first."""


class AgentText(msgspec.Struct):
    """One text of the agent: the part that is in no window yet, and the part that the client got."""

    windows: Windows
    answer: str
    delta: Fields | None = None
    """The newest frame with a part of the text. Each window is sent in a frame of the same form."""
    passed: list[str] = msgspec.field(default_factory=list)
    is_altered: bool = False
    newest: int = 0
    """The number of the newest window; 0 before the first one."""
    is_whole: bool = False
    """Whether only a frame that repeats texts had the text."""
    replaced: int = 0
    """The number of the newest window whose words were replaced.

    Audio after that window may still contain these words.
    """

    @property
    def hides_audio(self) -> bool:
        """Whether the audio that arrives now contains replaced words."""
        return self.replaced > 0 and self.replaced == self.newest and not self.windows.has_rest


class RelayWindow(NamedTuple):
    """A text that is checked."""

    number: int
    source: Source
    key: str
    answer: str
    text: str


class RelayFrame(msgspec.Struct):
    """A frame that waits for a verdict before the client gets it."""

    awaited: int
    """The number of the window whose verdict the frame awaits."""
    command: messages.SendToClient
    fields: Fields | None
    seen: Seen
    text: str | None = None
    """The text with which the frame is sent; None if the frame has no text to check."""
    size_bytes: int = 0
    """The bytes that the frame counts for while it waits."""


_CONTENT: Final = (Kind.DELTA, Kind.AGENT, Kind.AUDIO, Kind.AGENT_ECHO)
_ECHOES: Final = (Kind.AGENT_ECHO, Kind.USER_ECHO)
_RECORDED: Final = (messages.SendToClient, messages.EndSession)
"""The commands before whose effects the memory has to be stored."""


class GuardedRelay(GuardedInputs):
    """A relay with a guard. It is pure, like the relay."""

    def __init__(self, machine: Machine, guard: Guard, session_id: str, dialect: Dialect) -> None:
        super().__init__(machine, guard, session_id)
        self._dialect = dialect
        self._open: deque[RelayWindow] = deque()
        """The windows without a verdict, in order. The first of them is being checked."""
        self._started = 0
        self._held: deque[RelayFrame] = deque()
        self._held_bytes = 0
        """The bytes of `_held`."""
        self._texts: dict[str, AgentText] = {}
        self._muted: dict[str, None] = {}
        """The answers whose content is withheld."""
        self._active: dict[str, None] = {}
        """The answers that have begun at the relay, and have not ended there."""
        self._last_answer = ""
        """The answer that has begun since the user last spoke; empty for none."""
        self._cancels_next = False
        """Whether to cancel the next answer, because it responds to a blocked text."""
        self._fates: dict[str, str] = {}
        """The changed texts, each with its new text. Their echoes get the new text, too."""
        self._say = ""
        """The words that the agent has to say: at once if the dialect interrupts, or else after the present answer."""
        self._own: list[str] = []
        """The words of verdicts that made the agent say them. These words are not checked."""
        self._now_s = 0.0
        self.dropped = 0
        """The number of frames that were withheld."""

    def marks_around(self, marks: Marks) -> Marks:
        """Return the signs that the relay and this guard have to be stored. `marks` are those of the relay."""
        return RelayGuardMarks(self, marks)

    def new_windows(self, *, is_whole: bool) -> Windows:
        """Return the windows of a new text. `is_whole` says that no frame brings a part of this text."""
        return Windows(1 if is_whole else self._guard.window_chars)

    def complete(self) -> None:
        """Set what follows from the memory of another process, after that memory was put into this guard."""
        for frame in self._held:
            if frame.fields is None and frame.command.frame:
                frame.fields = _fields(frame.command.frame)
        self._held_bytes = sum(it.size_bytes for it in self._held)

    def held_bytes(self) -> int:
        """Return the bytes that the relay holds, plus those of the frames and messages that wait for a verdict."""
        return super().held_bytes() + self._held_bytes

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing waits for a verdict, and no answer is in progress or has to be cancelled or spoken.

        A relay with a changed text never rests, because only this guard keeps the original out of later events.
        """
        is_hiding = self._fates or any(it.is_altered for it in self._texts.values())
        return self.can_move and not is_hiding

    @property
    def can_move(self) -> bool:
        """Whether nothing waits for a verdict, and no answer is in progress or has to be cancelled or spoken."""
        is_waiting = self._open or self._held or self._active or self._cancels_next or self._say
        return super().is_at_rest and not is_waiting

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input of the relay, or the verdict of a check."""
        self._now_s = now_s
        commands = list(self._handle(message, now_s))
        # Audio that never waited is no change of this memory. The relay's other frames may wait here, or change.
        if any(isinstance(it, _RECORDED) and not _is_audio(it) for it in commands):
            self.record_due += 1
        return commands

    def _take(self, message: messages.Input, now_s: float) -> Iterator[messages.Command]:
        is_adopted = isinstance(message, messages.ClientAdopted)
        if is_adopted and self._open:
            yield self._check_of(self._open[0])
        yield from super()._take(message, now_s)
        if is_adopted:
            # The relay first takes its own place in the conversation, and then the texts that waited.
            yield from self._check_next_input(now_s)

    # Commands.

    def _to_client(self, command: messages.SendToClient) -> Iterator[messages.Command]:
        try:
            fields = _fields(command.frame)
        except UncheckableError as problem:
            yield from self._withhold_frame(str(problem))
            return
        seen = self._dialect.read(fields)
        frame = RelayFrame(self._started, command, fields, seen)
        match seen.kind:
            case Kind.GREETING:
                # A client that is back expects this event before the frames that waited for it.
                yield command
                return
            case Kind.BEGIN:
                yield from self._begin_answer(seen.answer)
            case Kind.SPEECH:
                self._last_answer, self._cancels_next = "", False
            case Kind.DONE:
                self._active.pop(seen.answer, None)
                yield from self._flush(*(key for key, it in self._texts.items() if it.answer == seen.answer))
            case Kind.USER_PART if self._guard.checks("user"):
                self.dropped += 1
                return
            case Kind.USER if self._guard.checks("user"):
                yield from self._begin_window("user", seen.text, frame)
                return
            case Kind.DELTA | Kind.END | Kind.AGENT if self._guard.checks("agent"):
                yield from self._take_text(frame)
                return
        if fields is not None and self._guard.checks("agent"):
            yield from self._check_whole(fields)
        yield from self._hold(frame)
        yield from self._say_now()

    def _hold(self, frame: RelayFrame) -> Iterator[messages.Command]:
        has_rest = False
        if frame.seen.kind is Kind.AUDIO:
            texts = [it for it in self._texts.values() if it.answer == frame.seen.answer]
            if any(it.hides_audio for it in texts):
                self.dropped += 1
                return
            # The rest of a text belongs to the next window of that text, and the audio after the rest does, too.
            has_rest = any(it.windows.has_rest for it in texts)
        frame.awaited = self._started + has_rest
        if self._held or self._open or has_rest:
            self._keep(frame)
        else:
            yield from self._sent(frame)

    def _keep(self, frame: RelayFrame) -> None:
        frame.size_bytes = len(frame.text or frame.command.frame)
        self._held_bytes += frame.size_bytes
        self._held.append(frame)

    def _take_held(self) -> RelayFrame:
        frame = self._held.popleft()
        self.record_due += 1
        self._held_bytes -= frame.size_bytes
        return frame

    def _withhold_frame(self, problem: str) -> Iterator[messages.Command]:
        """Withhold a frame that is not read. It may have a part of any text, so withhold the rest of each answer."""
        self.dropped += 1
        answers = {*self._active, *(it.answer for it in self._texts.values())} - self._muted.keys()
        for answer in answers if self._guard.checks("agent") else ():
            self._mute(answer)
            yield from self._cancel(answer)
        yield from self._withhold_unchecked(problem)
        yield from self._release()

    def _check_whole(self, fields: Fields) -> Iterator[messages.Command]:
        """Begin a window with each text of the agent that no earlier frame had. Until its verdict the text is empty."""
        for key, answer, text in self._dialect.whole_texts(fields):
            if key in self._texts or not text.strip() or self._is_own(text):
                continue
            self._texts[key] = AgentText(self.new_windows(is_whole=True), answer, is_whole=True, is_altered=True)
            _forget_oldest(self._texts)
            if answer not in self._muted:
                yield from self._open_window("agent", key, answer, text)

    def _begin_answer(self, answer: str) -> Iterator[messages.Command]:
        self._active[answer] = None
        self._last_answer = answer
        if self._cancels_next:
            self._cancels_next = False
            self._mute(answer)
            yield from self._cancel(answer)

    # Texts for the client.

    def _take_text(self, frame: RelayFrame) -> Iterator[messages.Command]:
        """Take a frame with a text of the agent. If the frame ends a text, check that text's rest first."""
        seen, text = frame.seen, self._text(frame.seen)
        if seen.answer in self._muted and not self._is_own(seen.text):
            text.is_altered = True
            if seen.kind is Kind.END:
                yield from self._hold(frame)
            else:
                self.dropped += 1
            return
        if seen.kind is Kind.DELTA:
            text.delta = frame.fields
            for window in text.windows.add(seen.text):
                yield from self._begin_window("agent", window, _as_delta(text, seen))
            return
        yield from self._flush(seen.key)
        # Some servers send only the whole text.
        if seen.text and (seen.kind is Kind.AGENT or not text.newest):
            yield from self._begin_window("agent", seen.text, frame)
        else:
            yield from self._hold(frame)

    def _text(self, seen: Seen) -> AgentText:
        text = self._texts.get(seen.key)
        if text is None or text.answer != seen.answer:
            self._texts.pop(seen.key, None)
            text = self._texts[seen.key] = AgentText(self.new_windows(is_whole=False), seen.answer)
            _forget_oldest(self._texts)
        return text

    def _flush(self, *keys: str) -> Iterator[messages.Command]:
        """Begin a last window with the rest of each text of `keys`, because no more of these texts follows."""
        for key in keys:
            text = self._texts.get(key)
            if text is not None:
                for window in text.windows.flush():
                    yield from self._begin_window("agent", window, _as_delta(text, Seen(Kind.DELTA, key, text.answer)))

    def _begin_window(self, source: Source, text: str, frame: RelayFrame) -> Iterator[messages.Command]:
        frame.text = text
        if not text.strip() or (source == "agent" and self._is_own(text)):
            yield from self._hold(frame)
            return
        frame.awaited = self._started + 1
        self._keep(frame)
        yield from self._open_window(source, frame.seen.key, frame.seen.answer, text)

    def _open_window(self, source: Source, key: str, answer: str, text: str) -> Iterator[messages.Command]:
        self._started += 1
        if source == "agent":
            self._texts[key].newest = self._started
        self._open.append(RelayWindow(self._started, source, key, answer, text))
        if len(self._open) == 1:
            yield self._check_of(self._open[0])

    def _check_of(self, window: RelayWindow) -> messages.StartWork:
        return self._work("window", window.source, window.text)

    def _is_own(self, text: str) -> bool:
        return bool(text.strip()) and any(text.strip() in own for own in self._own)

    # Frames that leave.

    def _release(self) -> Iterator[messages.Command]:
        """Send the frames that no longer await a verdict."""
        has_rest = any(it.windows.has_rest for it in self._texts.values())
        waiting: float = self._started + 1 if has_rest else math.inf
        if self._open:
            waiting = self._open[0].number
        while self._held and self._held[0].awaited < waiting:
            yield from self._sent(self._take_held())

    def _sent(self, frame: RelayFrame) -> Iterator[messages.Command]:
        seen = frame.seen
        if seen.kind in _CONTENT and seen.answer in self._muted:
            if not self._is_own(frame.text or seen.text):
                self.dropped += 1
                return
            del self._muted[seen.answer]  # from here on the guard itself speaks in this answer
        text = self._fates.get(seen.text) if seen.kind in _ECHOES else frame.text
        if frame.fields is None:
            yield frame.command
        elif text is None:
            is_altered = any(it.is_altered for it in self._texts.values())
            rewritten = self._dialect.rewritten(frame.fields, self._altered) if is_altered else None
            yield frame.command if rewritten is None else _written(rewritten)
        else:
            yield from self._sent_with(text, frame, frame.fields)

    def _sent_with(self, text: str, frame: RelayFrame, fields: Fields) -> Iterator[messages.Command]:
        known = self._texts.get(frame.seen.key)
        if known is not None and frame.seen.kind in (Kind.DELTA, Kind.END, Kind.AGENT):
            known.passed.append(text)
        if frame.seen.text == text:
            yield frame.command
            return
        changed = self._dialect.with_text(fields, text)
        if changed is None:
            self.dropped += 1
        else:
            yield _written(changed)

    def _altered(self, key: str) -> str | None:
        text = self._texts.get(key)
        return "".join(text.passed) if text is not None and text.is_altered else None

    def _release_the_rest(self) -> Iterator[messages.Command]:
        held, self._held, self._held_bytes = self._held, deque(), 0
        for window in self._open:
            self._alter(window, "")
        self._open.clear()
        for frame in held:
            if frame.text is None and frame.seen.kind not in _CONTENT:
                yield from self._sent(frame)
            else:
                self._set_fate(frame, "")
                self.dropped += 1

    # Verdicts.

    def _judge_window(self, verdict: Verdict, now_s: float) -> Iterator[messages.Command]:
        if not self._open:
            return  # this happens only in a replay, whose masked text may have fewer windows
        window = self._open.popleft()
        if window.source == "agent" and window.answer in self._muted:
            verdict = PASS  # the frames of the window are already withheld
        if verdict.action == "replace":
            self._change(window, verdict.text)
            # The words cannot be removed from the audio, so drop the audio.
            self._drop_audio(window)
        elif verdict.action != "pass":
            self._change(window, "")
            yield from self._tell(BLOCKED)
            yield from self._stop_answer(window)
        elif window.answer not in self._muted:
            self._show_whole(window)
        yield from self._act(verdict, now_s, is_cancelled=True)
        while self._open and self._open[0].source == "agent" and self._open[0].answer in self._muted:
            self._open.popleft()
        yield from self._release()
        if self._open:
            yield self._check_of(self._open[0])

    def _change(self, window: RelayWindow, text: str) -> None:
        # The frames of the window are the first ones that wait, apart from those before an empty rest of a text.
        for frame in takewhile(lambda it: it.awaited <= window.number + 1, self._held):
            if frame.awaited == window.number and frame.text is not None:
                frame.text = text
                self._set_fate(frame, text)
        self._alter(window, text)

    def _set_fate(self, frame: RelayFrame, text: str) -> None:
        if frame.seen.text:
            self._fates[frame.seen.text] = text
            _forget_oldest(self._fates)

    def _alter(self, window: RelayWindow, text: str) -> None:
        known = self._texts.setdefault(window.key, AgentText(self.new_windows(is_whole=True), window.answer))
        known.is_altered = True
        known.replaced = window.number if text else known.replaced
        if window.source == "user" or known.is_whole:
            known.passed = [text]

    def _show_whole(self, window: RelayWindow) -> None:
        known = self._texts.get(window.key)
        if known is not None and known.is_whole:
            known.passed, known.is_altered = [window.text], False

    def _drop_audio(self, window: RelayWindow) -> None:
        if window.source == "agent":
            kept: list[RelayFrame] = []
            while self._held and self._held[0].awaited <= window.number + 1:
                frame = self._take_held()
                if frame.awaited == window.number and frame.seen.kind is Kind.AUDIO:
                    self.dropped += 1
                else:
                    kept.append(frame)
                    self._held_bytes += frame.size_bytes
            self._held.extendleft(reversed(kept))

    def _stop_answer(self, window: RelayWindow) -> Iterator[messages.Command]:
        """Withhold and cancel the answer that has a blocked text, or that responds to a blocked text of the user."""
        answer = window.answer if window.source == "agent" or window.answer else self._last_answer
        known = self._texts.get(window.key)
        if known is not None and known.is_whole and not answer:
            return  # the item is of no answer that could be stopped
        if answer:
            self._mute(answer)
            yield from self._cancel(answer)
        else:
            self._cancels_next = True

    def _mute(self, answer: str) -> None:
        self._muted[answer] = None
        _forget_oldest(self._muted)
        for text in self._texts.values():
            if text.answer == answer:
                text.is_altered = True
                text.windows = self.new_windows(is_whole=False)

    def _cancel(self, answer: str) -> Iterator[messages.Command]:
        message = self._dialect.cancel(answer) if answer in self._active else None
        if message is not None:
            yield from self._send_as_client(message)

    def _send_as_client(self, message: str) -> Iterator[messages.Command]:
        yield from self._pass_on(self._machine.handle(messages.ClientTextReceived(message), self._now_s))

    def _act(self, verdict: Verdict, now_s: float, *, is_cancelled: bool = False) -> Iterator[messages.Command]:
        if verdict.action in ("cancel", "say") and not is_cancelled:
            for answer in list(self._active):
                self._mute(answer)
                yield from self._cancel(answer)
        if verdict.action == "say" and verdict.text.strip():
            self._own = [*self._own[-7:], verdict.text]
            self._say = verdict.text
            yield from self._say_now()
        elif verdict.action == "end":
            for command in self._machine.handle(messages.EndRequested(), now_s):
                yield from self._pass_on(self._dialect.ended(command))

    def _say_now(self) -> Iterator[messages.Command]:
        """Make the agent say the waiting words of a verdict, if there are any.

        During an answer they wait on, unless the dialect interrupts it.
        """
        if self._say and (self._dialect.interrupts or not self._active):
            words, self._say = self._say, ""
            message = self._dialect.say(words)
            if message is not None:
                self._cancels_next = False
                yield from self._send_as_client(message)

    def _tell(self, description: str, message: messages.Input | None = None) -> Iterator[messages.Command]:
        notice = self._dialect.notice(description, message)
        if notice is not None:
            yield messages.SendToClient(notice)

    def _note_typed(self, text: str) -> None:
        pass  # a relay does not check the echo of a typed text


def _is_audio(command: messages.SendToClient | messages.EndSession) -> bool:
    return isinstance(command, messages.SendToClient) and isinstance(command.frame, bytes)


def _as_delta(text: AgentText, seen: Seen) -> RelayFrame:
    """Return a frame for a window of a text. The text is set later."""
    return RelayFrame(0, messages.SendToClient(""), text.delta, seen._replace(text=""))


def _fields(frame: str | bytes) -> Fields | None:
    """Return the fields of a text frame, and None for a binary frame.

    Raises:
        UncheckableError: the frame exceeds a bound, or is unreadable.
    """
    if isinstance(frame, bytes):
        return None
    if len(frame) > MAX_FRAME_CHARS:
        raise UncheckableError(f"a frame has more than {MAX_FRAME_CHARS} characters")
    exceeded = exceeded_bound(frame)
    if exceeded is not None:
        raise UncheckableError(f"a frame {exceeded}")
    try:
        found = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        found = _with_halves(frame, error)
    return found if isinstance(found, dict) else {}


def _with_halves(frame: str, error: orjson.JSONDecodeError) -> Any:
    # A delta may end within a character, and many clients read such a frame (`router.openai.codec`).
    if "surrogate" not in str(error) or len(frame) > MAX_RECOUNT_CHARS:
        raise UncheckableError("a frame is not JSON")
    try:
        return orjson.loads(json.dumps(json.loads(frame), ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise UncheckableError("a frame is not JSON") from None


def _written(fields: Fields) -> messages.SendToClient:
    return messages.SendToClient(orjson.dumps(fields).decode())


def _forget_oldest(known: dict[str, Any]) -> None:
    while len(known) > MAX_TEXTS:
        del known[next(iter(known))]
