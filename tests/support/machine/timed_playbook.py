"""A Playbook with a clock: deadlines expire by themselves, and all commands are kept.

Time is virtual. `run` lets it pass: each deadline fires when it is due, an open microphone sends a frame every 100 ms,
and an upstream may repeat an event. So a test can check a question after a number of seconds, and need not name the
deadline that the session uses.
"""

from collections.abc import Iterator
from typing import Any, Self

import orjson
import pybase64

from actors import messages
from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.playbook import Playbook, delta, error, item_added

FRAME_S = 0.1
FRAME = bytes(4800)
"""100 ms of a microphone that is open and silent: linear16 at 24 kHz."""

BYTES_PER_S = 48_000

MOST_STEPS = 50_000


class TimedPlaybook(Playbook):
    """One session, all of its commands, and a clock."""

    def __init__(self, profile: str = "openai", **options: Any) -> None:
        super().__init__(profile, **options)
        self.due_s: dict[str, float] = {}
        """The time at which each deadline expires."""
        self.performed: list[tuple[float, messages.Command]] = []
        """All commands so far, with the time of each."""
        self._acknowledged: set[tuple[int, str]] = set()

    # Time.

    def run(
        self, duration_s: float, *, microphone: bytes | None = None, event: Any = None, every_s: float = 1.0
    ) -> Self:
        """Let time pass. `microphone` is sent every 100 ms, `event` comes from the upstream every `every_s`."""
        until_s = self.now_s + duration_s
        ticks = {}
        if microphone is not None:
            ticks["microphone"] = (FRAME_S, lambda: self.client(microphone))
        if event is not None:
            ticks["upstream"] = (every_s, lambda: self.upstream(event))
        next_s = {name: self.now_s + every for name, (every, _) in ticks.items()}
        for _ in range(MOST_STEPS):
            if self.ending is not None:
                break
            first = min(next_s, key=next_s.__getitem__) if next_s else None
            wait = min(self.due_s, key=self.due_s.__getitem__) if self.due_s else None
            tick_s = next_s[first] if first is not None else until_s + 1
            due_s = self.due_s[wait] if wait is not None else until_s + 1
            if min(tick_s, due_s) > until_s:
                break
            self.now_s = max(self.now_s, min(tick_s, due_s))
            if wait is not None and due_s < tick_s:
                self.fire(Wait(wait))
            elif first is not None:
                next_s[first] = tick_s + ticks[first][0]
                ticks[first][1]()
        else:
            raise AssertionError(f"the session does not come to rest: {self.due_s}")
        self.now_s = max(self.now_s, until_s)
        return self

    def fire(self, wait: Wait) -> Self:
        self.due_s.pop(wait.value, None)
        super().fire(wait)
        return self

    # What was sent, from the beginning.

    def sent(self, kind: str, *, since: int = 0, generation: int | None = None) -> list[dict[str, Any]]:
        """Return the events of a type to an upstream, from the place `since` on."""
        found = self._upstream_events(since, generation)
        return [event for event in found if event["type"] == kind]

    def received(self, kind: str, *, since: int = 0) -> list[dict[str, Any]]:
        """Return the messages of a type to the client, from the place `since` on."""
        return [it for it in self._client_frames(since) if isinstance(it, dict) and it["type"] == kind]

    def texts(self, role: str = "assistant", *, since: int = 0) -> list[str]:
        """Return the ConversationTexts of a role, without the lines that show function calls."""
        contents = (it["content"] for it in self.received("ConversationText", since=since) if it["role"] == role)
        return [it for it in contents if not it.startswith("Function call: ")]

    def audio_bytes(self, *, since: int = 0) -> int:
        """Return the bytes of audio to the client, from the place `since` on."""
        return sum(len(it) for it in self._client_frames(since) if isinstance(it, bytes))

    def appended(self, *, since: int = 0, generation: int | None = None) -> bytes:
        """Return the microphone audio that an upstream received."""
        appends = self.sent("input_audio_buffer.append", since=since, generation=generation)
        return b"".join(pybase64.b64decode(it["audio"]) for it in appends)

    def asked(self, *, since: int = 0) -> list[dict[str, Any]]:
        """Return the response requests of the conversation. A verbatim text has a response outside of it."""
        return [it for it in self.sent("response.create", since=since) if not is_outside(it)]

    def losses(self, *, since: int = 0) -> list[str]:
        """Return the deadlines whose expiry let the session abandon an upstream."""
        return [it.loss.cause for _, it in self.performed[since:] if isinstance(it, messages.AbandonUpstream)]

    def last_text(self, *, since: int = 0) -> int:
        """Return the position in `frames` of the agent's last ConversationText; -1 for none."""
        is_text = [
            isinstance(it, dict) and it["type"] == "ConversationText" and it["role"] == "assistant"
            for it in self.frames(since=since)
        ]
        return len(is_text) - 1 - is_text[::-1].index(True) if True in is_text else -1

    def frames(self, *, since: int = 0) -> list[Any]:
        """Return all frames to the client, without History and LatencyReport."""
        kept = self._client_frames(since)
        return [it for it in kept if isinstance(it, bytes) or it["type"] not in ("History", "LatencyReport")]

    @property
    def here(self) -> int:
        """The present place in the list of commands, for `since`."""
        return len(self.performed)

    # What peers do.

    def types(self, content: str, *, acknowledged: bool = True) -> Self:
        """Send a message of the user, and let the upstream acknowledge its item."""
        self.client({"type": "InjectUserMessage", "content": content})
        return self.acknowledge() if acknowledged else self

    def acknowledge(self) -> Self:
        """Let the upstream acknowledge every item that it received."""
        generation = self.generation
        for event in self.sent("conversation.item.create", generation=generation):
            item = event["item"]
            key = (generation, item.get("id", ""))
            if key not in self._acknowledged:
                self._acknowledged.add(key)
                role = item.get("role", "user") if item["type"] == "message" else None
                content = [{"type": it["type"]} for it in item.get("content") or ()]
                self.upstream(item_added(item.get("id"), role, type=item["type"], content=content))
        return self

    def restarted_after(self, code: int = 1000) -> int:
        """Replace the upstream by one that is ready and has every item. Return the place where its commands begin."""
        self.upstream_closes(code, decision=Decision.RESTART)
        begin = self.here
        self.upstream_opens().upstream(
            {"type": "session.created", "session": {}}, {"type": "session.updated", "session": {}}
        )
        self.acknowledge()
        return begin

    def items(self, *, since: int = 0) -> list[dict[str, Any]]:
        """Return the items that the upstream in use received, from the place `since` on."""
        return [it["item"] for it in self.sent("conversation.item.create", since=since, generation=self.generation)]

    def begins(self, response_id: Any = "resp_1", item_id: Any = "item_1", *, echo: bool = True) -> Self:
        """Begin the response that was requested last. With `echo` the upstream repeats its metadata."""
        requests = self.sent("response.create")
        assert requests, "no response was requested"
        asked = requests[-1].get("response", {})
        metadata = asked.get("metadata") if echo else None
        return self.upstream(created(response_id, metadata), output_item(response_id, item_id))

    def begins_itself(self, response_id: Any = "resp_v", item_id: Any = "item_v") -> Self:
        """Begin a response that was not requested: the upstream's own answer to speech."""
        return self.upstream(created(response_id, None), output_item(response_id, item_id))

    def says(self, text: str, audio_s: float = 0.0, *, response_id: Any = "resp_1", item_id: Any = "item_1") -> Self:
        """Send one whole item of a response: its text, and `audio_s` of audio."""
        said = {"response_id": response_id, "item_id": item_id}
        self.upstream({"type": "response.output_audio_transcript.delta", **said, "delta": text})
        if audio_s:
            self.upstream(spoken(audio_s, response_id, item_id))
        return self.upstream({"type": "response.output_audio_transcript.done", **said, "transcript": text})

    def ends(self, response_id: Any = "resp_1", status: str = "completed", **details: Any) -> Self:
        """End a response."""
        return self.upstream({"type": "response.done", "response": {"id": response_id, "status": status, **details}})

    def answers(self, text: str, audio_s: float = 0.0, *, response_id: str = "resp_1", item_id: str = "item_1") -> Self:
        """Answer the last request completely. The upstream repeats the metadata."""
        self.begins(response_id, item_id)
        return self.says(text, audio_s, response_id=response_id, item_id=item_id).ends(response_id)

    def echoes(self) -> Self:
        """Hold a first turn, in which the upstream shows that it echoes the metadata of a response.create."""
        self.types("Are you there?").answers("I am.", response_id="resp_e", item_id="item_e")
        return self.forget()

    def hears(self, item_id: str = "u1", said: str | None = None) -> Self:
        """Detect a turn of the user and commit it. If `said` has words, transcribe it."""
        self.upstream(*speech(item_id))
        return self if said is None else self.upstream(transcription(said, item_id))

    # Steps.

    def _note(self, command: messages.Command) -> None:
        self.performed.append((self.now_s, command))
        match command:
            case messages.StartTimer(name, delay_s):
                self.due_s[name] = self.now_s + delay_s
            case messages.CancelTimer(name):
                self.due_s.pop(name, None)
            case _:
                pass
        super()._note(command)

    def _upstream_events(self, since: int, generation: int | None) -> Iterator[dict[str, Any]]:
        for _, command in self.performed[since:]:
            if isinstance(command, messages.SendToUpstream) and generation in (None, command.generation):
                yield orjson.loads(command.frame)

    def _client_frames(self, since: int) -> list[Any]:
        sent = (it.frame for _, it in self.performed[since:] if isinstance(it, messages.SendToClient))
        return [it if isinstance(it, bytes) else orjson.loads(it) for it in sent]


