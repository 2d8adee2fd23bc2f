"""The record of a session: each input with what followed from it, without audio and within bounds."""

import base64
import logging
import tracemalloc

import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from router import wire_view
from router.wire_view import WireView

WELCOME = '{"type":"Welcome"}'
LOUD = (16384).to_bytes(2, "little", signed=True) * 240
QUIET = bytes(480)


class Machine:
    """A machine that answers each input with the commands given beforehand."""

    def __init__(self):
        self.commands = []

    def handle(self, _message, _now_s):
        commands, self.commands = self.commands, []
        return iter(commands)

    def describe(self):
        return {"a": 1}


class Observed:
    """A machine under observation, and its rows."""

    def __init__(self):
        self.inner = Machine()
        self.view = WireView(lambda text: text)
        self.machine = self.view.observe("one", "openai", self.inner, WELCOME)
        self.now_s = 100.0

    def take(self, message, *commands, after_s=0.0):
        self.now_s += after_s
        self.inner.commands = list(commands)
        assert self.machine.handle(message, self.now_s) == list(commands)

    def rows(self, after=0):
        return self.view.rows("one", after).rows


@pytest.fixture
def observed():
    return Observed()


def facts(rows):
    """Return what a row says, for comparison."""
    return [(row.step, row.leg, row.way, row.generation, row.text or row.event) for row in rows]


def append(samples):
    return '{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(samples).decode() + '"}'


def delta(samples):
    text = '{"type":"response.output_audio.delta","event_id":"e","response_id":"r","item_id":"i","delta":"'
    return text + base64.b64encode(samples).decode() + '"}'


def test_an_input_and_what_follows_from_it_are_one_step(observed):
    observed.take(messages.ClientOpened(), messages.OpenUpstream(1, "gpt-x"))
    observed.take(
        messages.ClientTextReceived('{"type":"InjectUserMessage"}'),
        messages.SendToClient('{"type":"ConversationText"}'),
        messages.SendToUpstream(b'{"type":"conversation.item.create"}', 1),
    )
    assert facts(observed.rows()) == [
        (1, "client", "", 0, "the client is connected"),
        (1, "client", "sent", 0, WELCOME),
        (1, "upstream", "", 1, "upstream 1 is dialled: gpt-x"),
        (2, "client", "received", 0, '{"type":"InjectUserMessage"}'),
        (2, "client", "sent", 0, '{"type":"ConversationText"}'),
        (2, "upstream", "sent", 1, '{"type":"conversation.item.create"}'),
    ]


def test_both_generations_of_a_restart_are_seen(observed):
    loss = Loss(kind=LossKind.CLOSED, code=1000, reason="bye")
    observed.take(
        messages.UpstreamLost(1, loss, Verdict(decision=Decision.RESTART)), messages.OpenUpstream(2, "gpt-x", 0.5)
    )
    observed.take(messages.UpstreamOpened(2, 0, 0.0))
    observed.take(messages.UpstreamTextReceived(2, '{"type":"session.created"}'))
    assert facts(observed.rows()) == [
        (1, "upstream", "", 1, "upstream 1 is lost: closed 1000 bye; restart"),
        (1, "upstream", "", 2, "upstream 2 is dialled after 0.5 s: gpt-x"),
        (2, "upstream", "", 2, "upstream 2 is connected"),
        (3, "upstream", "received", 2, '{"type":"session.created"}'),
    ]


def test_a_timer_is_seen_only_where_something_follows_from_it(observed):
    observed.take(messages.TimerFired("ping"), messages.StartTimer("ping", 1.0))
    observed.take(messages.TimerFired("item_ack"), messages.SendToUpstream('{"type":"response.create"}', 1))
    assert facts(observed.rows()) == [
        (2, "router", "", 0, "TimerFired item_ack"),
        (2, "upstream", "sent", 1, '{"type":"response.create"}'),
    ]


def test_audio_is_sizes_and_loudness_and_frames_that_follow_each_other_share_a_row(observed):
    for samples in (LOUD, QUIET, LOUD):
        observed.take(messages.ClientBinaryReceived(samples), messages.SendToUpstream(append(samples), 1), after_s=0.02)
    observed.take(messages.UpstreamTextReceived(1, delta(LOUD)), messages.SendToClient(LOUD))
    assert observed.rows() == []
    observed.take(messages.ClientTextReceived('{"type":"KeepAlive"}'))
    rows = observed.rows()
    frames = [(480, 0.5), (480, 0.0), (480, 0.5)]
    assert [(row.leg, row.way, row.audio) for row in rows[:-1]] == [
        ("client", "received", frames),
        ("upstream", "sent", frames),
        ("upstream", "received", [(480, 0.5)]),
        ("client", "sent", [(480, 0.5)]),
    ]
    assert [row.s for row in rows] == pytest.approx([0.0, 0.0, 0.04, 0.04, 0.04])


