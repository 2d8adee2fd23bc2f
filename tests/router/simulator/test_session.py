"""One session: its begin, its frames and events, and its end."""

from typing import Any

import orjson
import pytest

from router.simulator.errors import REFUSALS
from router.simulator.session import EXPIRY_MESSAGE


def error_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    assert [event["type"] for event in events] == ["error"]
    return events[0]["error"]


def effective(events: list[dict[str, Any]]) -> dict[str, Any]:
    assert [event["type"] for event in events] == ["session.updated"], events
    return events[0]["session"]


def test_a_session_begins_with_its_full_defaults(machine):
    (created,) = machine.events
    session = created["session"]

    assert created["type"] == "session.created"
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["transcription"] is None
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["expires_at"] == 1_750_003_600


# Frames and events of any kind.


def test_an_unknown_type_is_refused_with_the_list_of_known_ones(machine):
    error = error_of(machine.send("KeepAlive", event_id="e1"))

    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "type", "e1")
    assert "'session.update', 'session.close', 'input_audio_buffer.append'" in error["message"]


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"", "invalid_json", None),
        (b"[]", "invalid_event", None),
        (b"{}", "missing_required_parameter", "type"),
        (b'{"type": 3}', "invalid_type", "type"),
        (b'{"type": "response.create", "foo": 1}', "unknown_parameter", "foo"),
        (b'{"type": "output_audio_buffer.clear"}', "invalid_value", "type"),
        (b'{"type": "session.close"}', "invalid_value", "type"),
    ],
)
def test_a_bad_frame_is_refused_and_the_session_continues(machine, frame, code, param):
    error = error_of(machine.feed(frame))

    assert (error["code"], error["param"]) == (code, param)
    assert effective(machine.update())


def test_a_binary_frame_is_refused(machine):
    assert error_of(machine.feed_binary(b"\x00\x01"))["code"] == "invalid_event"


def test_an_event_id_comes_back_in_the_error_only(machine):
    refused = machine.send("response.cancel", event_id="mine")
    accepted = machine.send("input_audio_buffer.clear", event_id="mine")

    assert refused[0]["error"]["event_id"] == "mine"
    assert "mine" not in orjson.dumps(accepted).decode()


def test_an_event_id_has_at_most_512_characters(machine):
    error = error_of(machine.send("response.cancel", event_id="x" * 513))

    assert (error["code"], error["param"], error["event_id"]) == ("string_above_max_length", "event_id", None)
    assert error_of(machine.send("response.cancel", event_id="x" * 512))["code"] == "response_cancel_not_active"


# The end.


def test_a_session_expires_with_the_service_s_sentence(make_machine):
    machine = make_machine(session_seconds=90).open()
    assert machine.timers["expiry"] == 90

    error = error_of(machine.fire("expiry"))

    assert error["code"] == "session_expired"
    assert (machine.ending.code, machine.ending.reason) == (1001, EXPIRY_MESSAGE)
    assert machine.send("response.create") == []


@pytest.mark.parametrize(
    ("code", "close_code", "reason"),
    [
        ("invalid_api_key", 3000, "invalid_request_error.invalid_api_key"),
        ("missing_model", 4000, "invalid_request_error.missing_model"),
        ("invalid_model", 4000, "invalid_request_error.invalid_model"),
        ("beta_api_shape_disabled", 4000, "invalid_request_error.beta_api_shape_disabled"),
        ("model_not_found", 4004, "invalid_request_error.model_not_found"),
        ("insufficient_quota", 1013, "insufficient_quota.insufficient_quota"),
    ],
)
def test_a_refused_session_gives_the_reason_and_closes(make_machine, code, close_code, reason):
    machine = make_machine().open(REFUSALS[code])

    assert error_of(machine.events)["code"] == code
    assert (machine.ending.code, machine.ending.reason) == (close_code, reason)


def test_ids_are_unique_over_sessions_and_short_enough(make_machine):
    ids = set()
    for number in (1, 2):
        machine = make_machine(number=number).open()
        machine.ask("Hello")
        found = [event["event_id"] for event in machine.events]
        found += [event["item"]["id"] for event in machine.events if event["type"] == "conversation.item.added"]
        assert not ids & set(found)
        ids |= set(found)

    assert max(map(len, ids)) <= 32
