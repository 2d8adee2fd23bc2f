"""A script of one session: its inputs, and the expected messages, like a packet trace.

`client(...)` and `upstream(...)` feed messages of either side. `expect(...)` takes the messages that the session sent
since the last `expect`. If they differ, it fails with the trace, which marks the first difference (`trace`).
"""

import contextlib
from typing import Any

import orjson
import pybase64

from actors import messages
from actors.restart import Decision, Loss, LossKind, Verdict
from router.session.deadlines import Wait
from router.session.machine import Session
from router.session.profile import PROFILES
from router.session.snapshot import restore, snapshot
from router.session.work import WorkKind, split_key
from tests.support.data.oracle import assert_client_event, assert_message_of
from tests.support.machine.moved import handled
from tests.support.machine.options import session_options
from tests.support.machine.trace import Mismatch, Packet, first_mismatch, report

ANY = type(
    "Any", (), {"__eq__": lambda *_: True, "__ne__": lambda *_: False, "__hash__": None, "__repr__": lambda _: "ANY"}
)()
CONTEXT = 6
"""The number of earlier packets that a failure shows before the compared ones."""
SESSION_ID = "5e551011-0000-4000-8000-000000000000"

SETTINGS: dict[str, Any] = {
    "type": "Settings",
    "audio": {
        "input": {"encoding": "linear16", "sample_rate": 24000},
        "output": {"encoding": "linear16", "sample_rate": 24000},
    },
    "agent": {"think": {"provider": {"type": "open_ai"}, "prompt": "Be brief."}},
}


def settings(**agent: Any) -> dict[str, Any]:
    """Return Settings with more fields in `agent`."""
    return {**SETTINGS, "agent": {**SETTINGS["agent"], **agent}}


