"""A telephone call in memory: Twilio's messages in, Twilio's messages out, the simulator for the model."""

import base64
import json

import msgspec
import pytest

from actors import messages as engine
from actors.connections.base import ConnectionClosed
from router import Request, RouterConfig
from router.assembly.carried import open_parcel
from router.assembly.factory import SessionFactory
from router.fronts.twilio import key_function, machine
from router.fronts.twilio.keypad import PAUSE_S
from router.hooks import Hooks
from router.session.snapshot import SnapshotError
from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from router.testing import CallHarness
from router.testing.calls import TIMEOUT_S
from router.tools.registry import FunctionRegistry
from tests.support.clients.telephone import LOUD_FRAME, SILENT_FRAME, STREAM, start_event

AGENTS = {
    "support": {"greeting": "Hello {{who}}.", "think": {"prompt": "Be brief with {{who}}, {{ nobody }}."}},
    "sales": {"think": {"prompt": "Sell."}},
}


ANY_AUDIO = bytes(range(256))


class Phone:
    """The telephone of a call in memory, which plays at once."""

    def __init__(self, call):
        self.peer = call.client.peer
        self.audio = b""
        self.events = []

    def send(self, event, **fields):
        self.peer.send_text(json.dumps({"event": event, "streamSid": STREAM, **fields}))

    def begin(self, **parameters):
        self.send("connected", protocol="Call", version="1.0.0")
        self.peer.send_text(json.dumps(start_event(**parameters)))

    def say(self, frames, frame=LOUD_FRAME):
        for _ in range(frames):
            self.send("media", media={"track": "inbound", "payload": base64.b64encode(frame).decode()})

    def receive(self):
        frame = self.peer.receive(TIMEOUT_S)
        if isinstance(frame, ConnectionClosed):
            return frame
        message = json.loads(frame)
        self.events.append(message["event"])
        if message["event"] == "media":
            self.audio += base64.b64decode(message["media"]["payload"])
        if message["event"] == "mark":
            self.send("mark", mark=message["mark"])
        return message

    def wait_for(self, event):
        while (message := self.receive())["event"] != event:
            pass
        return message

    def wait_for_close(self):
        while not isinstance(closed := self.receive(), ConnectionClosed):
            pass
        return closed


@pytest.fixture
def simulator():
    simulator = Simulator(SimulatorConfig(pace=0)).start(listens=False)
    yield simulator
    simulator.close()


@pytest.fixture
def make_phone(simulator):
    """Return a function that places a call."""
    harnesses = []

    def make(**settings):
        harnesses.append(CallHarness(**settings))
        return Phone(harnesses[-1].call("twilio", simulator=simulator))

    yield make
    for harness in harnesses:
        harness.close()


def created(simulator, role):
    """Return the texts of the items that the upstream was sent for a role."""
    items = [event["item"] for event in simulator.connections[-1].of_type("conversation.item.create")]
    return [item["content"][0]["text"] for item in items if item.get("role") == role]


def wait_until(phone, holds):
    """Wait for messages until a condition holds."""
    while not holds():
        phone.receive()


# The start.


def test_a_call_names_its_agent_and_hears_its_greeting(make_phone, simulator):
    phone = make_phone(agents=AGENTS)
    phone.begin(agent="support", who="Ada")
    phone.wait_for("media")
    (update,) = simulator.connections[-1].of_type("session.update")
    assert update["session"]["instructions"] == "Be brief with Ada, {{ nobody }}."
    assert update["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert simulator.wait_for(lambda _connections: created(simulator, "assistant")) == ["Hello Ada."]


def test_mu_law_is_requested_from_an_upstream_that_is_known_to_take_it(simulator):
    upstream = {"url": "ws://nowhere.invalid/v1/realtime", "g711": True}
    with CallHarness(upstream=None, upstreams=[upstream], agents=AGENTS) as harness:
        phone = Phone(harness.call("twilio", simulator=simulator))
        phone.begin(agent="support")
        phone.wait_for("media")
        audio = simulator.connections[-1].of_type("session.update")[0]["session"]["audio"]
        assert audio["input"]["format"] == audio["output"]["format"] == {"type": "audio/pcmu"}


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ({}, None),
        ({"only": {"think": {"prompt": "Only."}}}, "Only."),
        (AGENTS | {"default": {"think": {"prompt": "Default."}}}, "Default."),
    ],
)
def test_a_call_that_names_no_agent_gets_the_default_one_or_the_only_one(make_phone, simulator, agents, expected):
    phone = make_phone(agents=agents)
    phone.begin()
    phone.send("dtmf", dtmf={"digit": "#"})
    phone.wait_for("media")
    assert simulator.connections[-1].of_type("session.update")[0]["session"].get("instructions") == expected


def test_a_call_for_an_unknown_agent_is_closed_so_that_the_twiml_continues(make_phone):
    phone = make_phone(agents=AGENTS)
    phone.begin(agent="nobody")
    closed = phone.wait_for_close()
    assert (closed.code, closed.reason) == (1008, "there is no agent nobody: configure [agents.nobody]")
    assert phone.events == []


