"""A transcription by a session of the router, in memory, with the simulator for the model."""

import json

import msgspec
import pytest

from actors import messages as engine
from router import Request, RouterConfig
from router.assembly.carried import open_parcel
from router.assembly.factory import SessionFactory
from router.config.guard import Guard, Rule
from router.fronts.listen.transcriber import CLOSE_TIMER
from router.hooks import Hooks
from router.session.snapshot import SnapshotError
from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from router.testing import CallHarness
from router.tools.registry import FunctionRegistry

QUERY = {"service": "transcription", "encoding": "linear16", "sample_rate": "16000", "channels": "1"}
ALL = {**QUERY, "interim_results": "true", "vad_events": "true", "utterance_end_ms": "1000"}
LOUD, QUIET = b"\x00\x20" * 320, b"\x00\x00" * 320


@pytest.fixture
def simulator():
    simulator = Simulator(SimulatorConfig(pace=0)).start(listens=False)
    yield simulator
    simulator.close()


@pytest.fixture
def listen(simulator):
    """Return a function that opens a transcription with a query."""
    harnesses = []

    def make(query=QUERY, **settings):
        harnesses.append(CallHarness(**settings))
        return harnesses[-1].call("listen", simulator=simulator, query=query).client

    yield make
    for harness in harnesses:
        harness.close()


def say(client, loud=40, quiet=60):
    for frame in (*[LOUD] * loud, *[QUIET] * quiet):
        client.send_audio(frame)


def kinds(client):
    return [message["type"] for message in client.received]


def text_of(results):
    return results["channel"]["alternatives"][0]["transcript"]


def test_final_words_come_for_each_turn_and_no_answer(listen, simulator):
    simulator.script(transcripts=["Good morning", "Good night"])
    client = listen()
    for words in ("Good morning", "Good night"):
        say(client)
        found = client.wait_for("Results")
        assert (text_of(found), found["is_final"], found["speech_final"]) == (words, True, True)
    assert set(kinds(client)) == {"Results"}
    (connection,) = simulator.connections
    assert connection.of_type("response.create") == []
    detection = connection.of_type("session.update")[0]["session"]["audio"]["input"]["turn_detection"]
    assert (detection["type"], detection["create_response"], detection["interrupt_response"]) == (
        "server_vad",
        False,
        False,
    )


@pytest.mark.parametrize(("action", "left"), [("block", ""), ("replace", "the *** word")])
def test_words_that_the_guard_withholds_leave_in_no_results(listen, simulator, action, left):
    simulator.script(transcripts=["the secret word", "Good night"])
    client = listen(ALL, guard=Guard(rules=(Rule(expression="secret", action=action, on=("user",)),)))
    for words in (left, "Good night"):
        say(client)
        while not (found := client.wait_for("Results"))["is_final"]:
            pass
        assert text_of(found) == words
    assert "secret" not in str(client.received)


def test_no_agent_speaks_into_a_silence(listen, simulator):
    limits = {"max_silence_s": 1.0, "silence_question": "Are you still there?", "silence_goodbye": "Goodbye."}
    listen(limits=limits).wait_for("Error")
    (connection,) = simulator.connections
    assert connection.of_type("response.create") == []


def test_interim_words_and_events_come_where_they_are_asked_for(listen, simulator):
    simulator.script(transcripts=["Good morning to you"])
    client = listen(ALL)
    say(client, quiet=0)
    client.wait_for("SpeechStarted")
    say(client, loud=10)
    while not client.wait_for("Results")["is_final"]:
        pass
    found = kinds(client)
    assert found[0] == "SpeechStarted"
    assert {"UtteranceEnd", "Results"} <= set(found)
    (last,) = [it for it in client.received if it["type"] == "Results" and it["is_final"]]
    assert last["duration"] > 0


def test_a_closed_stream_gets_its_last_words_and_metadata(listen, simulator):
    simulator.script(transcripts=["Good morning"])
    client = listen()
    say(client, quiet=0)
    client.send("CloseStream")
    assert client.wait_for_close().code == 1000
    assert kinds(client) == ["Results", "Metadata"]
    assert client.received[-1]["duration"] == pytest.approx(0.8)


def test_a_stream_without_words_is_closed_at_once(listen):
    client = listen()
    client.send("CloseStream")
    assert client.wait_for_close().code == 1000
    assert kinds(client) == ["Metadata"]


