"""Client events in any order: the session answers by the rules of the protocol."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.simulator import Call, Fault, FaultAction, FaultPoint
from tests.support.processes.further import examples

TOOL = {"type": "function", "name": "get_time", "description": "Tell the time.", "parameters": {"type": "object"}}
TONE = base64.b64encode(bytes([0, 32, 0, 224]) * 2400).decode()
SILENCE = base64.b64encode(bytes(19200)).decode()

STEPS = {
    "hello": lambda m: m.say("Hello"),
    "ask": lambda m: m.say("What time is it?"),
    "create": lambda m: m.send("response.create"),
    "create text": lambda m: m.send("response.create", response={"output_modalities": ["text"]}),
    "create aside": lambda m: m.send("response.create", response={"conversation": "none", "input": []}),
    "cancel": lambda m: m.send("response.cancel"),
    "tone": lambda m: m.send("input_audio_buffer.append", audio=TONE),
    "silence": lambda m: m.send("input_audio_buffer.append", audio=SILENCE),
    "commit": lambda m: m.send("input_audio_buffer.commit"),
    "clear": lambda m: m.send("input_audio_buffer.clear"),
    "manual": lambda m: m.update(audio={"input": {"turn_detection": None}}),
    "vad": lambda m: m.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}}),
    "transcribe": lambda m: m.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}}),
    "pcmu": lambda m: m.update(audio={"output": {"format": {"type": "audio/pcmu"}}}),
    "tools": lambda m: m.update(tools=[TOOL]),
    "output": lambda m: [output(m, call_id) for call_id in calls(m)[-1:]],
    "truncate": lambda m: [truncate(m, item_id) for item_id in spoken(m)[-1:]],
    "delete": lambda m: [m.send("conversation.item.delete", item_id=item_id) for item_id in spoken(m)[-1:]],
    "retrieve": lambda m: [m.send("conversation.item.retrieve", item_id=item_id) for item_id in spoken(m)[-1:]],
    "nonsense": lambda m: m.feed(b'{"type": "response.create", "response": {"modalities": []}}'),
    "timers": lambda m: [m.fire(name) for name in list(m.timers)[:2] if name in m.timers and name != "expiry"],
    "many timers": lambda m: [
        m.fire(name) for _ in range(20) for name in list(m.timers) if ":" in name and name in m.timers
    ],
}


def calls(machine):
    return [e["call_id"] for e in machine.events if e["type"] == "response.function_call_arguments.done"]


def spoken(machine):
    return [e["item_id"] for e in machine.events if e["type"] == "response.output_audio.delta"]


def output(machine, call_id):
    item = {"type": "function_call_output", "call_id": call_id, "output": "noon"}
    return machine.send("conversation.item.create", item=item)


def truncate(machine, item_id):
    return machine.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=50)


@settings(max_examples=examples(150), deadline=None)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=25), pace=st.sampled_from([0, 10]))
def test_any_order_of_events_keeps_the_rules(make_machine, steps, pace):
    machine = make_machine(pace=pace, transcription_delay_s=0.1).open()
    machine.is_stepping = True
    for step in steps:
        STEPS[step](machine)
    machine.is_stepping = False
    for name in list(machine.timers):
        if name in machine.timers and ":" in name:
            machine.fire(name)

    check_responses(machine.events)
    check_items(machine.events)


def check_responses(events):
    """Check that each response is created and done once, and only one at a time in the conversation."""
    active = None
    open_ids = set()
    for event in events:
        if event["type"] == "response.created":
            response = event["response"]
            open_ids.add(response["id"])
            if response["conversation_id"] is not None:
                assert active is None
                active = response["id"]
        elif event["type"] == "response.done":
            open_ids.remove(event["response"]["id"])
            if event["response"]["id"] == active:
                active = None
        elif "response_id" in event:
            assert event["response_id"] in open_ids
    assert not open_ids


def check_items(events):
    """Check that each item is added once and done once; a deleted one may be done later."""
    added = [event["item"]["id"] for event in events if event["type"] == "conversation.item.added"]
    done = [event["item"]["id"] for event in events if event["type"] == "conversation.item.done"]
    assert len(added) == len(set(added))
    assert sorted(done) == sorted(added)


@pytest.mark.parametrize("characters", range(430, 490, 4))
def test_a_response_cancelled_at_the_end_of_a_burst_leaves_no_item_half_closed(make_machine, characters):
    machine = make_machine(chunk_ms=1000).open()
    machine.is_stepping = True
    machine.script.add(answers=["a" * characters])
    machine.send("response.create")
    machine.fire(next(name for name in machine.timers if ":" in name))
    machine.send("response.cancel")

    check_responses(machine.events)
    check_items(machine.events)
    check_parts(machine.events)


@pytest.mark.parametrize("point", ["audio_done", "function_call"])
def test_a_response_that_fails_while_an_item_closes_leaves_it_closed(make_machine, point):
    machine = make_machine(Fault(point=FaultPoint(point), action=FaultAction.FAIL)).open()
    machine.script.add(answers=[["One moment.", Call("get_time", "{}")]])
    machine.send("response.create")

    (done,) = [event for event in machine.events if event["type"] == "response.done"]
    assert done["response"]["status"] == "failed"
    check_items(machine.events)
    check_parts(machine.events)


def check_parts(events):
    """Check that each announced part of a response has an end."""
    for what in ("response.output_item", "response.content_part"):
        kinds = [event["type"] for event in events]
        assert kinds.count(f"{what}.added") == kinds.count(f"{what}.done")
