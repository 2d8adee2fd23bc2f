"""The messages of Twilio Media Streams."""

import base64
import json

import pytest

from router.fronts.twilio import messages as twilio
from tests.support.clients.telephone import CALL, STREAM, start_event


def test_a_start_has_the_stream_the_call_and_the_parameters():
    start = twilio.decode(json.dumps(start_event(agent="support", caller="Ada")))
    assert (start.stream_sid, start.call_sid) == (STREAM, CALL)
    assert start.custom_parameters == {"agent": "support", "caller": "Ada"}
    assert start.media_format == twilio.MediaFormat()


def test_the_id_of_the_stream_may_stand_outside_of_the_start():
    event = start_event()
    del event["start"]["streamSid"]
    assert twilio.decode(json.dumps(event)).stream_sid == STREAM


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"event": "media", "media": {"track": "inbound", "payload": "AAE="}}, twilio.Media("AAE=")),
        ({"event": "mark", "mark": {"name": "0:1"}}, twilio.Mark("0:1")),
        ({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": "1"}}, twilio.Dtmf("1")),
        ({"event": "stop", "stop": {"callSid": "CA1"}}, twilio.Stop()),
        ({"event": "stop"}, twilio.Stop()),
    ],
    ids=lambda it: it["event"] if isinstance(it, dict) else "",
)
def test_each_event_is_read(event, expected):
    assert twilio.decode(json.dumps(event)) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"connected","protocol":"Call","version":"1.0.0"}',
        '{"event":"tomorrow"}',
        '{"event":5}',
        '{"event":"start","start":{}}',
        '{"event":"media"}',
        '{"event":"mark","mark":[]}',
        "[]",
        "no JSON",
    ],
)
def test_a_message_that_means_nothing_is_unknown(text):
    assert isinstance(twilio.decode(text), twilio.Unknown)


@pytest.mark.parametrize(("track", "payload", "expected"), [("inbound", "AAE=", b"\0\1"), ("outbound", "AAE=", b"")])
def test_only_the_caller_s_audio_counts(track, payload, expected):
    assert twilio.audio_of(twilio.Media(payload, track)) == expected


@pytest.mark.parametrize("payload", ["A", "ä", "A===", "!!!!"])
def test_audio_that_cannot_be_read_is_none(payload):
    assert twilio.audio_of(twilio.Media(payload)) == b""


def test_every_message_to_twilio_names_its_stream():
    written = [twilio.media("MZ1", b"\0\1"), twilio.mark("MZ1", "0:1"), twilio.clear("MZ1")]
    assert [json.loads(text) for text in written] == [
        {"event": "media", "streamSid": "MZ1", "media": {"payload": base64.b64encode(b"\0\1").decode()}},
        {"event": "mark", "streamSid": "MZ1", "mark": {"name": "0:1"}},
        {"event": "clear", "streamSid": "MZ1"},
    ]
