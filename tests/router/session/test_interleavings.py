"""Random inputs in any order: the rules that hold for every session."""

import msgspec
import orjson
from hypothesis import example, given, settings, strategies

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from router.deepgram import blocks
from router.session.deadlines import Wait
from router.session.machine import Session
from router.session.profile import PROFILES
from router.session.state.states import Lifecycle, UserTurnState
from router.session.transitions import USER_TURN_DEADLINES
from tests.support.machine.invariants import Invariants
from tests.support.machine.options import session_options
from tests.support.machine.playbook import (
    SESSION_ID,
    SETTINGS,
    call_done,
    error,
    item_added,
    response_created,
    response_done,
    transcript_done,
)
from tests.support.machine.samples import CLIENT, UPSTREAM
from tests.support.machine.timed_playbook import speech
from tests.support.processes.further import examples

LOSS = Loss(kind=LossKind.CLOSED, code=1000)
CLOSED = ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)
ENGINE = [
    messages.UpstreamOpened(1, 0, 0.0),
    messages.UpstreamLost(1, LOSS, Verdict(decision=Decision.RESTART)),
    messages.UpstreamLost(1, LOSS, Verdict(decision=Decision.TEAR_DOWN)),
    messages.ClientClosed(CLOSED),
    messages.DrainBegan(30.0),
    messages.EndRequested(),
]

TELEPHONE = {
    **SETTINGS,
    "audio": {
        "input": {"encoding": "mulaw", "sample_rate": 8000},
        "output": {"encoding": "linear16", "sample_rate": 8000},
    },
}
"""Audio that is converted in one direction, and in the other passes unchanged, where the upstream supports it."""

GREETED = {**SETTINGS, "agent": {**SETTINGS["agent"], "greeting": "Welcome."}}


def as_text(made, items):
    return [made(orjson.dumps(item).decode()) for item in items]


def of_upstream(*events):
    return as_text(lambda text: messages.UpstreamTextReceived(1, text), events)


SENSE = [
    [
        *of_upstream(
            response_created("resp_1"),
            {
                "type": "response.output_item.added",
                "response_id": "resp_1",
                "item": {"id": "item_1", "type": "message"},
            },
            {"type": "response.output_audio_transcript.delta", "response_id": "resp_1", "delta": "Hi"},
        ),
        "play",
    ],
    of_upstream(
        {"type": "input_audio_buffer.speech_started", "item_id": "u"},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "u"},
        {"type": "input_audio_buffer.committed", "item_id": "u"},
    ),
    of_upstream(transcript_done("Hi.", "item_1"), response_done("resp_1")),
    of_upstream(response_created("resp_2"), call_done("call_1", "lookup"), response_done("resp_2")),
    [*of_upstream(response_created("resp_2"), call_done("call_3", "order"), response_done("resp_2")), "work"],
    [*as_text(messages.ClientTextReceived, [{"type": "InjectUserMessage", "content": "hello"}]), "acknowledge"],
    ["lose", "come_back"],
    ["roll", "roll", "roll", "roll"],
]
"""Sensible sequences of events. Random events alone seldom lead anywhere."""

ANYTHING = strategies.one_of(
    strategies.sampled_from(as_text(messages.ClientTextReceived, CLIENT)),
    strategies.sampled_from(of_upstream(*UPSTREAM)),
    strategies.binary(max_size=64).map(messages.ClientBinaryReceived),
    strategies.sampled_from(["acknowledge", "play", "lose", "come_back", "wait", "work", "fail", "roll", "refuse"]),
    strategies.sampled_from(list(Wait)),
)

MIDDLES = strategies.lists(
    strategies.one_of(ANYTHING.map(lambda one: [one]), strategies.sampled_from(SENSE)), max_size=30
).map(lambda pieces: [what for piece in pieces for what in piece])

BEGINNINGS = [
    messages.ClientOpened(),
    *as_text(messages.ClientTextReceived, CLIENT[:1]),
    *of_upstream(*UPSTREAM[:2]),
]

TELEPHONE_BEGINNINGS = [BEGINNINGS[0], *as_text(messages.ClientTextReceived, [TELEPHONE]), *BEGINNINGS[2:]]
GREETED_BEGINNINGS = [BEGINNINGS[0], *as_text(messages.ClientTextReceived, [GREETED]), *BEGINNINGS[2:]]


UNASKED_ITEM = of_upstream(next(event for event in UPSTREAM if event["type"] == "conversation.item.done"))
"""A whole answer that comes unasked, and without response.created: some servers announce nothing."""


