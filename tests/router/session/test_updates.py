"""What changes a running session, and when it is acknowledged."""

import orjson
import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    ANY,
    APPLIED,
    SETTINGS,
    Playbook,
    error,
    item_added,
    response_created,
    response_done,
    settings,
    user,
)

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


def ack(kind):
    return {"type": kind}


def session_update(**session):
    return {"type": "session.update", "session": {"type": "realtime", **session}}


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
    book.upstream(UPDATED).expect(ack(acknowledgement))
    assert "update" not in book.timers


def test_updates_are_applied_one_after_the_other():
    book = Playbook().ready().client(PROMPT, LISTEN, PROMPT).expect(upstream=[session_update(instructions=ANY)])
    book.upstream(UPDATED).expect(ack("PromptUpdated"), upstream=[session_update(audio={"input": {}})])
    prompt = "Be brief.\n\nSpeak French.\n\nSpeak French."
    book.upstream(UPDATED).expect(ack("ListenUpdated"), upstream=[session_update(instructions=prompt)])
    book.upstream(UPDATED).expect(ack("PromptUpdated"))
    book.upstream(UPDATED).expect()


def test_before_settings_are_applied_updates_wait_in_order():
    book = Playbook("converse").opened().client(SETTINGS, PROMPT, {"type": "InjectUserMessage", "content": "hello"})
    book.expect(user("hello"))
    book.upstream(CREATED).forget().upstream(UPDATED)
    book.expect(APPLIED, upstream=[{"item": {"role": "user"}}, session_update(instructions=ANY)])
    book.upstream(UPDATED).expect(ack("PromptUpdated"))


def test_a_response_waits_for_the_updates_that_were_asked_for_before_it():
    book = Playbook().ready().client(PROMPT, {"type": "InjectUserMessage", "content": "hello"})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.forget().upstream(item_added(item_id)).expect()
    book.upstream(UPDATED).expect(ack("PromptUpdated"), upstream=[{"type": "response.create"}])


