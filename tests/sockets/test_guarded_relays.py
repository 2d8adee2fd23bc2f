"""The guard around the relay of OpenAI Realtime, over sockets."""

import contextlib
import json

from websockets.sync.client import connect

from router.config.guard import Guard, Rule
from router.config.upstream import Upstream
from tests.support.processes.serving import serving, simulating

WAIT_S = 30.0


def events(client, last):
    """Receive events up to the last one of a type."""
    found = []
    while not found or found[-1]["type"] != last:
        found.append(json.loads(client.recv(timeout=WAIT_S)))
    return found


def send(client, kind, **fields):
    client.send(json.dumps({"type": kind, **fields}))


def message(text):
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def ask(client, text):
    send(client, "conversation.item.create", item=message(text))
    send(client, "response.create")


def spoken(found):
    return "".join(it["delta"] for it in found if it["type"].endswith(("transcript.delta", "text.delta")))


def text_of(done):
    part = done["response"]["output"][0]["content"][0]
    return part.get("transcript", part.get("text"))


@contextlib.contextmanager
def calling(*rules):
    """Hold a call to a router with these rules, in front of a simulator."""
    with (
        simulating() as simulator,
        serving("realtime", upstreams=(Upstream(url=simulator.url),), guard=Guard(rules=rules)) as (_router, url),
        connect(url, open_timeout=WAIT_S) as client,
    ):
        events(client, "session.created")
        yield client


def test_a_typed_text_is_refused_and_an_answer_without_a_hit_is_heard_whole():
    with calling(Rule(expression="forbidden")) as client:
        send(client, "conversation.item.create", event_id="mine", item=message("a forbidden fruit"))
        error = events(client, "error")[-1]["error"]
        assert (error["code"], error["event_id"]) == ("guard_blocked", "mine")
        ask(client, "hello")
        found = events(client, "response.done")
        assert spoken(found) == text_of(found[-1]) != ""
        assert any(it["type"] == "response.output_audio.delta" for it in found)


def test_a_blocked_answer_is_cancelled_and_its_words_leave_in_no_event():
    with calling(Rule(expression=r"\w", on=("agent",))) as client:
        ask(client, "hello")
        found = events(client, "response.done")
        assert spoken(found) == ""
        assert [it["error"]["code"] for it in found if it["type"] == "error"] == ["guard_blocked"]
        assert not any(it["type"] == "response.output_audio.delta" for it in found)
