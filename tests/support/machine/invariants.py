"""The invariants of a session machine, checked at every input and every command.

They hold for every session, whatever its client and its upstreams do, and in whatever order. A test calls
`Invariants.handle` in place of `Session.handle`. It fails at the first broken rule, with the trace so far.
"""

from typing import Any

import msgspec
import orjson

from actors import messages
from router.session.deadlines import Wait
from router.session.machine import Session
from router.session.state.states import Lifecycle, ResponseState
from tests.support.data.oracle import assert_client_event, assert_message_of

TRANSCRIPTION = "conversation.item.input_audio_transcription."
ACKS = {
    "PromptUpdated": "UpdatePrompt",
    "ThinkUpdated": "UpdateThink",
    "SpeakUpdated": "UpdateSpeak",
    "ListenUpdated": "UpdateListen",
    "InjectionRefused": "InjectAgentMessage",
}
"""Each acknowledgement, with the request that it may follow once."""

OUTPUT = {
    "response.output_item.added",
    "response.output_text.delta",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.function_call_arguments.done",
}

TEXT_ENDS = ("response.output_text.done", "response.output_audio_transcript.done")
ENDS = ("response.done", *TEXT_ENDS)
"""The events that end a response without response.created."""

SHOWN = (messages.SendToClient, messages.SendToUpstream, messages.EndSession, messages.Log)

BYTES_PER_S = 48_000
"""The rate of the upstream's audio: linear16 at 24 kHz."""