def test_a_think_block_is_replaced_whole():
    given = settings(
        think={
            "prompt": "Be brief.",
            "functions": [{"name": "lookup"}],
            "toolChoice": "required",
            "maxOutputTokens": 100,
            "context_length": 4000,
            "managedPrompt": {"id": "p"},
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
        "prompt": None,
    }


def test_a_prompt_is_added_to_the_think_block_that_there_is_by_then():
    book = Playbook().ready().client(THINK).upstream(UPDATED).forget().client(PROMPT)
    book.expect(upstream=[session_update(instructions="Be long.\n\nSpeak French.")])


def test_of_the_listen_block_only_the_hints_are_cleared_by_being_left_out():
    given = settings(listen={"provider": {"language_hint": ["de", "fr"], "keyterms": ["Signal"]}})
    book = Playbook(transcription_model="gpt-transcribe").ready(given)
    book.client({"type": "UpdateListen", "listen": {"provider": {"eot_timeout_ms": 2000}}})
    taken = {"model": "gpt-transcribe", "language": None, "languages": [], "keywords": ["Signal"]}
    detection = {"type": "semantic_vad", "eagerness": "high"}
    book.expect(upstream=[session_update(audio={"input": {"transcription": taken, "turn_detection": detection}})])


def test_a_running_session_keeps_its_model_and_says_so():
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
def test_an_update_that_cannot_be_obeyed_is_refused_by_field(message, field):
    book = Playbook("converse").ready().client(message)
    (answer,) = book.frames_to_client
    assert (answer["type"], answer["code"]) == ("Error", "INVALID_SETTINGS")
    assert field in answer["description"]
    assert book.events_to_upstream == []


# Refused, lost, late.


@pytest.mark.parametrize("is_named", [True, False])
def test_an_update_that_the_upstream_refuses_is_not_acknowledged_and_has_no_effect(is_named):
    book = Playbook().ready().client(PROMPT, LISTEN)
    event_id = book.events_to_upstream[0]["event_id"] if is_named else None
    book.forget().upstream(error("invalid_value", "no", param="session.instructions", event_id=event_id))
    book.expect(
        {"type": "Error", "description": "no (session.instructions)", "code": "invalid_value"},
        upstream=[session_update(audio={"input": {}})],
    )
    book.upstream(UPDATED).expect(ack("ListenUpdated"))
    book.client(PROMPT).expect(upstream=[session_update(instructions="Be brief.\n\nSpeak French.")])


def test_another_error_refuses_no_update():
    book = Playbook().ready().client(PROMPT).forget()
    book.upstream(error(None, "hiccup"), error("invalid_value", "no", event_id="another", param="session.x"))
    assert [message["type"] for message in book.frames_to_client] == ["Error", "Error"]
    book.forget().upstream(UPDATED).expect(ack("PromptUpdated"))


def test_an_update_that_two_upstreams_do_not_acknowledge_is_given_up_and_that_is_said():
    book = Playbook().ready().client(PROMPT, LISTEN).forget().fire(Wait.UPDATE)
    loss = Loss(kind=LossKind.SILENT, cause="update")
    assert book.commands == [messages.AbandonUpstream(1, loss)]
    book.upstream_is_lost(loss).forget().restarted(upstream=[session_update(instructions=ANY)])
    book.fire(Wait.UPDATE).expect(
        {"type": "Error", "code": "UPDATE_NOT_APPLIED", "description": ANY},
        upstream=[session_update(audio={"input": {}})],
    )


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_update_that_is_on_its_way_when_the_upstream_is_lost_is_applied_by_the_next(profile):
    book = Playbook(profile).ready().client(PROMPT).forget().upstream_is_lost(LOST).expect(RESTARTED)
    assert "update" not in book.timers
    book.client(LISTEN)
    book.restarted(upstream=[session_update(instructions="Be brief.\n\nSpeak French.")])
    book.upstream(UPDATED).expect(ack("PromptUpdated"), upstream=[session_update(audio={"input": {}})])
    book.upstream(UPDATED).expect(ack("ListenUpdated"))


def test_what_was_updated_is_what_the_next_upstream_is_configured_with():
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


# Beside the client's own session.update.


def test_an_update_of_the_client_s_own_making_takes_its_turn():
    book = Playbook().ready().client(PROMPT, UPDATE).expect(upstream=[session_update(instructions=ANY)])
    book.upstream(UPDATED).expect(ack("PromptUpdated"), upstream=[UPDATE])
    book.upstream(UPDATED).expect(APPLIED)


def test_an_update_of_the_client_s_own_making_that_is_refused_does_not_hold_up_what_follows():
    book = Playbook().ready().client(UPDATE, PROMPT)
    event_id = book.events_to_upstream[0]["event_id"]
    book.forget().upstream(error("invalid_value", "no", event_id=event_id))
    book.expect({"type": "Error", "description": "no", "code": "invalid_value"}, upstream=[session_update()])
    book.client(UPDATE | {"event_id": "mine"}).upstream(UPDATED).forget()
    book.upstream(error("invalid_value", "no", event_id="mine")).forget().client(PROMPT)
    book.expect(upstream=[session_update(instructions=ANY)])


def test_a_session_of_the_client_s_own_making_can_be_updated_too():
    given = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
    book = Playbook().ready(given).client(PROMPT)
    book.expect(upstream=[session_update(instructions="Be brief.\n\nSpeak French.")])
    book.upstream(UPDATED).expect(ack("PromptUpdated"))
    book.client(LISTEN)
    assert "turn_detection" not in book.events_to_upstream[0]["session"]["audio"]["input"]
    book.upstream(UPDATED).forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.upstream_opens().upstream(CREATED)
    first, second = book.events_to_upstream
    assert first["session"] == given["session"]
    assert second["session"]["instructions"] == "Be brief.\n\nSpeak French."


# Another voice, and the upstream that follows.


def next_one(book):
    (command,) = [c for c in book.commands if isinstance(c, messages.OpenUpstream)]
    assert command.is_standby
    book.forget()
    return command.generation


def feed(book, generation, *events):
    for event in events:
        book.feed(messages.UpstreamTextReceived(generation, orjson.dumps(event).decode()))


def voice_is_fixed(book):
    event_id = book.events_to_upstream[0]["event_id"]
    return error("cannot_update_voice", "no", event_id=event_id, param="session.audio.output.voice")


def test_a_session_that_has_spoken_gets_its_new_voice_from_another_upstream_between_turns():
    book = Playbook().ready().upstream(response_created()).client(SPEAK, PROMPT)
    fixed = voice_is_fixed(book)
    book.forget().upstream(fixed)
    assert book.frames_to_client == []
    generation = next_one(book)
    book.upstream(UPDATED).expect(ack("PromptUpdated"))
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed(book, generation, CREATED)
    book.expect(upstream=[session_update(instructions=ANY, audio={"output": {"voice": "cedar"}})])
    feed(book, generation, UPDATED)
    book.expect()
    book.upstream(response_done())
    assert book.frames_to_client[-1] == ack("SpeakUpdated")
    assert book.generation == generation


def test_who_changes_his_mind_about_a_voice_gets_one_upstream_for_both():
    book = Playbook().ready().upstream(response_created()).client(SPEAK)
    book.upstream(voice_is_fixed(book))
    generation = next_one(book)
    book.client(SPEAK)
    book.upstream(voice_is_fixed(book))
    assert book.session.state.standby.generation == generation
    assert len(book.session.state.pending_acks) == 2


def test_a_new_voice_may_come_with_a_restart():
    book = Playbook().ready().client(SPEAK)
    book.upstream(voice_is_fixed(book)).forget().upstream_is_lost(LOST).expect(RESTARTED)
    book.restarted(ack("SpeakUpdated"))


def next_stands_by(*events):
    """In the middle of an answer the next upstream has been dialled, and has said so much."""
    book = Playbook().ready().upstream(response_created()).forget().fire(Wait.ROLLOVER)
    generation = next_one(book)
    book.feed(messages.UpstreamOpened(generation, 0, book.unix_s))
    feed(book, generation, *events)
    return book, generation


@pytest.mark.parametrize("is_seeded", [True, False])
def test_an_upstream_that_was_configured_in_advance_hears_of_the_update_too(is_seeded):
    book, generation = next_stands_by(CREATED, *([UPDATED] if is_seeded else []))
    book.forget().client(PROMPT).forget().upstream(UPDATED)
    assert [command.generation for command in book.commands if isinstance(command, messages.SendToUpstream)] == [
        generation
    ]
    book.expect(ack("PromptUpdated"), upstream=[session_update(instructions="Be brief.\n\nSpeak French.")])
    feed(book, generation, UPDATED, *([] if is_seeded else [UPDATED]))
    book.forget().upstream(response_done())
    assert book.generation == generation


def test_an_upstream_is_not_changed_while_an_update_is_on_its_way():
    book, generation = next_stands_by(CREATED, UPDATED)
    book.client(PROMPT).upstream(response_done())
    assert book.generation != generation
    book.upstream(UPDATED)
    assert book.generation != generation, "it has not taken the update itself"
    feed(book, generation, UPDATED)
    assert book.generation == generation


def told_of_an_update():
    """The next upstream stands ready, and was told of an update that it has not taken."""
    book, generation = next_stands_by(CREATED, UPDATED)
    book.client(PROMPT).upstream(UPDATED).forget()
    return book, generation


def test_what_an_upstream_says_of_a_change_from_before_it_was_in_use_is_no_word_on_a_later_one():
    book, generation = told_of_an_update()
    book.upstream_is_lost(LOST).client(SPEAK).forget()
    assert book.generation == generation
    book.upstream(UPDATED).expect().upstream(UPDATED).expect(ack("SpeakUpdated"))


def test_an_upstream_that_refuses_a_change_before_it_is_in_use_is_not_put_in_use():
    book, generation = told_of_an_update()
    feed(book, generation, error("invalid_value"))
    assert messages.CloseUpstream(generation) in book.commands
    assert Wait.ROLLOVER.value in book.timers


def test_an_upstream_that_does_not_take_a_change_in_time_is_not_put_in_use():
    book, generation = told_of_an_update()
    book.fire(Wait.STANDBY)
    assert messages.CloseUpstream(generation) in book.commands


@pytest.mark.parametrize("message", [PROMPT, {"type": "session.update", "session": {"type": "realtime"}}])
def test_only_so_many_updates_wait(message):
    book = Playbook(early_messages=2).ready().client(message, message).forget().client(message)
    assert [message["code"] for message in book.frames_to_client] == ["TOO_MANY_EARLY_MESSAGES"]
    assert len(book.session.state.updates) == 2


@pytest.mark.parametrize("kind", ["UpdatePrompt", "session.update"])
def test_updates_that_wait_have_only_so_many_bytes_together(kind):
    text = "x" * 800
    bodies = {
        "UpdatePrompt": {"prompt": text},
        "session.update": {"session": {"type": "realtime", "instructions": text}},
    }
    message = {"type": kind, **bodies[kind]}
    book = Playbook(early_bytes=2000).ready().client(message, message).forget().client(message)
    assert [message["code"] for message in book.frames_to_client] == ["TOO_MANY_EARLY_MESSAGES"]
    assert len(book.session.state.updates) == 2


def test_an_update_is_taken_where_none_waits_however_long_it_is():
    book = Playbook(early_bytes=2000).ready().client({"type": "UpdatePrompt", "prompt": "x" * 3000})
    assert book.events_to_upstream[-1]["session"]["instructions"].endswith("x" * 3000)


def test_updates_are_forgotten_with_their_session():
    book = Playbook().ready().client(PROMPT).forget()
    book.upstream_is_lost(LOST, Decision.TEAR_DOWN)
    assert book.ending is not None
