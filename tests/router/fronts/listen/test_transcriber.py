"""A transcription by a session of the router, in memory, with the simulator for the model."""

import pytest

from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from router.testing import CallHarness

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
