"""The middle of a session: inputs to the machine, and its commands performed."""

import queue

from actors import messages
from actors.connections.base import ConnectionClosed
from actors.translator import INPUTS, UPSTREAM_INPUTS, TranslatorActor
from tests.support.engine.sessions import WAIT_S, closing, describe, only


def test_a_translator_describes_itself_and_its_machine(engine):
    _, _, machine = engine.start_with_upstream()
    assert describe(TranslatorActor) == {
        "role": "translator",
        "generations": [1],
        "stale_inputs": 0,
        "unsent_frames": 0,
        "work": [],
        "work_dropped": 0,
        "timers": {},
        "held_bytes": 0,
        "inputs": len(machine.inputs),
    }


def test_a_translator_shows_its_running_timers(engine):
    client, _ = engine.start()
    client.send_text("wait long")
    assert client.receive() == "waiting"
    (left_s,) = describe(TranslatorActor)["timers"].values()
    assert 0 < left_s <= 60


def test_every_input_of_an_upstream_names_its_generation():
    assert {kind for kind in INPUTS if kind.__name__.startswith("Upstream")} == UPSTREAM_INPUTS


def test_timers_come_back_unless_they_are_cancelled(engine):
    client, _ = engine.start()
    client.send_text("wait not")
    assert client.receive() == "not"
    client.send_text("wait")
    assert client.receive() == "fired t"


def test_a_log_line_has_the_session_s_id(engine, caplog):
    client, _ = engine.start()
    client.send_text("log")
    assert client.receive() == "logged"
    assert "session s0: a line of the machine's" in caplog.text


def test_messages_of_an_older_generation_are_dropped(engine):
    client, first, _ = engine.start_with_upstream()
    client.send_text("replace")
    first.send_text("late")
    assert client.receive() == "opened"
    first.send_text("later")
    engine.upstreams[1].send_text("in time")
    assert client.receive() == "in time"
    assert isinstance(first.receive(), ConnectionClosed)
    facts = describe(TranslatorActor)
    assert facts["generations"] == [2]
    (info,) = engine.sessions()
    assert info.generation == 2


def test_an_abandoned_upstream_is_closed_and_reported_lost_once(engine):
    client, first, _ = engine.start_with_upstream(restarts=3)
    client.send_text("abandon")
    assert client.receive() == "lost 1 SILENT None RESTART"
    assert closing(first) == (1000, "")
    assert client.receive() == "opened"
    client.send_text("wait not")
    assert client.receive() == "not"


def test_frames_for_an_upstream_that_is_gone_are_counted(engine):
    client, _ = engine.start()
    client.send_text("no upstream is dialled yet")
    client.send_text("wait not")
    assert client.receive() == "not"
    assert describe(TranslatorActor)["unsent_frames"] == 1


def test_inputs_of_a_generation_that_is_unknown_are_counted(engine):
    engine.start()
    only(TranslatorActor).tell(messages.UpstreamTextReceived(7, "late"))
    assert describe(TranslatorActor)["stale_inputs"] == 1


def test_a_stale_message_may_be_a_notification(engine):
    delivered = queue.SimpleQueue()
    client, _, _ = engine.start_with_upstream(
        read_late=lambda message: messages.LateReport(message.text),
        deliver=lambda it: delivered.put(it) if isinstance(it, str) else None,
    )
    only(TranslatorActor).tell(messages.UpstreamTextReceived(7, "usage of another upstream"))
    assert delivered.get(timeout=WAIT_S) == "usage of another upstream"
    client.send_text("end")
    assert client.receive() == "bye"
