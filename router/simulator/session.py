"""One simulated session as a pure machine: frames and timers in, commands out.

It uses no thread, socket, clock or random number. Ids come from a counter. For a timer that is due, the caller calls
`fire`. The caller passes the time of the start, and a function that returns the time of day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.simulator.checks import decoded_audio
from router.simulator.commands import PrepareSpeech
from router.simulator.control import CONTROLS
from router.simulator.conversation import Conversation, Item, is_untranscribed, item_from
from router.simulator.errors import INVALID_REQUEST, Refusal, RequestError
from router.simulator.faults import FaultPlan, FaultPoint
from router.simulator.input_audio import IDLE_TIMER, TRANSCRIPTION_TIMER, InputAudio
from router.simulator.responses import TIMER as RESPONSE_TIMER
from router.simulator.responses import Responses
from router.simulator.schema import MAX_EVENT_ID, check_event
from router.simulator.session_config import default_session, updated_session
from router.simulator.state import Abilities, Ids, Outbox, Script, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from router.simulator.commands import Command
    from router.simulator.config import SimulatorConfig
    from router.simulator.mind.messages import Thought
    from router.simulator.speech.messages import Speech

EXPIRY_TIMER: Final = "expiry"
EXPIRY_MESSAGE: Final = "Your session hit the maximum duration of 60 minutes."
"""The service's sentence, unchanged for any configured lifetime, because routers search for it."""