def test_audio_of_a_relay_is_sizes_on_both_legs(observed):
    observed.take(messages.ClientBinaryReceived(LOUD), messages.SendToUpstream(LOUD, 1, is_binary=True))
    observed.take(messages.UpstreamBinaryReceived(1, QUIET), messages.SendToClient(QUIET))
    observed.take(messages.ClientTextReceived(append(LOUD)), after_s=1.0)
    observed.take(messages.ClientTextReceived('{"type":"KeepAlive"}'))
    assert [(row.leg, row.way, row.audio) for row in observed.rows()[:-1]] == [
        ("client", "received", [(480, 0.5)]),
        ("upstream", "sent", [(480, 0.5)]),
        ("upstream", "received", [(480, 0.0)]),
        ("client", "sent", [(480, 0.0)]),
        ("client", "received", [(480, 0.5)]),
    ]


def test_a_row_of_audio_ends_after_half_a_second(observed):
    for _ in range(10):
        observed.take(messages.ClientBinaryReceived(QUIET), after_s=0.125)
    assert [len(row.audio) for row in observed.rows()] == [4, 4]


def test_long_audio_inside_a_message_is_left_out(observed):
    item = (
        '{"type":"conversation.item.create","item":{"content":[{"type":"input_audio","audio":"' + "A" * 4000 + '"}]}}'
    )
    observed.take(messages.ClientOpened(), messages.SendToUpstream(item, 1))
    text = observed.rows()[-1].text
    assert "(base64, 4000 characters)" in text
    assert len(text) < 200


def test_the_oldest_rows_are_dropped_beyond_the_bound_of_rows(observed, monkeypatch):
    monkeypatch.setattr(wire_view, "MAX_ROWS", 3)
    for n in range(5):
        observed.take(messages.ClientTextReceived(str(n)))
    page = observed.view.rows("one", 0)
    assert ([row.text for row in page.rows], page.first) == (["2", "3", "4"], 3)
    assert [(row.n, row.text) for row in observed.rows(after=4)] == [(5, "4")]


def test_the_session_that_holds_the_most_loses_its_oldest_rows_beyond_the_bound_of_bytes():
    view = WireView(lambda text: text, max_bytes=10_000)
    long, short = (view.observe(name, "openai", Machine(), WELCOME) for name in ("long", "short"))
    for n in range(100):
        long.handle(messages.ClientTextReceived(f"{n} " + "x" * 100), 1.0)
        if n % 10 == 0:
            short.handle(messages.ClientTextReceived(f"{n} " + "x" * 100), 1.0)
        assert view.held_bytes <= 10_000
    assert [row.text.split()[0] for row in view.rows("short", 0).rows] == [str(n) for n in range(0, 100, 10)]
    kept = [int(row.text.split()[0]) for row in view.rows("long", 0).rows]
    assert kept == list(range(kept[0], 100))
    assert view.rows("long", 0).first == kept[0] + 1 > 10


def test_a_text_larger_than_the_bound_is_not_kept():
    view = WireView(lambda text: text, max_bytes=10_000)
    machine = view.observe("one", "openai", Machine(), WELCOME)
    machine.handle(messages.ClientTextReceived("x" * 20_000), 1.0)
    assert (view.rows("one", 0).rows, view.held_bytes) == ([], 0)
    machine.handle(messages.ClientTextReceived("after"), 1.0)
    assert [(row.n, row.text) for row in view.rows("one", 0).rows] == [(2, "after")]


def test_a_flood_of_small_frames_is_many_rows_so_that_the_oldest_can_go():
    view = WireView(lambda text: text, max_bytes=10_000)
    machine = view.observe("one", "openai", Machine(), WELCOME)
    for _ in range(20_000):
        machine.handle(messages.ClientBinaryReceived(b"x"), 1.0)
        assert view.held_bytes <= 10_000


