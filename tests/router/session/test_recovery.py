"""The recovery of a session whose process died."""

import orjson
import pytest

from actors import messages
from router.session.recovery import Record, ReplayingMachine, replay, rest_of
from router.session.snapshot import SnapshotError, restore, snapshot
from tests.support.machine.beginnings import asked
from tests.support.machine.playbook import Playbook, response_created, response_done, text_done

RECORD = Record(snapshot=b"", begins_at=100, unwritten=b"frames")


@pytest.mark.parametrize(
    ("written", "unwritten", "sent_bytes"),
    [(100, b"frames", 0), (102, b"ames", 0), (106, b"", 0), (200, b"", 94)],
    ids=["nothing was written", "a frame was cut", "all was written", "audio followed"],
)
def test_the_client_gets_the_bytes_that_it_lacks(written, unwritten, sent_bytes):
    assert rest_of(RECORD, written) == (unwritten, sent_bytes)


def test_bytes_that_no_record_has_are_an_error():
    with pytest.raises(SnapshotError, match="3 bytes to the client are lost"):
        rest_of(RECORD, 97)


def restored(book):
    return restore(snapshot(book.session), book.session.context.options)


def text_of(**fields):
    return orjson.dumps(fields).decode()


def test_the_journal_is_replayed_and_the_question_in_it_is_asked():
    book = asked().upstream(response_created(), text_done("Hi."), response_done()).forget()
    journal = [bytes(4800), text_of(type="InjectUserMessage", content="and now?")]
    machine = ReplayingMachine(restored(book), journal)
    commands = machine.handle(messages.ClientAdopted(), book.now_s)
    frames = [orjson.loads(it.frame) for it in commands if isinstance(it, messages.SendToClient)]
    assert [(frame["type"], frame.get("content")) for frame in frames] == [
        ("ConversationText", "and now?"),
        ("Warning", None),
    ]
    # The lost upstream gets nothing, and the next one is dialled once.
    assert [it for it in commands if isinstance(it, messages.SendToUpstream)] == []
    assert [it.generation for it in commands if isinstance(it, messages.OpenUpstream)] == [2]
    assert machine.describe()["owed"]["responses"] == 1
    machine.handle(messages.ClientBinaryReceived(bytes(4800)), book.now_s)
    assert machine.held_bytes() > 0


def test_a_journal_may_open_the_session():
    book = Playbook().opened()
    settings = text_of(
        type="Settings",
        audio={"input": {"encoding": "linear16"}, "output": {"encoding": "linear16"}},
        agent={"think": {"provider": {"type": "open_ai"}}},
    )
    machine = ReplayingMachine(restored(book), [settings])
    commands = machine.handle(messages.ClientAdopted(), book.now_s)
    assert [it.generation for it in commands if isinstance(it, messages.OpenUpstream)] == [2]
    assert machine.describe()["lifecycle"] == "connecting"


def test_a_session_that_ends_in_the_replay_is_not_adopted():
    class Ending:
        def handle(self, message, _now_s):
            assert isinstance(message, messages.ClientTextReceived)
            return [messages.EndSession(1008, "enough")]

        held_bytes = describe = lambda _self: 0

    machine = ReplayingMachine(Ending(), ["a", "b"])
    assert machine.handle(messages.ClientAdopted(), 0.0) == [messages.EndSession(1008, "enough")]


def test_a_session_that_had_ended_ends_again_in_the_same_way():
    book = asked().feed(messages.EndRequested())
    (ending,) = [it for it in book.commands if isinstance(it, messages.EndSession)]
    assert (ending.code, ending.reason) == (1000, "SESSION_ENDED")
    machine = ReplayingMachine(restored(book), [])
    commands = machine.handle(messages.ClientAdopted(), book.now_s)
    assert [it for it in commands if not isinstance(it, messages.Log)] == [messages.EndSession(1000, "SESSION_ENDED")]


def test_a_replay_suppresses_what_the_adoption_begins_anew():
    book = Playbook().ready()
    audio = [bytes(4800)] * 3
    assert replay(restored(book), audio, book.now_s) == []
