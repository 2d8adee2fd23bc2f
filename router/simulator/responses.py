"""The responses of a session: at most one in the conversation, and any number out of band. Pure.

The client or turn detection requests a response. Timers drive the stream of a response. The client, the user's speech
or a fault can end it early.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from router.simulator import brain, usage
from router.simulator.commands import AskModel, StopModel, SynthesizeSpeech
from router.simulator.conversation import Item, item_from
from router.simulator.errors import RequestError
from router.simulator.faults import Fault, FaultAction, FaultPoint
from router.simulator.history import Call, Context, Entry, FunctionCall, FunctionOutput, Message, Output
from router.simulator.mind.messages import ModelCall, Question, Words
from router.simulator.response import Event, ResponseRun, ResponseSettings, Step, Wait
from router.simulator.session_config import check_reasoning, check_voice, without_secrets
from router.simulator.sound import Pending, SpeechRequest
from router.simulator.speech.messages import Synthesize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from router.simulator.mind.messages import Thought
    from router.simulator.speech.messages import Speech
    from router.simulator.state import State

TIMER: Final = "response:"
"""The prefix of timers that `Responses.fire` handles."""

_BURST_EVENTS: Final = 64
"""The approximate number of events sent at once.

Between two bursts, other sessions and the peer's events are handled.
"""

_TOKENS_PER_MINUTE: Final = 800_000
"""The limit that `rate_limits.updated` reports. The simulator does not enforce it."""


class _Running:
    """A response in progress, and the token counts of its input."""

    def __init__(self, run: ResponseRun, request: dict[str, Any], items: list[Item], *, is_default: bool) -> None:
        self.run = run
        self.steps = run.steps()
        self.request = request
        self.items = items
        """The items that the response answers. They do not include items that are added while it streams."""
        self.is_default = is_default
        self.text_in = 0
        self.audio_in = 0
        self.is_asking = False
        """Whether a language model is answering."""
        self.is_pending = False
        """Whether the stream waits for more text of the answer, or for its sound."""


class Responses:
    """The responses of a session: it creates, streams and ends them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._active: _Running | None = None
        self._out_of_band: dict[str, _Running] = {}
        self._pending_fault: Fault | None = None
        """A fault that will end the next response, because no response was active when the fault was due."""
        self._held_back: list[Item] = []
        self._used_tokens = 0
        self._last_input = 0
        self.on_ended: Callable[[float], None] | None = None
        """The function to call when a response in the conversation ends.

        It gets the number of seconds for which the client still plays the response's audio.
        """
        self.on_item: Callable[[Item], None] | None = None
        """The function to call with each held-back function output, after the response that called the function."""
        state.outbox.on_response_fault = self._on_fault

    @property
    def is_active(self) -> bool:
        """Whether the conversation has an active response."""
        return self._active is not None

    # The begin.

    def create(self, request: dict[str, Any]) -> None:
        """Begin the response that a `response.create` requests."""
        is_default = request.get("conversation", "auto") == "auto"
        if is_default and self._active is not None:
            message = (
                "Conversation already has an active response in progress: "
                f"{self._active.run.id}. Wait until the response is finished before creating a new one."
            )
            raise RequestError("conversation_already_has_active_response", message)
        session = self._state.session
        has_spoken = self._state.conversation.has_assistant_audio
        check_voice(session, request.get("audio", {}).get("output", {}), "response", has_spoken=has_spoken)
        check_reasoning(session, request, "response")
        self._begin(request, self._items(request), is_default=is_default)

    def create_for_turn(self) -> None:
        """Begin the response to a turn that turn detection ended, unless one is active."""
        if self._active is None:
            self._begin({}, self._items({}), is_default=True)

    def _begin(self, request: dict[str, Any], items: list[Item], *, is_default: bool) -> None:
        state = self._state
        run = ResponseRun(
            state.ids.next("resp"),
            self._settings(request, is_default=is_default),
            conversation=state.conversation if is_default else None,
            ids=state.ids,
            config=state.config,
            speaks=state.abilities.speaks,
        )
        running = _Running(run, request, items, is_default=is_default)
        # Count now, because audio of items that are added during the stream is no input of this response.
        running.audio_in = sum(_item_audio_tokens(item) for item in state.conversation.items)
        if is_default:
            self._active = running
        else:
            self._out_of_band[run.id] = running
        self._answer_once_heard(running)
        state.outbox.send("response.created", response=run.as_wire("in_progress", None, None))
        state.outbox.pass_point(FaultPoint.RESPONSE_CREATED)
        if self._pending_fault is not None:
            fault, self._pending_fault = self._pending_fault, None
            self._end_by_fault(running, fault)
        elif self._is_running(running):
            state.outbox.start_timer(TIMER + run.id, 0.0)

    def _answer_once_heard(self, running: _Running) -> None:
        """Decide the answer, unless the words of a turn in the response's input are still being recognized."""
        if any(item.is_being_recognized for item in running.items):
            return
        context = self._context(running.request, tuple(_entries_of(running.items)))
        running.text_in = _text_tokens(context)
        outputs = self._outputs(context, is_default=running.is_default)
        if outputs is not None:
            running.run.give(outputs)
            return
        running.is_asking = True
        limit = running.run.settings.max_output_tokens
        question = Question(
            instructions=context.instructions,
            entries=context.entries,
            tools=context.tools,
            tool_choice=context.tool_choice,
            max_tokens=limit if isinstance(limit, int) else None,
        )
        self._state.outbox.ask(AskModel(running.run.id, question))

    def _outputs(self, context: Context, *, is_default: bool) -> list[Output] | None:
        """Return the outputs of the rules or of the script, or None if a language model has to answer.

        `is_default` says that the response is inside the conversation. Only such a response uses the script.
        """
        thinks = self._state.abilities.thinks
        if brain.is_dictated(context):
            # The script keeps its next answer for a response whose text the instructions do not determine.
            is_rest = brain.is_rest(context)
            return None if thinks and is_rest else brain.answer(context, self._state.script.recent_answers())
        scripted = self._state.script.next_answer() if is_default else None
        if scripted is not None:
            return scripted
        return None if thinks else brain.answer(context, self._state.script.recent_answers())

    # The results of the services.

    def on_recognized(self) -> None:
        """Decide the answers that waited until the words of a turn were known."""
        for running in self._all():
            if not running.run.answer.is_complete and not running.is_asking:
                self._answer_once_heard(running)
                self._resume(running)

    def on_synthesized(self, response_id: str, speech: Speech | None) -> None:
        """Continue a response with the sound that has arrived, or without sound if `speech` is None."""
        running = self._find(response_id)
        if running is not None:
            running.run.supply(speech)
            self._resume(running)

    def on_model(self, response_id: str, piece: Thought) -> None:
        """Continue a response with the next piece of its model's answer."""
        running = self._find(response_id)
        if running is None or running.run.answer.is_complete:
            return
        answer = running.run.answer
        if isinstance(piece, Words):
            answer.add_text(piece.text)
        elif isinstance(piece, ModelCall):
            answer.add_call(Call(piece.name, piece.arguments))
        else:
            answer.end(is_cut=piece.is_cut)
        self._resume(running)

    def _resume(self, running: _Running) -> None:
        if running.is_pending and self._is_running(running):
            running.is_pending = False
            self._state.outbox.start_timer(TIMER + running.run.id, 0.0)

    def _all(self) -> list[_Running]:
        return [*([self._active] if self._active is not None else []), *self._out_of_band.values()]

    def _settings(self, request: dict[str, Any], *, is_default: bool) -> ResponseSettings:
        session = self._state.session
        output = {**session["audio"]["output"], **request.get("audio", {}).get("output", {})}
        return ResponseSettings(
            conversation_id=self._state.conversation.id if is_default else None,
            modality=request.get("output_modalities", session["output_modalities"])[0],
            max_output_tokens=request.get("max_output_tokens", session["max_output_tokens"]),
            audio_format=output["format"],
            voice=output["voice"],
            metadata=request.get("metadata"),
        )

    def _context(self, request: dict[str, Any], entries: tuple[Entry, ...]) -> Context:
        session = self._state.session
        return Context(
            instructions=request.get("instructions", session["instructions"]),
            entries=entries,
            tools=tuple(without_secrets(request.get("tools", session["tools"]))),
            tool_choice=request.get("tool_choice", session["tool_choice"]),
            is_parallel=request.get("parallel_tool_calls", session.get("parallel_tool_calls", True)),
            now=self._state.now() if self._state.now is not None else None,
            hears=self._state.abilities.hears,
        )

    def _items(self, request: dict[str, Any]) -> list[Item]:
        given = request.get("input")
        return list(self._state.conversation.items) if given is None else [self._input_item(item) for item in given]

    def _input_item(self, wire: dict[str, Any]) -> Item:
        if wire["type"] == "item_reference":
            found = self._state.conversation.find(wire["id"])
            if found is None:
                message = f"Item with id '{wire['id']}' does not exist."
                raise RequestError("invalid_value", message, "response.input")
            return found
        return item_from(wire, wire.get("id", ""), self._state.session["audio"]["input"]["format"]["type"])

    # The stream.

    def fire(self, response_id: str) -> None:
        """Stream the response up to its next wait, or to the end of a burst."""
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
            if isinstance(step, Pending):
                running.is_pending = True
                return
            if isinstance(step, SpeechRequest):
                self._synthesize(running.run, step.text)
                continue
            self._perform(step)
            if not self._is_running(running):  # a fault ended it
                return
            # End a burst only after a delta. A cancel between two events that open or close an item would leave the
            # item half open.
            if count >= _BURST_EVENTS and isinstance(step, Event) and step.kind.endswith(".delta"):
                break
        self._state.outbox.start_timer(TIMER + response_id, 0.0)

    def _synthesize(self, run: ResponseRun, text: str) -> None:
        name = run.settings.voice
        request = Synthesize(text, name if isinstance(name, str) else "", run.settings.audio_format["type"])
        self._state.outbox.ask(SynthesizeSpeech(run.id, request))

    def _perform(self, step: Step) -> None:
        if isinstance(step, Event):
            self._state.outbox.send(step.kind, **step.fields)
        elif isinstance(step, FaultPoint):
            self._state.outbox.pass_point(step)

    def _find(self, response_id: str) -> _Running | None:
        if self._active is not None and self._active.run.id == response_id:
            return self._active
        return self._out_of_band.get(response_id)

    def _is_running(self, running: _Running) -> bool:
        return self._find(running.run.id) is running and not self._state.outbox.is_ended

    # The end.

    def cancel(self, response_id: str | None) -> None:
        """End a response as the client requested. Without an id, end the conversation's active response."""
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
            self._pending_fault = fault
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
        self._state.outbox.pass_point(FaultPoint.BEFORE_RESPONSE_DONE)
        if not self._is_running(running):
            return
        if running.run.answer.is_cut:
            self._done(running, "incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
        else:
            self._done(running, "completed", None)

    def _end_early(self, running: _Running, status: str, details: dict[str, Any]) -> None:
        self._state.outbox.cancel_timer(TIMER + running.run.id)
        if running.is_asking and not running.run.answer.is_complete:
            self._state.outbox.ask(StopModel(running.run.id))
        for step in running.run.end_early():
            # An item that ends early passes no fault points, because a fault there could end the response twice.
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
        used = None if status == "failed" else self._usage(running)  # as with the service (upstream 5.4)
        outbox.send("response.done", response=run.as_wire(status, details, used))
        self._send_rate_limits(used)
        if is_default:
            self._after_response(run)

    def _after_response(self, run: ResponseRun) -> None:
        held_back, self._held_back = self._held_back, []
        point = FaultPoint.FUNCTION_CALL_OUTSTANDING if run.has_calls else FaultPoint.BETWEEN_TURNS
        self._state.outbox.pass_point(point)
        for item in held_back:
            if self.on_item is not None:
                self.on_item(item)
        if self.on_ended is not None:
            # The audio is streamed faster than it plays, so its playback lasts longer than the stream.
            self.on_ended(max(0.0, run.audio_ms / 1000 - run.waited_s))

    def hold_back(self, item: Item) -> bool:
        """Keep a function's output until its calling response has ended (upstream 3.4). Return whether it is kept."""
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
            # An empty turn of the user is a message, too: it gets an answer.
            if item.is_truncated:
                yield Message(fields["role"], item.kept_words, is_truncated=True)
            elif text or fields["role"] == "user":
                yield Message(fields["role"], text)
        elif item.kind == "function_call":
            yield FunctionCall(fields["name"], fields["call_id"], fields["arguments"])
        elif item.kind == "function_call_output":
            yield FunctionOutput(fields["call_id"], fields["output"])


def _text_of(content: list[dict[str, Any]]) -> str:
    return " ".join(part.get("text") or part.get("transcript") or "" for part in content).strip()


def _text_tokens(context: Context) -> int:
    texts = [context.instructions, *(str(tool) for tool in context.tools)]
    texts += [entry.text for entry in context.entries if isinstance(entry, Message)]
    texts += [entry.output for entry in context.entries if isinstance(entry, FunctionOutput)]
    return sum(len(usage.tokens(text)) for text in texts)


def _item_audio_tokens(item: Item) -> int:
    per_token = usage.MS_PER_ASSISTANT_TOKEN if item.is_assistant_audio else usage.MS_PER_USER_TOKEN
    return item.audio_ms // per_token
