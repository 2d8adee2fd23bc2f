"""The messages of one caller, or of one upstream, delay no other caller.

The router is a process of its own. The tests measure how long it takes to answer another caller meanwhile; `LONGEST_S`
is ten times the 50 ms that a frame may cost, because the machine may be busy.
"""

import contextlib
import json
import socket
import sys
import threading
import time

import psutil
import pytest
from websockets.frames import Frame, Opcode

from tests.support.clients.neighbour import CONVERSE, SETTINGS, WAIT_S, neighbour
from tests.support.clients.wire_client import WireClient
from tests.support.processes.children import RUN_PY, child, router
from tests.support.processes.further import first_and_further, further
from tests.support.processes.host_apps import ROOT
from tests.support.processes.scripted_upstream import Hangup, scripted

LONGEST_S = 0.5
MEGA = 1024 * 1024
MOST_BYTES = 16 * MEGA - 1000
SAID = {"response_id": "resp_1", "item_id": "item_1"}


@pytest.fixture
def address():
    with router("--upstream", "simulator") as running:
        yield running.address


@pytest.fixture(scope="module")
def lasting():
    """The address of a router for tests that measure no time."""
    with router("--upstream", "simulator") as running:
        yield running.address


def call(address, path=CONVERSE):
    """Connect a caller that has sent nothing yet."""
    client = WireClient(f"ws://{address}{path}")
    client.wait_for("Welcome", timeout_s=WAIT_S)
    return client


