"""Whatever comes, in whatever order: what must hold for every session."""

import msgspec
import orjson
from hypothesis import given, settings, strategies

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from playbook import (
    SESSION_ID,
    SETTINGS,
    call_done,
    error,
    item_added,
    response_created,
    response_done,
    text_done,
    transcript_done,
)
from router.session.deadlines import Wait
from router.session.options import SessionOptions
from router.session.profile import PROFILES
from router.session.session import Session

LOSS = Loss(kind=LossKind.CLOSED, code=1000)
CLOSED = ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)

CLIENT = [
    SETTINGS,
    {"type": "InjectUserMessage", "content": "hello"},
    {"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"},
    {"type": "FunctionCallResponse", "name": "other", "content": "7"},
    {"type": "KeepAlive"},
    {"type": "ForceEndTurn"},
    {"type": "Nonsense"},
    {"type": "InjectAgentMessage", "message": "One moment.", "behavior": "queue"},
    {"type": "InjectAgentMessage", "message": "Stop.", "behavior": "interrupt"},
    {"type": "UpdatePrompt", "prompt": "Be brief."},
    {"type": "UpdateThink", "think": {"functions": [{"name": "other"}]}},
    {"type": "UpdateSpeak", "speak": {"provider": {"type": "open_ai", "voice": "cedar"}}},
    {"type": "UpdateListen", "listen": {"provider": {"language": "fr"}}},
    {"type": "session.update", "session": {"type": "realtime"}},
    {"type": "response.create"},
    {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "call_1", "output": "1"}},
]
UPSTREAM = [
    {"type": "session.created", "session": {}},
    {"type": "session.updated", "session": {}},
    item_added("theirs", content=[{"type": "input_text", "text": "hello"}]),
    response_created("resp_1"),
    response_created("resp_2"),
    response_done("resp_1"),
    response_done("resp_2", status="cancelled"),
    response_done("resp_1", status="failed"),
    text_done("Hi.", "item_1"),
    transcript_done("Hi.", "item_1"),
    transcript_done("Ho.", "item_2"),
    {"type": "conversation.item.done", "item": {"id": "item_1", "role": "assistant", "content": [{"text": "Hi."}]}},
    {"type": "response.output_audio.delta", "response_id": "resp_1", "delta": "AAAA"},
    {"type": "input_audio_buffer.speech_started", "item_id": "u"},
    {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u", "transcript": "hm"},
    call_done("call_1", "lookup"),
    call_done("call_2", "other"),
    error("conversation_already_has_active_response"),
    error("something_else"),
    {"type": "from.the.future"},
]
ENGINE = [
    messages.UpstreamOpened(1, 0, 0.0),
    messages.UpstreamLost(1, LOSS, Verdict(decision=Decision.RESTART)),
    messages.UpstreamLost(1, LOSS, Verdict(decision=Decision.TEAR_DOWN)),
    messages.ClientClosed(CLOSED),
    messages.DrainBegan(30.0),
]


def as_text(made, items):
    return [made(orjson.dumps(item).decode()) for item in items]


ANYTHING = strategies.one_of(
    strategies.sampled_from(as_text(messages.ClientTextReceived, CLIENT)),
    strategies.sampled_from(as_text(lambda text: messages.UpstreamTextReceived(1, text), UPSTREAM)),
    strategies.binary(max_size=64).map(messages.ClientBinaryReceived),
    strategies.sampled_from(["acknowledge", "lose", "return"]),
    strategies.sampled_from(list(Wait)),
)
MIDDLES = strategies.lists(ANYTHING, max_size=40)
BEGINNINGS = [
    messages.ClientOpened(),
    *as_text(messages.ClientTextReceived, CLIENT[:1]),
    *as_text(lambda text: messages.UpstreamTextReceived(1, text), UPSTREAM[:2]),
]

GREETED = {**SETTINGS, "agent": {**SETTINGS["agent"], "greeting": "Welcome."}}
GREETED_BEGINNINGS = [BEGINNINGS[0], *as_text(messages.ClientTextReceived, [GREETED]), *BEGINNINGS[2:]]


class Witness:
    """Feeds a session, and sees to it that the rules hold after every step."""

    def __init__(self, profile):
        self.session = Session(SESSION_ID, PROFILES[profile], SessionOptions())
        self.timers = set()
        self.created = []
        self.is_updated = self.has_ended = False
        self.has_asked = self.is_active = False
        self.requested, self.answered, self.told = [], [], []

    def feed(self, what):
        if what == "acknowledge":
            if not self.created:
                return
            what = messages.UpstreamTextReceived(1, orjson.dumps(item_added(self.created.pop(0))).decode())
        elif what == "lose":
            what = messages.UpstreamLost(1, LOSS, Verdict(decision=Decision.RESTART))
        elif what == "return":
            for event in ({"type": "session.created"}, {"type": "session.updated"}, {"type": "session.updated"}):
                self.feed(messages.UpstreamTextReceived(1, orjson.dumps(event).decode()))
            return
        elif isinstance(what, Wait):
            if what.value not in self.timers:
                return
            self.timers.discard(what.value)
            what = messages.TimerFired(what.value)
        if hasattr(what, "generation"):
            what = msgspec.structs.replace(what, generation=self.session.state.line.generation)
        self._see_input(what)
        commands = self.session.handle(what, 0.0)
        if isinstance(what, messages.UpstreamLost):
            self.is_updated = False
            self.judge_upstream()
        assert not (self.has_ended and [c for c in commands if not isinstance(c, messages.Log)]), (
            "something after an end"
        )
        for command in commands:
            self._see(command)

    def _see_input(self, what):
        if not isinstance(what, messages.UpstreamTextReceived):
            return
        event = orjson.loads(what.text)
        state = self.session.state
        if event["type"] == "session.updated" and state.lifecycle.name == "CONFIGURING" and state.line.updates == 1:
            self.is_updated = True

    def _see(self, command):
        match command:
            case messages.StartTimer(name):
                self.timers.add(name)
            case messages.CancelTimer(name):
                self.timers.discard(name)
            case messages.EndSession():
                self.has_ended = True
            case messages.SendToUpstream(frame):
                self._see_event(orjson.loads(frame))
            case messages.SendToClient(str() as frame):
                self._see_message(orjson.loads(frame))
            case messages.SendToClient(bytes() as frame):
                assert len(frame) % 2 == 0

    def _see_event(self, event):
        kind, item = event["type"], event.get("item", {})
        assert self.is_updated or kind == "session.update", f"{kind} before session.updated"
        if kind == "response.create":
            # The machine asks only from NONE, and is in REQUESTED when this command is performed.
            assert self.session.state.turn.response.name == "REQUESTED"
        if kind == "conversation.item.create" and item.get("role") == "user":
            self.created.append(item["id"])
        if item.get("type") == "function_call_output" and "id" in item:
            self.answered.append(item["call_id"])

    def _see_message(self, message):
        assert not self.has_ended, "a message behind the end"
        if message["type"] == "FunctionCallRequest":
            self.requested += [function["id"] for function in message["functions"]]
        if message["type"] == "ConversationText" and message["role"] == "assistant":
            self.told.append(message["content"])

    def judge_upstream(self):
        """What holds for one upstream; the next is told everything again, and has items of its own."""
        assert len(set(self.answered)) == len(self.answered), "a call is answered twice"
        assert set(self.answered) <= set(self.requested)
        assert self.told.count("Hi.") <= 1, "an item's text is told twice"
        assert self.told.count("Ho.") <= 1
        assert self.told.count("Welcome.") <= 1, "a greeting's text is told twice"
        self.answered.clear()
        self.told.clear()

    def judge(self):
        assert len(set(self.requested)) == len(self.requested), "a tool runs twice"
        self.judge_upstream()


@settings(max_examples=150, deadline=None)
@given(MIDDLES, strategies.sampled_from(["openai", "converse"]), strategies.booleans(), strategies.sampled_from(ENGINE))
def test_the_rules_hold_for_any_interleaving(middle, profile, is_ready, end):
    witness = Witness(profile)
    for what in [*(GREETED_BEGINNINGS if is_ready else BEGINNINGS[:1]), *middle, end, *middle[:3], Wait.DRAIN]:
        witness.feed(what)
    witness.judge()
    if isinstance(end, messages.ClientClosed | messages.DrainBegan):
        assert witness.has_ended


@settings(max_examples=100, deadline=None)
@given(strategies.lists(strategies.sampled_from(["say", "acknowledge", "created", "done"]), max_size=40))
def test_every_question_is_asked_for_and_none_while_a_response_is_active(steps):
    """A well-behaved upstream: it acknowledges, begins what was asked for, and ends it."""
    witness = Witness("converse")
    for what in BEGINNINGS:
        witness.feed(what)
    asked = begun = ended = said = 0

    def feed(what):
        nonlocal asked
        before = witness.session.state.turn.response.name
        witness.feed(what)
        if before == "NONE" and witness.session.state.turn.response.name == "REQUESTED":
            asked += 1
        return asked

    for step in [*steps, *["acknowledge"] * 40, *["created", "done"] * 40]:
        if step == "say":
            said += 1
            feed(messages.ClientTextReceived('{"type":"InjectUserMessage","content":"x"}'))
        elif step == "acknowledge":
            feed("acknowledge")
        elif step == "created" and witness.session.state.turn.response.name == "REQUESTED":
            begun += 1
            feed(messages.UpstreamTextReceived(1, orjson.dumps(response_created(f"r{begun}")).decode()))
        elif step == "done" and witness.session.state.turn.response.name == "ACTIVE":
            ended += 1
            before = witness.session.state.turn.wants
            feed(messages.UpstreamTextReceived(1, orjson.dumps(response_done(f"r{ended}")).decode()))
            asked += bool(before)
    assert begun == ended
    assert (begun > 0) == (said > 0)
    assert not witness.session.state.turn.wants
    assert witness.session.state.turn.response.name == "NONE"
    assert not witness.session.state.line.items.awaits_acknowledgement
