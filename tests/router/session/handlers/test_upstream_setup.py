"""An upstream on its way from the handshake to an acknowledged configuration."""

import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.beginnings import connecting
from tests.support.machine.playbook import APPLIED, SETTINGS, Playbook, error

CREATED = {"type": "session.created", "session": {"id": "sess_1"}}
UPDATED = {"type": "session.updated", "session": {"id": "sess_1"}}
CREATE = {"type": "response.create"}
RESTART = Decision.RESTART


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_settings_become_one_session_update_and_its_acknowledgement_becomes_settings_applied(profile):
    book = connecting(profile)
    book.expect()
    book.upstream_opens().expect()
    book.upstream(CREATED).expect(
        upstream=[
            {
                "type": "session.update",
                "session": {
                    "type": "realtime",
                    "instructions": "Be brief.",
                    "output_modalities": ["audio"],
                    "tools": [],
                    "audio": {
                        "input": {
                            "format": {"type": "audio/pcm", "rate": 24000},
                            "transcription": {"model": "gpt-realtime-whisper"},
                            "turn_detection": {"type": "server_vad", "interrupt_response": True},
                        },
                        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"},
                    },
                },
            }
        ]
    )
    book.upstream(UPDATED).expect(APPLIED)


def test_the_upstream_is_dialled_before_settings_and_configured_as_soon_as_they_come():
    book = Playbook()
    book.feed(messages.ClientOpened())
    assert book.commands[-1] == messages.OpenUpstream(1, "gpt-realtime-2.1")
    book.forget().upstream_opens().upstream(CREATED).expect()
    book.client(SETTINGS).expect(upstream=[{"type": "session.update"}])
    book.upstream(UPDATED).expect(APPLIED)


def test_session_created_alone_applies_nothing():
    book = connecting()
    book.upstream_opens().upstream(CREATED)
    assert book.frames_to_client == []


def test_settings_that_the_upstream_refuses_end_the_session_with_its_error():
    book = connecting().upstream(CREATED).forget()
    book.upstream(error("invalid_value", "bad tools", event_id="sb_settings", param="session.tools"))
    assert book.frames_to_client == [
        {"type": "Error", "description": "bad tools (session.tools)", "code": "invalid_value"}
    ]
    assert book.ending.code == 1000


def test_another_error_during_the_configuration_is_passed_on_and_the_session_continues():
    book = connecting().upstream(CREATED).forget()
    book.upstream(error(None, "hiccup", type="server_error")).expect(
        {"type": "Error", "description": "hiccup", "code": "server_error"}
    )
    book.upstream(UPDATED).expect(APPLIED)


@pytest.mark.parametrize("wait", [Wait.SESSION_CREATED, Wait.SESSION_UPDATED])
def test_an_upstream_that_is_silent_at_the_start_is_abandoned(wait):
    book = connecting().upstream_opens()
    if wait is Wait.SESSION_UPDATED:
        book.upstream(CREATED)
    book.forget().fire(wait)
    loss = Loss(kind=LossKind.SILENT, cause=wait.value)
    assert book.commands == [messages.AbandonUpstream(1, loss)]
    book.forget().upstream_is_lost(loss, Decision.TEAR_DOWN)
    assert book.frames_to_client[0]["code"] == "UPSTREAM_TIMEOUT"
    assert book.ending.code == 1011


def test_a_client_s_own_session_updates_are_sent_to_the_next_upstream_too():
    change = {"type": "session.update", "session": {"type": "realtime", "instructions": "New."}}
    more = {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"speed": 1.2}}}}
    book = Playbook().ready()
    for update in (change, more):
        book.client(update).upstream({"type": "session.updated"})
    book.forget().upstream_closes(decision=RESTART).forget()
    book.upstream_opens().upstream({"type": "session.created"})
    first, second = book.events_to_upstream
    assert first["session"]["instructions"] == "Be brief."
    assert second["session"] == {"type": "realtime", "instructions": "New.", "audio": {"output": {"speed": 1.2}}}
    book.forget().upstream({"type": "session.updated"}).expect()
    book.client({"type": "response.create"}).expect()
    book.upstream({"type": "session.updated"}).expect(upstream=[CREATE])


def test_an_upstream_that_refuses_the_client_s_changes_is_used_without_them():
    update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be kind."}}
    book = Playbook().ready().client(update).upstream({"type": "session.updated"}).forget()
    book.upstream_closes(decision=RESTART).upstream_opens().upstream({"type": "session.created"})
    refused = error("unknown_parameter", event_id=book.events_to_upstream[-1]["event_id"])
    book.forget().upstream({"type": "session.updated"}, refused)
    assert [message["code"] for message in book.frames_to_client] == ["unknown_parameter"]
    assert [event["type"] for event in book.events_to_upstream] == ["session.update"]
    book.forget().upstream({"type": "session.updated"}).client(b"\1\1")
    assert [event["type"] for event in book.events_to_upstream] == ["input_audio_buffer.append"]
