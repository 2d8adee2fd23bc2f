"""A machine around the session's machine. It holds back texts and audio that the guard has not checked yet.

Here the agent's text and audio wait on their way to the client. In `inputs` messages wait on their way to the session.
Each check is work for a pool.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec
import orjson

from actors import messages
from actors.machine import Machine
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.guard.inputs import BLOCKED, OVER_BOUNDS, GuardedInputs
from router.guard.marks import GuardedMarks
from router.guard.rules import Verdict
from router.guard.texts import decoded, is_interim, is_of_agent, is_of_user, shown, with_shown
from router.guard.windows import Windows
from router.openai import codec as openai_codec
from router.openai import events as openai

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actors.machine import Marks
    from router.config.guard import Guard, Source

MAX_EVENT_CHARS: Final = 256 * 1024
"""The longest text of the agent in one event. A longer text is withheld: no answer of a model has as much."""

MAX_REPLACED: Final = 64
"""The most texts with replaced words while frames wait. Further such texts are withheld.

The bound is needed because each frame is searched for all these texts.
"""

MAX_RESPONSES: Final = 64
"""The most ids of responses that are remembered."""

MAX_DECODED_CHARS: Final = 1024 * 1024
"""The longest event that is searched before it is decoded. The codec refuses most longer ones without a parse."""

_BEGUN: Final = '"response.created"'
_WATCHED: Final = ("text.d", "transcript.d", _BEGUN, '"response.output_item.added"', '"response.done"', "\\u")
"""The parts of an event that the guard may have to decode: its type, or an escape that may hide the type."""
_OUTPUTS: Final = (
    openai.ResponseOutputItemAdded,
    openai.ResponseOutputTextDelta,
    openai.ResponseOutputTextDone,
    openai.ResponseOutputAudioTranscriptDelta,
    openai.ResponseOutputAudioTranscriptDone,
)
_ITEM_DONE: Final = "item.done"

_GIVES_UP: Final = (messages.AbandonUpstream, messages.CloseUpstream)
_ENDED: Final = deepgram.Error(description="the guard ended the session", code="GUARD_ENDED")


class OpenWindow(msgspec.Struct):
    """A text that is checked at once: a part of the agent's text, or a text of the user's speech."""

    text: str
    number: int
    answer: int


class HeldFrame(NamedTuple):
    """A frame that waits for a verdict before the client gets it."""

    awaited: int
    """The number of the window whose verdict the frame awaits."""
    command: messages.SendToClient
    answer: int


class SpeakingMachine(Machine, Protocol):
    """The session's machine, in which audio of the agent waits until the client has played enough."""

    def withhold(self, now_s: float, *, is_present: bool) -> Iterable[messages.Command]:
        """Withhold the rest of the present answer, or of all earlier ones."""