def is_outside(event: dict[str, Any]) -> bool:
    """Whether a response.create requests a response outside the conversation, as for a verbatim text."""
    return event.get("response", {}).get("conversation") == "none"


# Events of the upstream.


def created(response_id: Any, metadata: dict[str, Any] | None) -> dict[str, Any]:
    """Make a response.created. OpenAI sends null metadata for a response that it began itself."""
    response = {"id": response_id, "status": "in_progress", "conversation_id": "conv_1", "metadata": metadata}
    return {"type": "response.created", "response": response}


def outside(response_id: Any, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """Make the response.created of a response outside the conversation."""
    event = created(response_id, metadata)
    return {**event, "response": {**event["response"], "conversation_id": None}}


def already_active(book: TimedPlaybook) -> TimedPlaybook:
    """Refuse the last request of a session, because another response is active."""
    event_id = book.sent("response.create")[-1]["event_id"]
    return book.upstream(error("conversation_already_has_active_response", event_id=event_id))


def output_item(response_id: Any, item_id: Any, **item: Any) -> dict[str, Any]:
    """Make the response.output_item.added of a message."""
    said = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": [], **item}
    return {"type": "response.output_item.added", "response_id": response_id, "item": said}


def spoken(duration_s: float, response_id: Any = "resp_1", item_id: Any = "item_1") -> dict[str, Any]:
    """Make a delta with this duration of audio."""
    return delta(bytes(2 * int(duration_s * BYTES_PER_S / 2)), response_id, item_id=item_id)


def speech(item_id: str = "u1") -> list[dict[str, Any]]:
    """Make the events of a detected turn of the user."""
    return [
        {"type": "input_audio_buffer.speech_started", "item_id": item_id, "audio_start_ms": 0},
        {"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": 1000},
        {"type": "input_audio_buffer.committed", "item_id": item_id},
    ]


def started(item_id: str = "u1") -> dict[str, Any]:
    return speech(item_id)[0]


def stopped(item_id: str = "u1") -> dict[str, Any]:
    return speech(item_id)[1]


def committed(item_id: str | None = "u1") -> dict[str, Any]:
    return {"type": "input_audio_buffer.committed", "item_id": item_id}


def transcription(said: str, item_id: str | None = "u1") -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.completed"
    return {"type": kind, "item_id": item_id, "content_index": 0, "transcript": said}
