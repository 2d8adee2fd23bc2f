"""An upstream on its way from the handshake to an acknowledged configuration."""

import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.beginnings import connecting
from tests.support.machine.playbook import (
    APPLIED,
    SETTINGS,
    Playbook,
    error,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
)

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


# An upstream that does not send session.created.


def unannounced(given=None, **options):
    """Return a session whose upstream is open and has not sent session.created in time."""
    book = connecting(given=given, **options).upstream_opens().forget()
    assert book.timers[Wait.UNANNOUNCED.value] == 0.25
    return book.fire(Wait.UNANNOUNCED)


def test_an_upstream_without_session_created_is_configured_after_250_ms():
    book = unannounced().expect(upstream=[{"type": "session.update"}])
    assert Wait.SESSION_UPDATED.value not in book.timers
    assert Wait.SESSION_CREATED.value in book.timers
    book.upstream(UPDATED).expect(APPLIED)
    assert Wait.SESSION_CREATED.value not in book.timers


def test_session_created_in_time_configures_once():
    book = connecting().upstream_opens().upstream(CREATED).expect(upstream=[{"type": "session.update"}])
    assert Wait.UNANNOUNCED.value not in book.timers


def test_an_upstream_without_session_created_is_configured_as_soon_as_there_are_settings():
    book = Playbook().opened().upstream_opens().fire(Wait.UNANNOUNCED).expect()
    book.client(SETTINGS).expect(upstream=[{"type": "session.update"}])


def test_a_late_session_created_counts_and_applies_nothing():
    late = {"type": "session.created", "session": {"expires_at": 1_700_003_600}}
    book = unannounced().forget().upstream(late).expect()
    assert book.session.state.upstream.expires_at == late["session"]["expires_at"]
    assert Wait.SESSION_CREATED.value not in book.timers
    assert Wait.SESSION_UPDATED.value in book.timers
    assert book.timers[Wait.ROLLOVER.value] == 3600 - 60
    book.upstream(late).expect()
    book.upstream(UPDATED).expect(APPLIED)


def test_a_session_created_behind_session_updated_counts_with_its_formats():
    out = {"output": {"format": {"type": "audio/pcm", "rate": 16_000}}}
    late = {"type": "session.created", "session": {"expires_at": 1_700_003_600, "audio": out}}
    book = unannounced().upstream(UPDATED).forget().upstream(late).expect()
    assert book.timers[Wait.ROLLOVER.value] == 3600 - 60
    assert book.session.state.upstream.formats.output.rate == 16_000
    assert book.session.state.upstream.formats.input.rate == 24_000


def test_an_upstream_that_says_nothing_at_all_is_abandoned():
    book = unannounced().forget().fire(Wait.SESSION_CREATED)
    assert book.commands == [messages.AbandonUpstream(1, Loss(kind=LossKind.SILENT, cause="session_created"))]


def test_a_fatal_refusal_in_place_of_session_created_is_judged_as_one_before_it():
    book = unannounced().forget().upstream(error("insufficient_quota", "no quota"))
    loss = Loss(kind=LossKind.REFUSED, cause="insufficient_quota", is_fatal=True)
    assert book.commands == [messages.AbandonUpstream(1, loss)]


@pytest.mark.parametrize("given", [SETTINGS, {"type": "session.update", "session": {"type": "realtime"}}])
def test_another_refusal_in_place_of_session_created_explains_the_close_that_follows(given):
    book = unannounced(given).forget().upstream(error("rate_limited", "too many")).expect()
    book.upstream_closes(1013, "")
    assert book.frames_to_client[0]["code"] == "rate_limited"


def test_settings_that_an_unannounced_upstream_refuses_end_the_session():
    book = unannounced().forget().upstream(error("invalid_value", "no", event_id="sb_settings"))
    assert book.frames_to_client[0]["code"] == "invalid_value"
    assert book.ending.code == 1000


