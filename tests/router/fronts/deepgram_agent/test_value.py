"""A relay of Deepgram's that another process continues: its memory, its turn, its client's messages."""

import json

import pytest

from actors import messages as engine
from router import Request, RouterConfig
from router.assembly.factory import SessionFactory
from router.fronts.call_limits import CallLimits, Playback, Wire
from router.fronts.deepgram_agent.closing import SETTINGS_TIMER, Closing
from router.fronts.deepgram_agent.conversation import Conversation
from router.fronts.deepgram_agent.injected import Injected
from router.fronts.deepgram_agent.machine import ADOPTION_TIMER
from router.fronts.deepgram_agent.reporting import Reporter
from router.fronts.deepgram_agent.user_audio import RECENT_BYTES
from router.fronts.deepgram_agent.value import LAYOUTS, VALUE, MovableRelay
from router.fronts.deepgram_agent.waiting import Waiting
from router.hooks import Hooks
from router.policy.table import policies
from router.session.machine import Session
from router.session.packing import fields_of
from router.session.profile import CONVERSE
from router.session.recovery import replay
from router.session.snapshot import SnapshotError
from router.session.state.limited import Limited, Spending
from router.tools.registry import FunctionRegistry
from tests.support.machine.options import session_options
from tests.support.machine.relay_book import CALL, SETTINGS, RelayBook

OPTIONS = session_options()
MADE = {
    MovableRelay: lambda: MovingBook().relay,
    Closing: lambda: Closing(OPTIONS, Reporter(OPTIONS), bool, iter),
    Reporter: lambda: Reporter(OPTIONS),
    Conversation: lambda: Conversation(1),
    Injected: lambda: Injected(1),
    Waiting: lambda: Waiting(1, 1),
    CallLimits: lambda: CallLimits(OPTIONS, Wire(bool, list, list)),
    Limited: lambda: Limited(OPTIONS),
    Spending: lambda: Spending(OPTIONS),
    Playback: Playback,
}
FRAME = bytes(640)


class MovingBook(RelayBook):
    """A relay that may move to another process."""

    def __init__(self, **options):
        self.options = session_options(**options)
        super().__init__(**options)
        self.relay = self.made()
        self.sent, self.others = [], []
        self.feed(engine.ClientOpened())

    def made(self, memory=b""):
        return MovableRelay(Session("s", CONVERSE, self.options), memory)

    def moved(self, *, journal=(), is_planned=False, sent_bytes=0, adoptions=0, memory=None, is_new_client=False):
        """Let another process continue the session."""
        self.relay = self.made(memory or self.relay.memory(is_brief=True))
        self.relay._session.state.adoptions = adoptions
        self.timers.clear()
        self.take()
        for command in replay(self.relay, journal, self.now_s):
            if isinstance(command, engine.SendToClient):
                self.sent.append(json.loads(command.frame))
        return self.feed(engine.ClientAdopted(is_planned, sent_bytes, is_new_client=is_new_client))

    def kinds(self):
        """Return the types of the messages to the client, with the codes of warnings."""
        texts = [it for it in self.sent if isinstance(it, dict)]
        return [it["code"] if it["type"] == "Warning" else it["type"] for it in texts]

    def play(self, audio=FRAME):
        return self.feed(engine.UpstreamBinaryReceived(self.generation, audio))

    def talk(self):
        self.ready().say("user", "One?").say("assistant", "One.").play().server("AgentAudioDone").take()
        return self


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.kind.__name__)
def test_every_field_of_the_memory_is_stored_or_named_as_derived(layout):
    assert fields_of(MADE.get(layout.kind, layout.kind)()) == {*layout.stored, *layout.derived}
    assert not set(layout.stored) & set(layout.derived)


def test_a_written_relay_is_the_same_as_the_relay():
    book = MovingBook(is_reported=True, is_observed=True).talk()
    book.say("user", "Two?").server("FunctionCallRequest", functions=[CALL]).client(
        "InjectUserMessage", content="Three?"
    )
    book.feed(engine.ClientBinaryReceived(FRAME)).server("UserStartedSpeaking")
    data = book.relay.memory()
    twin = book.made(data)
    assert twin.memory() == data
    assert (twin.describe(), twin.held_bytes()) == (book.relay.describe(), book.relay.held_bytes())


