"""Changes of a running session, and their acknowledgements."""

import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.beginnings import feed_standby, session_update
from tests.support.machine.playbook import ANY, APPLIED, Playbook, error, response_created, response_done, settings

OWN_UPDATE = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
CREATE = {"type": "response.create"}
CREATED = {"type": "session.created", "session": {}}
UPDATED = {"type": "session.updated", "session": {}}
RESTARTED = {"type": "Warning", "code": "UPSTREAM_RESTARTED", "description": ANY}
PROMPT = {"type": "UpdatePrompt", "prompt": "Speak French."}
THINK = {"type": "UpdateThink", "think": {"provider": {"type": "open_ai"}, "prompt": "Be long."}}
SPEAK = {"type": "UpdateSpeak", "speak": {"provider": {"type": "open_ai", "voice": "cedar"}}}
AURA = {"type": "UpdateSpeak", "speak": {"provider": {"type": "deepgram", "model": "aura-2-zeus-en"}}}
LISTEN = {"type": "UpdateListen", "listen": {"provider": {"type": "deepgram", "language": "fr"}}}
UPDATE = {"type": "session.update", "session": {"type": "realtime", "tool_choice": "none"}}
LOST = Loss(kind=LossKind.CLOSED, code=1006)


def dialled_standby(book):
    (command,) = [c for c in book.commands if isinstance(c, messages.OpenUpstream)]
    assert command.is_standby
    book.forget()
    return command.generation


def voice_error(book):
    event_id = book.events_to_upstream[0]["event_id"]
    return error("cannot_update_voice", "no", event_id=event_id, param="session.audio.output.voice")


def with_standby(*events):
    """Return a session in an answer, whose standby upstream has sent these events, and its generation."""
    book = Playbook().ready().upstream(response_created()).forget().fire(Wait.ROLLOVER)
    generation = dialled_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, *events)
    return book, generation


def with_pending_update():
    """Return a session whose standby upstream has not acknowledged an update."""
    book, generation = with_standby(CREATED, UPDATED)
    book.client(PROMPT).upstream(UPDATED).forget()
    return book, generation


@pytest.mark.parametrize("profile", ["openai", "converse"])
@pytest.mark.parametrize(
    ("message", "session", "acknowledgement"),
    [
        (PROMPT, {"instructions": "Be brief.\n\nSpeak French."}, "PromptUpdated"),
        (THINK, {"instructions": "Be long.", "tools": []}, "ThinkUpdated"),
        (SPEAK, {"audio": {"output": {"voice": "cedar"}}}, "SpeakUpdated"),
        (AURA, {"audio": {"output": {"voice": "cedar"}}}, "SpeakUpdated"),
        (LISTEN, {"audio": {"input": {"transcription": {"language": "fr"}}}}, "ListenUpdated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_update_is_acknowledged_when_the_upstream_has_applied_it(profile, message, session, acknowledgement):
    book = Playbook(profile).ready().client(message).expect(upstream=[session_update(**session)])
    assert book.timers["update"] == 5.0
    book.upstream(UPDATED).expect({"type": acknowledgement})
    assert "update" not in book.timers


def test_updates_are_applied_one_after_the_other():
    book = Playbook().ready().client(PROMPT, LISTEN, PROMPT).expect(upstream=[session_update(instructions=ANY)])
    book.upstream(UPDATED).expect({"type": "PromptUpdated"}, upstream=[session_update(audio={"input": {}})])
    prompt = "Be brief.\n\nSpeak French.\n\nSpeak French."
    book.upstream(UPDATED).expect({"type": "ListenUpdated"}, upstream=[session_update(instructions=prompt)])
    book.upstream(UPDATED).expect({"type": "PromptUpdated"})
    book.upstream(UPDATED).expect()


def test_a_think_block_is_replaced_whole():
    given = settings(
        think={
            "prompt": "Be brief.",
            "functions": [{"name": "lookup"}],
            "toolChoice": "required",
            "maxOutputTokens": 100,
            "context_length": 4000,
        }
    )
    book = Playbook().ready(given).client({"type": "UpdateThink", "think": [{"functions": [{"name": "other"}]}]})
    (event,) = book.events_to_upstream
    assert event["session"] == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [{"type": "function", "name": "other", "parameters": {"type": "object", "properties": {}}}],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
    }


def test_a_prompt_is_added_to_the_current_think_block():
    book = Playbook().ready().client(THINK).upstream(UPDATED).forget().client(PROMPT)
    book.expect(upstream=[session_update(instructions="Be long.\n\nSpeak French.")])


def test_an_omitted_hint_is_cleared_and_the_rest_of_the_listen_block_stays():
    given = settings(listen={"provider": {"language_hint": ["de", "fr"], "keyterms": ["Signal"]}})
    book = Playbook(transcription_model="gpt-transcribe").ready(given)
    book.client({"type": "UpdateListen", "listen": {"provider": {"eot_timeout_ms": 2000}}})
    taken = {"model": "gpt-transcribe", "language": None, "languages": [], "keywords": ["Signal"]}
    detection = {"type": "semantic_vad", "eagerness": "high"}
    book.expect(upstream=[session_update(audio={"input": {"transcription": taken, "turn_detection": detection}})])


def test_a_running_session_keeps_its_model_and_warns_the_client():
    book = Playbook().ready().client({"type": "UpdateThink", "think": {"provider": {"model": "gpt-4o"}}})
    assert [message["code"] for message in book.frames_to_client] == ["MODEL_NOT_AVAILABLE"]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"type": "UpdateThink", "think": {"provider": {"temperature": 7}}}, "think.provider.temperature"),
        ({"type": "UpdateSpeak", "speak": {"provider": {"speed": 7}}}, "speak.provider.speed"),
        ({"type": "UpdateListen", "listen": {"provider": {"eot_threshold": 7}}}, "listen.provider.eot_threshold"),
        ({"type": "UpdateThink_Live", "think_live": {}}, "UpdateThink_Live"),
        ({"type": "__customToThinkProvider", "content": 7}, "__customToThinkProvider"),
    ],
)
def test_an_invalid_update_is_refused_by_field(message, field):
    book = Playbook("converse").ready().client(message)
    (answer,) = book.frames_to_client
    assert (answer["type"], answer["code"]) == ("Error", "INVALID_SETTINGS")
    assert field in answer["description"]
    assert book.events_to_upstream == []


