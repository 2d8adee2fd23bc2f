"""A relay whose client and upstream a test scripts event by event."""

from __future__ import annotations

import json
from typing import Any, Self

from actors import messages as engine
from actors.restart import Decision, Loss, LossKind, Verdict
from tests.support.machine.realtime_world import make_relay

LOST = Loss(kind=LossKind.CLOSED, code=1011, cause="closed by the peer")
VAD = {"type": "server_vad", "create_response": True}
AUDIO_SESSION = {"audio": {"input": {"turn_detection": VAD, "transcription": {"model": "whisper-1"}}}}
MANUAL_SESSION = {"audio": {"input": {"turn_detection": None}}}


def message(name: str, role: str, text: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a message item."""
    kind = "output_text" if role == "assistant" else "input_text"
    content = [] if text is None else [{"type": kind, "text": text}]
    return {"id": name, "type": "message", "role": role, "content": content, **fields}


class RealtimeBook:
    """A relay, with the events that it sent since the last `take`."""

    def __init__(self, *, query: dict[str, str] | None = None, **options: Any) -> None:
        self.relay = make_relay(query=query, **options)
        self.generation = 1
        self.now_s = 100.0
        self.sent: list[dict[str, Any]] = []
        self.upstream: list[dict[str, Any]] = []
        self.others: list[Any] = []
        self._events = 0
        self.feed(engine.ClientOpened())

    def feed(self, received: Any) -> Self:
        """Give the relay an input."""
        for command in self.relay.handle(received, self.now_s):
            match command:
                case engine.SendToClient(frame):
                    self.sent.append(json.loads(frame))
                case engine.SendToUpstream(frame, generation):
                    assert generation == self.relay.context.state.generation
                    self.upstream.append(json.loads(frame))
                case engine.OpenUpstream(generation):
                    self.generation = generation
                    self.others.append(command)
                case _:
                    self.others.append(command)
        return self

    def client(self, kind: str, **fields: Any) -> Self:
        """Send an event of the client."""
        return self.feed(engine.ClientTextReceived(json.dumps({"type": kind, **fields})))

    def server(self, kind: str, **fields: Any) -> Self:
        """Send an event of the upstream."""
        self._events += 1
        event = {"type": kind, "event_id": f"e{self._events}", **fields}
        return self.feed(engine.UpstreamTextReceived(self.generation, json.dumps(event)))

    def fire(self, timer: Any, after_s: float = 0.0) -> Self:
        """Let a timer expire."""
        self.now_s += after_s
        return self.feed(engine.TimerFired(timer.value))

    def open(self, **session: Any) -> Self:
        """Begin an upstream's session, and accept the configuration that it gets."""
        self.feed(engine.UpstreamOpened(self.generation, 0, 0.0))
        self.server(
            "session.created", session={"id": f"sess_{self.generation}", "model": "gpt-realtime-2.1", **session}
        )
        if self.upstream and self.upstream[-1].get("event_id", "").startswith("configure"):
            self.server("session.updated", session={"id": f"sess_{self.generation}", **session})
        return self

    def ready(self, **session: Any) -> Self:
        """Begin the first session, and forget its events."""
        self.open(**session).take()
        return self

    def lose(self, decision: Decision = Decision.RESTART, loss: Loss = LOST) -> Self:
        """Lose the upstream."""
        return self.feed(engine.UpstreamLost(self.generation, loss, Verdict(decision=decision, delay_s=0.5)))

    def ask(self, text: str = "one?", name: str = "q1") -> Self:
        """Create an acknowledged item of the user, and request a response."""
        self.client("conversation.item.create", item=message(name, "user", text))
        self.acknowledge(message(name, "user", text))
        return self.client("response.create")

    def acknowledge(self, item: dict[str, Any], previous: str | None = None) -> Self:
        """Acknowledge an item."""
        self.server("conversation.item.added", previous_item_id=previous, item=item)
        return self.server("conversation.item.done", previous_item_id=previous, item=item)

    def begin(self, response: str = "r1", **fields: Any) -> Self:
        """Begin a response."""
        return self.server("response.created", response={"id": response, "conversation_id": "conv", **fields})

    def write(self, text: str, *, response: str = "r1", name: str = "a1") -> Self:
        """Send a part of an answer's text. The first part begins the answer."""
        place = {"response_id": response, "item_id": name, "output_index": 0, "content_index": 0}
        item = message(name, "assistant", status="in_progress")
        self.server("response.output_item.added", response_id=response, output_index=0, item=item)
        self.server("conversation.item.added", previous_item_id=None, item=item)
        self.server("response.content_part.added", **place, part={"type": "text", "text": ""})
        return self.server("response.output_text.delta", **place, delta=text)

    def finish(self, text: str, *, response: str = "r1", name: str = "a1") -> Self:
        """Finish an answer that was begun."""
        item = message(name, "assistant", text, status="completed")
        place = {"response_id": response, "item_id": name, "output_index": 0, "content_index": 0}
        self.server("response.output_text.done", **place, text=text)
        self.server("response.content_part.done", **place, part={"type": "text", "text": text})
        self.server("conversation.item.done", previous_item_id=None, item=item)
        self.server("response.output_item.done", response_id=response, output_index=0, item=item)
        return self.done(response)

    def done(self, response: str = "r1", status: str = "completed") -> Self:
        """End a response."""
        return self.server("response.done", response={"id": response, "status": status, "output": [], "usage": None})

    def call(self, name: str = "c1", call_id: str = "call_1", response: str = "r1") -> Self:
        """Call a function, up to the end of its arguments."""
        fields = {"name": "get_weather", "call_id": call_id, "arguments": "", "status": "in_progress"}
        item = {"id": name, "type": "function_call", **fields}
        place = {"response_id": response, "item_id": name, "output_index": 0, "call_id": call_id}
        self.server("response.output_item.added", response_id=response, output_index=0, item=item)
        self.server("conversation.item.added", previous_item_id=None, item=item)
        self.server("response.function_call_arguments.delta", **place, delta="{}")
        return self.server("response.function_call_arguments.done", **place, arguments="{}")

    def take(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Remove and return the events for the client and for the upstream since the last call."""
        taken = self.sent, self.upstream
        self.sent, self.upstream, self.others = [], [], []
        return taken

    def kinds(self) -> list[str]:
        """Remove the events since the last `take`, and return the types of those for the client."""
        return [event["type"] for event in self.take()[0]]

    def kinds_upstream(self) -> list[str]:
        """Remove the events since the last `take`, and return the types of those for the upstream."""
        return [event["type"] for event in self.take()[1]]

    @property
    def ending(self) -> Any:
        """The end of the session, or None."""
        return next((it for it in self.others if isinstance(it, engine.EndSession)), None)
