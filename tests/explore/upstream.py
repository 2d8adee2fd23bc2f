"""The model of an upstream: a conversation, a queue of received events, and the events that it may send next.

An upstream that follows the protocol takes events in order, at any time, and may begin responses to detected speech by
itself. A quirk is a deviation from the protocol that real servers have (docs/upstream-protocol.md). A walk may contain
only a few faults.
"""

import base64
from typing import Any

import orjson

from tests.explore.responses import LAST, LONG, SECOND, SECOND_NUMBER, UNANNOUNCED, Response

LIFE_S = 1500.0
"""The lifetime of an upstream's session in seconds. It is shorter than a session usually expects."""
OPENED_UNIX_S = 1_700_000_000.0
AUDIO_MS = 100
LONG_MS = 60_000
"""The length of an answer of which a part waits, because the client has more than enough to play."""
BYTES_PER_MS = 48
"""The size of linear16 at 24 kHz."""
MARK_BYTES = 3
"""The size of the number that ends each piece of audio."""
SILENCE = {it: "AAAA" * ((it * BYTES_PER_MS - MARK_BYTES) // 3) for it in (AUDIO_MS, LONG_MS)}
"""Audio without its number, as base64, by its length in milliseconds."""

QUIRKS = ("none", "no echo", "numeric ids", "reused ids", "no ids", "no created", "only done", "no causes")
"""The quirks, of which an upstream has one for a whole walk.

It echoes no metadata, gives numbers as ids, begins its ids again in each response, gives its responses and their items
no ids, sends no `response.created`, has whole texts and acknowledgements only in `conversation.item.done`, or names no
event in its errors."""


PARAMS = {
    "conversation.item.create": "item.content",
    "session.update": "session.audio",
    "response.create": "response.instructions",
}
"""The field that an error names, by the type of the refused event."""
COMMIT = "input_audio_buffer.commit"
CAUSE = "cause"
"""The key of an error under which the judge finds the id of the refused event. The session does not get it."""
BUSY = "busy"
"""In place of a kind: the upstream refuses the request, because it has not sent the last response.done."""


class Upstream:
    """The model of one upstream of the session."""

    def __init__(self, generation: int, quirk: str) -> None:
        self.generation = generation
        self.quirk = quirk
        self.phase = "dialled"
        self.has_created = False
        self.expires_s = 0.0
        """The time at which its session expires."""
        self.queue: list[dict[str, Any]] = []
        """The session's events that it has not taken yet, without audio."""
        self.items: list[tuple[str, str]] = []
        """The items of the conversation, each as its kind and its text or id."""
        self.active: Response | None = None
        self.outside: Response | None = None
        """A response outside the conversation. It may run beside the active response."""
        self.unended: Response | None = None
        """The last response whose text was its last event. Some servers send its response.done late, others never."""
        self.is_ending = False
        """The upstream has refused a request because of that response, so it will send its response.done."""
        self.has_audio = False
        self.speech = ""
        """The id of the item of the detected speech."""
        self.has_stopped = False
        self.has_lost_commit = False
        self.owes_answer = False
        """Detected speech was committed, and its response has not begun."""
        self.untranscribed: list[str] = []
        self.detects = True
        self.voice = ""
        self.has_spoken = False
        """The conversation holds audio of the agent's, so the voice is fixed (upstream 2.4)."""
        self.held: list[dict[str, Any]] = []
        """Answers to session.update that the upstream has not sent yet. Some servers take later events meanwhile."""
        self.last: dict[str, Any] | None = None
        """The last event that the upstream sent. It may send that event twice."""
        self.numbers = 0
        self.calls: list[str] = []
        """The ids of calls that have no output yet."""

    @property
    def is_single(self) -> bool:
        """Whether the upstream runs only one response at a time."""
        return self.quirk in ("no created", "reused ids", "no ids")

    # What it receives.

    def receive(self, event: dict[str, Any]) -> None:
        """Add an event to the queue. Audio is not added: its presence matters, and the clear before it."""
        if event["type"] == "input_audio_buffer.append":
            if self._last_end is None:
                self.has_audio = True
            else:
                self._last_end["is_before_audio"] = True
            return
        if event["type"] == COMMIT and not self.keeps_audio:
            event["is_empty"] = True
        self.queue.append(event)

    @property
    def _last_end(self) -> dict[str, Any] | None:
        """The last event in the queue behind which audio is new. A detector hears the audio behind a commit at once."""
        ends = {"input_audio_buffer.clear"} if self.detects else {"input_audio_buffer.clear", COMMIT}
        return next((it for it in reversed(self.queue) if it["type"] in ends), None)

    @property
    def keeps_audio(self) -> bool:
        """Whether uncommitted audio has arrived that no clear in the queue will discard."""
        return self.has_audio if self._last_end is None else "is_before_audio" in self._last_end

    @property
    def hears_audio(self) -> bool:
        """Whether uncommitted audio has arrived. The detector may hear it before the upstream takes earlier events."""
        return self.has_audio or any("is_before_audio" in event for event in self.queue)

    # What it may do.

    def actions(self) -> list[tuple[Any, ...]]:
        """Return the actions that the protocol and the quirk allow now."""
        if self.phase == "opened":
            is_late = self.quirk == "no created" and bool(self.queue)
            return [("created", self.generation)] + [("take", self.generation, "message")] * is_late
        if self.phase != "created":
            return []
        found: list[tuple[Any, ...]] = [] if self.has_created else [("announce", self.generation)]
        if self.held:
            found.append(("updated", self.generation))
        # Without metadata the order tells responses apart: the answer to speech begins before a given text.
        is_behind = self.owes_answer and self.quirk in ("no echo", "no created")
        # Without response.created, with one id for all or without ids, nothing tells two responses at once apart.
        is_busy = self.is_single and (self.outside or self.active) is not None
        is_held = bool(self.queue) and ((is_behind and _is_verbatim(self.queue[0])) or (is_busy and self._is_beside()))
        # It takes a second request for a response outside the conversation at the end of the first.
        is_held |= bool(self.queue) and self.outside is not None and _is_verbatim(self.queue[0])
        if self.queue and not is_held:
            found += [("take", self.generation, kind) for kind in self._kinds(self.queue[0])]
        for response in (self.active, self.outside):
            if response is not None:
                found.append(("step", self.generation, response is self.outside))
        if self.active is not None and self.active.trails:
            found.append(("trail", self.generation))
        is_free = self.active is None and not self.is_ending and not (self.is_single and self.outside is not None)
        if self.owes_answer and is_free:
            found += [("own", self.generation, kind) for kind in self._own_kinds()]
        if self.detects:
            found += self._hearing()
        if self.unended is not None:
            found.append(("end", self.generation))
        return found + [("words", self.generation, item) for item in self.untranscribed]

    @property
    def may_hold(self) -> bool:
        """Whether the upstream may answer the next event of the queue late."""
        return self.phase == "created" and bool(self.queue) and self.queue[0]["type"] == "session.update"

    @property
    def may_refuse(self) -> bool:
        """Whether the upstream may refuse the next event of the queue. It answers updates in their order.

        If its errors name no event, they name a field of the session, an item or a response. Nothing tells other
        refusals apart.
        """
        if self.quirk == "no causes" and self.queue[0]["type"] not in PARAMS:
            return False
        return not self.held or self.queue[0]["type"] != "session.update"

    @property
    def may_repeat(self) -> bool:
        """Whether the upstream may send its last event twice."""
        kind = self.last["type"] if self.last is not None else ""
        # Where responses are not announced, a repeated event is the begin of another one. Without ids it is an event of
        # the next response. A delta is more text.
        is_further = kind.endswith("transcript.delta") or (self.quirk == "no ids" and kind.startswith("response."))
        # An error without its cause is that of the next refusal.
        is_further |= self.quirk == "no causes" and kind == "error"
        return bool(kind) and not is_further and self.quirk != "no created"

    def _is_beside(self) -> bool:
        """Whether the next event of the queue would begin a response beside the active one."""
        event = self.queue[0]
        is_refused = self.active is not None and not _is_verbatim(event)
        return event["type"] == "response.create" and not is_refused

    def _kinds(self, event: dict[str, Any]) -> tuple[str, ...]:
        if is_of_client(event):
            return ("written",)
        if _is_verbatim(event) and self.unended is not None:
            return ("message", BUSY)
        if event["type"] == "response.create" and not _is_verbatim(event):
            if self.quirk == "no created":
                return UNANNOUNCED if self.unended is None else (*UNANNOUNCED, BUSY)
            further = {"only done": ("both",), "none": ("both", "two", LONG)}.get(self.quirk, ("both", "two"))
            return (*self._own_kinds(), *further)
        return ("message",)

    def _own_kinds(self) -> tuple[str, ...]:
        if self.quirk == "only done":
            return ("done only", "call", "overlap done")
        # Without response.created a whole text is the end of its response, so there is no second message. Without ids
        # nothing tells two messages at once apart.
        return ("message", "call") if self.quirk in ("no created", "no ids") else ("message", "call", "overlap")

    def _hearing(self) -> list[tuple[Any, ...]]:
        if not self.speech:
            return [("speech", self.generation)] if self.hears_audio else []
        if self.has_stopped:
            return [("commit", self.generation), ("speech", self.generation)]
        return [("stop", self.generation)]

    # What it does. Each returns the events that it sends.

    def take(self, kind: str) -> list[dict[str, Any]]:
        """Take the next event of the queue, and answer as the protocol says. `kind` is that of a response to begin."""
        self.phase = "created"
        event = self.queue.pop(0)
        handler = getattr(self, "_" + event["type"].replace(".", "_"), None)
        return handler(event, kind) if handler is not None else []

    def _session_update(self, event: dict[str, Any], _kind: str) -> list[dict[str, Any]]:
        audio = event["session"].get("audio") or {}
        # Without the field the detection stays as it was.
        detection = (audio.get("input") or {}).get("turn_detection", True if self.detects else None)
        self.detects = detection is not None and not (
            isinstance(detection, dict) and detection.get("create_response") is False
        )
        voice = (audio.get("output") or {}).get("voice", self.voice)
        if self.has_spoken and voice != self.voice:
            return [self._error("cannot_update_voice", event)]
        self.voice = voice
        updated = {"type": "session.updated", "session": {}}
        if self.held:
            self.held.append(updated)
            return []
        return [updated]

    def hold(self) -> None:
        """Take a session.update from the queue, and answer it later."""
        self.held += self.take("")

    def _conversation_item_create(self, event: dict[str, Any], _kind: str) -> list[dict[str, Any]]:
        item = event["item"] if "id" in event["item"] else {**event["item"], "id": self._new("item")}
        self.items.append((item["type"], _content_of(item)))
        if item["type"] == "function_call_output":
            self.calls = [call for call in self.calls if call != item["call_id"]]
        kind = "done" if self.quirk == "only done" else "added"
        return [{"type": f"conversation.item.{kind}", "item": item}]

    def _conversation_item_delete(self, event: dict[str, Any], _kind: str) -> list[dict[str, Any]]:
        return [{"type": "conversation.item.deleted", "item_id": event["item_id"]}]

    def _conversation_item_truncate(self, event: dict[str, Any], _kind: str) -> list[dict[str, Any]]:
        return [{**event, "type": "conversation.item.truncated"}]

    def _input_audio_buffer_commit(self, event: dict[str, Any], _kind: str) -> list[dict[str, Any]]:
        if not self.has_audio or "is_empty" in event:
            return [self._error("input_audio_buffer_commit_empty", event)]
        item, self.speech, self.has_stopped = self.speech or self._new("user"), "", False
        events = self._committed(item)
        self.has_audio = "is_before_audio" in event
        return events

    def _input_audio_buffer_clear(self, event: dict[str, Any], _kind: str) -> list[dict[str, Any]]:
        self.has_audio, self.speech, self.has_stopped = "is_before_audio" in event, "", False
        return [{"type": "input_audio_buffer.cleared"}]

    def _committed(self, item: str) -> list[dict[str, Any]]:
        self.has_audio = False
        self.items.append(("speech", item))
        self.untranscribed.append(item)
        return [
            {"type": "input_audio_buffer.committed", "item_id": item},
            {"type": "conversation.item.added", "item": {"id": item, "type": "message", "role": "user"}},
        ]

    def _response_create(self, event: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        is_outside = (event.get("response") or {}).get("conversation") == "none"
        self.is_ending |= kind == BUSY
        if self.is_ending or (self.active is not None and not is_outside):
            return [self._error("conversation_already_has_active_response", event)]
        return self._begin(kind, (event.get("response") or {}).get("metadata"), is_outside=is_outside)

    def _response_cancel(self, event: dict[str, Any], _kind: str) -> list[dict[str, Any]]:
        response = self.active or self.outside
        if response is None or event.get("response_id") not in (None, str(self.id_of(response))):
            return [self._error("response_cancel_not_active", event)]
        return self._end(response, "cancelled")

    @property
    def may_answer_unannounced(self) -> bool:
        """Whether the upstream may begin an unannounced response to speech, because no request is on its way."""
        is_asked = any(event["type"] == "response.create" for event in self.queue)
        is_idle = self.active is None and self.outside is None and not self.is_ending and not is_asked
        return self.quirk == "no created" and self.phase == "created" and self.owes_answer and is_idle

    def own(self, kind: str) -> list[dict[str, Any]]:
        """Begin a response to detected speech."""
        self.owes_answer = False
        return self._begin(kind, None, is_outside=False, is_own=True)

    def own_unannounced(self, kind: str) -> None:
        """Begin an unannounced response to detected speech, and send its first output."""
        self.owes_answer = False
        self._begin(kind, None, is_outside=False)
        assert self.active is not None
        self.active.is_own = True

    def _begin(self, kind: str, metadata: Any, *, is_outside: bool, is_own: bool = False) -> list[dict[str, Any]]:
        self.numbers += 1
        asked = frozenset(text for what, text in self.items if what in ("message", "speech", "function_call_output"))
        number = self.generation * 100 + self.numbers
        # It announces its answers to speech: nothing would tell them from a given text in flight.
        is_brief = self.quirk == "no created" and not is_own
        response = Response(number, kind, metadata, asked, is_outside=is_outside, is_brief=is_brief)
        response.is_own = is_own
        if is_outside:
            self.outside = response
        else:
            self.active = response
            self.owes_answer = False
        if is_brief:
            return []
        created: dict[str, Any] = {**self._id_of(response), "status": "in_progress"}
        if is_outside:
            created["conversation_id"] = None
        if metadata is not None and self.quirk != "no echo":
            created["metadata"] = metadata
        return [{"type": "response.created", "response": created}]

    def step(self, *, is_outside: bool) -> list[dict[str, Any]]:
        """Send the next event of a response."""
        response = self.outside if is_outside else self.active
        assert response is not None
        if response.is_cancelled:
            return self._end(response, "cancelled")
        step = response.steps[response.at]
        response.at += 1
        events = self._events(response, step)
        if response.is_brief and step == LAST.get(response.kind, "text"):
            self._end(response, "completed")
            self.unended, self.is_ending = response, False
        return events

    def end_late(self) -> list[dict[str, Any]]:
        """Send the response.done of a response that has ended without it."""
        assert self.unended is not None
        ended, self.unended, self.is_ending = self.unended, None, False
        return [{"type": "response.done", "response": {**self._id_of(ended), "status": "completed"}}]

    def trail(self) -> list[dict[str, Any]]:
        """Send another event of a cancelled response."""
        assert self.active is not None
        step = self.active.steps[self.active.at]
        self.active.at += 1
        return self._events(self.active, step)

    def _events(self, response: Response, step: str) -> list[dict[str, Any]]:
        events = self._named_events(response, step)
        return [_without_ids(it) for it in events] if self.quirk == "no ids" else events

    def _named_events(self, response: Response, step: str) -> list[dict[str, Any]]:
        step, is_second = step.removesuffix(SECOND), step.endswith(SECOND)
        text, item_id = response.texts[is_second], self.item_of(response, is_second=is_second)
        ids = {"response_id": self.id_of(response), "item_id": item_id, "content_index": 0}
        call = f"call_{response.number}"
        match step:
            case "item":
                item = {"id": ids["item_id"], "type": "message", "role": "assistant", "status": "in_progress"}
                return [{"type": "response.output_item.added", "response_id": ids["response_id"], "item": item}]
            case "words":
                return [{"type": "response.output_audio_transcript.delta", **ids, "delta": text}]
            case "written":
                return [{"type": "response.output_text.delta", **ids, "delta": text}]
            case "written text":
                return [{"type": "response.output_text.done", **ids, "text": text}]
            case "audio" | "long audio":
                self.has_spoken = True
                number = response.number + SECOND_NUMBER * is_second
                lengths_ms = (LONG_MS, AUDIO_MS) if step == "long audio" else (AUDIO_MS,)
                deltas = (audio_of(number, length_ms) for length_ms in lengths_ms)
                return [{"type": "response.output_audio.delta", **ids, "delta": delta} for delta in deltas]
            case "text":
                return [{"type": "response.output_audio_transcript.done", **ids, "transcript": text}]
            case "item done":
                content = [{"type": "output_audio", "transcript": text}]
                item = {"id": ids["item_id"], "type": "message", "role": "assistant", "status": "completed"}
                if not response.is_outside:
                    self.items.append(("answer", text))
                return [{"type": "conversation.item.done", "item": {**item, "content": content}}]
            case "call item":
                item = {"id": f"fc_{response.number}", "type": "function_call", "name": "lookup", "call_id": call}
                return [{"type": "response.output_item.added", "response_id": ids["response_id"], "item": item}]
            case "call":
                self.calls.append(call)
                self.items.append(("function_call", call))
                kind, about = "response.function_call_arguments.done", {"call_id": call, "name": "lookup"}
                answered = {"response_id": ids["response_id"], "item_id": f"fc_{response.number}"}
                return [{"type": kind, **answered, **about, "arguments": "{}"}]
        return self._end(response, "completed")

    def _end(self, response: Response, status: str) -> list[dict[str, Any]]:
        if response is self.outside:
            self.outside = None
        else:
            self.active = None
        done: dict[str, Any] = {**self._id_of(response), "status": status}
        if response.metadata is not None and self.quirk != "no echo":
            done["metadata"] = response.metadata
        if response.is_cancelled:
            done["status_details"] = {"type": "cancelled", "reason": "turn_detected"}
        return [{"type": "response.done", "response": done}]

    def fail(self, status: str) -> list[dict[str, Any]]:
        """End the active response early."""
        assert self.active is not None
        return self._end(self.active, status)

    def hear(self, step: str) -> list[dict[str, Any]]:
        """Detect the start or the end of speech, or commit it."""
        if step == "speech":
            self.has_stopped = False
            self.speech = self.speech or self._new("user")
            if self.active is not None:
                self.active.is_cancelled = True
            return [{"type": "input_audio_buffer.speech_started", "item_id": self.speech}]
        if step == "stop":
            self.has_stopped = True
            return [{"type": "input_audio_buffer.speech_stopped", "item_id": self.speech}]
        item, self.speech, self.has_stopped = self.speech, "", False
        # It commits all audio that it heard, also the audio behind a clear that it has not taken.
        for waiting in self.queue:
            waiting.pop("is_before_audio", None)
        self.owes_answer = True
        return self._committed(item)

    def transcribe(self, item: str, outcome: str) -> list[dict[str, Any]]:
        """Send the transcript of an item, an empty transcript, or the failure of the transcription."""
        self.untranscribed.remove(item)
        if not outcome and self.quirk in ("no echo", "no created"):
            # The session cannot tell the answer to a noise from a given text.
            self.owes_answer = False
        kind = "conversation.item.input_audio_transcription."
        if outcome == "failed":
            return [{"type": f"{kind}failed", "item_id": item, "error": {"code": "oh"}}]
        transcript = f"Said {item}." if outcome == "said" else ""
        return [{"type": f"{kind}completed", "item_id": item, "content_index": 0, "transcript": transcript}]

    def refuse(self) -> list[dict[str, Any]]:
        """Refuse the next event of the queue."""
        return [self._error("invalid_value", self.queue.pop(0))]

    def ignore(self) -> dict[str, Any]:
        """Take the next event of the queue without an answer. If it creates an item, the conversation has the item."""
        event = self.queue.pop(0)
        if event["type"] == "conversation.item.create":
            self.items.append((event["item"]["type"], _content_of(event["item"])))
        return event

    def acknowledge_otherwise(self) -> list[dict[str, Any]]:
        """Take an item from the queue, and acknowledge it under another id."""
        item = dict(self.queue.pop(0)["item"])
        self.items.append((item["type"], _content_of(item)))
        return [{"type": "conversation.item.added", "item": {**item, "id": self._new("item")}}]

    # What it has sent when it is gone.

    def late(self) -> list[str]:
        """Return the kinds of events that may arrive after the end of the connection."""
        found = ["take"] if self.queue else []
        found += ["step"] if self.active is not None else []
        return found + (["words"] if self.untranscribed else [])

    def say_late(self, how: str) -> list[dict[str, Any]]:
        """Return one event that arrives after the end of the connection."""
        if how == "take":
            return self.take("message")
        return self.step(is_outside=False) if how == "step" else self.transcribe(self.untranscribed[0], "said")

    # Ids.

    def text_of(self, event: dict[str, Any]) -> str:
        """Return the text of the message of a running response that an event is about."""
        for response in (self.active, self.outside):
            if response is not None and self.quirk == "no ids":
                is_second = response.steps[response.at - 1].endswith(SECOND)
                return response.texts[is_second]
            if response is not None and self.id_of(response) == event["response_id"]:
                is_second = event["item_id"] == self.item_of(response, is_second=True)
                return response.texts[is_second and len(response.texts) > 1]
        return ""

    def named(self, event: dict[str, Any]) -> Any:
        """Return the running response that an event of the session names, or None."""
        running = (it for it in (self.active, self.outside) if it is not None)
        if self.quirk == "no ids":
            # A cancel of the client's own has no id either.
            return next(running, None) if event.get("event_id") is not None else None
        return next((it for it in running if str(self.id_of(it)) == str(event.get("response_id"))), None)

    def is_named(self, response: Response, events: list[dict[str, Any]]) -> bool:
        """Whether one of the events names the response. Without ids only one response runs at a time."""
        if self.quirk == "no ids":
            return any(it["type"].startswith("response.") for it in events)
        named = (it.get("response_id") or (it.get("response") or {}).get("id") for it in events)
        return self.id_of(response) in list(named)

    def id_of(self, response: Response) -> Any:
        """Return the id of a response, as this upstream gives ids. An upstream without ids sends none of them."""
        if self.quirk == "numeric ids":
            return response.number
        return "resp_1" if self.quirk == "reused ids" else f"resp_{response.number}"

    def _id_of(self, response: Response) -> dict[str, Any]:
        return {} if self.quirk == "no ids" else {"id": self.id_of(response)}

    def item_of(self, response: Response, *, is_second: bool = False) -> Any:
        """Return the id of a response's message."""
        number = response.number + SECOND_NUMBER * is_second
        if self.quirk == "numeric ids":
            return number + 1000
        return f"item_{1 + is_second}" if self.quirk == "reused ids" else f"item_{number}"

    def _new(self, kind: str) -> str:
        self.numbers += 1
        return f"{kind}_{self.generation * 100 + self.numbers}"

    def _error(self, code: str, event: dict[str, Any]) -> dict[str, Any]:
        details = {"type": "invalid_request_error", "code": code, "message": "no"}
        cause = event.get("event_id")
        if self.quirk == "no causes":
            return {"type": "error", "error": {**details, "param": PARAMS.get(event["type"])}, CAUSE: cause}
        return {"type": "error", "error": {**details, "event_id": cause}, CAUSE: cause}


def _without_ids(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event of a response without the ids of the response and its items."""
    if event["type"] == "response.done":
        return event
    kept = {name: value for name, value in event.items() if name not in ("response_id", "item_id")}
    if "item" in kept:
        kept["item"] = {name: value for name, value in kept["item"].items() if name != "id"}
    return kept


def audio_of(number: int, length_ms: int) -> str:
    """Return audio of a message, as base64. It is silence, and ends with the number of the message."""
    return SILENCE[length_ms] + base64.b64encode(number.to_bytes(MARK_BYTES)).decode()


def length_ms(delta: str) -> int:
    """Return the length of a piece of audio."""
    return len(delta) * 3 // 4 // BYTES_PER_MS


def text_of_audio(audio: bytes) -> str:
    """Return the text of the message to which a piece of audio belongs."""
    return f"Answer {int.from_bytes(audio[-MARK_BYTES:])}!"


def is_of_client(event: dict[str, Any]) -> bool:
    """Whether an event is the client's own request for a response outside the conversation."""
    return _is_verbatim(event) and "switchboard" not in (event["response"].get("metadata") or {})


def _is_verbatim(event: dict[str, Any]) -> bool:
    return (event.get("response") or {}).get("conversation") == "none"


def _content_of(item: dict[str, Any]) -> str:
    if item["type"] == "message":
        if any(part["type"] == "input_audio" for part in item["content"]):
            return "user_"  # speech of an earlier upstream
        return " ".join(part.get("text") or part.get("transcript") or "" for part in item["content"])
    return str(item["call_id"])


def decoded(frame: str | bytes) -> dict[str, Any]:
    """Return the event in a frame. Audio is not decoded: its length is enough."""
    event: dict[str, Any] = orjson.loads(frame)
    return event
