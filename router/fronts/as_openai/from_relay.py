"""The relay's events: those that become messages for Deepgram, and those that this package answers itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import orjson

from router.fronts.as_openai.agent import MAX_HELD_BYTES, Agent, Ask, Commit, Stage, decoded
from router.fronts.as_openai.history import (
    GO_ON_TEXT,
    Entry,
    Question,
    Role,
    UnsupportedItemError,
    read,
    words_of,
)
from router.fronts.deepgram_agent.fields import text_of
from router.fronts.realtime import requests
from router.fronts.realtime.kept_items import ROOT
from router.fronts.realtime.names import AGAIN, ASK, prefix_of
from router.json_bounds import has_more_values
from router.translation.validation import MAX_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.fronts.realtime.wire import Fields


MAX_ITEM_VALUES: Final = 5_000
"""The most lists, objects and members of an item. The relay reads each item again as two events."""

MAX_UPDATE_VALUES: Final = 12_000
"""The same of a configuration. One with 128 functions has some 10,000."""

REPEATED: Final = (prefix_of(ASK), prefix_of(AGAIN))
"""The beginnings of the ids of events by which the relay repeats a question or an item at another upstream."""


def _update(agent: Agent, event: Fields, event_id: str | None) -> None:
    update = _child(event, "session")
    is_sent = agent.stage is not Stage.WELCOMED
    tools = update.get("tools")
    if isinstance(tools, list) and len(tools) > MAX_FUNCTIONS:
        message = f"Deepgram's backend takes at most {MAX_FUNCTIONS} tools."
        agent.refuse_unsupported(event_id, message, "session.tools")
        return
    if has_more_values(update, MAX_UPDATE_VALUES):
        message = f"Deepgram's backend takes no configuration of more than {MAX_UPDATE_VALUES} values."
        agent.refuse_unsupported(event_id, message, "session")
        return
    changed = agent.session.changed_format(update) if is_sent else None
    if changed is not None:
        message = "Deepgram's backend cannot change the format of the audio within a session."
        agent.refuse_unsupported(event_id, message, changed)
        return
    agent.session.apply(update)
    if is_sent and update.keys() & {"instructions", "tools", "tool_choice"}:
        agent.update_think()
    agent.emit({"type": "session.updated", "session": agent.session.shown})


def _append(agent: Agent, event: Fields, event_id: str | None) -> None:
    audio = decoded(text_of(event, "audio"))
    if audio is None:
        agent.refuse(event_id, "invalid_value", "The audio is no base64.", "audio")
        return
    if not audio:
        return
    agent.is_wanted = True
    agent.appended_bytes += len(audio)
    if agent.stage is Stage.READY:
        agent.send(audio)
    else:
        agent.waiting.keep_audio(audio)


def _committed(agent: Agent, _event: Fields, event_id: str | None) -> None:
    if agent.appended_bytes == agent.committed_bytes:
        agent.refuse(event_id, "input_audio_buffer_commit_empty", "Error committing input audio buffer: empty.")
        return
    agent.committed_bytes = agent.appended_bytes
    agent.commit = Commit(event_id, agent.now_s)
    agent.owes_answer = True
    agent.send_or_keep({"type": "ForceEndTurn"})


def commit_without_speech(agent: Agent, event_id: str | None) -> None:
    """Refuse the commit `event_id`, for which Deepgram sent no text. Also refuse the request for an answer to it."""
    agent.commit = None
    message = "Error committing input audio buffer: no speech was heard."
    agent.refuse(event_id, "input_audio_buffer_commit_empty", message)
    agent.owes_answer = False
    ask: Ask | None = agent.current
    if ask is not None and ask.is_of_speech:
        agent.current = None
    else:
        ask = next((it for it in agent.asks if it.is_of_speech), None)
        if ask is not None:
            agent.take_ask(ask)
    if ask is not None:
        agent.refuse(ask.event_id, "response_without_input", "There is no input to respond to.")


def _clear(agent: Agent, _event: Fields, event_id: str | None) -> None:
    if agent.speech is None:
        agent.committed_bytes = agent.appended_bytes
        agent.emit({"type": "input_audio_buffer.cleared"})
    else:
        agent.refuse_unsupported(event_id, "Deepgram's backend has heard the audio of this speech already.")


def _create_item(agent: Agent, event: Fields, event_id: str | None) -> None:
    item = _child(event, "item")
    if agent.held_bytes + len(orjson.dumps(item)) > MAX_HELD_BYTES:
        message = "Deepgram's backend has not got the items before, and they fill the bound. Request a response first."
        agent.refuse(event_id, "too_many_waiting_events", message, "item")
        agent.log(logging.WARNING, "an item of the client is refused: too many wait for Deepgram")
        return
    if has_more_values(item, MAX_ITEM_VALUES):
        message = f"Deepgram's backend takes no item of more than {MAX_ITEM_VALUES} values."
        agent.refuse_unsupported(event_id, message, "item")
        return
    named = text_of(event, "previous_item_id") or None
    is_note = item.get("type") == "message" and item.get("role") in ("system", "developer")
    if is_note:
        _note(agent, item)
    elif not _take_item(agent, item, event_id, named):
        return
    previous = agent.last_item
    if named is None or named == previous or is_note:
        agent.last_item = str(item.get("id", ""))
    else:
        previous = None if named == ROOT else named
    made = {"object": "realtime.item", "status": "completed", **item}
    for kind in ("conversation.item.added", "conversation.item.done"):
        agent.emit({"type": kind, "previous_item_id": previous, "item": made})


def _note(agent: Agent, item: Fields) -> None:
    parts = item.get("content")
    words = " ".join(words_of(part) for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ""
    agent.session.add_note(words)
    agent.update_think()


def _take_item(agent: Agent, item: Fields, event_id: str | None, previous: str | None) -> bool:
    """Add an item to the history behind the item `previous`, or at the end, and return True.

    If Deepgram cannot take the item, refuse the event `event_id`, and return False.
    """
    is_repeated = (event_id or "").startswith(REPEATED)
    try:
        # Without its images a repeated item is still worth more than nothing.
        entry = read(item, takes_images=is_repeated)
    except UnsupportedItemError as error:
        agent.refuse_unsupported(event_id, str(error), "item")
        return False
    if entry.audio and decoded(entry.audio) is None:
        agent.refuse(event_id, "invalid_value", "The audio is no base64.", "item")
        return False
    is_begun = agent.stage is not Stage.WELCOMED
    if is_begun and entry.role in (Role.ASSISTANT, Role.CALL):
        message = "Deepgram's backend takes what the agent said only before the first question."
        agent.refuse_unsupported(event_id, message, "item")
        return False
    if entry.role is Role.OUTPUT and entry.call_id in agent.calls:
        _take_output(agent, entry)
        return True
    is_last = previous is None or previous == agent.last_item
    place = None if is_last or previous is None else agent.history.place_behind(previous)
    if place is None and not (is_last or is_repeated):
        message = "Deepgram's backend takes an item at the end, or among the items that it has not got."
        agent.refuse_unsupported(event_id, message, "previous_item_id")
        return False
    agent.history.add(entry, place)
    return True


def _take_output(agent: Agent, entry: Entry) -> None:
    name = agent.calls.pop(entry.call_id)
    output = {"type": "FunctionCallResponse", "id": entry.call_id, "name": name, "content": entry.text}
    if agent.current is not None and agent.current.outputs:
        agent.send(output)  # Deepgram answers when it has all outputs
    else:
        agent.outputs.append(output)


def _delete(agent: Agent, event: Fields, event_id: str | None) -> None:
    if agent.history.remove(event.get("item_id")):
        agent.emit({"type": "conversation.item.deleted", "item_id": event["item_id"]})
    else:
        message = "Deepgram's backend cannot delete what it has in its conversation."
        agent.refuse_unsupported(event_id, message, "item_id")


def _truncate(agent: Agent, event: Fields, _event_id: str | None) -> None:
    # Deepgram cuts its own record when the user interrupts.
    place = {name: event.get(name, 0) for name in ("item_id", "content_index", "audio_end_ms")}
    agent.emit({"type": "conversation.item.truncated", **place})


def _retrieve(agent: Agent, event: Fields, event_id: str | None) -> None:
    wire = agent.parts.wire_of(str(event.get("item_id")))
    if wire is None:
        code = "item_retrieve_invalid_item_id"
        agent.refuse(event_id, code, "The item does not exist.", "item_id")
    else:
        agent.emit({"type": "conversation.item.retrieved", "item": wire})


def _respond(agent: Agent, event: Fields, event_id: str | None) -> None:
    response = _child(event, "response")
    outside = next((name for name in ("conversation", "input") if response.get(name) not in (None, "auto", [])), None)
    if outside is not None:
        message = "Deepgram's backend gives no response outside of its conversation."
        agent.refuse_unsupported(event_id, message, f"response.{outside}")
        return
    is_repeated = (event_id or "").startswith(REPEATED)
    # A request with an empty `input` has its instructions alone.
    is_apart = response.get("input") == []
    is_by_itself = agent.owes_answer and not is_apart
    is_closed = is_apart or is_by_itself or agent.answer is not None
    question = None if is_closed else agent.history.take_question(is_repeated=is_repeated)
    outputs = () if is_apart else tuple(agent.outputs)
    has_request = is_apart or is_by_itself or question is not None or bool(outputs)
    is_asked = agent.current is not None or bool(agent.asks)
    if agent.answer is not None or (is_asked and not has_request):
        message = "Conversation already has an active response in progress."
        agent.refuse(event_id, "conversation_already_has_active_response", message)
        return
    if question is None and not outputs and not is_by_itself:
        instructions = text_of(response, "instructions")
        question = Question(instructions if instructions and not is_repeated else GO_ON_TEXT, is_made=True)
    metadata = response.get("metadata")
    given = metadata if isinstance(metadata, dict) else None
    commit = agent.commit if is_by_itself else None
    ask = Ask(event_id=event_id or "", metadata=given, outputs=outputs, question=question, commit=commit)
    agent.add_ask(ask)
    if outputs:
        agent.outputs = []
    agent.is_wanted = True
    agent.owes_answer = agent.owes_answer and is_apart


def _cancel(agent: Agent, event: Fields, event_id: str | None) -> None:
    is_other = event.get("response_id") not in (None, agent.answer.id if agent.answer is not None else None)
    if is_other:
        agent.refuse(event_id, "response_cancel_not_active", "Cancellation failed: no active response found")
        return
    if agent.answer is None:
        _cancel_speech(agent)
    if agent.answer is not None or agent.current is not None:
        agent.is_muted = True
        for echo in agent.echoes:
            echo.is_cancelled = True
    elif agent.asks:
        agent.current = agent.take_ask(agent.asks[0])
        _take_back(agent, agent.current)
    else:
        agent.refuse(event_id, "response_cancel_not_active", "Cancellation failed: no active response found")
        return
    agent.begin_answer()
    agent.end_answer("cancelled", "client_cancelled")


def _cancel_speech(agent: Agent) -> None:
    """Mark the answer to the present speech as cancelled if the cancelled request is about that speech."""
    ask = agent.current or (agent.asks[0] if agent.asks else None)
    if ask is None:
        return
    is_of_commit = ask.commit is not None and ask.commit is agent.commit
    if ask.commit is not None and is_of_commit:
        ask.commit.is_cancelled = True
    if agent.speech is not None and (is_of_commit or agent.speech.is_repeated):
        agent.speech.is_cancelled = True


def _take_back(agent: Agent, ask: Ask) -> None:
    """Keep the outputs and the question of an unsent request for the next one.

    A question that comes from no item is not kept.
    """
    agent.outputs = [*ask.outputs, *agent.outputs]
    if ask.question is not None and not ask.question.is_made:
        agent.history.add(Entry(role=Role.USER, item_id="", text=ask.question.text, audio=ask.question.audio))


def _child(event: Fields, name: str) -> Fields:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


EVENTS: Final[dict[str, Callable[[Agent, Fields, Any], None]]] = {
    requests.UPDATE: _update,
    requests.APPEND: _append,
    requests.COMMIT: _committed,
    requests.CLEAR: _clear,
    requests.CREATE_ITEM: _create_item,
    requests.DELETE: _delete,
    requests.TRUNCATE: _truncate,
    requests.RETRIEVE: _retrieve,
    requests.CREATE_RESPONSE: _respond,
    requests.CANCEL_RESPONSE: _cancel,
}
"""The events that are translated or answered, and the handler of each. Any other event is refused with an `error`."""