def test_a_stream_of_another_format_is_closed(make_phone):
    phone = make_phone()
    event = start_event()
    event["start"]["mediaFormat"] = {"encoding": "audio/x-l16", "sampleRate": 16000, "channels": 1}
    phone.peer.send_text(json.dumps(event))
    assert phone.wait_for_close().code == 1008


def test_a_client_that_never_starts_is_closed(make_phone):
    phone = make_phone(deadlines={"settings_s": 0.05})
    assert phone.wait_for_close().code == 1000
    assert phone.events == []


def test_a_second_start_and_unknown_events_change_nothing(make_phone, simulator):
    phone = make_phone(agents=AGENTS)
    phone.begin(agent="sales")
    phone.begin(agent="support")
    phone.send("tomorrow")
    phone.peer.send_text("no JSON")
    phone.peer.send_binary(b"no audio")
    phone.send("dtmf", dtmf={"digit": "#"})
    phone.wait_for("media")
    (update,) = simulator.connections[-1].of_type("session.update")
    assert update["session"]["instructions"] == "Sell."


# Audio.


def test_a_caller_is_answered_and_every_piece_is_marked(make_phone):
    phone = make_phone()
    phone.begin()
    phone.say(60)
    phone.say(60, SILENT_FRAME)
    phone.wait_for("clear")
    wait_until(phone, lambda: len(phone.audio) > 8000)
    assert phone.events[:3] == ["clear", "media", "mark"]
    assert len(phone.audio) % 160 == 0


def test_mu_law_passes_byte_for_byte_in_both_directions():
    nowhere = {"url": "ws://nowhere.invalid/v1/realtime", "g711": True}
    with CallHarness(upstream=None, upstreams=[nowhere]) as harness:
        call = harness.call("twilio")
        phone, upstream = Phone(call), call.upstream()
        phone.begin()
        upstream.send("session.created", session={})
        audio = upstream.wait_for("session.update")["session"]["audio"]
        upstream.send("session.updated", session={"audio": audio})
        phone.say(1, ANY_AUDIO)
        assert base64.b64decode(upstream.wait_for("input_audio_buffer.append")["audio"]) == ANY_AUDIO
        ids = {"response_id": "r1", "item_id": "i1"}
        upstream.send("response.created", response={"id": "r1", "status": "in_progress"})
        for size in (250, 3, 47):
            upstream.send("response.output_audio.delta", delta=base64.b64encode(ANY_AUDIO[:size]).decode(), **ids)
        upstream.send("response.done", response={"id": "r1", "status": "completed"})
        wait_until(phone, lambda: len(phone.audio) >= 320)
        assert phone.audio == ANY_AUDIO[:250] + ANY_AUDIO[:3] + ANY_AUDIO[:47] + b"\xff" * 20


def test_keys_reach_the_model_after_a_pause_as_one_message(make_phone, simulator):
    phone = make_phone()
    phone.begin()
    for key in "42":
        phone.send("dtmf", dtmf={"track": "inbound_track", "digit": key})
    assert PAUSE_S < TIMEOUT_S
    phone.wait_for("media")
    assert created(simulator, "user") == ["(The caller pressed the keys 4 2 on the telephone.)"]


def test_keys_can_be_ignored(make_phone, simulator):
    phone = make_phone(twilio_dtmf="ignore", agents=AGENTS)
    phone.begin(agent="support")
    phone.send("dtmf", dtmf={"digit": "#"})
    phone.wait_for("media")
    phone.send("stop")
    phone.wait_for_close()
    assert created(simulator, "user") == []


READ_KEYS = {"agents": {"default": {"think": {"prompt": "Ask for a number."}}}, "twilio_dtmf": "function"}


def outputs(simulator):
    items = [event["item"] for event in simulator.connections[-1].of_type("conversation.item.create")]
    return [item["output"] for item in items if item["type"] == "function_call_output"]


def test_the_model_reads_keys_by_a_function(make_phone, simulator):
    phone = make_phone(**READ_KEYS)
    simulator.script(transcripts=["Read my keys"])
    phone.begin()
    phone.say(60)
    phone.say(60, SILENT_FRAME)
    assert simulator.wait_for(lambda connections: connections and connections[-1].of_type("session.update"))
    (update,) = simulator.connections[-1].of_type("session.update")
    assert [tool["name"] for tool in update["session"]["tools"]] == ["read_keys"]
    for key in "42#":
        phone.send("dtmf", dtmf={"digit": key})
    phone.wait_for("media")
    assert outputs(simulator) == ['{"keys":"42"}']
    assert created(simulator, "user") == []


def test_keys_that_nobody_presses_are_an_empty_output(make_phone, simulator, monkeypatch):
    monkeypatch.setattr(key_function, "WAIT_S", 0.05)
    phone = make_phone(**READ_KEYS)
    simulator.script(transcripts=["Read my keys"])
    phone.begin()
    phone.say(60)
    phone.say(60, SILENT_FRAME)
    phone.wait_for("media")
    assert outputs(simulator) == ['{"keys":""}']


