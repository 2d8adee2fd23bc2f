"""The events: lenient towards an upstream that leaves fields out, strict in what the router sends."""

import orjson
import pytest

from router.openai import codec, events
from tests.support.data.oracle import assert_client_event, client_event_types

ITEM = events.FunctionCallOutputItem(id="i", call_id="c", output="snow")
CALL = events.FunctionCallItem(id="i", call_id="c", name="f", arguments="{}")
MESSAGE = events.MessageItem(id="i", role="assistant", content=[events.OutputText(text="Hi")])
PARAMETERS = events.ResponseParameters(
    instructions="Be brief.",
    conversation="none",
    input=[],
    output_modalities=["audio"],
    tools=[],
    tool_choice="none",
    metadata={"purpose": "greeting"},
)
SENT = [
    events.SessionUpdate(session={"type": "realtime"}, event_id="e"),
    events.ConversationItemCreate(item=ITEM),
    events.ConversationItemCreate(item=CALL, event_id="e"),
    events.ConversationItemCreate(item=MESSAGE),
    events.ResponseCreate(response=PARAMETERS, event_id="e"),
    events.ResponseCancel(response_id="r"),
    events.ConversationItemTruncate(item_id="i", content_index=0, audio_end_ms=40),
    events.ConversationItemDelete(item_id="i"),
    events.InputAudioBufferCommit(),
]


@pytest.mark.parametrize("kind", events.SERVER_EVENTS)
def test_a_server_event_is_read_without_any_of_its_fields(kind):
    assert codec.decode(f'{{"type":"{kind}"}}') == events.SERVER_EVENTS[kind]()


def test_every_event_to_the_upstream_is_among_the_samples():
    assert {type(event) for event in SENT} == set(events.ClientEvent.__subclasses__())


@pytest.mark.parametrize("event", SENT, ids=lambda event: type(event).__name__)
def test_an_event_to_the_upstream_has_no_field_that_the_vendor_s_types_lack(event):
    assert_client_event(orjson.loads(codec.encode(event)))


def test_a_name_is_read_as_one_event_or_ignored_for_one_reason():
    assert not set(events.SERVER_EVENTS) & set(events.CONSUMED)
    assert not set(events.ALIASES) & (set(events.SERVER_EVENTS) | set(events.CONSUMED))
    assert set(events.ALIASES.values()) <= set(events.SERVER_EVENTS) | set(events.CONSUMED)


def test_forwarded_events_are_the_vendor_s():
    assert client_event_types() >= events.FORWARDED