def test_after_a_planned_move_between_turns_the_client_notices_nothing_and_the_upstream_gets_the_conversation():
    book = MovingBook().talk()
    assert book.relay.can_move
    book.moved(is_planned=True)
    assert book.sent == []
    settings = book.restore()
    assert book.sent == []
    assert [it["content"] for it in settings["agent"]["context"]["messages"]] == ["One?", "One."]
    assert "greeting" not in settings["agent"]
    book.take()
    book.say("user", "Two?").say("assistant", "Two.")
    assert [it["content"] for it in book.sent if it["type"] == "ConversationText"] == ["Two?", "Two."]


def test_a_client_that_is_back_is_welcomed_at_once_and_the_welcome_of_the_upstream_is_dropped():
    book = MovingBook().talk().moved(is_planned=True, is_new_client=True)
    assert book.kinds() == ["Welcome"]
    assert book.relay.has_settings
    assert book.relay.is_applied
    book.restore()
    assert book.kinds() == ["Welcome"]


def test_after_a_death_an_open_question_is_asked_again_and_its_text_comes_once():
    book = MovingBook().talk().say("user", "Two?")
    assert not book.relay.can_move
    book.moved()
    assert book.kinds() == ["SESSION_RECOVERED"]
    book.restore()
    assert book.upstream[-1] == {"type": "InjectUserMessage", "content": "Two?"}
    book.take()
    book.say("user", "Two?").say("assistant", "Two.")
    assert [it["content"] for it in book.sent if it["type"] == "ConversationText"] == ["Two."]


def test_a_move_within_a_turn_tells_the_client_that_the_answer_begins_again():
    book = MovingBook().talk().say("user", "Two?").moved(is_planned=True)
    assert book.kinds() == ["UPSTREAM_RESTARTED"]


def test_messages_of_the_journal_reach_the_next_upstream_once():
    typed = json.dumps({"type": "InjectUserMessage", "content": "Two?"})
    book = MovingBook().talk().moved(journal=[typed])
    book.restore()
    assert book.upstream.count(json.loads(typed)) == 1


def test_settings_that_came_after_the_record_are_sent():
    book = MovingBook().server("Welcome", request_id="r1")
    book.moved(journal=[json.dumps(SETTINGS)])
    assert SETTINGS_TIMER not in book.timers
    book.server("Welcome", request_id="r2")
    assert (book.kinds(), book.upstream) == ([], [SETTINGS])
    assert book.server("SettingsApplied").kinds() == ["SettingsApplied"]


def test_a_client_without_settings_has_to_send_them_in_time():
    assert SETTINGS_TIMER in MovingBook().server("Welcome", request_id="r1").moved().timers


def test_functions_that_the_client_runs_in_vain_are_cancelled():
    book = MovingBook().talk().say("user", "Two?").server("FunctionCallRequest", functions=[CALL]).moved()
    assert book.kinds() == ["SESSION_RECOVERED", "FunctionCallCancelled"]


def test_a_greeting_that_was_cut_off_ends():
    book = MovingBook().ready().play()
    assert book.moved(sent_bytes=len(FRAME)).kinds() == ["SESSION_RECOVERED", "AgentAudioDone"]


def test_a_pong_behind_the_record_is_no_answer_that_was_cut_off():
    assert MovingBook().talk().moved(sent_bytes=len(b"\x8a\x04pong")).kinds() == ["SESSION_RECOVERED"]


def test_speech_in_progress_is_heard_again_and_the_newest_audio_of_a_silent_user_too():
    book = MovingBook().talk().server("UserStartedSpeaking")
    for _ in range(50):
        book.feed(engine.ClientBinaryReceived(FRAME))
    book.moved().restore()
    assert sum(len(it) for it in book.upstream if isinstance(it, bytes)) >= 50 * len(FRAME)
    silent = MovingBook().talk()
    for _ in range(50):
        silent.feed(engine.ClientBinaryReceived(FRAME))
    silent.moved(journal=[FRAME]).restore()
    assert sum(len(it) for it in silent.upstream if isinstance(it, bytes)) == RECENT_BYTES
    assert silent.relay._conversation.speech.size_bytes >= RECENT_BYTES


