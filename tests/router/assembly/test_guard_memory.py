"""A guard as a value: another process holds back, releases and checks what this one held."""

import json

import msgspec
import pytest

from actors import messages
from router.assembly import guard_memory
from router.config.guard import Guard
from router.fronts.deepgram_agent.guarded import DeepgramDialect
from router.fronts.listen.guarded import ListenDialect
from router.fronts.realtime.guarded import RealtimeDialect
from router.guard.dialect import Seen
from router.guard.machine import GuardedMachine, HeldFrame, OpenWindow
from router.guard.marks import GuardedMarks
from router.guard.relay import AgentText, GuardedRelay, RelayFrame, RelayWindow
from router.guard.windows import Windows
from router.session.packing import fields_of
from router.session.recovery import replay
from router.session.snapshot import SnapshotError, UnknownVersionError, restore, snapshot
from tests.router.fronts.realtime.test_guarded import FORBIDDEN as FORBIDDEN_WORDS
from tests.router.fronts.realtime.test_guarded import GuardedBook as RealtimeGuardedBook
from tests.router.guard.test_machine import FORBIDDEN, GuardedBook, ask, rule, speak
from tests.support.machine.guarded_relays import Checked
from tests.support.machine.playbook import SESSION_ID, Playbook, call_done, delta, response_created, transcript_done
from tests.support.machine.realtime_book import AUDIO_SESSION, message
from tests.support.machine.realtime_world import make_relay


class MovingBook(GuardedBook):
    """A guarded session that may move to another process."""

    @property
    def memory(self):
        return guard_memory.written(self.machine)

    @property
    def marks(self):
        return GuardedMarks(self.machine, self.session)

    def moved(self, *, journal=(), is_planned=False, sent_bytes=0, words="", value=None):
        session, memory = value or self.value
        self.session = restore(session, self.session.context.options)
        self.machine = GuardedMachine(self.session, self.guard, SESSION_ID)
        guard_memory.fill(self.machine, memory)
        self.timers.clear()
        self.work.clear()
        for command in replay(self.machine, journal, self.now_s):
            self._note(command)
        return self.feed(messages.ClientAdopted(is_planned, sent_bytes, words))

    @property
    def value(self):
        return snapshot(self.session), self.memory


MADE = {
    GuardedMachine: lambda: MovingBook().machine,
    Windows: lambda: Windows(1),
    OpenWindow: lambda: OpenWindow("", 1, 1),
    HeldFrame: lambda: HeldFrame(1, messages.SendToClient(""), 1),
    GuardedRelay: lambda: GuardedRelay(Playbook().session, Guard(), SESSION_ID, RealtimeDialect()),
    AgentText: lambda: AgentText(Windows(1), ""),
    RelayWindow: lambda: RelayWindow(1, "agent", "", "", ""),
    RelayFrame: lambda: RelayFrame(1, messages.SendToClient(""), None, Seen()),
    Seen: Seen,
    RealtimeDialect: RealtimeDialect,
    DeepgramDialect: DeepgramDialect,
    ListenDialect: ListenDialect,
    messages.SendToClient: lambda: messages.SendToClient(""),
}


@pytest.mark.parametrize("layout", guard_memory.LAYOUTS, ids=lambda layout: layout.kind.__name__)
def test_every_field_of_the_memory_is_stored_or_named_as_derived(layout):
    assert fields_of(MADE[layout.kind]()) == {*layout.stored, *layout.derived}


def test_a_written_guard_is_the_same_as_the_guard():
    book = MovingBook(rule("replace"), at_once=False).ready()
    ask(book, f"One {FORBIDDEN}.")
    book.decide()
    book.answering()
    speak(book, f"It is {FORBIDDEN}. ", "And so on. ")
    book.decide()
    ask(book, "two")
    twin = GuardedMachine(book.session, book.guard, SESSION_ID)
    guard_memory.fill(twin, book.memory)
    assert guard_memory.written(twin) == book.memory
    assert (twin.describe(), twin.held_bytes()) == (book.machine.describe(), book.machine.held_bytes())


def test_a_typed_text_that_waits_is_checked_by_the_next_process_and_asked_once():
    book = ask(MovingBook(rule(), at_once=False).ready(), "hello").moved()
    assert "hello" not in str(book.events_to_upstream)
    book.decide().configured()
    assert str(book.events_to_upstream).count("hello") == 1