class Driver:
    """A driver that feeds a session any input, and judges it by the invariants and by its own counts."""

    def __init__(self, profile):
        options = session_options(g711=(True,), tools=(blocks.Function(name="order"),))
        self.session = Session(SESSION_ID, PROFILES[profile], options)
        self.invariants = Invariants(self.session)
        self.timers = set()
        self.under_way = []
        self.acknowledged = set()
        self.is_abandoned = False
        """The upstream was abandoned, and its loss is not reported yet."""
        self.now_s = 0.0
        self.announced = 0
        """The responses and items that the upstream announced."""
        self.requested = 0
        """The answers that the session requested."""

    def feed(self, what):
        if isinstance(what, Wait):
            if what.value in self.timers:
                self.timers.discard(what.value)
                self._handle(messages.TimerFired(what.value))
        elif isinstance(what, str):
            getattr(self, what)()
        elif hasattr(what, "generation"):
            self._handle(msgspec.structs.replace(what, generation=self.session.state.upstream.generation))
        else:
            self._handle(what)

    def acknowledge(self):
        created = [
            event["item"]["id"]
            for event in self.invariants.upstream.events
            if event["type"] == "conversation.item.create" and event["item"].get("role") == "user"
        ]
        for item_id in [item_id for item_id in created if item_id not in self.acknowledged][:1]:
            self.acknowledged.add(item_id)
            self._upstream(item_added(item_id))

    def play(self):
        half_a_second = "AAAA" * 8000
        self._upstream({"type": "response.output_audio.delta", "response_id": "resp_1", "delta": half_a_second})

    def lose(self):
        self.feed(messages.UpstreamLost(0, LOSS, Verdict(decision=Decision.RESTART)))

    def come_back(self):
        for event in ({"type": "session.created"}, {"type": "session.updated"}, {"type": "session.updated"}):
            self._upstream(event)

    def roll(self):
        """Let the standby upstream take its next step."""
        state = self.session.state
        if state.standby is None:
            self.feed(Wait.ROLLOVER)
            return
        step = {"CONNECTING": "session.created"}.get(state.standby_state.name, "session.updated")
        self._handle(messages.UpstreamTextReceived(state.standby.generation, orjson.dumps({"type": step}).decode()))

    def refuse(self):
        """Refuse the last response.create."""
        asked = [event for event in self.invariants.upstream.events if event["type"] == "response.create"]
        if asked:
            self._upstream(error("invalid_value", event_id=asked[-1].get("event_id")))

    def wait(self):
        self.now_s += 3.0

    def work(self):
        if self.under_way:
            self._handle(messages.WorkDone(self.under_way.pop(0), "done"))

    def fail(self):
        if self.under_way:
            failure = messages.WorkFailure(messages.WorkFailureKind.TIMED_OUT)
            self._handle(messages.WorkDone(self.under_way.pop(0), failure=failure))

    def _upstream(self, event):
        self.feed(messages.UpstreamTextReceived(0, orjson.dumps(event).decode()))

    def _handle(self, message):
        self.now_s += 0.01
        if isinstance(message, messages.UpstreamTextReceived):
            self.announced += any(kind in message.text for kind in ("output_item.added", "response.created"))
        for command in self.invariants.handle(message, self.now_s):
            match command:
                case messages.SendToUpstream(frame):
                    event = orjson.loads(frame)
                    is_outside = event.get("response", {}).get("conversation") == "none"
                    self.requested += event["type"] == "response.create" and not is_outside
                case messages.StartTimer(name):
                    self.timers.add(name)
                case messages.CancelTimer(name):
                    self.timers.discard(name)
                case messages.StartWork(key):
                    assert key not in self.under_way, "a function runs twice"
                    self.under_way.append(key)
                case messages.CancelWork(key):
                    self.under_way.remove(key)
                case messages.AbandonUpstream():
                    self.is_abandoned = True
        if isinstance(message, messages.UpstreamLost):
            self.is_abandoned = False
        if not self.is_abandoned:
            self.judge_waits()

    def judge_waits(self):
        """Assert that every wait has a deadline."""
        state = self.session.state
        if state.lifecycle is not Lifecycle.READY:
            return
        waits = {
            "an answer": (state.turn.response.name != "NONE", {Wait.FIRST_EVENT, Wait.NEXT_EVENT}),
            "an answer to speech": (bool(state.user_turns.owed), {Wait.FIRST_EVENT, Wait.NEXT_EVENT}),
            "the user's turn": (
                state.user_turns.current.phase is not UserTurnState.IDLE,
                set(USER_TURN_DEADLINES[state.user_turns.current.phase]) - {Wait.MICROPHONE},
            ),
            "an acknowledgement": (state.pending.awaits_acknowledgement, {Wait.ITEM_ACK}),
            "an update": (state.upstream.is_updating, {Wait.UPDATE}),
            "the client's function": (bool(state.calls.of_client()), {Wait.TOOL_ANSWER, Wait.TRANSCRIPT}),
            "a transcript": (bool(state.transcripts.held), {Wait.TRANSCRIPT}),
            "playback": (state.playback.is_waiting, {Wait.PLAYBACK}),
            "another try": (state.pending.is_paused, {Wait.ASK_AGAIN}),
            "the next upstream": (state.standby is not None and state.standby_state.name != "SEEDED", {Wait.STANDBY}),
            "its update": (state.standby is not None and state.standby.pending_updates > 0, {Wait.STANDBY}),
        }
        for what, (is_waited_for, deadlines) in waits.items():
            assert not is_waited_for or {it.value for it in deadlines} & self.timers, f"{what} has no deadline"

    def judge(self):
        texts = [
            message["content"]
            for message in self.invariants.client.messages
            if message["type"] == "ConversationText" and message["role"] == "assistant"
        ]
        # Ids may begin anew with each response and each item: it is another one. Some servers announce neither.
        most = self.session.state.generation + self.announced + self.requested
        assert texts.count("Hi.") <= most, "an item's text is sent twice"
        assert texts.count("Ho.") <= most
        assert texts.count("Welcome.") <= 1, "a greeting's text is sent twice"
        if self.session.state.lifecycle.name != "ENDED":
            waited_for = {f"tool:{it.id}" for it in self.session.state.calls.outstanding.values() if not it.client_side}
            assert waited_for <= set(self.under_way), "a call waits for work that is not running"


