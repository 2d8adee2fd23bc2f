"""The recorder: the choice of sessions, the bound of its queue, and failures that reach no session."""

import threading

import orjson
import pytest

from actors import messages
from router.access.request import Principal, Request
from router.admin.switches import Switches
from router.config.model import RouterConfig
from router.fronts.agents import Agents
from router.metrics.catalog import RECORDINGS
from router.metrics.metrics import Metrics
from router.recording import recorder
from router.recording.folder import Folder
from router.recording.reader import Recording, RecordingError
from router.recording.recorder import Recorder
from router.recording.replay import verify
from tests.support.machine.playbook import SETTINGS, Playbook

IDS = [f"5e551011-0000-4000-8000-{number:012}" for number in range(400)]
TIMEOUT_S = 10.0


def config(tmp_path, **fields):
    return RouterConfig(record=str(tmp_path), **fields)


def request(principal=None, **fields):
    known = Principal(principal) if principal else None
    return Request(**{"path": "/openai", "profile": "openai", "query": {}, "headers": {}, "principal": known, **fields})


class Call:
    """A recorded session."""

    def __init__(self, recorder, session_id=IDS[0], **fields):
        self.book = Playbook("openai")
        session = self.book.session
        self.recorded = recorder.begin(session_id, session, session, Agents(), request(**fields))
        # Feeds the session through the recorder.
        self.book.session = self
        self.context, self.state = session.context, session.state
        self.ended = 0

    def handle(self, message, now_s):
        return self.recorded.handle(message, now_s)

    def end(self):
        self.recorded.ending(self._ended)()

    def _ended(self):
        self.ended += 1


@pytest.fixture
def metrics():
    return Metrics()


def counted(metrics):
    """Return the counts of recordings by result."""
    found = {tuple(orjson.loads(key)): numbers[0] for key, _, numbers in metrics.segment.rows()}
    return [found.get((RECORDINGS.name, result), 0.0) for result in ("whole", "torn", "removed")]


@pytest.fixture
def running(tmp_path, metrics):
    recorders = []

    def start(**fields):
        recorders.append(Recorder(config(tmp_path, **fields), metrics))
        return recorders[-1]

    yield start
    for each in recorders:
        each.close()


def replayed(tmp_path, session_id=IDS[0]):
    path = tmp_path / f"{session_id}.jsonl"
    with path.open("rb") as lines:
        return verify(Recording(str(path), lines), str(path))


def test_a_session_is_recorded_and_its_replay_is_the_same(tmp_path, running, metrics):
    recorder = running()
    call = Call(recorder)
    call.book.ready()
    call.end()
    recorder.close()
    assert replayed(tmp_path).difference is None
    assert replayed(tmp_path).steps == 5
    assert counted(metrics) == [1, 0, 0]
    assert call.ended == 1


def test_all_sessions_are_recorded_by_default(running):
    recorder = running()
    assert all(recorder.wants(session_id, None) for session_id in IDS)


@pytest.mark.parametrize(("rate", "low", "high"), [(0.0, 0, 0), (0.25, 60, 140)])
def test_a_rate_chooses_a_share_of_sessions_always_the_same(running, rate, low, high):
    recorder = running(record_rate=rate)
    chosen = [session_id for session_id in IDS if recorder.wants(session_id, "ada")]
    assert low <= len(chosen) <= high
    assert chosen == [session_id for session_id in IDS if recorder.wants(session_id, None)]


def test_an_operator_changes_the_share_of_new_sessions(tmp_path, metrics):
    switches = Switches(1)
    recorder = Recorder(config(tmp_path, record_rate=0.0, record_principals=("ada",)), metrics, switches)
    switches.record_percent = 100
    assert all(recorder.wants(session_id, "bob") for session_id in IDS)
    switches.record_percent = 0
    assert not any(recorder.wants(session_id, "bob") for session_id in IDS)
    assert recorder.wants(IDS[0], "ada")


@pytest.mark.parametrize(("rate", "others"), [(1.0, 0), (0.0, 0), (0.5, 200)])
def test_named_principals_are_recorded_alone_or_beside_a_share(running, rate, others):
    recorder = running(record_principals=("ada",), record_rate=rate)
    assert all(recorder.wants(session_id, "ada") for session_id in IDS)
    assert abs(sum(recorder.wants(session_id, "bob") for session_id in IDS) - others) <= 50
    assert abs(sum(recorder.wants(session_id, None) for session_id in IDS) - others) <= 50


