"""Judges the events for a client of OpenAI Realtime: each response, item and part begins once and ends once."""

from typing import Any

TEXT_DELTAS = {"response.output_text.delta": "text", "response.output_audio_transcript.delta": "transcript"}
TEXT_DONES = {"response.output_text.done": "text", "response.output_audio_transcript.done": "transcript"}
TO_A_PART = {*TEXT_DELTAS, *TEXT_DONES, "response.output_audio.delta", "response.output_audio.done"}
ACKS = {
    "session.update": "session.updated",
    "conversation.item.create": "conversation.item.added",
    "conversation.item.retrieve": "conversation.item.retrieved",
    "conversation.item.truncate": "conversation.item.truncated",
    "conversation.item.delete": "conversation.item.deleted",
    "input_audio_buffer.clear": "input_audio_buffer.cleared",
}
"""The acknowledgement of each event of the client. An `error` that names the event may come instead."""


class RealtimeClient:
    """A client that judges every event that it gets."""

    def __init__(self) -> None:
        self.announces_items = True
        """Whether the upstream announces every item before it ends the item."""
        self.events: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.items: list[str] = []
        """The ids of the conversation's items, in order."""
        self.responses: dict[str, str | None] = {}
        """The status of each response; None for one that has not ended."""
        self.calls: dict[str, str] = {}
        """The arguments of each call, by its id."""
        self._event_ids: set[str] = set()
        self._seen_items: set[str] = set()
        self._open_items: dict[str, tuple[str, str]] = {}
        """The response and the type of each open item, by the item's id."""
        self._parts: dict[tuple[str, int], list[str]] = {}
        self._ended_parts: set[tuple[str, int]] = set()
        self._undone: set[str] = set()
        self._deleted: set[str] = set()
        """The items that the client deleted, perhaps while their answer was in progress."""

    def send(self, event: dict[str, Any]) -> None:
        """Record an event that the client sends."""
        self.sent.append(event)
        if event["type"] == "conversation.item.create" and "id" in event["item"]:
            self._seen_items.add(event["item"]["id"])

    def receive(self, event: dict[str, Any]) -> None:
        """Judge an event."""
        kind = event["type"]
        assert isinstance(event.get("event_id"), str), f"{kind} has no id"
        assert event["event_id"] not in self._event_ids, f"{kind}: the id {event['event_id']} is given again"
        self._event_ids.add(event["event_id"])
        assert (kind == "session.created") == (not self.events) or kind == "error", f"{kind} at {len(self.events)}"
        self.events.append(event)
        previous = event.get("previous_item_id")
        assert previous is None or previous in self._seen_items, f"{kind} names {previous}, which the client never saw"
        if "response_id" in event:
            self._judge_response_event(event)
        judge = getattr(self, "_judge_" + kind.replace(".", "_"), None)
        if judge is not None:
            judge(event)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the events of some types."""
        return [event for event in self.events if event["type"] in kinds]

    @property
    def text(self) -> str:
        """All text of the answers."""
        return "".join(event["delta"] for event in self.of(*TEXT_DELTAS))

    @property
    def errors(self) -> list[Any]:
        """The codes of all errors."""
        return [event["error"]["code"] for event in self.of("error")]

    def judge_rest(self) -> None:
        """Judge a session without work in progress: nothing is open, and each event of the client has an answer."""
        open_responses = [name for name, status in self.responses.items() if status is None]
        assert not open_responses, f"{open_responses} never ended"
        assert not self._undone, f"{self._undone} have no conversation.item.done"
        refused = [event["error"].get("event_id") for event in self.of("error")]
        for kind, ack in ACKS.items():
            asked = [event for event in self.sent if event["type"] == kind]
            named = [event for event in asked if event.get("event_id") not in refused or not event.get("event_id")]
            unnamed = sum(1 for event_id in refused if event_id is None)
            acknowledged = len(self.of(ack))
            if ack == "conversation.item.added":
                mine = {event["item"].get("id") for event in asked}
                acknowledged = sum(
                    event["item"]["id"] in mine or event["item"].get("role") == "user" for event in self.of(ack)
                ) - len(self.of("input_audio_buffer.committed"))
                acknowledged += sum(event["item"]["type"] == "function_call_output" for event in self.of(ack))
            assert len(named) - unnamed <= acknowledged, f"{len(named)} {kind}, and {acknowledged} {ack}"

    # Responses.

    def _judge_response_created(self, event: dict[str, Any]) -> None:
        name = event["response"]["id"]
        assert name not in self.responses, f"{name} begins twice"
        self.responses[name] = None

    def _judge_response_done(self, event: dict[str, Any]) -> None:
        response = event["response"]
        name = response["id"]
        assert self.responses.get(name, "") is None, f"{name} ends, and is not open"
        assert response["status"] not in (None, "in_progress")
        open_items = [item for item, (owner, _) in self._open_items.items() if owner == name]
        assert not open_items, f"{open_items} are open at the end of {name}"
        self.responses[name] = response["status"]

    def _judge_response_event(self, event: dict[str, Any]) -> None:
        name = event["response_id"]
        assert self.responses.get(name, "") is None, f"{event['type']} for {name}, which is not open"
        if event["type"] in TO_A_PART:
            key = (event["item_id"], event["content_index"])
            assert key in self._parts, f"{event['type']} for a part that is not open"
            assert key not in self._ended_parts
        if event["type"] in TEXT_DELTAS:
            self._parts[event["item_id"], event["content_index"]].append(event["delta"])
        if event["type"] in TEXT_DONES:
            said = "".join(self._parts[event["item_id"], event["content_index"]])
            assert event[TEXT_DONES[event["type"]]] == said, f"{said!r} is not {event}"

    def _judge_response_output_item_added(self, event: dict[str, Any]) -> None:
        name = event["item"]["id"]
        assert name not in self._seen_items, f"{name} is given again"
        self._seen_items.add(name)
        self._open_items[name] = event["response_id"], event["item"]["type"]

    def _judge_response_output_item_done(self, event: dict[str, Any]) -> None:
        name = event["item"]["id"]
        assert name in self._open_items, f"{name} ends, and is not open"
        open_parts = [key for key in self._parts if key[0] == name and key not in self._ended_parts]
        assert not open_parts, f"{open_parts} are open at the end of {name}"
        assert event["item"]["status"] in ("completed", "incomplete")
        assert self._open_items.pop(name)[0] == event["response_id"]

    def _judge_response_content_part_added(self, event: dict[str, Any]) -> None:
        assert event["item_id"] in self._open_items
        self._parts.setdefault((event["item_id"], event["content_index"]), [])

    def _judge_response_content_part_done(self, event: dict[str, Any]) -> None:
        key = (event["item_id"], event["content_index"])
        assert key in self._parts, f"{key} ends, and is not open"
        assert key not in self._ended_parts, f"{key} ends twice"
        self._ended_parts.add(key)

    def _judge_response_function_call_arguments_done(self, event: dict[str, Any]) -> None:
        assert event["call_id"] not in self.calls, f"{event['call_id']} is called twice"
        self.calls[event["call_id"]] = event["arguments"]

    # The conversation.

    def _judge_conversation_item_added(self, event: dict[str, Any]) -> None:
        name = event["item"]["id"]
        assert name not in self.items, f"{name} is added twice"
        self._seen_items.add(name)
        previous = event.get("previous_item_id")
        place = self.items.index(previous) + 1 if previous in self.items else len(self.items)
        self.items.insert(place, name)
        self._undone.add(name)

    def _judge_conversation_item_done(self, event: dict[str, Any]) -> None:
        name = event["item"]["id"]
        is_known = name in self._undone | self._deleted or not self.announces_items
        assert is_known, f"{name} is done, and was not added"
        self._undone.discard(name)

    def _judge_conversation_item_deleted(self, event: dict[str, Any]) -> None:
        if event["item_id"] in self.items:
            self.items.remove(event["item_id"])
        self._undone.discard(event["item_id"])
        self._deleted.add(event["item_id"])

    def _judge_input_audio_buffer_speech_started(self, event: dict[str, Any]) -> None:
        assert event["item_id"] not in self._seen_items, f"{event['item_id']} is given again"

    def _judge_input_audio_buffer_committed(self, event: dict[str, Any]) -> None:
        assert event["item_id"] not in self._seen_items, f"{event['item_id']} is committed twice"
        self._seen_items.add(event["item_id"])