class Invariants:
    """The invariants of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.client = ClientSide(session)
        self.upstream = UpstreamSide(session)
        self._trace: list[str] = []

    def handle(self, message: messages.Input, now_s: float) -> list[messages.Command]:
        """Let the session handle an input, and judge its commands."""
        self._trace.append(f"{now_s:.2f} > {_shown(message)}")
        self.client.record_input(message)
        self.upstream.record_input(message)
        had_ended = self.client.has_ended
        before = self._silence()
        commands = self.session.handle(message, now_s)
        self._trace += [f"          {_shown(command)}" for command in commands if isinstance(command, SHOWN)]
        try:
            for command in commands:
                self._judge(command, message)
            assert not (had_ended and [it for it in commands if not isinstance(it, messages.Log)]), "more after an end"
            self.client.judge_after_input()
            self._judge_silence(before, message, commands)
        except AssertionError as broken:
            raise AssertionError("\n".join([str(broken), *self._trace[-60:]])) from None
        return commands

    def _silence(self) -> tuple[bool, int, int]:
        return self.session.may_drop_audio(), self.session.record_due, self.session.words_due

    def _judge_silence(
        self, before: tuple[bool, int, int], message: messages.Input, commands: list[messages.Command]
    ) -> None:
        """Judge that audio, and words of the agent, do not end the user's silence: the keeper does not look then.

        It does not look for frames to the client either, if the step is audio of the microphone.
        """
        may_drop, record_due, words_due = self._silence()
        is_audio = isinstance(message, messages.ClientBinaryReceived)
        if record_due == before[1] and (is_audio or words_due != before[2]):
            assert may_drop or not before[0], "the user's silence has ended unnoticed"
            assert not (is_audio and any(isinstance(it, messages.SendToClient) for it in commands)), "unnoticed frames"

    def _judge(self, command: messages.Command, message: messages.Input) -> None:
        match command:
            case messages.SendToClient(str() as frame):
                self.client.sent_text(orjson.loads(frame))
                self.upstream.record_sent_to_client(orjson.loads(frame))
            case messages.SendToClient(bytes() as frame):
                self.client.sent_audio(frame, message)
            case messages.SendToUpstream(frame, generation):
                self.upstream.sent(orjson.loads(frame), generation)
                self.client.record_sent_upstream(orjson.loads(frame))
            case messages.EndSession():
                self.client.has_ended = True


class ClientSide:
    """The rules for messages to the client."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._profile = session.context.profile.name
        self.has_ended = False
        self.messages: list[dict[str, Any]] = []
        self.requested: dict[str, bool] = {}
        """The function calls, each with a flag that says whether the client runs it."""
        self._running: set[str] = set()
        """The calls of the upstream in use, and the unanswered calls of earlier upstreams."""
        self._carried_over: set[str] = set()
        self._generation = 0
        self._answered_here: set[str] = set()
        self._asked: list[str] = []
        """The types of the client's messages."""
        self._last: Any = None
        self._must_follow: dict[str, Any] | None = None
        self._unended = 0
        """The number of responses, and of calls without a response, whose turn has not ended with AgentAudioDone."""
        self._unannounced = 0
        """The number of requested responses of the conversation that have not begun."""
        self._requested: set[str] = set()
        """The ids of the events that requested them. An error may name such an id."""
        self._awaited: set[str] = set()
        """The items of the user's speech whose transcript has to precede an answer's text."""
        self._transcribed: set[str] = set()
        self._cut: set[str | None] = set()
        """Responses that the user interrupted."""
        self._worded: set[str | None] = set()
        """The items whose whole text has come. A later event only repeats the text."""
        self._early: list[dict[str, Any]] = []
        """Texts that the client received ahead of the user's words since the last input."""
        self._ended_early: list[dict[str, Any]] = []
        """Such texts whose turn ended at once."""
        self._begins_next = False
        """Whether the last input may begin the next answer: output of the upstream, or a request by the session."""

    # Inputs.

    def record_input(self, message: messages.Input) -> None:
        """Record an input."""
        self._begins_next = False
        state = self._session.state
        if state.upstream.generation != self._generation:
            self._generation = state.upstream.generation
            self._carried_over = set(state.calls.outstanding)
            self._running = set(self._carried_over)
            self._worded.clear()
        match message:
            case messages.ClientTextReceived(text):
                self._asked.append(_type_of(text))
            case messages.UpstreamTextReceived(generation, text):
                if generation == self._session.state.upstream.generation:
                    self._record_upstream_event(orjson.loads(text))
            case messages.UpstreamLost():
                self._awaited.clear()
                self._cut.clear()
                self._worded.clear()
                self._requested.clear()
                self._unannounced = 0
            case messages.TimerFired(name):
                if name == Wait.TRANSCRIPT.value:
                    self._awaited.clear()

    def _record_upstream_event(self, event: dict[str, Any]) -> None:
        state, kind = self._session.state, event["type"]
        # The end of a text may be the first output of a response, whose id may be that of an earlier one.
        self._begins_next = kind in OUTPUT or kind in TEXT_ENDS
        is_begun = kind == "response.created" and state.turn.response is not ResponseState.ACTIVE
        if is_begun or (kind == "response.done" and not state.turn.is_announced):
            self._cut.discard(event["response"]["id"])  # an id that is given again belongs to another response
        if state.lifecycle is not Lifecycle.READY:
            return
        if kind == "response.created" and not is_statement(event):
            self._unended += not self._unannounced
            self._unannounced = max(0, self._unannounced - 1)
        if kind in TEXT_ENDS and state.turn.response is ResponseState.NONE:
            # A text that comes unasked ends its turn itself, unless it is a late one.
            self._unended += not state.turn.is_other_response(event.get("response_id"))
        self._record_item(kind, event)
        # Output of a response that was neither requested nor announced begins a turn, too.
        self._unended += kind in OUTPUT and state.turn.is_unknown(event.get("response_id"))
        is_begun_by_output = state.turn.response is ResponseState.ACTIVE and not state.turn.is_announced
        if kind in ENDS and (state.turn.response is ResponseState.REQUESTED or is_begun_by_output):
            response_id = event["response"]["id"] if "response" in event else event.get("response_id")
            if not state.turn.is_other_response(response_id):
                self._unannounced = max(0, self._unannounced - 1)
        refused = event["error"].get("event_id") if kind == "error" else None
        if refused in self._requested:
            self._requested.remove(refused)
            self._unannounced = max(0, self._unannounced - 1)
        if not state.plan.transcribes:
            return
        if kind.startswith(TRANSCRIPTION) and event.get("status") != "in_progress":
            if kind.endswith(("completed", "failed")):
                self._transcribed.add(event["item_id"])
                self._awaited.discard(event["item_id"])
        elif kind == "input_audio_buffer.committed" and event["item_id"] not in self._transcribed:
            self._awaited.add(event["item_id"])

    def _record_item(self, kind: str, event: dict[str, Any]) -> None:
        """Record the whole text of an item. A new text without a request is a turn, and ends it."""
        if kind in TEXT_ENDS:
            self._worded.add(event.get("item_id"))
        elif kind == "response.output_item.added":
            self._worded.discard(event["item"]["id"])  # the id is given again
        elif kind == "conversation.item.done" and _is_text_of_agent(event["item"]):
            is_new = event["item"].get("id") not in self._worded
            self._unended += is_new and self._session.state.turn.response is ResponseState.NONE
            self._worded.add(event["item"].get("id"))

    def record_sent_upstream(self, event: dict[str, Any]) -> None:
        """Record an event to the upstream."""
        if event["type"] == "response.create":
            self._begins_next = True
            self._unended += 1
            if not is_statement(event):
                self._unannounced += 1
                self._requested.add(event.get("event_id", ""))
        elif event["type"] == "conversation.item.create":
            self._running -= self._carried_over & {event["item"].get("call_id")}

    # Commands.

    def sent_text(self, message: dict[str, Any]) -> None:
        """Judge a message to the client."""
        assert not self.has_ended, f"{message} after the end"
        assert_message_of(self._profile, message)
        self._judge_sequence(message)
        self.messages.append(message)
        judge = getattr(self, f"_judge_{message['type']}", None)
        if judge is not None:
            judge(message)

    def _judge_sequence(self, message: dict[str, Any]) -> None:
        expected, self._must_follow = self._must_follow, None
        assert expected is None or message == expected, f"{message} instead of {expected}"
        if message["type"] == "History" and "role" in message:
            assert self._last == {**message, "type": "ConversationText"}, f"{message} behind {self._last}"
        self._last = message

    def _judge_ConversationText(self, message: dict[str, Any]) -> None:  # noqa: N802 - a message's name
        if self._profile == "converse":
            self._must_follow = {**message, "type": "History"}
        is_behind_settings = len(self.messages) > 1 and self.messages[-2]["type"] == "SettingsApplied"
        if is_behind_settings and message["role"] == "assistant":
            self._unended += 1  # a written greeting is a turn of its own
        if message["role"] == "assistant" and not message["content"].startswith("Function call: "):
            self._early += [message] if self._awaited else []

    def _judge_AgentAudioDone(self, _message: dict[str, Any]) -> None:  # noqa: N802
        assert self._unended, "AgentAudioDone without a turn"
        self._unended -= 1
        self._ended_early += self._early
        self._early.clear()
        if self._profile == "openai":
            self._must_follow = {"type": "AgentDone"}

    def _judge_AgentDone(self, _message: dict[str, Any]) -> None:  # noqa: N802
        assert self.messages[-2]["type"] == "AgentAudioDone"

    def _judge_FunctionCallRequest(self, message: dict[str, Any]) -> None:  # noqa: N802
        for function in message["functions"]:
            assert function["id"] not in self._running, "a function runs twice"
            self.requested[function["id"]] = function["client_side"]
            self._running.add(function["id"])
            self._answered_here.discard(function["id"])
        self._unended += 1

    def _judge_FunctionCallCancelled(self, message: dict[str, Any]) -> None:  # noqa: N802
        for function in message["functions"]:
            assert self.requested[function["id"]], "a call of the router is cancelled in the client"

    def _judge_FunctionCallResponse(self, message: dict[str, Any]) -> None:  # noqa: N802
        assert not self.requested[message["id"]], "the client's own answer is echoed"
        assert message["id"] not in self._answered_here, "a function answers twice"
        self._answered_here.add(message["id"])

    def _judge_UserStartedSpeaking(self, _message: dict[str, Any]) -> None:  # noqa: N802
        turn = self._session.state.turn
        if turn.response is ResponseState.ACTIVE and not self._session.state.plan.detection.is_manual:
            self._cut.add(turn.response_id)

    def sent_audio(self, frame: bytes, message: messages.Input) -> None:
        """Judge a piece of audio to the client."""
        assert not self.has_ended, "audio after the end"
        assert frame
        assert len(frame) % 2 == 0, "half a sample"
        assert self._must_follow is None, f"audio instead of {self._must_follow}"
        self._last = frame
        if isinstance(message, messages.UpstreamTextReceived):
            event = orjson.loads(message.text)
            is_cut = event["type"] == "response.output_audio.delta" and event.get("response_id") in self._cut
            assert not is_cut, f"audio of {event.get('response_id')}, which was interrupted"

    def judge_after_input(self) -> None:
        """Judge the rules that hold after every input."""
        # The begin of the next answer ends a turn that waits (docs/decisions/0011).
        early = self._early if self._begins_next else self._ended_early + self._early
        assert not early, f"{early} before the user's words: {self._awaited}"
        self._ended_early.clear()
        assert self._must_follow is None or self.has_ended, f"{self._must_follow} is missing"
        for ack, request in ACKS.items():
            pending_acks = sum(message["type"] == ack for message in self.messages[-3:])
            if pending_acks:
                sent = sum(message["type"] == ack for message in self.messages)
                assert sent <= self._asked.count(request), f"{ack} without {request}"


