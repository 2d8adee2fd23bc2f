"""The wires of Twilio's cousins: their messages, and a call over each of them in memory."""

import base64
import json

import pytest

from router.config.model import COUSIN_PATHS
from router.fronts.twilio import messages as twilio
from router.fronts.twilio.wires import COUSINS, EXOTEL, PLIVO, TELNYX, TWILIO, VONAGE
from router.testing import CallHarness
from router.testing.calls import TIMEOUT_S

AUDIO = bytes(range(160))
PAYLOAD = base64.b64encode(AUDIO).decode()
AGENTS = {"support": {"greeting": "Hello {{who}}.", "think": {"prompt": "Be brief."}}}

STARTS = {
    "telnyx": {
        "event": "start",
        "sequence_number": "1",
        "stream_id": "S1",
        "start": {
            "call_control_id": "C1",
            "custom_parameters": {"agent": "support", "who": "Ada"},
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        },
    },
    "plivo": {
        "event": "start",
        "sequenceNumber": 1,
        "start": {
            "callId": "C1",
            "streamId": "S1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        },
        "extra_headers": "agent=support;who=Ada",
    },
    "exotel": {
        "event": "start",
        "sequence_number": "1",
        "stream_sid": "S1",
        "start": {
            "stream_sid": "S1",
            "call_sid": "C1",
            "custom_parameters": {"agent": "support", "who": "Ada"},
            "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
        },
    },
    "vonage": {
        "event": "websocket:connected",
        "content-type": "audio/l16;rate=16000",
        "uuid": "C1",
        "agent": "support",
        "who": "Ada",
    },
}
TELLING = tuple(wire for wire in COUSINS if wire is not VONAGE)
"""The wires whose audio is in text messages."""


def decoded(wire, **message):
    return twilio.decode(json.dumps(message), wire)


@pytest.mark.parametrize("wire", COUSINS, ids=lambda wire: wire.name)
def test_a_start_has_the_stream_the_call_and_the_parameters(wire):
    start = decoded(wire, **STARTS[wire.name])
    assert (start.stream_sid, start.call_sid) == ("vonage" if wire is VONAGE else "S1", "C1")
    assert start.custom_parameters.items() >= {"agent": "support", "who": "Ada"}.items()
    assert twilio.is_served(start.media_format, wire)


@pytest.mark.parametrize("wire", TELLING, ids=lambda wire: wire.name)
def test_the_events_of_a_call_are_read(wire):
    assert decoded(wire, event="media", media={"payload": PAYLOAD}) == twilio.Media(PAYLOAD)
    assert decoded(wire, event="dtmf", dtmf={"digit": "5", "duration": "100"}) == twilio.Dtmf("5")
    assert decoded(wire, event="stop", stop={}) == twilio.Stop()
    assert isinstance(decoded(wire, event="start", start={}), twilio.Unknown)
    assert isinstance(decoded(wire, event="start", start={wire.stream_key: "S", wire.format_key: 1}), twilio.Unknown)


def test_the_marks_of_plivo_have_another_name_and_no_object():
    assert decoded(PLIVO, event="playedStream", streamId="S1", name="0:1") == twilio.Mark("0:1")
    assert isinstance(decoded(PLIVO, event="clearedAudio", streamId="S1"), twilio.Unknown)


@pytest.mark.parametrize(
    ("wire", "encoding", "is_served"),
    [
        (TWILIO, "audio/x-mulaw", True),
        (TELNYX, "PCMA", False),
        (PLIVO, "audio/x-l16", False),
        (EXOTEL, "audio/x-mulaw", False),
        (EXOTEL, "base64", True),
    ],
)
def test_only_the_encoding_of_the_wire_is_served(wire, encoding, is_served):
    assert twilio.is_served(twilio.MediaFormat(encoding), wire) is is_served
    assert not twilio.is_served(twilio.MediaFormat(encoding, 16000), wire)


def test_the_events_of_vonage_have_their_content_at_the_top():
    assert decoded(VONAGE, event="websocket:dtmf", digit="5", duration=260) == twilio.Dtmf("5")
    assert decoded(VONAGE, event="websocket:notify", payload={"name": "0:1"}) == twilio.Mark("0:1")
    assert isinstance(decoded(VONAGE, event="websocket:cleared"), twilio.Unknown)
    start = decoded(VONAGE, **{**STARTS["vonage"], "age": 40, "vip": True, "address": {"city": "Paris"}})
    assert start.custom_parameters == {"uuid": "C1", "agent": "support", "who": "Ada", "age": "40", "vip": "true"}


@pytest.mark.parametrize("written", ["audio/l16;rate=8000", "audio/l16", "audio/x-mulaw;rate=16000", 5, None])
def test_vonage_is_served_at_16_khz_alone(written):
    start = decoded(VONAGE, **{**STARTS["vonage"], "content-type": written})
    assert not twilio.is_served(start.media_format, VONAGE)


def test_each_service_gets_messages_of_its_own():
    def written(wire):
        texts = (twilio.media("S1", AUDIO, wire), twilio.mark("S1", "0:1", wire), twilio.clear("S1", wire))
        return [json.loads(text) for text in texts]

    assert written(TELNYX) == [
        {"event": "media", "media": {"payload": PAYLOAD}},
        {"event": "mark", "mark": {"name": "0:1"}},
        {"event": "clear"},
    ]
    assert written(PLIVO) == [
        {
            "event": "playAudio",
            "streamId": "S1",
            "media": {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": PAYLOAD},
        },
        {"event": "checkpoint", "streamId": "S1", "name": "0:1"},
        {"event": "clearAudio", "streamId": "S1"},
    ]
    assert written(EXOTEL) == [
        {"event": "media", "stream_sid": "S1", "media": {"payload": PAYLOAD}},
        {"event": "mark", "stream_sid": "S1", "mark": {"name": "0:1"}},
        {"event": "clear", "stream_sid": "S1"},
    ]
    assert written(VONAGE)[1:] == [{"action": "notify", "payload": {"name": "0:1"}}, {"action": "clear"}]


def test_every_cousin_has_a_path():
    assert {f"/{wire.name}" for wire in COUSINS} == set(COUSIN_PATHS)


class Caller:
    """A call in memory, whose service plays at once."""

    def __init__(self, harness, wire, simulator, query=None):
        self.wire = wire
        self.call = harness.call(wire.name, simulator=simulator, query=query)
        self.peer = self.call.client.peer
        self.audio = b""

    def send(self, **message):
        self.peer.send_text(json.dumps(message))

    def wait_for(self, event):
        while True:
            frame = self.peer.receive(TIMEOUT_S)
            if isinstance(frame, bytes):
                assert len(frame) == self.wire.shape.frame_bytes
                self.audio += frame
                continue
            message = json.loads(frame)
            kind = message[self.wire.kind_key]
            if kind == event:
                return message
            if kind == self.wire.media_event:
                self.audio += base64.b64decode(message["media"]["payload"])

    def mark(self, name):
        event = next(event for event, meaning in self.wire.events.items() if meaning == "mark")
        content = {"name": name}
        self.send(event=event, **(content if "mark" in self.wire.flat_events else {self.wire.mark_key: content}))

    def say(self, audio):
        if self.wire.has_binary_audio:
            self.peer.send_binary(audio)
        else:
            self.send(event="media", media={"payload": base64.b64encode(audio).decode()})


@pytest.mark.parametrize("wire", COUSINS, ids=lambda wire: wire.name)
def test_a_call_is_greeted_by_its_agent_and_may_interrupt_it(wire, simulator):
    upstreams = [{"url": "ws://nowhere.invalid/v1/realtime", "g711": True}]
    with CallHarness(agents=AGENTS, upstream=None, upstreams=upstreams) as harness:
        caller = Caller(harness, wire, simulator)
        caller.send(**STARTS[wire.name])
        mark = caller.wait_for(wire.mark_event)
        caller.mark(mark["name"] if "mark" in wire.flat_events else mark[wire.mark_key]["name"])
        update = simulator.connections[0].of_type("session.update")[0]
        kind = "audio/pcm" if wire in (EXOTEL, VONAGE) else "audio/pcmu"
        assert update["session"]["audio"]["output"]["format"]["type"] == kind
        loud = b"\x10\x90" * (wire.shape.bytes_per_ms * 10)
        for _ in range(30):
            caller.say(loud)
        caller.wait_for(wire.clear_event)
        assert len(caller.audio) % wire.shape.frame_bytes == 0


def test_the_query_of_the_url_names_an_agent_where_the_start_names_none(simulator):
    with CallHarness(agents={**AGENTS, "sales": {"greeting": "Buy {{what}}."}}) as harness:
        caller = Caller(harness, TELNYX, simulator, query={"agent": "sales", "what": "tea", "token": "x"})
        caller.send(event="start", stream_id="S1", start={"media_format": {"encoding": "PCMU", "sample_rate": 8000}})
        caller.wait_for("mark")
        assert any("Buy tea." in json.dumps(it) for it in simulator.connections[0].events)