class Playbook:
    """One session under test."""

    prepares_at_once = True
    """Whether audio converters are ready at once. Otherwise a test finishes their work with `performs`."""

    def __init__(self, profile: str = "openai", **options: Any) -> None:
        self.session = Session(SESSION_ID, PROFILES[profile], session_options(**options))
        self.commands: list[messages.Command] = []
        self.trace: list[Packet] = []
        """Every message into the session and out of it."""
        self._ending: messages.EndSession | None = None
        self._taken = 0
        """The number of packets before the last `forget`."""
        self.timers: dict[str, float] = {}
        """The length of each running timer, by name."""
        self.work: dict[str, messages.StartWork] = {}
        """The work in progress on pool threads, by key."""
        self.reports: list[dict[str, Any]] = []
        """The LatencyReports. They are kept apart, because a LatencyReport ends every turn."""
        self.refills = 0
        self.history: list[dict[str, Any]] = []
        """The History messages. They are kept apart, because each follows its ConversationText."""
        self._last_frame: Any = None
        self.logged: list[str] = []
        self.unix_s = 1_700_000_000.0
        self.now_s = 1000.0
        """The dispatcher's clock; see `after`."""

    @property
    def generation(self) -> int:
        """The generation of the upstream in use."""
        return self.session.state.upstream.generation

    # What comes in.

    def feed(self, message: messages.Input) -> "Playbook":
        self.trace.append(_input_packet(message))
        for command in handled(self.session, message, self.now_s):
            self._note(command)
        conversions = [key for key in self.work if split_key(key)[0] is WorkKind.AUDIO]
        return self.performs(conversions[0]) if conversions and self.prepares_at_once else self

    def after(self, duration_s: float) -> "Playbook":
        """Let time pass. No deadline expires by itself; see `fire`."""
        self.now_s += duration_s
        return self

    def client(self, *frames: dict[str, Any] | str | bytes) -> "Playbook":
        for frame in frames:
            if isinstance(frame, bytes):
                self.feed(messages.ClientBinaryReceived(frame))
            else:
                self.feed(
                    messages.ClientTextReceived(frame if isinstance(frame, str) else orjson.dumps(frame).decode())
                )
        return self

    def upstream(self, *events: dict[str, Any] | str) -> "Playbook":
        for event in events:
            text = event if isinstance(event, str) else orjson.dumps(event).decode()
            self.feed(messages.UpstreamTextReceived(self.generation, text))
        return self

    def upstream_opens(self, position: int = 0) -> "Playbook":
        return self.feed(messages.UpstreamOpened(self.generation, position, self.unix_s))

    def upstream_is_lost(self, loss: Loss, decision: Decision = Decision.RESTART, delay_s: float = 0.0) -> "Playbook":
        """Feed a loss, with the supervisor's verdict."""
        verdict = Verdict(decision=decision, delay_s=delay_s)
        return self.feed(messages.UpstreamLost(self.generation, loss, verdict))

    def upstream_closes(
        self, code: int = 1000, reason: str = "", decision: Decision = Decision.TEAR_DOWN
    ) -> "Playbook":
        return self.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=code, reason=reason), decision)

    def restarted(self, *to_client: Any, upstream: list[dict[str, Any]] | None = None) -> "Playbook":
        """Open and configure the next upstream, and expect these messages to the client and events to the upstream."""
        return self.configured().expect(*to_client, upstream=upstream)

    def configured(self) -> "Playbook":
        """Open and configure the next upstream, and forget all packets before the items that it gets."""
        self.upstream_opens().upstream({"type": "session.created", "session": {}})
        kinds = [event["type"] for event in self.events_to_upstream]
        assert kinds == ["session.update"] + ["conversation.item.create"] * (len(kinds) - 1)
        items = self.commands[-(len(kinds) - 1) :] if len(kinds) > 1 else []
        self.commands[:] = items
        self._ending = None
        self._taken = len(self.trace) - len(items)
        return self.upstream({"type": "session.updated", "session": {}})

    def moved(self, *, is_planned: bool = False, sent_bytes: int = 0) -> "Playbook":
        """Let another process continue the session, without the timers, work and upstreams of the first one."""
        self.session = restore(snapshot(self.session), self.session.context.options)
        self.timers.clear()
        self.work.clear()
        return self.feed(messages.ClientAdopted(is_planned, sent_bytes))

    def fire(self, wait: Wait) -> "Playbook":
        """Let a running deadline expire."""
        assert wait.value in self.timers, f"{wait} is not running: {sorted(self.timers)}"
        del self.timers[wait.value]
        return self.feed(messages.TimerFired(wait.value))

    def performs(self, key: str, result: Any = None, failure: messages.WorkFailure | None = None) -> "Playbook":
        """Finish work in progress."""
        assert key in self.work, f"{key} is not in progress: {sorted(self.work)}"
        del self.work[key]
        return self.feed(messages.WorkDone(key, result, failure))

    # Common beginnings.

    def opened(self) -> "Playbook":
        """Open the client's connection. An upstream is dialled in advance."""
        self.feed(messages.ClientOpened())
        return self.expect()

    def ready(self, given: dict[str, Any] | None = None) -> "Playbook":
        """Open and configure the session, and forget the commands so far."""
        self.opened().client(given or SETTINGS)
        self.upstream_opens().upstream(
            {"type": "session.created", "session": {}}, {"type": "session.updated", "session": {}}
        )
        return self.forget()

    def forget(self) -> "Playbook":
        self.commands.clear()
        self._ending = None
        self._taken = len(self.trace)
        return self

    # What has come out.

    @property
    def frames_to_client(self) -> list[Any]:
        return [_decoded(c.frame) for c in self.commands if isinstance(c, messages.SendToClient)]

    @property
    def events_to_upstream(self) -> list[dict[str, Any]]:
        return [orjson.loads(c.frame) for c in self.commands if isinstance(c, messages.SendToUpstream)]

    @property
    def ending(self) -> messages.EndSession | None:
        """The end of the session since the last `forget`; None if it continues."""
        return self._ending

    def expect(self, *to_client: Any, upstream: list[dict[str, Any]] | None = None) -> "Playbook":
        """Take all new messages, which must be these. An event to the upstream is compared by the given keys."""
        __tracebackhide__ = True
        mismatches = [
            first_mismatch("client", self._sent_to("client"), to_client),
            first_mismatch("upstream", self._sent_to("upstream"), upstream or [], is_partial=True),
        ]
        found = [mismatch for mismatch in mismatches if mismatch is not None]
        if found:
            trace = self.trace[max(0, self._taken - CONTEXT) :]
            raise AssertionError(report(trace, min(found, key=self._place)))
        return self.forget()

    def _sent_to(self, peer: str) -> list[Packet]:
        return [packet for packet in self.trace[self._taken :] if (packet.way, packet.peer) == ("<<", peer)]

    def _place(self, mismatch: Mismatch) -> int:
        return len(self.trace) if mismatch.packet is None else self.trace.index(mismatch.packet)

    def _note(self, command: messages.Command) -> None:
        match command:
            case messages.StartTimer(name, delay_s):
                self.timers[name] = delay_s
            case messages.CancelTimer(name):
                self.timers.pop(name, None)
            case messages.StartWork(key):
                assert key not in self.work, f"{key} is in progress already"
                self.work[key] = command
            case messages.CancelWork(key):
                self.work.pop(key, None)
            case messages.SendToUpstream(frame):
                assert_client_event(orjson.loads(frame))
                self._note_sent("upstream", orjson.loads(frame), command)
            case messages.SendToClient(str() as frame) if frame.startswith('{"type":"LatencyReport"'):
                assert_message_of(self.session.context.profile.name, orjson.loads(frame))
                self.reports.append(orjson.loads(frame))
            case messages.SendToClient(frame):
                if not self._is_history(_decoded(frame)):
                    self._note_sent("client", _decoded(frame), command)
            case messages.ResetRestartBudget():
                self.refills += 1
            case messages.Log(_, text):
                self.logged.append(text)
            case messages.EndSession():
                self._ending = self._ending or command
                self.commands.append(command)
            case _:
                self.commands.append(command)

    def _note_sent(self, peer: str, content: Any, command: messages.Command) -> None:
        self.trace.append(Packet("<<", peer, content))
        self.commands.append(command)

    def _is_history(self, frame: Any) -> bool:
        before, self._last_frame = self._last_frame, frame
        if not isinstance(frame, dict):
            return False
        assert_message_of(self.session.context.profile.name, frame)
        if frame["type"] != "History":
            return False
        if "role" in frame:
            assert before == {**frame, "type": "ConversationText"}
        self.history.append(frame)
        return True