def test_a_function_without_an_endpoint_is_answered_in_place_of_the_client(make_phone, simulator):
    function = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    phone = make_phone(agents={"default": {"think": {"functions": [function]}}})
    simulator.script(transcripts=["What is the weather in Paris?"])
    phone.begin()
    phone.say(60)
    phone.say(60, SILENT_FRAME)
    phone.wait_for("media")
    outputs = [event["item"] for event in simulator.connections[-1].of_type("conversation.item.create")]
    assert [item["output"] for item in outputs if item["type"] == "function_call_output"] == [
        '{"error":"this function is not available"}'
    ]


# The end.


def test_the_end_of_a_stream_ends_the_session_although_the_socket_stays(make_phone, simulator):
    phone = make_phone(agents=AGENTS)
    phone.begin(agent="support")
    phone.wait_for("media")
    phone.send("stop", stop={"callSid": "CA1"})
    assert phone.wait_for_close().code == 1000
    assert simulator.wait_for(lambda connections: connections[-1].closed).code == 1000


def test_an_upstream_that_is_lost_in_mid_answer_is_replaced_and_the_answer_continues(simulator, make_phone):
    fault = Fault(point=FaultPoint.MID_AUDIO, action=FaultAction.CLOSE, code=1011, first_connections=1)
    simulator.add_fault(fault)
    phone = make_phone(agents=AGENTS)
    phone.begin(agent="sales")
    phone.send("dtmf", dtmf={"digit": "#"})
    wait_until(phone, lambda: len(simulator.connections) > 1 and phone.events.count("media") > 2)
    assert "clear" not in phone.events


def test_a_call_whose_session_fails_is_closed_without_a_frame_that_twilio_does_not_know(make_phone, monkeypatch):
    phone = make_phone(agents=AGENTS)
    monkeypatch.setattr(machine.twilio, "decode", lambda _text: 1 / 0)
    phone.begin(agent="sales")
    assert phone.wait_for_close().code == 1011
    assert phone.events == []


def test_a_call_is_found_by_its_id_until_it_ends(simulator):
    with CallHarness(agents=AGENTS) as harness:
        phone = Phone(harness.call("twilio", simulator=simulator))
        phone.begin(agent="support")
        phone.wait_for("media")
        assert harness.router.end_named("CA1")
        assert phone.wait_for_close().code == 1000
        assert not harness.router.end_named("CA1")


# To another process.


def moving(dtmf="message"):
    """Return a function that makes the spec of a call in a process of its own, with the names of calls there."""
    request = Request(path="/twilio", profile="twilio", query={}, headers={})

    def make(parcel=None):
        config = RouterConfig(agents=AGENTS, twilio_dtmf=dtmf, upstream="ws://h")
        factory = SessionFactory(config, FunctionRegistry(), Hooks())
        return factory.of("s", request, None, perform=print, on_end=print, parcel=parcel), factory.names

    return make


def test_a_call_goes_on_in_another_process_with_its_stream_and_its_keys():
    make = moving()
    spec, _ = make()
    for event in (start_event(), {"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "4"}}):
        list(spec.machine.handle(engine.ClientTextReceived(json.dumps(event)), 1.0))
    parcel = open_parcel(spec.carried.snapshot())
    assert spec.carried.can_outlive
    moved, names = make(parcel)
    commands = list(moved.machine.handle(engine.ClientAdopted(is_planned=True), 2.0))
    assert engine.StartTimer(machine.KEYPAD_TIMER, PAUSE_S) in commands
    assert any(isinstance(it, engine.OpenUpstream) for it in commands)
    facts = moved.machine.describe()
    assert (facts["stream_sid"], facts["call_sid"]) == (STREAM, "CA1")
    assert names.find("CA1") == "s"
    again = {"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "2"}}
    list(moved.machine.handle(engine.ClientTextReceived(json.dumps(again)), 2.5))
    assert moved.machine._machine._keypad.take() == "42"


def test_a_call_whose_agent_waits_for_keys_goes_on_waiting():
    make = moving("function")
    spec, _ = make()
    list(spec.machine.handle(engine.ClientTextReceived(json.dumps(start_event())), 1.0))
    spec.machine._key_function.call("call_1")
    moved, _ = make(open_parcel(spec.carried.snapshot()))
    commands = list(moved.machine.handle(engine.ClientAdopted(is_planned=True), 2.0))
    assert engine.StartTimer(machine.KEYS_TIMER, key_function.WAIT_S) in commands
    assert moved.machine._machine._key_function.memory == (["call_1"], None)


def test_a_memory_that_is_damaged_is_no_call():
    make = moving()
    spec, _ = make()
    parcel = open_parcel(spec.carried.snapshot())
    with pytest.raises(SnapshotError, match="memory of the front"):
        make(msgspec.structs.replace(parcel, memory=b"no memory"))