def test_a_client_is_warned_of_a_limit_before_its_error(listen):
    client = listen(limits={"max_call_s": 1.0})
    assert client.wait_for_close().code == 1000
    assert [(it["type"], it["code"]) for it in client.received] == [
        ("Warning", "MAX_CALL_LENGTH"),
        ("Error", "MAX_CALL_LENGTH"),
    ]


def test_words_survive_the_loss_of_the_upstream(listen, simulator):
    simulator.add_fault(Fault(point=FaultPoint.SPEECH_STARTED, action=FaultAction.CLOSE, code=1011))
    simulator.script(transcripts=["Good morning"])
    client = listen()
    say(client, quiet=0)
    assert simulator.wait_for(lambda connections: len(connections) == 2)
    say(client)
    assert text_of(client.wait_for("Results")) == "Good morning"
    assert len(simulator.connections) == 2


def test_an_unknown_message_gets_an_error_and_harms_nothing(listen, simulator):
    simulator.script(transcripts=["Good morning"])
    client = listen()
    for kind in ("Settings", "InjectUserMessage"):
        client.send(kind)
        assert client.wait_for("Error")["variant"] == "UNPARSABLE_CLIENT_MESSAGE"
    client.peer.send_text("{")
    assert client.wait_for("Error")
    client.send("KeepAlive")
    say(client)
    assert text_of(client.wait_for("Results")) == "Good morning"


def moving():
    """Return a function that makes the spec of a transcription, perhaps from the parcel of another process."""
    request = Request(path="/v1/listen", profile="listen", query=QUERY, headers={})
    factory = SessionFactory(RouterConfig(upstream="ws://h"), FunctionRegistry(), Hooks())
    return lambda parcel=None: factory.of("s", request, None, perform=print, on_end=print, parcel=parcel)


def test_a_transcription_goes_on_in_another_process_with_the_time_of_its_audio():
    make = moving()
    spec = make()
    assert spec.carried.can_outlive
    list(spec.machine.handle(engine.ClientOpened(), 0.0))
    for _ in range(50):
        list(spec.machine.handle(engine.ClientBinaryReceived(LOUD), 0.0))
    moved = make(open_parcel(spec.carried.snapshot()))
    adopted = list(moved.machine.handle(engine.ClientAdopted(sent_bytes=999), 0.0))
    assert any(isinstance(it, engine.OpenUpstream) for it in adopted)
    assert not any(isinstance(it, engine.SendToClient) for it in adopted)
    list(moved.machine.handle(engine.ClientTextReceived('{"type":"CloseStream"}'), 0.0))
    closed = list(moved.machine.handle(engine.TimerFired(CLOSE_TIMER), 0.0))
    (metadata,) = (json.loads(it.frame) for it in closed if isinstance(it, engine.SendToClient))
    assert metadata["duration"] == 1.0


def test_a_transcription_that_is_closing_still_ends_in_another_process():
    make = moving()
    spec = make()
    list(spec.machine.handle(engine.ClientOpened(), 0.0))
    list(spec.machine.handle(engine.ClientBinaryReceived(LOUD), 0.0))
    list(spec.machine.handle(engine.ClientTextReceived('{"type":"CloseStream"}'), 0.0))
    moved = make(open_parcel(spec.carried.snapshot()))
    adopted = list(moved.machine.handle(engine.ClientAdopted(), 0.0))
    assert CLOSE_TIMER in [it.name for it in adopted if isinstance(it, engine.StartTimer)]


def test_an_answer_of_the_transcription_itself_calls_for_a_record_and_no_audio_may_be_dropped():
    spec = moving()()
    marks = spec.carried.marks
    list(spec.machine.handle(engine.ClientOpened(), 0.0))
    due = marks.record_due, marks.words_due
    list(spec.machine.handle(engine.ClientBinaryReceived(LOUD), 0.0))
    assert (marks.record_due, marks.words_due) == due
    list(spec.machine.handle(engine.ClientTextReceived("{"), 0.0))
    assert marks.record_due == due[0] + 1
    assert (marks.was_audio, marks.may_drop_audio()) == (False, False)


def test_a_damaged_memory_is_no_transcription():
    make = moving()
    parcel = open_parcel(make().carried.snapshot())
    with pytest.raises(SnapshotError, match="memory of the front"):
        make(msgspec.structs.replace(parcel, memory=b"no memory"))