HELD_UNTIL_THE_NEXT_ANSWER = [
    *of_upstream(response_created("resp_1")),
    *as_text(
        messages.ClientTextReceived,
        [{"type": "InjectAgentMessage", "message": "Mind the step.", "behavior": "interrupt"}],
    ),
    *of_upstream(
        *speech("u"),
        {"type": "response.done", "response": {"id": "resp_1", "status": "failed"}},
        response_created("resp_1"),
        transcript_done("Hi.", "item_1"),
        response_done("resp_1"),
    ),
]
"""A text waits for the user's words. The next answer, which ends its turn, has no output before the end of its text."""


@settings(max_examples=examples(300), deadline=None)
@given(
    strategies.sampled_from([BEGINNINGS, GREETED_BEGINNINGS, TELEPHONE_BEGINNINGS, BEGINNINGS[:1]]),
    MIDDLES,
    strategies.sampled_from(["openai", "converse"]),
    strategies.sampled_from(ENGINE),
)
@example(BEGINNINGS, UNASKED_ITEM, "openai", ENGINE[0])
@example(BEGINNINGS, UNASKED_ITEM * 2, "converse", ENGINE[3])
@example(BEGINNINGS, HELD_UNTIL_THE_NEXT_ANSWER, "openai", ENGINE[0])
def test_the_rules_hold_for_any_interleaving(beginning, middle, profile, end):
    driver = Driver(profile)
    for what in [*beginning, *middle, end, *middle[:3], Wait.DRAIN]:
        driver.feed(what)
    driver.judge()
    if isinstance(end, messages.ClientClosed | messages.DrainBegan | messages.EndRequested):
        assert driver.invariants.client.has_ended


@settings(max_examples=examples(100), deadline=None)
@given(strategies.lists(strategies.sampled_from(["say", "acknowledge", "created", "done"]), max_size=40))
def test_every_question_is_answered_and_no_response_is_requested_while_one_is_active(steps):
    """The upstream acknowledges each item, begins each requested response, and ends it."""
    driver = Driver("converse")
    for what in BEGINNINGS:
        driver.feed(what)
    asked = begun = ended = said = 0

    def feed(what):
        nonlocal asked
        before = driver.session.state.turn.response.name
        driver.feed(what)
        if before == "NONE" and driver.session.state.turn.response.name == "REQUESTED":
            asked += 1
        return asked

    for step in [*steps, *["acknowledge"] * 40, *["created", "done"] * 40]:
        if step == "say":
            said += 1
            feed(messages.ClientTextReceived('{"type":"InjectUserMessage","content":"x"}'))
        elif step == "acknowledge":
            feed("acknowledge")
        elif step == "created" and driver.session.state.turn.response.name == "REQUESTED":
            begun += 1
            feed(messages.UpstreamTextReceived(1, orjson.dumps(response_created(f"r{begun}")).decode()))
        elif step == "done" and driver.session.state.turn.response.name == "ACTIVE":
            ended += 1
            before = len(driver.session.state.pending)
            feed(messages.UpstreamTextReceived(1, orjson.dumps(response_done(f"r{ended}")).decode()))
            asked += bool(before)
    assert begun == ended
    assert (begun > 0) == (said > 0)
    assert not driver.session.state.pending
    assert driver.session.state.turn.response.name == "NONE"
    assert not driver.session.state.pending.awaits_acknowledgement