def test_a_live_session_that_made_room_for_new_ones_holds_nothing_and_records_nothing(monkeypatch):
    monkeypatch.setattr(wire_view, "MAX_SESSIONS", 2)
    view = WireView(lambda text: text)
    machines = [view.observe(name, "openai", Machine(), WELCOME) for name in "abc"]
    machines[1].handle(messages.ClientTextReceived("held"), 1.0)
    held_bytes = view.held_bytes
    for at_s in range(100):
        machines[0].handle(messages.ClientTextReceived("not held"), float(at_s))
        machines[0].handle(messages.ClientBinaryReceived(LOUD), float(at_s))
    assert (view.held_bytes, [session.id for session in view.sessions()]) == (held_bytes, ["c", "b"])
    view.observe("d", "openai", Machine(), WELCOME)
    assert view.held_bytes == 0


def talk(talkers, frames):
    """Have sessions talk: microphone frames of 20 ms, the agent's audio, and its transcript word by word."""
    frame, event, sound, piece = bytes(640), append(bytes(960)).encode(), bytes(4800), delta(bytes(4800))
    for number in frames:
        now_s = number * 0.02
        for inner, machine in talkers:
            inner.commands = [messages.SendToUpstream(event, 1)]
            machine.handle(messages.ClientBinaryReceived(frame), now_s)
            if number % 5 == 0:
                inner.commands = [messages.SendToClient(sound)]
                machine.handle(messages.UpstreamTextReceived(1, piece), now_s)
            if number % 10 == 0:
                inner.commands = [messages.SendToClient(f'{{"type":"ConversationText","content":"{number}"}}')]
                machine.handle(messages.UpstreamTextReceived(1, f'{{"type":"delta","delta":"{number}"}}'), now_s)


def test_the_bound_is_that_of_the_memory_taken():
    bound = 80_000
    view = WireView(lambda text: text, max_bytes=bound)
    talkers = [(inner, view.observe(str(n), "openai", inner, WELCOME)) for n in range(8) if (inner := Machine())]
    tracemalloc.start()
    try:
        talk(talkers, range(150))
        full, _ = tracemalloc.get_traced_memory()
        talk(talkers, range(150, 250))
        later, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert bound * 0.9 < view.held_bytes <= bound
    assert bound * 0.9 < full < bound * 1.2
    assert later < full * 1.05


def test_a_session_that_talks_on_and_on_takes_little_memory_for_its_audio():
    view = WireView(lambda text: text)
    inner = Machine()
    machine = view.observe("one", "openai", inner, WELCOME)
    for number in range(3000):
        inner.commands = [messages.SendToUpstream(append(LOUD).encode(), 1)]
        machine.handle(messages.ClientBinaryReceived(LOUD), number * 0.02)
    assert view.held_bytes < 60 * 1500


def test_ended_sessions_make_room_for_new_ones_before_live_ones_do(monkeypatch):
    monkeypatch.setattr(wire_view, "MAX_SESSIONS", 2)
    view = WireView(lambda text: text)
    machines = {name: view.observe(name, "openai", Machine(), WELCOME) for name in ("a", "b")}
    closed = ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)
    machines["b"].handle(messages.ClientClosed(closed), 1.0)
    view.observe("c", "openai", Machine(), WELCOME)
    assert [session.id for session in view.sessions()] == ["c", "a"]
    view.observe("d", "openai", Machine(), WELCOME)
    assert [session.id for session in view.sessions()] == ["d", "c"]


def test_no_session_goes_before_there_are_more_than_the_most(monkeypatch):
    monkeypatch.setattr(wire_view, "MAX_SESSIONS", 4)
    view = WireView(lambda text: text)
    closed = ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)
    for name in "abc":
        view.observe(name, "openai", Machine(), WELCOME).handle(messages.ClientClosed(closed), 1.0)
    assert [session.id for session in view.sessions()] == ["c", "b", "a"]


def test_a_session_that_ends_is_not_live(observed):
    observed.take(messages.ClientOpened(), messages.EndSession(1011, "budget spent"))
    assert facts(observed.rows())[-1] == (1, "client", "", 0, "the session ends: 1011 budget spent")
    assert not observed.view.sessions()[0].is_live


def test_a_failure_of_the_record_never_reaches_the_session(observed, monkeypatch, caplog):
    monkeypatch.setattr(wire_view, "_rows_of", lambda _: 1 / 0)
    with caplog.at_level(logging.ERROR):
        observed.take(messages.ClientTextReceived("x"), messages.SendToClient("y"))
    assert "failed to record a ClientTextReceived" in caplog.text


def test_the_facts_are_those_of_the_machine(observed):
    assert observed.machine.describe() == {"a": 1}
