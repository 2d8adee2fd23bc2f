"""The upstream's part of a recording, played to a real router, whose client is the same recording's."""

import io
import itertools
import queue
import threading

import pytest

from actors.connections.blocking import BlockingClient, HungUp
from router import Router
from router.command import against, as_upstream
from router.errors import ConfigError
from router.recording.notation import NotationError
from router.recording.reader import Recording
from tests.support.engine.links import wsgi_server
from tests.support.machine.recorded import Recorded
from tests.support.machine.simulation import Simulation

pytestmark = pytest.mark.slow

TIMEOUT_S = 20.0


def recorded(*, loses=False, rest_s=0.5):
    recording = Recorded(has_content=True)
    it = Simulation("openai", wrapped=recording.wrapped)
    it.run(0.2)
    it.say("My name is Ada.")
    it.run(rest_s)
    if loses:
        it.lose()
        it.run(0.5)
    it.hang_up()
    return recording


class Playing:
    """The upstream of a recording, on a thread."""

    def __init__(self, recording, address="127.0.0.1:0"):
        self.lines = []
        self._said = queue.SimpleQueue()
        self._thread = threading.Thread(target=as_upstream.play, args=(recording.opened(), address, self._say))

    def _say(self, line):
        self.lines.append(line)
        self._said.put(line)

    def __enter__(self):
        self._thread.start()
        self.url = self._said.get(timeout=TIMEOUT_S).split()[2].rstrip(",")
        return self

    def __exit__(self, *_error):
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()

    def has(self, part):
        return any(part in line for line in self.lines)


def test_a_router_between_both_parts_of_a_recording_says_what_it_said():
    recording, heard = recorded(rest_s=3.0), []  # the caller waits as long, and a busy machine answers late
    with Playing(recording) as upstream:
        router = Router(upstream=upstream.url).start()
        try:
            with wsgi_server(router.wsgi_app) as (host, port):
                against.play(recording.opened(), f"ws://{host}:{port}/openai", None, heard.append)
        finally:
            router.close(drain_s=0)
    for part in ("1 ◀── session.created", "1 ──▶ session.update", "1 ──▶ response.create", "1 ◀── response.done"):
        assert upstream.has(part), upstream.lines
    assert not upstream.has("missing")
    until_done = itertools.takewhile(lambda line: "response.done" not in line, upstream.lines)
    assert not any("response.cancel" in line for line in until_done), "the router did not recognize its own response"
    for part in ("◀── SettingsApplied", "◀── ConversationText", "◀── AgentAudioDone"):
        assert any(part in line for line in heard), heard


def test_each_upstream_is_a_connection_and_a_loss_is_a_close():
    parts = as_upstream.parts_of(recorded(loses=True).opened().steps())
    assert len(parts) == 2
    assert parts[0].cues[-1].frame is None
    awaited = [cue.awaited for cue in parts[0].cues]
    assert awaited == sorted(awaited)
    with Playing(recorded()) as upstream:
        first = BlockingClient(upstream.url, headers={}, timeout_s=TIMEOUT_S, uses_proxy=False)
        assert "session.created" in first.receive(TIMEOUT_S)  # the part is taken: the next connection comes second
        further = BlockingClient(upstream.url, headers={}, timeout_s=TIMEOUT_S, uses_proxy=False)
        with pytest.raises(HungUp) as caught:
            further.receive(TIMEOUT_S)
        assert caught.value.code == 1013
        first.close()


def test_the_ids_of_the_present_router_take_the_place_of_the_recorded_ones():
    one = '{"type":"response.create","event_id":"e1","response":{"metadata":{"request":"a-1"},"instructions":"a"}}'
    other = '{"type":"response.create","event_id":"e1","response":{"metadata":{"request":"b-1"},"instructions":"b"}}'
    names = as_upstream.names_of(one, other)
    assert names == {"a-1": "b-1"}
    assert as_upstream.renamed('{"request":"a-1","delta":"a a-1"}', names) == '{"request":"b-1","delta":"a a-1"}'
    assert as_upstream.renamed(b"a-1", names) == b"a-1"
    assert as_upstream.names_of("{", other) == {}


def test_a_damaged_line_is_a_sentence():
    data = recorded().data.replace(b'"do":"SendToUpstream","frame"', b'"do":"SendToUpstream","fram"')
    damaged = Recording("recording", io.BytesIO(data))
    with pytest.raises(NotationError, match="line 5 is damaged"):
        as_upstream.parts_of(damaged.steps())


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:99999", "127.0.0.1:x"])
def test_an_address_that_cannot_be_listened_on_is_a_sentence(address):
    with pytest.raises(ConfigError, match="cannot be listened on"):
        as_upstream.play(recorded().opened(), address, print)