class Session:
    """A session from the opening of its socket to its end. Every method returns the commands to perform, in order."""

    def __init__(
        self,
        config: SimulatorConfig,
        plan: FaultPlan,
        script: Script,
        *,
        number: int,
        model: str,
        opened_at_s: float,
        observe: Callable[[dict[str, Any]], None] | None = None,
        abilities: Abilities = Abilities(),  # noqa: B008 - frozen
        now: Callable[[], datetime] | None = None,
    ) -> None:
        ids = Ids(number)
        self._plan = plan
        self._observe = observe
        self._outbox = Outbox(ids, plan, number)
        expires_at_s = int(opened_at_s + config.session_seconds)
        self._state = State(
            config=config,
            ids=ids,
            outbox=self._outbox,
            script=script,
            conversation=Conversation(ids.next("conv")),
            session=default_session(model, ids.next("sess"), expires_at_s),
            abilities=abilities,
            now=now,
        )
        self._responses = Responses(self._state)
        self._responses.on_item = self._add_item
        self._input = InputAudio(self._state, self._responses)

    # Inputs.

    def open(self, refusal: Refusal | None = None) -> list[Command]:
        """Begin the session on its open socket, or refuse it."""
        # This point comes before the refusal, because a fault at `connect` happens before any event.
        if not self._outbox.pass_point(FaultPoint.CONNECT):
            return self._outbox.take()
        if refusal is not None:
            self._outbox.send("error", error=refusal.error())
            self._outbox.close(refusal.close_code, refusal.close_reason)
            return self._outbox.take()
        if self._state.abilities.speaks:
            self._outbox.ask(PrepareSpeech(hears=False))
        self._outbox.start_timer(EXPIRY_TIMER, self._state.config.session_seconds)
        self._outbox.send("session.created", session=self._state.session)
        self._outbox.pass_point(FaultPoint.SESSION_CREATED)
        return self._outbox.take()

    def receive(self, text: str | bytes) -> list[Command]:
        """Parse a text frame, and handle its event."""
        if self._outbox.is_ended:
            return []
        try:
            event = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            message = f"The event could not be parsed as JSON: {error}"
            self._outbox.send_error(INVALID_REQUEST, "invalid_json", message)
            return self._outbox.take()
        self._handle(event)
        return self._outbox.take()

    def receive_binary(self, _data: bytes) -> list[Command]:
        """Refuse a binary frame, because the protocol has none."""
        if not self._outbox.is_ended:
            message = "Binary messages are not supported: events are JSON in text frames."
            self._outbox.send_error(INVALID_REQUEST, "invalid_event", message)
        return self._outbox.take()

    def fire(self, timer: str) -> list[Command]:
        """Handle a timer that is due."""
        if self._outbox.is_ended:
            return []
        if timer.startswith(RESPONSE_TIMER):
            self._responses.fire(timer.removeprefix(RESPONSE_TIMER))
        elif timer.startswith(TRANSCRIPTION_TIMER):
            self._input.transcribe(timer.removeprefix(TRANSCRIPTION_TIMER))
        elif timer == IDLE_TIMER:
            self._input.time_out()
        elif timer == EXPIRY_TIMER:
            self._expire()
        return self._outbox.take()

    def recognized(self, item_id: str, words: str | None) -> list[Command]:
        """Handle the words of a turn, or None if they were not recognized."""
        if not self._outbox.is_ended:
            self._input.on_recognized(item_id, words)
            self._responses.on_recognized()
        return self._outbox.take()

    def synthesized(self, response_id: str, speech: Speech | None) -> list[Command]:
        """Handle the sound of a part of an answer, or None if its synthesis failed."""
        if not self._outbox.is_ended:
            self._responses.on_synthesized(response_id, speech)
        return self._outbox.take()

    def model_said(self, response_id: str, piece: Thought) -> list[Command]:
        """Handle a piece of a language model's answer."""
        if not self._outbox.is_ended:
            self._responses.on_model(response_id, piece)
        return self._outbox.take()

    def _expire(self) -> None:
        self._outbox.send_error(INVALID_REQUEST, "session_expired", EXPIRY_MESSAGE)
        self._outbox.close(1001, EXPIRY_MESSAGE)

    def _handle(self, event: Any) -> None:
        # Observe before the checks, because a record has the refused events, too.
        if self._observe is not None and isinstance(event, dict):
            self._observe(event)
        self._outbox.event_id = _event_id(event)
        try:
            if not self._apply_control(event):
                HANDLERS[check_event(event)](self, event)
        except RequestError as error:
            self._outbox.refuse(error)
        finally:
            self._outbox.event_id = None  # an error of a later timer answers no event

    def _apply_control(self, event: Any) -> bool:
        """Apply an event if it is a control message. Return whether it was one."""
        if not self._state.config.control_messages or not isinstance(event, dict):
            return False
        control = CONTROLS.get(str(event.get("type")))
        if control is None:
            return False
        try:
            control(event, self._plan, self._state.script)
        except (ValueError, msgspec.ValidationError) as error:
            raise RequestError("invalid_value", str(error)) from None
        return True

    # Client events.

    def _update_session(self, event: dict[str, Any]) -> None:
        if not self._outbox.pass_point(FaultPoint.SESSION_UPDATE):
            return
        state = self._state
        state.session = updated_session(
            state.session,
            event["session"],
            has_spoken=state.conversation.has_assistant_audio,
            is_responding=self._responses.is_active,
        )
        self._input.reconfigure()
        self._outbox.send("session.updated", session=state.session)
        self._outbox.pass_point(FaultPoint.SESSION_UPDATED)

    def _append(self, event: dict[str, Any]) -> None:
        if self._outbox.pass_point(FaultPoint.AUDIO_APPEND):
            self._input.append(decoded_audio(event["audio"], "audio"))

    def _commit(self, _event: dict[str, Any]) -> None:
        self._input.commit()

    def _clear(self, _event: dict[str, Any]) -> None:
        self._input.clear()

    def _create_item(self, event: dict[str, Any]) -> None:
        wire = event["item"]
        is_output = wire["type"] == "function_call_output"
        if not self._outbox.pass_point(FaultPoint.FUNCTION_OUTPUT if is_output else FaultPoint.ITEM_CREATE):
            return
        state = self._state
        previous = event.get("previous_item_id")
        state.conversation.check_insert(wire.get("id"), previous)
        audio_format = state.session["audio"]["input"]["format"]["type"]
        item = item_from(wire, wire.get("id") or state.ids.next("item"), audio_format)
        if is_untranscribed(item):
            self._input.recognize(item)  # the model hears it, and no transcript of it is sent
        # An output whose client names its place goes there at once.
        if previous is not None or not self._responses.hold_back(item):
            self._add_item(item, previous)

    def _add_item(self, item: Item, previous: str | None = None) -> None:
        before = self._state.conversation.insert(item, previous)
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._outbox.send(kind, previous_item_id=before, item=item.as_wire())
        is_output = item.kind == "function_call_output"
        self._outbox.pass_point(FaultPoint.FUNCTION_OUTPUT_ACKED if is_output else FaultPoint.ITEM_ACKED)

    def _retrieve_item(self, event: dict[str, Any]) -> None:
        item = self._state.conversation.retrieve(event["item_id"])
        self._outbox.send("conversation.item.retrieved", item=item.retrieved())

    def _truncate_item(self, event: dict[str, Any]) -> None:
        if not self._outbox.pass_point(FaultPoint.ITEM_TRUNCATE):
            return
        place = {key: event[key] for key in ("item_id", "content_index", "audio_end_ms")}
        self._state.conversation.truncate(**place)
        self._outbox.send("conversation.item.truncated", **place)

    def _delete_item(self, event: dict[str, Any]) -> None:
        self._state.conversation.delete(event["item_id"])
        self._outbox.send("conversation.item.deleted", item_id=event["item_id"])

    def _create_response(self, event: dict[str, Any]) -> None:
        if self._outbox.pass_point(FaultPoint.RESPONSE_CREATE):
            self._responses.create(event.get("response") or {})

    def _cancel_response(self, event: dict[str, Any]) -> None:
        if self._outbox.pass_point(FaultPoint.RESPONSE_CANCEL):
            self._responses.cancel(event.get("response_id"))

    def _refuse_translation(self, event: dict[str, Any]) -> None:
        message = f"'{event['type']}' belongs to translation sessions."
        raise RequestError("invalid_value", message, "type")


def _event_id(event: Any) -> str | None:
    event_id = event.get("event_id") if isinstance(event, dict) else None
    return event_id if isinstance(event_id, str) and len(event_id) <= MAX_EVENT_ID else None


HANDLERS: Final[dict[str, Callable[[Session, dict[str, Any]], None]]] = {
    "session.update": Session._update_session,  # noqa: SLF001 - the class's own table
    "session.close": Session._refuse_translation,  # noqa: SLF001
    "session.input_audio_buffer.append": Session._refuse_translation,  # noqa: SLF001
    "input_audio_buffer.append": Session._append,  # noqa: SLF001
    "input_audio_buffer.commit": Session._commit,  # noqa: SLF001
    "input_audio_buffer.clear": Session._clear,  # noqa: SLF001
    "conversation.item.create": Session._create_item,  # noqa: SLF001
    "conversation.item.retrieve": Session._retrieve_item,  # noqa: SLF001
    "conversation.item.truncate": Session._truncate_item,  # noqa: SLF001
    "conversation.item.delete": Session._delete_item,  # noqa: SLF001
    "response.create": Session._create_response,  # noqa: SLF001
    "response.cancel": Session._cancel_response,  # noqa: SLF001
}