def test_a_typed_text_of_the_journal_is_checked_although_the_replay_starts_no_work():
    typed = f'{{"type":"InjectUserMessage","content":"{FORBIDDEN}"}}'
    book = MovingBook(rule(), at_once=False).ready().moved(journal=[typed])
    book.decide().configured()
    assert FORBIDDEN not in str(book.events_to_upstream)
    assert book.codes == []


def test_a_text_that_waited_reaches_the_client_once_it_has_passed_and_not_before():
    book = MovingBook(rule(), at_once=False).ready()
    book.at_once = True
    book.answering().at_once = False
    speak(book, "All is well. ")
    book.upstream(transcript_done("All is well."))
    book.moved()
    assert (book.texts("assistant"), book.audio) == ([], 0)
    book.decide()
    assert (book.texts("assistant"), book.audio) == (["All is well."], 4800)


def test_a_text_that_waited_stays_withheld_if_the_next_process_finds_a_hit():
    book = MovingBook(rule(), at_once=False).ready()
    book.at_once = True
    book.answering().at_once = False
    speak(book, f"It is {FORBIDDEN}. ")
    book.upstream(transcript_done(f"It is {FORBIDDEN}."))
    book.moved().decide()
    assert (book.texts("assistant"), book.audio) == ([], 0)
    assert "GUARD_BLOCKED" in book.codes


def test_the_words_behind_a_record_are_checked_before_the_client_gets_their_text():
    book = MovingBook(rule()).ready().answering()
    speak(book, "All is well. ")
    value = book.value
    book.at_once = False
    book.moved(value=value, words=f"It is {FORBIDDEN}. ", sent_bytes=48_000)
    assert FORBIDDEN not in str(book.frames_to_client)
    while book.checks:
        book.decide()
    assert FORBIDDEN not in str(book.frames_to_client)
    assert "GUARD_BLOCKED" in book.codes


def test_the_rest_of_a_blocked_answer_stays_withheld():
    book = MovingBook(rule()).ready().answering()
    speak(book, f"It is {FORBIDDEN}. ")
    book.forget()
    book.moved(words="And so on. ", sent_bytes=4800)
    assert book.texts("assistant") == []


def test_a_function_whose_output_waited_counts_as_failed():
    book = MovingBook(rule(on=("function",)), at_once=False).ready().answering()
    book.upstream(call_done("call_1", "lookup"))
    book.feed(messages.WorkDone("tool:call_1", "an output"))
    assert len(book.machine.waiting) == 1
    book.moved()
    assert not book.machine.waiting


def test_each_step_after_which_another_process_must_not_repeat_a_check_calls_for_a_record():
    book = MovingBook(rule(), at_once=False).ready()
    book.at_once = True
    book.answering().at_once = False
    speak(book, "All is well. ", "And so on. ")
    for step in (book.decide, book.decide, lambda: book.upstream(response_created("r2"))):
        due = book.marks.record_due
        step()
        assert book.marks.record_due > due
    book.upstream(delta(bytes(480), "r2"))
    due, words = book.marks.record_due, book.marks.words_due
    book.upstream(delta(bytes(480), "r2"))
    assert (book.marks.record_due, book.marks.words_due) == (due, words)
    assert book.marks.was_audio is False


def test_a_configuration_without_a_guard_drops_a_memory_at_rest_and_no_other():
    book = MovingBook(rule(), at_once=False).ready()
    guard_memory.fill(None, b"")
    guard_memory.fill(None, book.memory)
    ask(book, "hello")
    with pytest.raises(SnapshotError, match="there is no guard any more"):
        guard_memory.fill(None, book.memory)


class RelayBook(RealtimeGuardedBook):
    """A guarded relay of OpenAI Realtime that may move to another process."""

    @property
    def guarded(self):
        return self.relay.machine

    @property
    def memory(self):
        return guard_memory.written(self.guarded)

    @property
    def marks(self):
        return self.guarded.marks_around(self.relay.context.marks)

    def moved(self, *, journal=(), is_planned=False):
        rules, options = self._guard
        relay, memory = self.guarded._machine.memory(), self.memory
        self.relay = Checked(make_relay(memory=relay), RealtimeDialect(), *rules, **options)
        guard_memory.fill(self.guarded, memory)
        assert self.memory == memory
        list(replay(self.guarded, journal, self.now_s))
        return self.feed(messages.ClientAdopted(is_planned))


