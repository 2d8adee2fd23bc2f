"""Records of the connections: bounded, without audio, and awaited."""

import pytest

from router.simulator import Simulator, SimulatorConfig
from router.simulator.recording import ConnectionRecord


@pytest.mark.slow
def test_audio_is_counted_and_not_kept(simulator, dial):
    with dial(simulator) as client:
        client.until("session.created")
        for _ in range(3):
            client.send("input_audio_buffer.append", audio="AAAA" * 160)
        client.send("input_audio_buffer.clear")
        client.until("input_audio_buffer.cleared")

    (record,) = simulator.connections
    assert record.events == [
        {"type": "input_audio_buffer.append", "count": 3, "audio_bytes": 1440},
        {"type": "input_audio_buffer.clear"},
    ]
    assert record.audio_bytes == 1440


@pytest.mark.slow
def test_recording_is_bounded_and_can_be_off(dial):
    with Simulator(SimulatorConfig(pace=0, record_events=2, record_connections=1)) as simulator:
        for _ in range(2):
            with dial(simulator) as client:
                for _ in range(3):
                    client.send("input_audio_buffer.clear")
                client.until("session.created")
                for _ in range(3):
                    client.until("input_audio_buffer.cleared")
        (record,) = simulator.connections
        assert (record.number, len(record.events), record.dropped_events) == (2, 2, 1)

    with Simulator(SimulatorConfig(pace=0, record_events=0)) as simulator, dial(simulator) as client:
        client.send("input_audio_buffer.clear")
        client.until("input_audio_buffer.cleared")
        assert simulator.connections[0].events == []


@pytest.mark.slow
def test_waiting_has_a_limit(simulator):
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        simulator.wait_for(lambda records: records, timeout_s=0.05)


def test_audio_of_an_item_is_not_kept():
    record = ConnectionRecord(1, {}, {}, max_events=1)
    record.add({"type": "conversation.item.create", "item": {"content": [{"type": "input_audio", "audio": "AAAA"}]}})

    assert record.events[0]["item"]["content"] == [{"type": "input_audio", "audio": "(4 characters)"}]


def test_events_are_found_by_their_type():
    record = ConnectionRecord(1, {}, {}, max_events=3)
    for kind in ("response.create", "response.cancel", "response.create", "response.cancel"):
        record.add({"type": kind})

    assert record.types() == ["response.create", "response.cancel", "response.create"]
    assert record.of_type("response.cancel") == [{"type": "response.cancel"}]
    assert record.dropped_events == 1