# Refused, lost or late updates.


@pytest.mark.parametrize("is_named", [True, False])
def test_a_refused_update_is_not_acknowledged_and_has_no_effect(is_named):
    book = Playbook().ready().client(PROMPT, LISTEN)
    event_id = book.events_to_upstream[0]["event_id"] if is_named else None
    book.forget().upstream(error("invalid_value", "no", param="session.instructions", event_id=event_id))
    book.expect(
        {"type": "Error", "description": "no (session.instructions)", "code": "invalid_value"},
        upstream=[session_update(audio={"input": {}})],
    )
    book.upstream(UPDATED).expect({"type": "ListenUpdated"})
    book.client(PROMPT).expect(upstream=[session_update(instructions="Be brief.\n\nSpeak French.")])


def test_another_error_refuses_no_update():
    book = Playbook().ready().client(PROMPT).forget()
    book.upstream(error(None, "hiccup"), error("invalid_value", "no", event_id="another", param="session.x"))
    assert [message["type"] for message in book.frames_to_client] == ["Error", "Error"]
    book.forget().upstream(UPDATED).expect({"type": "PromptUpdated"})


def test_an_update_that_two_upstreams_do_not_acknowledge_is_dropped_with_an_error():
    book = Playbook().ready().client(PROMPT, LISTEN).forget().fire(Wait.UPDATE)
    loss = Loss(kind=LossKind.SILENT, cause="update")
    assert book.commands == [messages.AbandonUpstream(1, loss)]
    book.upstream_is_lost(loss).forget().restarted(upstream=[session_update(instructions=ANY)])
    book.fire(Wait.UPDATE).expect(
        {"type": "Error", "code": "UPDATE_NOT_APPLIED", "description": ANY},
        upstream=[session_update(audio={"input": {}})],
    )


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_update_that_is_on_its_way_at_a_loss_is_applied_by_the_next_upstream(profile):
    book = Playbook(profile).ready().client(PROMPT).forget().upstream_is_lost(LOST).expect(RESTARTED)
    assert "update" not in book.timers
    book.client(LISTEN)
    book.restarted(upstream=[session_update(instructions="Be brief.\n\nSpeak French.")])
    book.upstream(UPDATED).expect({"type": "PromptUpdated"}, upstream=[session_update(audio={"input": {}})])
    book.upstream(UPDATED).expect({"type": "ListenUpdated"})