def test_the_header_names_the_route_and_the_principal_and_holds_no_credential(tmp_path, running):
    recorder = running(agents={"a": {"greeting": "Hello a-clients-token"}}, record_content=True)
    call = Call(recorder, principal="ada", credential="a-clients-token")
    call.book.opened().client({"type": "InjectUserMessage", "content": "It is a-clients-token."})
    call.end()
    recorder.close()
    text = (tmp_path / f"{IDS[0]}.jsonl").read_text()
    assert '"principal":"ada"' in text
    assert "a-clients-token" not in text
    assert "It is [redacted]." in text


def test_a_session_whose_steps_do_not_fit_is_torn_and_goes_on(tmp_path, running, monkeypatch, caplog):
    monkeypatch.setattr(recorder, "MAX_STEPS", 3)
    is_stalled, goes_on = threading.Event(), threading.Event()
    real = Folder.make_room

    def stall(self, *arguments):
        is_stalled.set()
        assert goes_on.wait(TIMEOUT_S)
        return real(self, *arguments)

    monkeypatch.setattr(Folder, "make_room", stall)
    monkeypatch.setattr(recorder, "FLUSH_S", 0.0)
    it = running()
    call = Call(it)
    call.book.opened()
    assert is_stalled.wait(TIMEOUT_S)
    call.book.client(SETTINGS)
    call.book.upstream_opens().upstream({"type": "session.created", "session": {}})
    call.book.client({"type": "KeepAlive"}, {"type": "KeepAlive"})
    call.end()
    goes_on.set()
    it.close()
    assert it.torn == 1
    assert "is torn: the recorder fell behind" in caplog.text
    with pytest.raises(RecordingError, match="torn: the recorder fell behind"):
        replayed(tmp_path)


def test_a_folder_that_cannot_be_written_costs_the_recording_alone(tmp_path, running, caplog):
    (tmp_path / f"{IDS[0]}.jsonl").mkdir()
    recorder = running()
    call = Call(recorder)
    call.book.ready()
    call.end()
    recorder.close()
    assert "cannot be written" in caplog.text
    assert recorder.torn == 1


def test_a_failure_of_the_recorder_costs_the_recording_alone(running, monkeypatch, caplog):
    def fail(*_):
        raise KeyError

    recorder = running()
    call = Call(recorder)
    call.book.opened()
    monkeypatch.setattr("router.recording.transcript.Transcript.line", fail)
    call.book.client(SETTINGS)
    call.end()
    recorder.close()
    assert "the recorder failed" in caplog.text


def test_a_recording_beyond_the_bound_is_torn(tmp_path, running, metrics, monkeypatch):
    monkeypatch.setattr(recorder, "FLUSH_S", 0.0)
    (tmp_path / "older.jsonl").write_bytes(bytes(5000))
    it = running(record_max_bytes=10_000)
    call = Call(it)
    call.book.ready()
    for _ in range(100):
        call.book.client({"type": "KeepAlive"})
    call.end()
    it.close()
    assert counted(metrics) == [0, 1, 1]
    with pytest.raises(RecordingError, match="torn: the folder has reached its bound"):
        replayed(tmp_path)


def test_the_exception_of_a_machine_is_recorded_and_raised(tmp_path, running):
    class Broken:
        held_bytes = describe = None

        def handle(self, _message, _now_s):
            raise KeyError

    it, book = running(), Playbook("openai")
    recorded = it.begin(IDS[0], book.session, Broken(), Agents(), request())
    with pytest.raises(KeyError):
        recorded.handle(messages.ClientOpened(), 1.0)
    recorded.ending(lambda: None)()
    it.close()
    text = (tmp_path / f"{IDS[0]}.jsonl").read_text()
    assert '"live":["raised KeyError"]' in text


def test_a_late_report_of_usage_is_recorded(tmp_path, running):
    recorder = running()
    call = Call(recorder)
    call.book.ready()
    done = '{"type":"response.done","response":{"id":"r","usage":{"total_tokens":3}}}'
    call.recorded.read_late(messages.UpstreamTextReceived(1, done))
    call.recorded.read_late(messages.UpstreamTextReceived(1, '{"type":"response.output_audio.delta","delta":"AAAA"}'))
    call.end()
    recorder.close()
    found = replayed(tmp_path)
    assert (found.difference, found.steps) == (None, 6)


def test_a_process_without_recorded_sessions_has_no_thread(running):
    before = threading.active_count()
    running()
    assert threading.active_count() == before
