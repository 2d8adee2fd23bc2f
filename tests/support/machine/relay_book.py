"""The relay of Deepgram's Voice Agent. A test scripts each message."""

from __future__ import annotations

import json
from typing import Any, Self

from actors import messages as engine
from actors.restart import Decision, Loss, LossKind, Verdict
from router.fronts.deepgram_agent.machine import DeepgramRelay
from tests.support.machine.options import session_options

SETTINGS = {"type": "Settings", "audio": {}, "agent": {"greeting": "Hello.", "future": {"leaf": 1}}}
LOST = Loss(kind=LossKind.CLOSED, code=1011, cause="closed by the peer")
CALL = {"id": "c1", "name": "look", "arguments": "{}", "client_side": True}


class RelayBook:
    """A relay, with the frames that it sent since the last `take`."""

    def __init__(self, **options: Any) -> None:
        options = session_options(redact=lambda text: text.replace("secret", "[redacted]"), **options)
        self.relay = DeepgramRelay(options)
        self.now_s = 0.0
        self.generation = 1
        self.sent: list[Any] = []
        self.upstream: list[Any] = []
        self.others: list[Any] = []
        self.timers: dict[str, float] = {}
        self.feed(engine.ClientOpened())

    def feed(self, message: Any) -> Self:
        """Give the relay an input."""
        for command in self.relay.handle(message, self.now_s):
            match command:
                case engine.SendToClient(frame):
                    self.sent.append(json.loads(frame) if isinstance(frame, str) else frame)
                case engine.SendToUpstream(frame, generation, is_binary):
                    assert generation == self.generation
                    assert is_binary == isinstance(frame, bytes)
                    self.upstream.append(json.loads(frame) if isinstance(frame, str) else frame)
                case engine.StartTimer(name, delay_s):
                    self.timers[name] = delay_s
                case engine.CancelTimer(name):
                    self.timers.pop(name, None)
                case engine.OpenUpstream(generation):
                    self.generation = generation
                    self.others.append(command)
                case _:
                    self.others.append(command)
        return self

    def client(self, kind: str, **fields: Any) -> Self:
        """Let the client send a message."""
        return self.feed(engine.ClientTextReceived(json.dumps({"type": kind, **fields})))

    def server(self, kind: str, **fields: Any) -> Self:
        """Let the upstream send a message."""
        return self.feed(engine.UpstreamTextReceived(self.generation, json.dumps({"type": kind, **fields})))

    def say(self, role: str, content: str) -> Self:
        """Let the upstream send a text of the conversation."""
        self.server("ConversationText", role=role, content=content)
        return self.server("History", role=role, content=content)

    def lose(self, decision: Decision = Decision.RESTART, loss: Loss = LOST) -> Self:
        """Lose the upstream."""
        verdict = Verdict(decision=decision, delay_s=0.5)
        return self.feed(engine.UpstreamLost(self.generation, loss, verdict))

    def ready(self) -> Self:
        """Bring the first session to its begin."""
        self.server("Welcome", request_id="r1")
        self.client(**{"kind": "Settings", **{key: value for key, value in SETTINGS.items() if key != "type"}})
        self.server("SettingsApplied")
        self.take()
        return self

    def miss(self, timer: str) -> Self:
        """Let a timer fire that runs."""
        del self.timers[timer]
        return self.feed(engine.TimerFired(timer))

    @property
    def abandoned(self) -> Loss | None:
        """The reason for which an upstream was abandoned."""
        return next((it.loss for it in self.others if isinstance(it, engine.AbandonUpstream)), None)

    def restore(self) -> Any:
        """Restore a lost session. Return the Settings of the new one."""
        self.server("Welcome", request_id="r2")
        settings = self.upstream[-1]
        self.server("SettingsApplied")
        return settings

    def take(self) -> tuple[list[Any], list[Any]]:
        """Return what the client and the upstream were sent since the last look, and forget it."""
        taken = self.sent, self.upstream
        self.sent, self.upstream, self.others = [], [], []
        return taken

    @property
    def ending(self) -> engine.EndSession | None:
        """The end of the session."""
        return next((it for it in self.others if isinstance(it, engine.EndSession)), None)
