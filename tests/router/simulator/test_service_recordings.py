"""The simulator against recordings of the real service: the same events, in the same order, with the same keys."""

from typing import Any

import orjson
import pytest

from tests.support.data.recordings import recording

NAMES = ["openai-text-in-audio-out", "openai-tool-call-round", "openai-history-seeding", "openai-voice-turn-server-vad"]
TRANSCRIPTION = "conversation.item.input_audio_transcription."
DELTAS = ("response.output_audio_transcript.delta", "response.output_audio.delta")


def shape(event: dict[str, Any], path: str = "") -> set[str]:
    """Return the paths of all keys of an event."""
    paths: set[str] = set()
    for key, value in event.items():
        if key in ("parameters", "arguments"):
            continue
        paths.add(f"{path}{key}")
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, dict):
                paths |= shape(child, f"{path}{key}.")
    return paths


def sequence(events: list[dict[str, Any]]) -> list[str]:
    """Return the types in order: a run of deltas as one, and without the events that come at any time."""
    types: list[str] = []
    for event in events:
        kind = event["type"]
        if kind.startswith(TRANSCRIPTION) or kind == "rate_limits.updated":
            continue
        if kind in DELTAS:
            kind = "response.audio deltas"
        if not (types and types[-1] == kind and "delta" in kind):
            types.append(kind)
    return types


def replay(machine: Any, name: str, sound: Any) -> list[dict[str, Any]]:
    """Drive the simulator with the client events of a recording."""
    sent = [each.event for each in recording(name) if each.direction == "sent"]
    received = [each.event for each in recording(name) if each.direction == "received"]
    has_heard = False
    for event in sent:
        if event["type"] == "input_audio_buffer.append":
            # The recorded audio is cut to a few samples: a spoken turn replaces it.
            if not has_heard:
                machine.script.add(transcripts=[transcript_of(received)])
                machine.hear(sound.silence(1500), sound.tone(2000), sound.silence(1000))
            has_heard = True
            continue
        machine.feed(orjson.dumps(with_our_call_id(event, machine)))
    return machine.events


def with_our_call_id(event: dict[str, Any], machine: Any) -> dict[str, Any]:
    if event.get("item", {}).get("type") != "function_call_output":
        return event
    return {**event, "item": {**event["item"], "call_id": call_id_of(machine)}}


def transcript_of(received: list[dict[str, Any]]) -> str:
    return next(event["transcript"] for event in received if event["type"] == f"{TRANSCRIPTION}completed")


def call_id_of(machine: Any) -> str:
    return next(e["call_id"] for e in machine.events if e["type"] == "response.function_call_arguments.done")


@pytest.mark.parametrize("name", NAMES)
def test_events_come_in_the_recorded_order(name, machine, sound):
    recorded = [each.event for each in recording(name) if each.direction == "received"]

    simulated = replay(machine, name, sound)

    assert sequence(simulated) == sequence(recorded)


@pytest.mark.parametrize("name", NAMES)
def test_events_have_the_recorded_keys(name, machine, sound):
    recorded = [each.event for each in recording(name) if each.direction == "received"]

    simulated = replay(machine, name, sound)

    for kind in {event["type"] for event in recorded}:
        expected = [shape(event) for event in recorded if event["type"] == kind]
        given = [shape(event) for event in simulated if event["type"] == kind]
        assert given[0] == expected[0], kind
        assert set().union(*given) == set().union(*expected), kind


def test_the_function_is_called_with_the_recorded_argument(machine, sound):
    events = replay(machine, "openai-tool-call-round", sound)

    done = next(event for event in events if event["type"] == "response.function_call_arguments.done")

    assert (done["name"], done["arguments"]) == ("get_weather", '{"city":"London"}')
    assert "It is foggy and 12 degrees in London." in machine.answer


def test_seeded_history_is_remembered_as_in_the_recording(machine, sound):
    replay(machine, "openai-history-seeding", sound)

    assert machine.answer == "Your name is Alice, and your favorite color is teal."


def test_transcription_deltas_come_before_their_completion(machine, sound):
    events = replay(machine, "openai-voice-turn-server-vad", sound)

    kinds = [event["type"].removeprefix(TRANSCRIPTION) for event in events if event["type"].startswith(TRANSCRIPTION)]
    deltas = "".join(event["delta"] for event in events if event["type"] == f"{TRANSCRIPTION}delta")

    assert kinds == ["delta"] * (len(kinds) - 1) + ["completed"]
    assert deltas == "Hello, my name is Marcelo."