def _is_text_of_agent(item: dict[str, Any]) -> bool:
    is_message = item.get("role") == "assistant" and item.get("type", "message") == "message"
    return is_message and any(part.get("text") or part.get("transcript") for part in item.get("content") or ())


def is_statement(event: dict[str, Any]) -> bool:
    """Whether a response.create or response.created belongs to a verbatim text, outside the conversation."""
    metadata = event.get("response", {}).get("metadata") or {}
    return metadata.get("switchboard") == "statement"


class UpstreamSide:
    """The rules for events to the upstream in use. They begin again with each upstream, which gets everything again."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.events: list[dict[str, Any]] = []
        """Every event of this generation."""
        self._generation = 0
        self._is_updated = False
        self._answered: list[str] = []
        self._cut_items: list[str] = []
        self._truncated: list[str] = []
        self._audio_bytes = 0

    def record_input(self, message: messages.Input) -> None:
        """Record an input."""
        state = self._session.state
        if state.upstream.generation != self._generation:
            self._begin(state.upstream.generation)
        if isinstance(message, messages.UpstreamTextReceived) and message.generation == self._generation:
            event = orjson.loads(message.text)
            if event["type"] == "session.updated" and state.lifecycle is Lifecycle.CONFIGURING:
                self._is_updated = state.upstream.pending_updates == 1
            if event["type"] == "response.output_audio.delta":
                self._audio_bytes += len(event["delta"]) * 3 // 4
                is_active = state.turn.response is ResponseState.ACTIVE
                if not is_active or event.get("response_id") != state.turn.response_id:
                    self._cut_items.clear()  # it may belong to any item
                    self._truncated.clear()
            if event["type"] == "response.output_item.added":
                for cut in (self._cut_items, self._truncated):
                    cut[:] = [it for it in cut if it != event["item"]["id"]]  # the id is given again
            if event["type"] == "response.function_call_arguments.done":
                self._called(event["call_id"])  # the id may be that of an answered call

    def _begin(self, generation: int) -> None:
        self._generation = generation
        self._is_updated = self._session.state.lifecycle is Lifecycle.READY  # a standby upstream is configured already
        self.events.clear()
        self._answered.clear()
        self._cut_items.clear()
        self._truncated.clear()
        self._audio_bytes = 0

    def record_sent_to_client(self, message: dict[str, Any]) -> None:
        """Record a requested call. It may have the id of an answered call."""
        for function in message["functions"] if message["type"] == "FunctionCallRequest" else ():
            self._called(function["id"])

    def _called(self, call_id: str) -> None:
        self._answered = [it for it in self._answered if it != call_id]

    def sent(self, event: dict[str, Any], generation: int) -> None:
        """Judge an event to an upstream. For the standby upstream, judge only the shape of the event."""
        if self._session.state.upstream.generation != self._generation:
            self._begin(self._session.state.upstream.generation)
        kind = event["type"]
        assert_client_event(event)
        if generation != self._generation:
            return
        assert self._is_updated or _may_be_early(event), f"{kind} before session.updated"
        self.events.append(event)
        judge = getattr(self, f"_judge_{kind.replace('.', '_')}", None)
        if judge is not None:
            judge(event)

    def _judge_response_create(self, event: dict[str, Any]) -> None:
        if event.get("response", {}).get("conversation") == "none":
            return
        # The machine asks only from NONE, and is in REQUESTED when this command is performed.
        assert self._session.state.turn.response is ResponseState.REQUESTED, "a response while one is active"

    def _judge_conversation_item_create(self, event: dict[str, Any]) -> None:
        item = event["item"]
        if item["type"] == "function_call":
            self._called(item["call_id"])
        if item["type"] == "function_call_output" and "id" in item:
            assert item["call_id"] not in self._answered, "a call is answered twice"
            self._answered.append(item["call_id"])

    def _judge_conversation_item_truncate(self, event: dict[str, Any]) -> None:
        # A truncated item may be deleted later, because the caller heard less of it. A second truncation is refused.
        assert event["item_id"] not in (*self._truncated, *self._cut_items), "an item is cut twice"
        self._truncated.append(event["item_id"])
        assert 0 < event["audio_end_ms"] <= self._audio_bytes * 1000 / BYTES_PER_S, "more is heard than was sent"

    def _judge_conversation_item_delete(self, event: dict[str, Any]) -> None:
        assert event["item_id"] not in self._cut_items, "an item is cut twice"
        self._cut_items.append(event["item_id"])


def _may_be_early(event: dict[str, Any]) -> bool:
    """Whether an event may leave before session.updated: the configuration, and the texts of the ledger after it."""
    if event["type"] == "conversation.item.create":
        return all(part["type"] != "input_audio" for part in event["item"].get("content") or ())
    return event["type"] in ("session.update", "response.cancel")


def _type_of(text: str) -> str:
    try:
        return str(orjson.loads(text).get("type"))
    except orjson.JSONDecodeError:
        return ""


def _shown(message: Any) -> str:
    return f"{type(message).__name__} {next(iter(msgspec.structs.astuple(message)), '')!s:.200}"