def test_the_next_upstream_is_configured_with_the_updates():
    book = Playbook().ready()
    for message in (PROMPT, SPEAK, LISTEN):
        book.client(message).upstream(UPDATED)
    book.forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.upstream_opens().upstream(CREATED)
    output, transcription = {"voice": "cedar"}, {"language": "fr"}
    book.expect(
        upstream=[
            session_update(
                instructions="Be brief.\n\nSpeak French.",
                audio={"input": {"transcription": transcription}, "output": output},
            )
        ]
    )


def test_a_session_that_ends_forgets_its_updates():
    book = Playbook().ready().client(PROMPT).forget()
    book.upstream_is_lost(LOST, Decision.TEAR_DOWN)
    assert book.ending is not None


# The client's own session.update.


def test_a_client_s_own_session_update_takes_its_turn():
    book = Playbook().ready().client(PROMPT, UPDATE).expect(upstream=[session_update(instructions=ANY)])
    book.upstream(UPDATED).expect({"type": "PromptUpdated"}, upstream=[UPDATE])
    book.upstream(UPDATED).expect(APPLIED)


def test_a_client_s_own_session_update_that_is_refused_does_not_delay_the_next():
    book = Playbook().ready().client(UPDATE, PROMPT)
    event_id = book.events_to_upstream[0]["event_id"]
    book.forget().upstream(error("invalid_value", "no", event_id=event_id))
    book.expect({"type": "Error", "description": "no", "code": "invalid_value"}, upstream=[session_update()])
    book.client(UPDATE | {"event_id": "mine"}).upstream(UPDATED)
    event_id = book.events_to_upstream[-1]["event_id"]
    book.forget().upstream(error("invalid_value", "no", event_id=event_id)).forget().client(PROMPT)
    book.expect(upstream=[session_update(instructions=ANY)])


def test_a_passthrough_session_can_be_updated_too():
    given = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
    book = Playbook().ready(given).client(PROMPT)
    book.expect(upstream=[session_update(instructions="Be brief.\n\nSpeak French.")])
    book.upstream(UPDATED).expect({"type": "PromptUpdated"})
    book.client(LISTEN)
    assert "turn_detection" not in book.events_to_upstream[0]["session"]["audio"]["input"]
    book.upstream(UPDATED).forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.upstream_opens().upstream(CREATED)
    first, second = book.events_to_upstream
    assert first["session"] == given["session"]
    assert second["session"]["instructions"] == "Be brief.\n\nSpeak French."


def test_a_second_session_update_is_acknowledged_like_the_first():
    book = Playbook().ready().client(OWN_UPDATE).expect(upstream=[OWN_UPDATE])
    book.upstream({"type": "session.updated"}).expect(APPLIED)


@pytest.mark.parametrize("detection", [None, {"type": "server_vad", "create_response": False}])
def test_a_client_that_detects_turns_itself_is_not_answered_unasked(detection):
    update = {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}},
    }
    book = Playbook().ready().client(update).upstream({"type": "session.updated"}).forget()
    commit, committed = ({"type": f"input_audio_buffer.{kind}"} for kind in ("commit", "committed"))
    book.client(bytes(9600), commit).upstream({**committed, "item_id": "u"}).forget()
    assert Wait.FIRST_EVENT.value not in book.timers
    book.client(CREATE).expect(upstream=[CREATE]).upstream(response_created(), response_done()).forget()
    book.upstream_closes(decision=Decision.RESTART).upstream_opens().forget().upstream({"type": "session.created"})
    assert [event["session"]["audio"]["input"]["turn_detection"] for event in book.events_to_upstream] == [
        ANY,
        detection,
    ]


def test_a_client_may_return_the_detection_of_turns_to_the_upstream():
    book = Playbook().ready()
    for detection in ({"type": "server_vad", "threshold": 0.7}, None, {"type": "semantic_vad"}):
        audio = {"input": {"turn_detection": detection}}
        book.client({"type": "session.update", "session": {"type": "realtime", "audio": audio}})
        book.upstream({"type": "session.updated"})
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"})
    assert Wait.FIRST_EVENT.value in book.timers


# Another voice.