@pytest.mark.parametrize("where", [{"param": "session.audio.input.turn_detection.idle_timeout_ms"}, {}])
def test_an_upstream_that_does_not_know_the_idle_time_out_is_configured_without_it(where):
    book = connecting(given=settings(idleTimeoutMs=10_000, context=CONTEXT)).upstream(CREATED)
    assert book.events_to_upstream[0]["session"]["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == 10_000
    refusal = error("unknown_parameter", "idle_timeout_ms is unknown", event_id="sb_settings", **where)
    (update,) = book.forget().upstream(refusal).events_to_upstream
    assert "idle_timeout_ms" not in update["session"]["audio"]["input"]["turn_detection"]
    book.forget().upstream(UPDATED).expect(APPLIED)
    book.upstream_closes(1006, decision=RESTART).forget().upstream_opens().upstream(CREATED)
    assert "idle_timeout_ms" not in str(book.events_to_upstream)


# The conversation so far, right behind the configuration.

CONTEXT = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}
SEEDED = [{"type": "session.update"}, {"item": {"role": "user"}}, {"item": {"role": "assistant"}}]


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_the_context_leaves_right_behind_session_update(profile):
    book = connecting(profile, given=settings(context=CONTEXT)).forget()
    book.upstream(CREATED).expect(upstream=SEEDED)
    book.upstream(UPDATED).expect(APPLIED)


def test_the_context_leaves_right_behind_session_update_of_an_upstream_that_was_dialled_before():
    book = Playbook().opened().upstream_opens().upstream(CREATED).expect()
    book.client(settings(context=CONTEXT)).expect(upstream=SEEDED)


def test_a_restarted_upstream_gets_the_conversation_right_behind_session_update():
    book = Playbook().ready(settings(context=CONTEXT)).upstream(response_created(), text_done("More."), response_done())
    book.forget().upstream_closes(1000, decision=RESTART).forget().upstream_opens()
    book.upstream(CREATED).expect(upstream=[*SEEDED, {"item": {"role": "assistant"}}])
    book.upstream(UPDATED).expect()


def test_a_context_whose_first_upstream_is_lost_before_session_updated_is_sent_again_once():
    book = connecting(given=settings(context=CONTEXT)).upstream(CREATED).upstream_closes(1006, decision=RESTART)
    book.forget().upstream_opens().upstream(CREATED).expect(upstream=SEEDED)
    book.upstream(UPDATED).expect(APPLIED)


def test_a_question_waits_for_the_newest_item_of_the_conversation_alone():
    book = connecting(given=settings(context=CONTEXT)).upstream(CREATED)
    first, second = (event["item"]["id"] for event in book.events_to_upstream[1:])
    part = {"content": [{"type": "output_text", "text": "hi"}]}
    book.forget().upstream(item_added(first), item_added(second, "assistant", **part), UPDATED).expect(APPLIED)
    assert not len(book.session.state.upstream.items)


def test_an_item_of_the_context_that_is_refused_is_reported_and_the_session_continues():
    book = connecting(given=settings(context=CONTEXT)).upstream(CREATED)
    refused = book.events_to_upstream[1]["event_id"]
    told = {"type": "Error", "description": "no", "code": "invalid_value"}
    book.forget().upstream(error("invalid_value", "no", event_id=refused)).expect(told)
    book.upstream(UPDATED).expect(APPLIED)
    assert len(book.session.state.ledger) == 1


def test_speech_without_a_transcript_waits_for_the_agreed_format():
    book = (
        Playbook().ready().client(bytes(4800)).upstream({"type": "input_audio_buffer.speech_started", "item_id": "u"})
    )
    book.client(bytes(4800)).upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()
    book.upstream_closes(1006, decision=RESTART).forget().upstream_opens()
    book.upstream(CREATED).expect(upstream=[{"type": "session.update"}])
    book.upstream(UPDATED)
    assert book.events_to_upstream[0]["item"]["content"][0]["type"] == "input_audio"