def test_words_and_sounds_of_a_relay_that_waited_come_after_the_verdict_of_the_next_process():
    book = RelayBook(rule(), at_once=False).begin().speak("All is well. ")
    book.moved()
    assert (book.text, book.audio) == ("", 0)
    book.decide()
    assert (book.text, book.audio) == ("All is well. ", 1)


def test_a_part_of_a_text_of_a_relay_is_checked_with_the_rest_of_the_answer():
    book = RelayBook(rule()).begin().speak("Hello. ", "The secret")
    assert book.text == "Hello. "
    book.moved()
    assert book.text == "Hello. "
    assert "secret" not in str(book.sent)
    assert book.sent[-1]["type"] == "response.done"


def test_what_a_guard_changed_stays_changed_in_later_events_of_the_next_process():
    book = RelayBook(rule("replace")).begin().speak("Well. ", FORBIDDEN_WORDS, "Bye. ")
    book.spoken(f"Well. {FORBIDDEN_WORDS}Bye. ").moved(is_planned=True).open(**AUDIO_SESSION)
    told = message("a1", "assistant", f"Well. {FORBIDDEN_WORDS}Bye. ")
    book.acknowledge(told).client("conversation.item.retrieve", item_id="a1").take()
    book.server("conversation.item.retrieved", item=told)
    assert "***" in str(book.sent)
    assert "secret" not in str(book.sent)


def test_a_typed_text_of_a_relay_is_checked_by_the_next_process_from_its_memory_and_from_its_journal():
    for in_journal in (False, True):
        book = RelayBook(rule(), at_once=False)
        typed = json.dumps({"type": "conversation.item.create", "item": message("q1", "user", "hello")})
        if not in_journal:
            book.feed(messages.ClientTextReceived(typed))
        book.moved(journal=[typed] if in_journal else []).open(**AUDIO_SESSION)
        assert "hello" not in str(book.upstream)
        book.decide()
        assert str(book.upstream).count("hello") == 1


def test_a_relay_is_stored_before_a_frame_leaves_and_not_while_its_frames_wait():
    book = RelayBook(rule(), at_once=False)
    marks = book.marks
    for step, leaves in (
        (book.begin, True),
        (lambda: book.speak("All is well. "), False),
        (lambda: book.speak("And so on. "), False),
        (book.decide, True),
        (book.decide, True),
    ):
        due = marks.record_due
        book.take()
        step()
        assert (bool(book.sent), marks.record_due > due) == (leaves, leaves)
        marks.note_stored()
    assert (marks.words_due, marks.take_words()) == (0, "")


def test_audio_of_a_client_of_a_relay_is_kept_while_it_waits_behind_a_text():
    book = RelayBook(rule(), at_once=False)
    marks = book.marks
    book.client("input_audio_buffer.append", audio="AAAA")
    assert marks.was_audio
    book.client("conversation.item.create", item=message("q1", "user", "hello"))
    assert not marks.was_audio
    book.client("input_audio_buffer.append", audio="AAAA")
    assert not marks.was_audio
    book.decide()
    book.client("input_audio_buffer.append", audio="AAAA")
    assert marks.was_audio


def test_a_relay_at_rest_whose_guard_changed_a_text_moves_but_not_to_a_configuration_without_a_guard():
    book = RelayBook(rule("replace")).begin().speak(FORBIDDEN_WORDS).spoken(FORBIDDEN_WORDS)
    assert (book.guarded.can_move, book.guarded.is_at_rest) == (True, False)
    with pytest.raises(SnapshotError, match="changed by it"):
        guard_memory.fill(None, book.memory)


def test_damaged_values_and_those_of_another_version_are_refused(monkeypatch):
    book = MovingBook(rule()).ready()
    value = msgspec.msgpack.decode(book.memory)
    for damaged in (
        b"nothing",
        msgspec.msgpack.encode([*value[:3], b"nothing"]),
        msgspec.msgpack.encode([*value[:3], b"\x90"]),
    ):
        with pytest.raises(SnapshotError, match="damaged"):
            guard_memory.fill(book.machine, damaged)
    memory = book.memory
    monkeypatch.setattr(guard_memory, "LAYOUT", guard_memory.LAYOUT + 1)
    with pytest.raises(UnknownVersionError):
        guard_memory.fill(book.machine, memory)


def test_a_message_without_a_layout_cannot_be_written():
    book = MovingBook(rule()).ready()
    book.machine._own = [object()]
    with pytest.raises(SnapshotError, match="cannot be written"):
        guard_memory.written(book.machine)