class GuardedMachine(GuardedInputs):
    """The session's machine with a guard. It is pure, like the session."""

    def __init__(self, machine: SpeakingMachine, guard: Guard, session_id: str) -> None:
        super().__init__(machine, guard, session_id)
        self._session = machine
        self._windows = Windows(guard.window_chars)
        self._open: deque[OpenWindow] = deque()
        """The windows without a verdict, in order. The first of them is being checked."""
        self._started = 0
        """The number of the newest window."""
        self._answer = 0
        """The number of the present answer. It is needed because a verdict may come after the next answer has begun."""
        self._held: deque[HeldFrame] = deque()
        """The frames to the client that wait, in order."""
        self._transcripts: dict[int, str] = {}
        """The user's texts that are checked, by the number of their window."""
        self._replaced: list[tuple[str, str]] = []
        self._is_muted = False
        """Whether the rest of the present answer is withheld."""
        self._running: deque[str] = deque(maxlen=MAX_RESPONSES)
        """The responses of the present upstream that have brought output, and have not ended."""
        self._ended: deque[str] = deque(maxlen=MAX_RESPONSES)
        """The newest responses of the present upstream that have ended."""
        self._has_delta = False
        self._is_item = False
        """Whether the session handles a finished item. Its text, which the client gets, was in no earlier event."""
        self._held_bytes = 0
        """The bytes of `_held`."""
        self._generation = 0
        self._own: list[str] = []
        """The words of verdicts that made the agent say them. These words are not checked."""
        self._typed: deque[str] = deque(maxlen=16)
        """Typed texts that have passed. The session repeats each to the client, and that echo is not checked again."""
        self.dropped = 0
        """The number of frames that were withheld."""

    def held_bytes(self) -> int:
        """Return the bytes that the session holds, plus those of the frames and messages that wait for a verdict."""
        return super().held_bytes() + self._held_bytes

    def marks_around(self, marks: Marks) -> Marks:
        """Return the signs that the session and this guard have to be stored. `marks` are those of the session."""
        return GuardedMarks(self, marks)

    def count_held(self) -> None:
        """Count the bytes of the waiting frames anew, because they come from another process."""
        self._held_bytes = sum(len(it.command.frame) for it in self._held)

    @property
    def is_at_rest(self) -> bool:
        """Whether no message, no frame and no text of an answer waits."""
        return super().is_at_rest and not (self._open or self._held or self._windows.has_rest)

    # Inputs.

    def _take(self, message: messages.Input, now_s: float) -> Iterator[messages.Command]:
        match message:
            case messages.UpstreamTextReceived(generation, text):
                event = self._read(text)
                size_chars = len(_text_of(event))
                if size_chars > MAX_EVENT_CHARS and self._guard.checks("agent"):
                    yield from self._withhold_event(generation, size_chars, now_s)
                    return
                is_item = isinstance(event, openai.ConversationItemDone) if event is not None else _ITEM_DONE in text
                self._is_item = is_item and self._guard.checks("agent")
                # Watch before the session handles the text, because the session's frames for it follow.
                yield from self._watch(generation, event)
            case messages.UpstreamLost(generation):
                self._generation = 0 if generation == self._generation else self._generation
                self._running.clear()
                self._ended.clear()
                # The answer gets no end any more, and no frame may wait for that end.
                yield from self._finish_text()
            case messages.ClientAdopted(words=words):
                yield from self._finish_adopted(words)
        for command in super()._take(message, now_s):
            if isinstance(command, _GIVES_UP) and command.generation == self._generation:
                self._generation = 0
            yield command
        self._is_item = False
        if isinstance(message, messages.ClientAdopted):
            # The machine first takes its own place in the conversation, and then the texts that waited.
            yield from self._check_next_input(now_s)

    def _finish_adopted(self, words: str) -> Iterator[messages.Command]:
        """Check again the texts that waited in another process, and the words that came after its record."""
        if self._open:
            yield self._check_of(self._open[0])
        if self._guard.checks("agent"):
            yield from self._begin_windows(self._windows.add(words))
        yield from self._finish_text()

    # The agent's text.

    def _read(self, text: str) -> Any:
        """Return the event if the guard needs it, or else None."""
        if len(text) <= MAX_DECODED_CHARS and not any(
            it in text for it in (_WATCHED if self._guard.checks("agent") else (_BEGUN,))
        ):
            return None
        event = openai_codec.decode(text)
        # The session handles an event without its unreadable fields, too.
        return event.event if isinstance(event, openai_codec.Partial) else event

    def _withhold_event(self, generation: int, size_chars: int, now_s: float) -> Iterator[messages.Command]:
        """Withhold an event whose text exceeds the bound, and the rest of its answer."""
        self.dropped += 1
        if self._is_muted:
            return
        self._is_muted, self._generation = True, generation
        list(self._windows.flush())
        # The frames that wait for the rest of the text belong to the same answer.
        self._drop(OpenWindow("", self._started + 1, self._answer), audio_only=False)
        yield from self._withhold_unchecked(f"a text of the agent has {size_chars} characters")
        yield from self._withhold_rest(now_s, is_present=True)
        yield from self._cancel()
        yield from self._release()

    def _watch(self, generation: int, event: Any) -> Iterator[messages.Command]:
        begins = self._begins_unannounced(event)
        if isinstance(event, openai.ResponseCreated) or begins:
            self._is_muted, self._generation = False, generation
            self._answer += 1
            self.record_due += 1
            if not self._held and not self._open:  # a frame of the previous answer may still wait
                self._replaced.clear()
        if not self._guard.checks("agent"):
            return
        match event:
            case openai.ResponseOutputTextDelta(delta) | openai.ResponseOutputAudioTranscriptDelta(delta):
                self._generation, self._has_delta = generation, True
                yield from self._begin_windows(self._windows.add(delta))
            case openai.ResponseOutputTextDone() | openai.ResponseOutputAudioTranscriptDone():
                if not self._has_delta:  # some servers send only the whole text
                    whole = event.text if isinstance(event, openai.ResponseOutputTextDone) else event.transcript
                    yield from self._begin_windows(self._windows.add(whole or ""))
                yield from self._finish_text()
            case openai.ResponseDone():
                yield from self._finish_text()

    def _begins_unannounced(self, event: Any) -> bool:
        """Whether an event is the first one of a response, and every earlier response has ended.

        Some servers announce no response. While another response runs, it may be the one whose rest is withheld.
        """
        if isinstance(event, openai.ResponseDone) and event.response.id is not None:
            if event.response.id in self._running:
                self._running.remove(event.response.id)
            self._ended.append(event.response.id)
        if not isinstance(event, _OUTPUTS) or event.response_id is None:
            return False
        is_new = event.response_id not in self._running and event.response_id not in self._ended
        begins = is_new and not self._running and self._is_muted and bool(self._ended)
        if is_new:
            self._running.append(event.response_id)
        return begins

    def _finish_text(self) -> Iterator[messages.Command]:
        self._has_delta = False
        yield from self._begin_windows(self._windows.flush())
        yield from self._release()

    def _begin_windows(self, texts: Iterable[str]) -> Iterator[messages.Command]:
        for text in texts:
            if not self._is_muted:
                yield from self._begin_window(text, "agent")

    def _begin_window(self, text: str, source: Source) -> Iterator[messages.Command]:
        if source == "agent" and (not text.strip() or any(text.strip() in own for own in self._own)):
            return
        self._started += 1
        if source == "user":
            self._transcripts[self._started] = text
        self._open.append(OpenWindow(text, self._started, self._answer))
        if len(self._open) == 1:
            yield self._work("window", source, text)

    # Commands.

    def _to_client(self, command: messages.SendToClient) -> Iterator[messages.Command]:
        frame = decoded(command.frame)
        if self._is_muted and is_of_agent(frame):
            self.dropped += 1
            return
        spoken = self._spoken(frame)
        if spoken is not None and frame is not None:
            if is_interim(frame):
                self.dropped += 1
                return
            # The frames behind a text repeat it, and await the same window.
            if spoken != self._transcripts.get(self._started):
                yield from self._begin_window(spoken, "user")
        elif self._is_item and frame is not None and frame.get("type") == "ConversationText" and is_of_agent(frame):
            yield from self._begin_window(str(frame.get("content")), "agent")
        # The agent's text in an unfinished window belongs to the next window, and what follows keeps its place. The
        # user's text awaits its own window, because a verdict withholds the frames of that window.
        awaited = self._started + 1 if self._windows.has_rest and spoken is None else self._started
        if self._held or self._open or (self._windows.has_rest and is_of_agent(frame)):
            self._held.append(HeldFrame(awaited, command, self._answer))
            self._held_bytes += len(command.frame)
        else:
            yield self._with_replacements(command)

    def _spoken(self, frame: dict[str, Any] | None) -> str | None:
        """Return the text of a frame if it is the user's speech, and the guard checks such texts. Else return None."""
        if frame is None or not is_of_user(frame) or not self._guard.checks("user"):
            return None
        text = shown(frame)
        return None if text in self._typed else text

    def _release(self) -> Iterator[messages.Command]:
        """Send the frames that no longer await a verdict."""
        if self._open:
            waiting: float = self._open[0].number
        else:
            waiting = self._started + 1 if self._windows.has_rest else math.inf
        while self._held and self._held[0].awaited < waiting:
            # Bytes after a record count as audio that never waited.
            self.record_due += 1
            yield self._with_replacements(self._take_held().command)

    def _take_held(self) -> HeldFrame:
        held = self._held.popleft()
        self._held_bytes -= len(held.command.frame)
        return held

    def _release_the_rest(self) -> Iterator[messages.Command]:
        held, self._held, self._held_bytes = self._held, deque(), 0
        for it in held:
            frame = decoded(it.command.frame)
            if is_of_agent(frame) or self._spoken(frame) is not None:
                self.dropped += 1
            else:
                yield it.command

    def _with_replacements(self, command: messages.SendToClient) -> messages.SendToClient:
        frame = decoded(command.frame) if self._replaced else None
        text = shown(frame) if frame is not None else None
        if frame is None or text is None:
            return command
        for before, after in self._replaced:
            text = text.replace(before, after)
        return messages.SendToClient(orjson.dumps(with_shown(frame, text)).decode())

    # Verdicts.

    def _judge_window(self, verdict: Verdict, now_s: float) -> Iterator[messages.Command]:
        if not self._open:
            return  # this happens only in a replay, whose masked text may have fewer windows
        window = self._open.popleft()
        is_user = self._transcripts.pop(window.number, None) is not None
        if verdict.action == "replace" and len(self._replaced) >= MAX_REPLACED:
            self.hits[OVER_BOUNDS] = self.hits.get(OVER_BOUNDS, 0) + 1
            verdict = Verdict("block")
        if verdict.action == "replace":
            self._replaced.append((window.text.strip(), verdict.text.strip()))
            if not is_user:
                # The words cannot be removed from the audio, so drop the audio.
                self._drop(window, audio_only=True)
        elif verdict.action != "pass":
            self._drop(window, audio_only=False, is_user=is_user)
            yield from self._tell(BLOCKED)
            is_present = is_user or window.answer == self._answer
            if is_present and not is_user and verdict.action != "say":
                self._is_muted = True
            if verdict.action in ("block", "cancel"):
                yield from self._withhold_rest(now_s, is_present=is_present)
            if is_present and verdict.action in ("block", "cancel"):
                # The agent has already heard a user who spoke, so only the answer can be stopped.
                yield from self._cancel()
        yield from self._act(verdict, now_s, is_cancelled=True)
        yield from self._release()
        if self._open:
            yield self._check_of(self._open[0])

    def _withhold_rest(self, now_s: float, *, is_present: bool) -> Iterator[messages.Command]:
        """Withhold the audio that waits in the session: it would follow when the next answer ends the muting."""
        yield from self._pass_on(self._session.withhold(now_s, is_present=is_present))

    def _check_of(self, window: OpenWindow) -> messages.StartWork:
        source: Source = "user" if window.number in self._transcripts else "agent"
        return self._work("window", source, window.text)

    def _drop(self, window: OpenWindow, *, audio_only: bool, is_user: bool = False) -> None:
        """Drop the held frames of a window.

        With `audio_only` drop only its audio, and with `is_user` only the frames with the user's text. Without either,
        the window is a blocked text of the agent. Then also drop the later text and audio of the same answer.
        """
        kept: list[HeldFrame] = []
        is_partial = audio_only or is_user
        # The frames of a window are the first ones that wait, so the number of frames behind them costs nothing. Only
        # a frame before an empty rest of a text awaits a window that is one higher.
        while self._held and (not is_partial or self._held[0].awaited <= window.number + 1):
            held = self._take_held()
            frame = decoded(held.command.frame)
            is_rest = held.awaited > window.number and held.answer == window.answer
            is_its = held.awaited == window.number or (is_rest and not audio_only and not is_user)
            if is_user:
                is_content = frame is not None and is_of_user(frame)
            else:
                is_content = isinstance(held.command.frame, bytes) if audio_only else is_of_agent(frame)
            if is_its and is_content:
                self.dropped += 1
            else:
                kept.append(held)
                self._held_bytes += len(held.command.frame)
        self._held.extendleft(reversed(kept))

    def _cancel(self) -> Iterator[messages.Command]:
        if self._generation:
            yield messages.SendToUpstream(openai_codec.encode(openai.ResponseCancel()), self._generation)

    def _note_typed(self, text: str) -> None:
        self._typed.append(text)

    def _tell(self, description: str, _message: messages.Input | None = None) -> Iterator[messages.Command]:
        warning = deepgram.Warning(description=description, code="GUARD_BLOCKED")
        yield messages.SendToClient(deepgram_codec.encode(warning))

    def _act(self, verdict: Verdict, now_s: float, *, is_cancelled: bool = False) -> Iterator[messages.Command]:
        if verdict.action == "cancel" and not is_cancelled:
            yield from self._cancel()
        elif verdict.action == "say" and verdict.text.strip():
            self._own = [*self._own[-7:], verdict.text]
            said = injection(verdict.text)
            yield from self._pass_on(self._machine.handle(messages.ClientTextReceived(said), now_s))
        elif verdict.action == "end":
            for command in self._machine.handle(messages.EndRequested(), now_s):
                yield from self._pass_on([_as_ended(command)])


def _text_of(event: Any) -> str:
    match event:
        case openai.ResponseOutputTextDelta(delta) | openai.ResponseOutputAudioTranscriptDelta(delta):
            return delta
        case openai.ResponseOutputTextDone():
            return event.text or ""
        case openai.ResponseOutputAudioTranscriptDone():
            return event.transcript or ""
    return ""


def injection(words: str) -> str:
    """Return the client's message that makes the agent say `words` at once, in place of its present speech."""
    return orjson.dumps({"type": "InjectAgentMessage", "message": words, "behavior": "interrupt"}).decode()


def _as_ended(command: messages.Command) -> messages.Command:
    if isinstance(command, messages.SendToClient) and (decoded(command.frame) or {}).get("type") == "Error":
        return messages.SendToClient(deepgram_codec.encode(_ENDED))
    if isinstance(command, messages.EndSession):
        return msgspec.structs.replace(command, reason=_ENDED.code)
    if isinstance(command, messages.Notify) and getattr(command.notification, "code", None) == "SESSION_ENDED":
        # This is the report of the same Error for the summary of the session.
        failed = msgspec.structs.replace(command.notification, code=_ENDED.code, description=_ENDED.description)
        return messages.Notify(failed)
    return command