def _decoded(frame: str | bytes) -> Any:
    return orjson.loads(frame) if isinstance(frame, str) else frame


def _input_packet(message: messages.Input) -> Packet:
    match message:
        case messages.ClientTextReceived(text):
            return Packet(">>", "client", _parsed(text))
        case messages.UpstreamTextReceived(_, text):
            return Packet(">>", "upstream", _parsed(text))
        case messages.ClientBinaryReceived(data):
            return Packet(">>", "client", data)
        case messages.TimerFired(name):
            return Packet(">>", "timer", name)
    return Packet(">>", "engine", str(message))


def _parsed(text: str) -> Any:
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(text)
    return text


# Events of the upstream.


def response_created(response_id: str = "resp_1") -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": response_id, "status": "in_progress"}}


def response_done(response_id: str = "resp_1", status: str = "completed", **details: Any) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": response_id, "status": status, **details}}


def text_done(text: str, item_id: str = "item_1") -> dict[str, Any]:
    return {"type": "response.output_text.done", "response_id": "resp_1", "item_id": item_id, "text": text}


def delta(data: bytes, response_id: str = "resp_1", **more: Any) -> dict[str, Any]:
    encoded = pybase64.b64encode(data).decode()
    return {
        "type": "response.output_audio.delta",
        "event_id": "e",
        "response_id": response_id,
        **more,
        "delta": encoded,
    }


def transcript_delta(text: str, item_id: str = "item_1", response_id: str = "resp_1") -> dict[str, Any]:
    kind = "response.output_audio_transcript.delta"
    return {"type": kind, "response_id": response_id, "item_id": item_id, "delta": text}


def transcript_done(transcript: str, item_id: str = "item_1") -> dict[str, Any]:
    kind = "response.output_audio_transcript.done"
    return {"type": kind, "response_id": "resp_1", "item_id": item_id, "transcript": transcript}


def transcribed(text: str = "Hello.", item_id: str = "u") -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.completed"
    return {"type": kind, "item_id": item_id, "content_index": 0, "transcript": text}


def item_added(item_id: str, role: str = "user", **item: Any) -> dict[str, Any]:
    return {"type": "conversation.item.added", "item": {"id": item_id, "type": "message", "role": role, **item}}


def call_done(call_id: str = "call_1", name: str = "lookup", arguments: str = "{}", **more: Any) -> dict[str, Any]:
    kind = "response.function_call_arguments.done"
    return {"type": kind, "call_id": call_id, "name": name, "arguments": arguments, "response_id": "resp_1", **more}


def error(code: str | None, message: str = "oh", **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "invalid_request_error", "code": code, "message": message, **more}}


MARK = {"switchboard": "statement"}
"""The metadata of a response that speaks a verbatim text."""


def statement_created(response_id: str = "resp_1") -> dict[str, Any]:
    event = response_created(response_id)
    return {**event, "response": {**event["response"], "metadata": MARK}}


# Events for the upstream.


def verbatim_create(text: str) -> dict[str, Any]:
    """Return the response.create that speaks a verbatim text."""
    response = {"conversation": "none", "input": [], "metadata": MARK, "tools": [], "output_modalities": ["audio"]}
    return {"type": "response.create", "response": {**response, "instructions": Containing(f'"{text}"')}}


def assistant_item(text: str) -> dict[str, Any]:
    """Return the event that creates a text of the assistant."""
    content = [{"type": "output_text", "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "assistant", "content": content}}


class Containing(str):
    """A text that equals any text that contains it."""

    __slots__ = ()
    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return str(self) in str(other)

    def __ne__(self, other: object) -> bool:
        return not self == other


# Messages to the client.


def user(content: str) -> dict[str, Any]:
    return {"type": "ConversationText", "role": "user", "content": content}


def assistant(content: str) -> dict[str, Any]:
    return {"type": "ConversationText", "role": "assistant", "content": content}


def request(call_id: str, name: str, arguments: str, *, client_side: bool = True) -> dict[str, Any]:
    call = {"id": call_id, "name": name, "arguments": arguments, "client_side": client_side}
    return {"type": "FunctionCallRequest", "functions": [call]}


STARTED = {"type": "AgentStartedSpeaking"}
AUDIO_DONE = {"type": "AgentAudioDone"}
DONE = {"type": "AgentDone"}
THINKING = {"type": "AgentThinking", "content": ""}
APPLIED = {"type": "SettingsApplied"}
