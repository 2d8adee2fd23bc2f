"""The responses of a session: one active in the conversation, any number out of band.

Asked for by the client or by turn detection, streamed on timers, ended by the client, by speech, or by a fault. Pure.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from router.simulator import brain, usage
from router.simulator.conversation import Item, item_from
from router.simulator.errors import RequestError
from router.simulator.faults import Fault, FaultAction, FaultPoint
from router.simulator.history import Called, Context, Entry, Returned, Said
from router.simulator.response import Event, ResponseRun, ResponseSettings, Step, Wait
from router.simulator.session_config import check_reasoning, check_voice, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from router.simulator.state import State

TIMER: Final = "response:"
"""Timers of this prefix are for `Responses.fire`."""

_BURST_EVENTS: Final = 64
"""About so many events leave without a pause: other sessions and the peer's events get their turn between bursts."""

_TOKENS_PER_MINUTE: Final = 800_000


class _Running:
    """A response under way, and what was known when it began."""

    def __init__(self, run: ResponseRun, steps: Iterator[Step], text_in: int, audio_in: int) -> None:
        self.run = run
        self.steps = steps
        self.text_in = text_in
        self.audio_in = audio_in


class Responses:
    """Creates, streams and ends responses."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._active: _Running | None = None
        self._out_of_band: dict[str, _Running] = {}
        self._doom: Fault | None = None
        """A fault that waits for the next response."""
        self._held_back: list[Item] = []
        self._used_tokens = 0
        self._last_input = 0
        self.on_ended: Callable[[float], None] | None = None
        """Told how long the listener still hears the response that ended in the conversation, in seconds."""
        self.on_item: Callable[[Item], None] | None = None
        """Told each item that was held back while the response that it answers was active."""
        state.outbox.on_response_fault = self._on_fault

    @property
    def is_active(self) -> bool:
        """Whether the conversation has an active response."""
        return self._active is not None

    # Beginning.

    def create(self, asked: dict[str, Any]) -> None:
        """Begin the response that a `response.create` asks for."""
        is_default = asked.get("conversation", "auto") == "auto"
        if is_default and self._active is not None:
            message = (
                "Conversation already has an active response in progress: "
                f"{self._active.run.id}. Wait until the response is finished before creating a new one."
            )
            raise RequestError("conversation_already_has_active_response", message)
        session = self._state.session
        has_spoken = self._state.conversation.has_assistant_audio
        check_voice(session, asked.get("audio", {}).get("output", {}), "response", has_spoken=has_spoken)
        check_reasoning(session, asked, "response")
        self._begin(asked, self._entries(asked), is_default=is_default)

    def create_for_turn(self) -> None:
        """Begin the response to a turn that turn detection ended; not while one is active."""
        if self._active is None:
            self._begin({}, self._entries({}), is_default=True)

    def _begin(self, asked: dict[str, Any], entries: tuple[Entry, ...], *, is_default: bool) -> None:
        state = self._state
        context = self._context(asked, entries)
        run = ResponseRun(
            state.ids.next("resp"),
            self._settings(asked, is_default=is_default),
            self._answer(context, is_default=is_default),
            conversation=state.conversation if is_default else None,
            ids=state.ids,
            config=state.config,
        )
        running = _Running(run, run.steps(), _text_tokens(context), self._audio_tokens())
        if is_default:
            self._active = running
        else:
            self._out_of_band[run.id] = running
        state.outbox.send("response.created", response=run.as_wire("in_progress", None, None))
        state.outbox.reach(FaultPoint.RESPONSE_CREATED)
        if self._doom is not None:
            fault, self._doom = self._doom, None
            self._end_by_fault(running, fault)
        elif self._is_running(running):
            state.outbox.start_timer(TIMER + run.id, 0.0)

    def _answer(self, context: Context, *, is_default: bool) -> list[Any]:
        outputs = brain.answer(context, self._state.script.given())
        if not is_default or brain.is_told_what_to_say(context):
            return outputs
        scripted = self._state.script.next_answer()
        return outputs if scripted is None else scripted

    def _settings(self, asked: dict[str, Any], *, is_default: bool) -> ResponseSettings:
        session = self._state.session
        output = {**session["audio"]["output"], **asked.get("audio", {}).get("output", {})}
        return ResponseSettings(
            conversation_id=self._state.conversation.id if is_default else None,
            modality=asked.get("output_modalities", session["output_modalities"])[0],
            max_output_tokens=asked.get("max_output_tokens", session["max_output_tokens"]),
            audio_format=output["format"],
            voice=output["voice"],
            metadata=asked.get("metadata"),
        )

    def _context(self, asked: dict[str, Any], entries: tuple[Entry, ...]) -> Context:
        session = self._state.session
        return Context(
            instructions=asked.get("instructions", session["instructions"]),
            entries=entries,
            tools=tuple(without_secrets(asked.get("tools", session["tools"]))),
            tool_choice=asked.get("tool_choice", session["tool_choice"]),
            is_parallel=asked.get("parallel_tool_calls", session.get("parallel_tool_calls", True)),
        )

    def _entries(self, asked: dict[str, Any]) -> tuple[Entry, ...]:
        given = asked.get("input")
        items = self._state.conversation.items if given is None else [self._given(item) for item in given]
        return tuple(_entries_of(items))

    def _given(self, wire: dict[str, Any]) -> Item:
        if wire["type"] == "item_reference":
            found = self._state.conversation.find(wire["id"])
            if found is None:
                message = f"Item with id '{wire['id']}' does not exist."
                raise RequestError("invalid_value", message, "response.input")
            return found
        return item_from(wire, wire.get("id", ""), self._state.session["audio"]["input"]["format"]["type"])

    def _audio_tokens(self) -> int:
        return sum(_item_audio_tokens(item) for item in self._state.conversation.items)

    # Streaming.

    def fire(self, response_id: str) -> None:
        """Stream on: up to the next wait, or a burst's end."""
        running = self._find(response_id)
        if running is None:
            return
        for count in itertools.count(1):
            step = next(running.steps, None)
            if step is None:
                self._finish(running)
                return
            if isinstance(step, Wait):
                self._state.outbox.start_timer(TIMER + response_id, step.delay_s)
                return
            self._perform(step)
            if not self._is_running(running):  # a fault ended it
                return
            # Not between two events that announce or end an item: ended there, it would be a half one.
            if count >= _BURST_EVENTS and isinstance(step, Event) and step.kind.endswith(".delta"):
                break
        self._state.outbox.start_timer(TIMER + response_id, 0.0)

    def _perform(self, step: Step) -> None:
        if isinstance(step, Event):
            self._state.outbox.send(step.kind, **step.fields)
        elif isinstance(step, FaultPoint):
            self._state.outbox.reach(step)

    def _find(self, response_id: str) -> _Running | None:
        if self._active is not None and self._active.run.id == response_id:
            return self._active
        return self._out_of_band.get(response_id)

    def _is_running(self, running: _Running) -> bool:
        return self._find(running.run.id) is running and not self._state.outbox.is_deaf

    # Ending.

    def cancel(self, response_id: str | None) -> None:
        """End the conversation's active response, or the one of that id, for the client."""
        running = self._active if response_id is None else self._find(response_id)
        if running is None:
            raise RequestError("response_cancel_not_active", "Cancellation failed: no active response found")
        self._end_early(running, "cancelled", {"type": "cancelled", "reason": "client_cancelled"})

    def interrupt(self) -> None:
        """End the conversation's active response because the user speaks."""
        if self._active is not None:
            self._end_early(self._active, "cancelled", {"type": "cancelled", "reason": "turn_detected"})

    def _on_fault(self, fault: Fault) -> None:
        if self._active is None:
            self._doom = fault
        else:
            self._end_by_fault(self._active, fault)

    def _end_by_fault(self, running: _Running, fault: Fault) -> None:
        if fault.action is FaultAction.INCOMPLETE:
            details = {"type": "incomplete", "reason": fault.reason or "content_filter"}
            self._end_early(running, "incomplete", details)
        else:
            error = {"type": fault.error_type, "code": fault.error_code, "message": fault.message}
            self._end_early(running, "failed", {"type": "failed", "error": error})

    def _finish(self, running: _Running) -> None:
        self._state.outbox.reach(FaultPoint.BEFORE_RESPONSE_DONE)
        if not self._is_running(running):
            return
        if running.run.is_cut:
            self._done(running, "incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
        else:
            self._done(running, "completed", None)

    def _end_early(self, running: _Running, status: str, details: dict[str, Any]) -> None:
        self._state.outbox.cancel_timer(TIMER + running.run.id)
        for step in running.run.end_early():
            # Points of an item that is cut short are not passed: a fault there could end it twice.
            if isinstance(step, Event):
                self._perform(step)
        self._done(running, status, details)

    def _done(self, running: _Running, status: str, details: dict[str, Any] | None) -> None:
        run, outbox = running.run, self._state.outbox
        is_default = running is self._active
        if is_default:
            self._active = None
        else:
            self._out_of_band.pop(run.id, None)
        used = None if status == "failed" else self._usage(running)
        outbox.send("response.done", response=run.as_wire(status, details, used))
        self._send_rate_limits(used)
        if is_default:
            self._conversation_is_free(run)

    def _conversation_is_free(self, run: ResponseRun) -> None:
        held_back, self._held_back = self._held_back, []
        point = FaultPoint.FUNCTION_CALL_OUTSTANDING if run.has_calls else FaultPoint.BETWEEN_TURNS
        self._state.outbox.reach(point)
        for item in held_back:
            if self.on_item is not None:
                self.on_item(item)
        if self.on_ended is not None:
            self.on_ended(max(0.0, run.audio_ms / 1000 - run.waited_s))

    def hold_back(self, item: Item) -> bool:
        """Keep a function's output until the response that called it has ended, as the service does."""
        active = self._active
        if active is None or item.fields.get("call_id") not in active.run.call_ids:
            return False
        self._held_back.append(item)
        return True

    def _usage(self, running: _Running) -> dict[str, Any]:
        run = running.run
        cached, self._last_input = self._last_input, running.text_in
        return usage.response_usage(
            text_in=running.text_in,
            audio_in=running.audio_in,
            text_out=run.text_tokens,
            audio_out=run.audio_ms // usage.MS_PER_ASSISTANT_TOKEN,
            cached=cached,
        )

    def _send_rate_limits(self, used: dict[str, Any] | None) -> None:
        if not self._state.config.rate_limits:
            return
        self._used_tokens += used["total_tokens"] if used else 0
        remaining = max(0, _TOKENS_PER_MINUTE - self._used_tokens)
        limit = {
            "name": "tokens",
            "limit": _TOKENS_PER_MINUTE,
            "remaining": remaining,
            "reset_seconds": round(60 * (1 - remaining / _TOKENS_PER_MINUTE), 3),
        }
        self._state.outbox.send("rate_limits.updated", rate_limits=[limit])


def _entries_of(items: Iterable[Item]) -> Iterator[Entry]:
    for item in items:
        fields = item.fields
        if item.kind == "message":
            text = item.heard if item.heard is not None else _text_of(fields["content"])
            if text or fields["role"] == "user":
                yield Said(fields["role"], text)
        elif item.kind == "function_call":
            yield Called(fields["name"], fields["call_id"])
        elif item.kind == "function_call_output":
            yield Returned(fields["call_id"], fields["output"])


def _text_of(content: list[dict[str, Any]]) -> str:
    return " ".join(part.get("text") or part.get("transcript") or "" for part in content).strip()


def _text_tokens(context: Context) -> int:
    texts = [context.instructions, *(str(tool) for tool in context.tools)]
    texts += [entry.text for entry in context.entries if isinstance(entry, Said)]
    texts += [entry.output for entry in context.entries if isinstance(entry, Returned)]
    return sum(len(usage.tokens(text)) for text in texts)


def _item_audio_tokens(item: Item) -> int:
    per_token = usage.MS_PER_ASSISTANT_TOKEN if item.is_assistant_audio else usage.MS_PER_USER_TOKEN
    return item.audio_ms // per_token