def filled(head, unit, tail):
    """Make a message of 16 MB: `head`, `unit` again and again, `tail`."""
    return head + ",".join([unit] * ((MOST_BYTES - len(head) - len(tail)) // (len(unit) + 1))) + tail


def settings(**think):
    agent = {**SETTINGS["agent"], "think": {**SETTINGS["agent"]["think"], **think}}
    return json.dumps({"type": "Settings", **SETTINGS, "agent": agent})


# One message.

BOMBS = {
    "Settings with 24,000 endpoints that may not be called": (
        CONVERSE,
        lambda: settings(functions=[{"name": f"f{at}", "endpoint": {"url": "http://x"}} for at in range(24_000)]),
    ),
    "Settings with 5 million think blocks": (
        CONVERSE,
        lambda: filled('{"type":"Settings","audio":{},"agent":{"think":[', "{}", "]}}"),
    ),
    "Settings with a context of 200,000 messages": (
        CONVERSE,
        lambda: (
            '{"type":"Settings","audio":{},"agent":{"context":{"messages":['
            + ",".join(['{"role":"user","content":"a"}'] * 200_000)
            + "]}}}"
        ),
    ),
    "a session.update of 5 million lists": (
        "/openai",
        lambda: filled('{"type":"session.update","session":{"type":"realtime","a":[', "[]", "]}}"),
    ),
    "an unknown message of 5 million lists": (CONVERSE, lambda: filled('{"type":"X","a":[', "[]", "]}")),
}
FIRST_BOMBS = ("Settings with a context of 200,000 messages", "a session.update of 5 million lists")
"""One that is handled and one that is refused as it is read. `test_prices_of_messages.py` has each kind in process."""


@pytest.mark.alone
@pytest.mark.parametrize(
    ("path", "text"), [bomb if name in FIRST_BOMBS else further(*bomb) for name, bomb in BOMBS.items()], ids=BOMBS
)
def test_one_message_of_one_caller_delays_no_other_caller(address, path, text):
    message = text()
    with neighbour(address) as beside, call(address, path) as client:
        client.send_text(message)
        with contextlib.suppress(AssertionError):
            client.wait_until(lambda frame: isinstance(frame, dict), "an answer, or the end", WAIT_S)
    assert beside.longest_s < LONGEST_S


def test_a_text_that_is_too_long_is_refused_with_an_error_or_its_close_code(lasting):
    with call(lasting) as client:
        client.say("Settings", **SETTINGS)
        client.wait_for("SettingsApplied", timeout_s=WAIT_S)
        client.say("InjectAgentMessage", message=" " * (3 * MEGA // 2))
        assert is_refused(client)


def test_a_text_that_is_too_long_is_refused_before_it_is_whole(lasting):
    with call(lasting) as client:
        part = Frame(Opcode.TEXT, b"x" * 65_536, fin=False).serialize(mask=True)
        more = Frame(Opcode.CONT, b"x" * 65_536, fin=False).serialize(mask=True)
        client._socket.sendall(part + more * 24)
        assert is_refused(client)


def is_refused(client):
    """Whether the router refuses the message: by an Error, or by its close code."""
    frames = []
    with contextlib.suppress(AssertionError):
        frames = client.wait_for("Error", timeout_s=5.0)
    return bool(frames) or client.close_code == 1009


def test_audio_may_be_longer_than_a_text(lasting):
    with call(lasting) as client:
        client.say("Settings", **SETTINGS)
        client.wait_for("SettingsApplied", timeout_s=WAIT_S)
        client.send_audio(bytes(2 * MEGA))
        client.say("InjectAgentMessage", message=" ")
        client.wait_for("InjectionRefused", timeout_s=WAIT_S)


# Many messages.


def text_frame(**message):
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)


def audio_frame(size_bytes):
    return Frame(Opcode.BINARY, bytes(size_bytes)).serialize(mask=True)


FLOODS = {
    "typed messages": text_frame(type="InjectUserMessage", content="What is the weather?") * 50,
    "a microphone as fast as it goes": audio_frame(24_690) * 20,
    "empty frames": audio_frame(0) * 2_000,
}
FLOOD_S = 3.0
TOLERABLE_S = 0.05
LOST_S = 0.5
"""The time that a neighbour may lose by slower answers, in the whole flood."""


@contextlib.contextmanager
def beside_a_simulator(*flags):
    """Start a router, and a simulator in a process of its own; yield the router's address. Both are killed."""
    simulator = (sys.executable, "-m", "router.simulator", "--port", "0")
    with child(*simulator, env={"PYTHONPATH": str(ROOT)}) as upstream:
        url = upstream.wait_for(r"(ws://127\.[^ ]+)")[1]
        with child(sys.executable, RUN_PY, "--port", "0", "--upstream", url, *flags) as running:
            yield running.wait_for(r"//(127\.0\.0\.1:\d+)/openai")[1]


@pytest.mark.alone
@pytest.mark.parametrize("frames", first_and_further(FLOODS), ids=FLOODS)
def test_a_flood_costs_its_sender(frames):
    with beside_a_simulator() as address, neighbour(address) as beside, call(address) as client:
        odd = {**SETTINGS["audio"], "input": {"encoding": "linear16", "sample_rate": 12_345}}
        client.say("Settings", **{**SETTINGS, "audio": odd})
        client.wait_for("SettingsApplied", timeout_s=WAIT_S)
        reader = threading.Thread(target=read_all, args=(client,))
        reader.start()
        until_s = time.monotonic() + FLOOD_S
        with contextlib.suppress(OSError):  # it is closed for its flood, or is not read any more
            while time.monotonic() < until_s:
                client._socket.sendall(frames)
        with contextlib.suppress(OSError):
            client._socket.shutdown(socket.SHUT_RDWR)
        reader.join()
    assert sum(gap_s - TOLERABLE_S for gap_s in beside.gaps_s if gap_s > TOLERABLE_S) < LOST_S


def read_all(client):
    """Read and drop the frames of a client."""
    with contextlib.suppress(OSError):
        client._socket.settimeout(FLOOD_S)
        while client._socket.recv(MEGA):
            pass


# The events of an upstream.


def said(text):
    """Make a script whose only answer is this text."""

    def answer(say, event):
        if event["type"] == "response.create":
            item = {"id": "item_1", "type": "message", "role": "assistant"}
            say({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}})
            say({"type": "response.output_item.added", "response_id": "resp_1", "item": item})
            say({"type": "response.output_text.done", **SAID, "text": text})
            say({"type": "response.done", "response": {"id": "resp_1", "status": "completed"}})

    return answer


ANSWERS = {
    "10 MB of sentences": "Hi. " * (10 * MEGA // 4),
    "12,000 full stops": "." * 12_000 + "x",
    "5,000 initials": "a. " * 5_000,
}


@pytest.mark.alone
@pytest.mark.parametrize("text", first_and_further(ANSWERS), ids=ANSWERS)
def test_one_answer_of_one_upstream_delays_no_other_caller(text):
    with scripted(said(text)) as upstream, router("--upstream", upstream.url) as running:
        with neighbour(running.address) as beside, call(running.address) as client:
            client.say("Settings", **SETTINGS)
            client.wait_for("SettingsApplied", timeout_s=WAIT_S)
            client.say("InjectUserMessage", content="Q")
            with contextlib.suppress(AssertionError):
                client.wait_for("AgentAudioDone", timeout_s=WAIT_S)
        assert beside.longest_s < LONGEST_S


def test_an_upstream_that_begins_and_ends_turns_unasked_is_dialled_within_the_budget():
    def restless(say, event):
        if event["type"] == "session.update":
            say({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}})
            say({"type": "response.done", "response": {"id": "resp_1", "status": "completed"}})
            raise Hangup

    with scripted(restless) as upstream, router("--upstream", upstream.url) as running, call(running.address) as client:
        client.say("Settings", **SETTINGS)
        assert client.wait_for_end(timeout_s=WAIT_S) == 1011
        assert "Error" in [frame["type"] for frame in client.frames]
        assert upstream.connections <= 6


@pytest.mark.alone
def test_an_upstream_that_floods_a_call_with_turns_that_nobody_asked_for_costs_that_call_alone():
    def restless(say, event):
        if event["type"] == "session.update" and "Flood" in json.dumps(event):
            for at in range(2_000):
                say({"type": "response.created", "response": {"id": f"resp_{at}", "status": "in_progress"}})
                say({"type": "response.done", "response": {"id": f"resp_{at}", "status": "completed"}})

    with scripted(restless) as upstream, router("--upstream", upstream.url) as running:
        with neighbour(running.address) as beside, call(running.address) as client:
            client.send_text(settings(prompt="Flood."))
            assert client.wait_for_end(timeout_s=15.0) == 1011
        assert beside.longest_s < LONGEST_S


# The memory that all callers hold together.


def resident_bytes(process):
    """Return the memory of a router and its workers."""
    first = psutil.Process(process.pid)
    return sum(it.memory_info().rss for it in (first, *first.children(recursive=True)))


def test_unfinished_messages_of_many_callers_have_a_bound_together():
    part = bytes(MEGA)
    first = Frame(Opcode.BINARY, part, fin=False).serialize(mask=True)
    more = Frame(Opcode.CONT, part, fin=False).serialize(mask=True)
    with router("--upstream", "simulator") as running, contextlib.ExitStack() as stack, neighbour(running.address):
        before_bytes = resident_bytes(running.child)
        for _ in range(40):
            client = stack.enter_context(call(running.address))
            with contextlib.suppress(OSError):
                for at in range(15):
                    client._socket.sendall(more if at else first)
        held_bytes = resident_bytes(running.child) - before_bytes
    assert held_bytes < 400 * MEGA


def test_memory_that_many_callers_have_used_is_given_back():
    kept = text_frame(type="InjectUserMessage", content="x" * 950_000)
    with router("--upstream", "simulator") as running:
        with neighbour(running.address):  # a first call loads modules of 55 MB
            pass
        before_bytes = resident_bytes(running.child)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(call(running.address, "/openai")) for _ in range(40)]
            for client in clients:
                with contextlib.suppress(OSError):
                    client._socket.sendall(kept * 4)
            for client in clients:
                with contextlib.suppress(AssertionError):
                    client.wait_for("ConversationText", timeout_s=5.0)
        until_s = time.monotonic() + 10.0
        with neighbour(running.address):
            while resident_bytes(running.child) - before_bytes > 64 * MEGA and time.monotonic() < until_s:
                threading.Event().wait(0.1)
        assert resident_bytes(running.child) - before_bytes < 64 * MEGA


# The log.


def test_an_upstream_s_errors_fill_no_log():
    def complain(say, event):
        if event["type"] == "session.update":
            for at in range(1_000):
                say({"type": "error", "error": {"code": f"c{at % 7}", "message": "m" * 8_000}})

    with scripted(complain) as upstream, router("--upstream", upstream.url) as running:
        with call(running.address) as client:
            client.say("Settings", **SETTINGS)
            with contextlib.suppress(AssertionError):
                client.wait_until(lambda _: False, "nothing", 2.0)
        assert len(running.child.output) < MEGA


def test_a_caller_s_bad_requests_fill_no_log():
    with router("--upstream", "simulator") as running:
        host, port = running.address.split(":")
        for _ in range(200):
            with socket.create_connection((host, int(port))) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n" + b"x" * 8_000 + b"\r\n\r\n")
                with contextlib.suppress(OSError):
                    sock.recv(MEGA)
        assert len(running.child.output) < 200_000