def test_audio_that_waited_for_an_upstream_is_sent_once():
    book = MovingBook().talk().lose().feed(engine.ClientBinaryReceived(FRAME)).moved()
    book.restore()
    assert [it for it in book.upstream if isinstance(it, bytes)] == [FRAME]


def test_each_text_for_the_client_and_the_first_audio_of_an_answer_call_for_a_record():
    book = MovingBook().talk()
    marks = book.relay.marks
    for step, grows in (
        (lambda: book.server("ConversationText", role="user", content="Two?"), True),
        (book.play, True),
        (book.play, False),
        (lambda: book.client("KeepAlive"), False),
        (lambda: book.feed(engine.ClientBinaryReceived(FRAME)), False),
        (lambda: book.feed(engine.EndRequested()), True),
    ):
        due = marks.record_due
        step()
        assert (marks.record_due > due) is grows
    assert (marks.words_due, marks.words_bytes, marks.was_audio, marks.take_words()) == (0, 0, False, "")
    marks.note_stored()


def test_audio_of_a_silent_user_alone_may_be_dropped():
    book = MovingBook()
    assert not book.relay.marks.may_drop_audio()
    assert book.talk().relay.marks.may_drop_audio()
    assert not book.server("UserStartedSpeaking").relay.marks.may_drop_audio()


@pytest.mark.parametrize("proves", [lambda book: book.miss(ADOPTION_TIMER), lambda book: book.server("AgentAudioDone")])
def test_a_session_that_has_run_for_a_while_or_completed_a_turn_counts_as_harmless(proves):
    book = MovingBook().talk().moved(adoptions=2)
    due = book.relay.marks.record_due
    book.restore()
    proves(book)
    assert book.relay._session.state.adoptions == 0
    assert book.relay.marks.record_due > due


def test_a_session_that_had_ended_ends_again_in_the_same_way():
    book = MovingBook().talk().feed(engine.EndRequested())
    ending = book.ending
    assert book.moved().ending == ending


def test_a_client_that_got_an_error_of_its_own_fault_is_closed():
    book = MovingBook().server("Welcome", request_id="r1").client("Settings", agent={})
    book.server("Error", code="INVALID_SETTINGS", description="no").moved()
    assert (book.ending.code, book.ending.reason) == (1000, "INVALID_SETTINGS")


def test_a_drain_of_the_other_process_is_forgotten():
    book = MovingBook().talk().feed(engine.DrainBegan(5.0, keeps_idle=True))
    book.moved(is_planned=True).restore()
    assert book.feed(engine.ClientBinaryReceived(FRAME)).ending is None


@pytest.mark.parametrize("at", [0, 1, 40, -30, -1])
def test_a_damaged_value_is_refused(at):
    book = MovingBook().talk()
    data = bytearray(book.relay.memory())
    data[at] ^= 0xFF
    with pytest.raises(SnapshotError):
        book.made(bytes(data))


def test_a_value_without_a_layout_cannot_be_written():
    book = MovingBook().talk()
    book.relay._settings_text = object()
    with pytest.raises(SnapshotError, match="object has no layout"):
        book.relay.memory()


@pytest.mark.parametrize(
    "settings", [{}, {"agents": {"a": {}}, "policies": policies({"default": {}})}], ids=["alone", "wrapped"]
)
def test_the_relay_is_found_within_the_machines_around_it(settings):
    factory = SessionFactory(RouterConfig(**settings), FunctionRegistry(), Hooks())
    spec = factory.of(
        "s", Request(path="/deepgram", profile="deepgram", query={}, headers={}), None, perform=print, on_end=print
    )
    assert spec.carried is not None
    assert spec.carried.can_outlive
    list(spec.machine.handle(engine.ClientOpened(), 0.0))
    assert spec.carried.snapshot()
    assert VALUE.layout
