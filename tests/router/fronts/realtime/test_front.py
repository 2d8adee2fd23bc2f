"""The front, as data, and a call through a router in memory."""

import json

from router.fronts.realtime.front import REALTIME
from router.session.reports import Turn
from router.testing import CallHarness


def test_its_last_words_are_errors_of_openai_s_shape():
    for frame in (REALTIME.crash_frame, REALTIME.busy_frame):
        event = json.loads(frame)
        assert (event["type"], event["error"]["type"]) == ("error", "server_error")
        assert event["error"]["code"]


def test_it_takes_the_events_that_openai_takes():
    assert REALTIME.subprotocols == ("realtime",)
    assert REALTIME.max_text_bytes > 15 * 1024 * 1024
    assert REALTIME.is_relay


def test_a_conversation_passes_and_the_client_s_key_does_not(simulator):
    turns = []
    with CallHarness(on_turn=lambda _session, turn: turns.append(turn), wire_view=True) as harness:
        call = harness.call("realtime", simulator=simulator, headers={"Authorization": "Bearer sk-of-the-client"})
        client = call.client
        assert client.receive()["type"] == "session.created"
        client.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        assert client.wait_for("session.updated")["session"]["output_modalities"] == ["text"]
        content = [{"type": "input_text", "text": "I like tea."}]
        client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        client.send("response.create")
        assert client.wait_for("response.done")["response"]["status"] == "completed"
        assert "sk-of-the-client" not in str(call.targets)
        assert "response.done" in str(harness.router.wire_view.rows(call.session_id, 0).rows)
        assert harness.router.describe_session(call.session_id)["usage"]
        call.hang_up()
    assert [type(turn) for turn in turns] == [Turn]