def test_a_session_that_has_spoken_gets_its_new_voice_from_another_upstream_between_turns():
    book = Playbook().ready().upstream(response_created()).client(SPEAK, PROMPT)
    fixed = voice_error(book)
    book.forget().upstream(fixed)
    assert book.frames_to_client == []
    generation = dialled_standby(book)
    book.upstream(UPDATED).expect({"type": "PromptUpdated"})
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, CREATED)
    book.expect(upstream=[session_update(instructions=ANY, audio={"output": {"voice": "cedar"}})])
    feed_standby(book, generation, UPDATED)
    book.expect()
    book.upstream(response_done())
    assert book.frames_to_client[-1] == {"type": "SpeakUpdated"}
    assert book.generation == generation


def test_two_changes_of_voice_need_one_upstream():
    book = Playbook().ready().upstream(response_created()).client(SPEAK)
    book.upstream(voice_error(book))
    generation = dialled_standby(book)
    book.client(SPEAK)
    book.upstream(voice_error(book))
    assert book.session.state.standby.generation == generation
    assert len(book.session.state.pending_acks) == 2


def test_a_new_voice_may_come_with_a_restart():
    book = Playbook().ready().client(SPEAK)
    book.upstream(voice_error(book)).forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.restarted({"type": "SpeakUpdated"})


def test_a_new_voice_that_no_upstream_takes_in_time_is_refused_and_the_old_one_stays():
    book = Playbook().ready().client(SPEAK)
    book.upstream(voice_error(book)).forget().fire(Wait.TAKEOVER)
    (refused,) = book.frames_to_client
    assert refused["code"] == "UPDATE_NOT_APPLIED"
    assert book.session.state.standby is None
    assert Wait.ROLLOVER.value in book.timers
    book.forget().upstream_is_lost(LOST).expect(RESTARTED).restarted()


def test_an_upstream_that_is_ready_with_the_new_voice_takes_over_behind_a_long_answer():
    book = Playbook().ready().upstream(response_created()).client(SPEAK)
    book.upstream(voice_error(book))
    generation = dialled_standby(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed_standby(book, generation, CREATED, UPDATED)
    book.forget().fire(Wait.TAKEOVER).expect()
    assert Wait.TAKEOVER.value in book.timers
    book.upstream(response_done())
    assert book.frames_to_client[-1] == {"type": "SpeakUpdated"}
    assert Wait.TAKEOVER.value not in book.timers


def test_a_client_s_own_speed_waits_for_the_end_of_the_response_too():
    session = {"type": "realtime", "audio": {"output": {"speed": 1.2}}}
    book = Playbook().ready().upstream(response_created()).client({"type": "session.update", "session": session})
    assert book.events_to_upstream == []
    book.upstream(response_done())
    assert [event["type"] for event in book.events_to_upstream] == ["session.update"]


# The standby upstream.


@pytest.mark.parametrize("is_seeded", [True, False])
def test_a_configured_standby_upstream_gets_the_update_too(is_seeded):
    book, generation = with_standby(CREATED, *([UPDATED] if is_seeded else []))
    book.forget().client(PROMPT).forget().upstream(UPDATED)
    assert [command.generation for command in book.commands if isinstance(command, messages.SendToUpstream)] == [
        generation
    ]
    book.expect({"type": "PromptUpdated"}, upstream=[session_update(instructions="Be brief.\n\nSpeak French.")])
    feed_standby(book, generation, UPDATED, *([] if is_seeded else [UPDATED]))
    book.forget().upstream(response_done())
    assert book.generation == generation


def test_the_session_does_not_switch_over_while_an_update_is_pending():
    book, generation = with_standby(CREATED, UPDATED)
    book.client(PROMPT).upstream(response_done())
    assert book.generation != generation
    book.upstream(UPDATED)
    assert book.generation != generation, "the standby upstream has not acknowledged the update"
    feed_standby(book, generation, UPDATED)
    assert book.generation == generation


def test_an_acknowledgement_from_the_time_on_standby_acknowledges_no_later_update():
    book, generation = with_pending_update()
    book.upstream_is_lost(LOST).client(SPEAK).forget()
    assert book.generation == generation
    book.upstream(UPDATED).expect().upstream(UPDATED).expect({"type": "SpeakUpdated"})


def test_a_standby_upstream_that_refuses_an_update_is_closed():
    book, generation = with_pending_update()
    feed_standby(book, generation, error("invalid_value"))
    assert messages.CloseUpstream(generation) in book.commands
    assert Wait.ROLLOVER.value in book.timers


def test_a_standby_upstream_that_does_not_acknowledge_an_update_in_time_is_closed():
    book, generation = with_pending_update()
    book.fire(Wait.STANDBY)
    assert messages.CloseUpstream(generation) in book.commands
