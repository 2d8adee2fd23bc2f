"""Tests of what no client gets."""

from __future__ import annotations

import pytest

from tests.support.machine.policies import FORCED, SECRET, policy


def test_no_event_of_the_server_shows_what_the_policy_has_set():
    rule = policy(instructions={"force": SECRET}, voice={"force": "cedar"}, tools={"force": [{"name": "sell"}]})
    session = {"instructions": SECRET, "audio": {"output": {"voice": "cedar", "speed": 1}}, "tools": [1], "id": "s"}
    for kind in ("session.created", "session.updated"):
        event = {"type": kind, "session": session}
        masked = rule.server_event(event)
        assert masked["session"] == {"audio": {"output": {"speed": 1}}, "id": "s"}
        assert event["session"] == session
    done = {"type": "response.done", "response": {"id": "r", "audio": {"output": {"voice": "cedar"}}}}
    assert rule.server_event(done)["response"] == {"id": "r", "audio": {"output": {}}}


@pytest.mark.parametrize(
    "error",
    [
        {"message": f"cannot take {SECRET}"},
        {"message": f"cannot take {SECRET[:30]}…"},
        {"message": "cannot take 12 of it", "param": "session.instructions"},
        {"message": "cedar is unknown", "param": "session.audio.output.voice"},
        {"message": "sell: bad", "param": "session.tools[0].name"},
    ],
)
def test_no_error_shows_what_the_policy_has_set(error):
    rule = policy(instructions={"force": SECRET}, voice={"force": "cedar"}, tools={"force": [{"name": "sell"}]})
    shown = rule.server_event({"type": "error", "error": error})["error"]["message"]
    assert not any(word in shown for word in (SECRET, SECRET[:30], "cedar", "sell:", "12"))


def test_events_that_show_nothing_of_the_server_s_are_not_copied():
    event = {"type": "response.output_audio.delta", "delta": "AAAA"}
    assert FORCED.server_event(event) is event
