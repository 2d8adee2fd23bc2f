"""From the first frame to SettingsApplied."""

import orjson
import pybase64
import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from router.session.deadlines import Wait
from router.session.handlers.settings import welcome
from tests.support.machine.playbook import (
    APPLIED,
    AUDIO_DONE,
    DONE,
    SETTINGS,
    STARTED,
    Playbook,
    assistant,
    error,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
    user,
)

CREATED = {"type": "session.created", "session": {"id": "sess_1"}}
UPDATED = {"type": "session.updated", "session": {"id": "sess_1"}}


def connecting(profile="openai", given=None, **options):
    return Playbook(profile, **options).opened().client(given or SETTINGS)


def test_welcome_says_the_session_s_id():
    assert orjson.loads(welcome("a session's id")) == {"type": "Welcome", "request_id": "a session's id"}


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_client_that_was_welcomed_as_it_was_accepted_is_told_nothing_more_before_settings(profile):
    Playbook(profile).feed(messages.ClientOpened()).expect()


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_settings_become_one_session_update_and_its_acknowledgement_settings_applied(profile):
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


def test_the_upstream_is_dialled_before_there_are_settings_and_configured_as_soon_as_there_are():
    book = Playbook()
    book.feed(messages.ClientOpened())
    assert book.commands[-1] == messages.OpenUpstream(1, "gpt-realtime-2.1")
    book.forget().upstream_opens().upstream(CREATED).expect()
    book.client(SETTINGS).expect(upstream=[{"type": "session.update"}])
    book.upstream(UPDATED).expect(APPLIED)


def test_an_upstream_that_is_lost_before_there_are_settings_is_dialled_again_with_them():
    book = Playbook().opened().upstream_closes().expect()
    book.client(SETTINGS)
    assert book.commands == [messages.OpenUpstream(2, "gpt-realtime-2.1")]


def test_session_created_alone_applies_nothing():
    book = connecting()
    book.upstream_opens().upstream(CREATED)
    assert book.frames_to_client == []


@pytest.mark.parametrize("mode", ["server_vad", "semantic_vad", "manual"])
@pytest.mark.parametrize("where", ["configuration", "Settings"])
def test_turn_detection_is_chosen_by_configuration_and_per_session(mode, where):
    if where == "configuration":
        book = connecting(turn_detection=mode)
    else:
        book = connecting(given=settings(turn_detection=mode))
    book.forget().upstream(CREATED)
    detection = book.events_to_upstream[0]["session"]["audio"]["input"]["turn_detection"]
    assert detection is None if mode == "manual" else detection["type"] == mode


def test_tools_come_from_think_functions():
    parameters = {"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]}
    function = {"name": "lookup", "description": "Look up a key", "parameters": parameters}
    book = connecting(given=settings(think={"functions": [function, {"name": "bare"}]})).forget().upstream(CREATED)
    book.expect(
        upstream=[
            {
                "session": {
                    "tools": [
                        {
                            "type": "function",
                            "name": "lookup",
                            "description": "Look up a key",
                            "parameters": parameters,
                        },
                        {"type": "function", "name": "bare", "parameters": {"type": "object", "properties": {}}},
                    ]
                }
            }
        ]
    )


def test_a_function_with_an_endpoint_is_left_out_with_a_warning():
    function = {"name": "weather", "endpoint": {"url": "https://example.com"}}
    book = connecting(given=settings(think={"functions": [function]}))
    assert book.frames_to_client[0]["type"] == "Warning"
    assert "weather" in book.frames_to_client[0]["description"]


def test_a_model_of_the_list_is_used():
    book = connecting(given=settings(think={"provider": {"type": "open_ai", "model": "gpt-x"}}), models=("gpt-x",))
    assert book.commands == [messages.CloseUpstream(1), messages.OpenUpstream(2, "gpt-x")]


def test_a_model_outside_the_list_is_replaced_with_a_warning():
    book = connecting(given=settings(think={"provider": {"model": "gpt-4o-mini"}}), models=("gpt-x",))
    assert not [command for command in book.commands if isinstance(command, messages.OpenUpstream)]
    (warning,) = book.frames_to_client
    assert warning["code"] == "MODEL_NOT_AVAILABLE"
    assert "gpt-4o-mini" in warning["description"]


def test_the_model_in_the_url_wins():
    book = connecting(given=settings(think={"provider": {"model": "gpt-x"}}), models=("gpt-x",), fixed_model="gpt-url")
    assert book.session.state.model == "gpt-url"
    assert book.generation == 1


def test_context_becomes_one_item_per_message_before_anything_newer():
    call = {"id": "call_9", "name": "lookup", "client_side": True, "arguments": "{}", "response": "42"}
    context = {
        "messages": [
            {"type": "History", "role": "user", "content": "hello"},
            {"type": "History", "role": "assistant", "content": "hi"},
            {"type": "History", "function_calls": [call]},
        ]
    }
    book = connecting(given=settings(context=context, greeting="unused")).upstream(CREATED)
    book.client({"type": "InjectUserMessage", "content": "newer"}).forget().upstream(UPDATED)
    book.expect(
        APPLIED,
        upstream=[
            {"item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}},
            {"item": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}},
            {"item": {"type": "function_call", "call_id": "call_9", "name": "lookup", "arguments": "{}"}},
            {"item": {"type": "function_call_output", "call_id": "call_9", "output": "42"}},
            {"item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "newer"}]}},
        ],
    )


def test_context_is_neither_told_to_the_client_nor_answered():
    context = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}
    book = connecting(given=settings(context=context)).upstream(CREATED).forget().upstream(UPDATED)
    first, second = (event["item"]["id"] for event in book.events_to_upstream)
    book.forget()
    said = [{"type": "output_text", "text": "hi"}]
    book.upstream(item_added(first), {**item_added(first), "type": "conversation.item.done"})
    book.upstream(
        item_added(second, "assistant", content=said),
        {**item_added(second, "assistant", content=said), "type": "conversation.item.done"},
    )
    book.expect()


@pytest.mark.parametrize(("profile", "how"), [("openai", "auto"), ("openai", "text"), ("converse", "text")])
def test_a_greeting_goes_upstream_as_an_item_and_to_the_client_as_text(profile, how):
    book = connecting(profile, given=settings(greeting="Hello there."), greeting=how)
    book.upstream(CREATED).forget().upstream(UPDATED)
    greeting_id = book.events_to_upstream[0]["item"]["id"]
    book.expect(
        APPLIED,
        assistant("Hello there."),
        upstream=[{"item": {"role": "assistant", "content": [{"type": "output_text", "text": "Hello there."}]}}],
    )
    done = {**item_added(greeting_id, "assistant"), "type": "conversation.item.done"}
    done["item"]["content"] = [{"type": "output_text", "text": "Hello there."}]
    book.upstream(item_added(greeting_id, "assistant"), done).expect()


# What comes early.


def test_early_messages_wait_in_order_for_session_updated():
    book = connecting()
    book.client({"type": "InjectUserMessage", "content": "one"}).expect(user("one"))
    book.client(b"\1\0" * 480, {"type": "InjectUserMessage", "content": "two"}).expect(user("two"))
    book.upstream(CREATED).forget().upstream(UPDATED)
    assert [event["type"] for event in book.events_to_upstream] == [
        "conversation.item.create",
        "input_audio_buffer.append",
        "conversation.item.create",
    ]
    assert book.frames_to_client == [APPLIED]


def test_before_settings_the_openai_profile_keeps_messages_and_audio():
    book = Playbook().opened()
    book.client({"type": "InjectUserMessage", "content": "early"}, b"\1\0" * 480).expect(user("early"))
    book.client(SETTINGS).upstream(CREATED).forget().upstream(UPDATED)
    book.expect(APPLIED, upstream=[{"item": {"role": "user"}}, {"type": "input_audio_buffer.append"}])


@pytest.mark.parametrize(
    "early",
    [
        b"\0\0",
        {"type": "InjectUserMessage", "content": "x"},
        {"type": "FunctionCallResponse", "name": "f", "content": "x"},
    ],
)
def test_before_settings_the_converse_profile_answers_and_goes_on(early):
    book = Playbook("converse").opened().client(early)
    (answer,) = book.frames_to_client
    assert (answer["type"], answer["code"]) == ("Error", "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS")
    book.forget().client(SETTINGS).expect()
    book.upstream(CREATED).expect(upstream=[{"type": "session.update"}])


def test_early_audio_is_bounded_and_the_oldest_goes_first():
    book = connecting(early_audio_s=0.1)
    for value in range(20):
        book.client(bytes([value, 0]) * 240)  # 10 ms each
    book.upstream(CREATED).forget().upstream(UPDATED)
    kept = b"".join(pybase64.b64decode(event["audio"]) for event in book.events_to_upstream)
    assert kept == b"".join(bytes([value, 0]) * 240 for value in range(10, 20))
    assert book.session.describe()["early_dropped_bytes"] == 4800


def test_early_messages_are_bounded_in_bytes_too():
    book = connecting(early_bytes=1000)
    book.client({"type": "InjectUserMessage", "content": "x" * 600})
    book.client({"type": "InjectUserMessage", "content": "y" * 600})
    assert book.frames_to_client[-1]["code"] == "TOO_MANY_EARLY_MESSAGES"
    book.upstream_opens().upstream(CREATED).forget().upstream(UPDATED)
    items = [event["item"] for event in book.events_to_upstream if event["type"] == "conversation.item.create"]
    assert [item["content"][0]["text"][0] for item in items] == ["x"]


def test_early_messages_are_bounded_and_each_one_too_many_is_answered():
    book = connecting(early_messages=2)
    book.client(*[{"type": "InjectUserMessage", "content": str(n)} for n in range(3)])
    assert book.frames_to_client[-1]["code"] == "TOO_MANY_EARLY_MESSAGES"


# Settings that cannot be obeyed.


def test_the_id_of_a_stored_agent_is_not_supported():
    book = Playbook("converse").opened().client({**SETTINGS, "agent": "some-uuid"})
    assert book.frames_to_client[0]["code"] == "AGENT_ID_NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ("{}", "type"),
        ('{"type": 7}', "type"),
        ('{"type": "Nonsense"}', "Nonsense"),
        ('{"type": "Settings", "agent": {}}', "audio"),
        ('{"type": "Settings", "audio": {"input": {"sample_rate": "fast"}}, "agent": {}}', "audio.input.sample_rate"),
        ('{"type": "Settings", "audio": {}, "agent": {"think": {"prompt": 5}}}', "agent.think"),
        ('{"type": "InjectUserMessage"}', "content"),
        ('{"type": "InjectUserMessage", "content": null}', "content"),
        ('{"type": "UpdatePrompt"}', "prompt"),
        ('{"type": "UpdateThink", "think": {"prompt": 5}}', "think"),
    ],
)
@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_bad_input_is_answered_by_field_and_the_session_goes_on(profile, message, field):
    book = Playbook(profile).ready().client(message)
    (answer,) = book.frames_to_client
    assert (answer["type"], answer["code"]) == ("Error", "UNPARSABLE_CLIENT_MESSAGE")
    assert field in answer["description"]
    book.forget().client({"type": "InjectUserMessage", "content": "still here"})
    book.expect(user("still here"), upstream=[{"type": "conversation.item.create"}])


def test_a_second_settings_is_applied_again_on_openai_and_refused_on_converse():
    Playbook("openai").ready().client(SETTINGS).expect(APPLIED)
    book = Playbook("converse").ready().client(SETTINGS)
    assert book.frames_to_client[0]["code"] == "SETTINGS_ALREADY_APPLIED"
    assert book.ending is None


def test_a_second_settings_is_applied_again_while_an_upstream_is_replaced_and_not_before_the_first_is():
    connecting().forget().client(SETTINGS).expect()
    book = Playbook().ready().upstream_closes(decision=Decision.RESTART).forget()
    book.client(SETTINGS).expect(APPLIED)
    book.restarted()


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_keep_alive_is_neither_answered_nor_forwarded(profile):
    Playbook(profile).ready().client({"type": "KeepAlive"}).expect()


def test_settings_that_the_upstream_refuses_end_the_session_with_its_error():
    book = connecting().upstream(CREATED).forget()
    book.upstream(error("invalid_value", "bad tools", event_id="sb_settings", param="session.tools"))
    assert book.frames_to_client == [
        {"type": "Error", "description": "bad tools (session.tools)", "code": "invalid_value"}
    ]
    assert book.ending.code == 1000


def test_another_error_while_configuring_is_passed_on_and_the_session_goes_on():
    book = connecting().upstream(CREATED).forget()
    book.upstream(error(None, "hiccup", type="server_error")).expect(
        {"type": "Error", "description": "hiccup", "code": "server_error"}
    )
    book.upstream(UPDATED).expect(APPLIED)


@pytest.mark.parametrize("wait", [Wait.SESSION_CREATED, Wait.SESSION_UPDATED])
def test_an_upstream_that_is_silent_at_the_start_is_given_up(wait):
    book = connecting().upstream_opens()
    if wait is Wait.SESSION_UPDATED:
        book.upstream(CREATED)
    book.forget().fire(wait)
    loss = Loss(kind=LossKind.SILENT, cause=wait.value)
    assert book.commands == [messages.AbandonUpstream(1, loss)]
    book.forget().upstream_is_lost(loss, Decision.TEAR_DOWN)
    assert book.frames_to_client[0]["code"] == "UPSTREAM_TIMEOUT"
    assert book.ending.code == 1011


def test_a_whole_text_turn_over_openai():
    book = Playbook().ready().client({"type": "InjectUserMessage", "content": "hello"})
    item_id = book.events_to_upstream[0]["item"]["id"]
    book.expect(user("hello"), upstream=[{"item": {"content": [{"type": "input_text", "text": "hello"}]}}])
    book.upstream(item_added(item_id)).expect(upstream=[{"type": "response.create"}])
    book.upstream({**item_added(item_id), "type": "conversation.item.done"}).expect()
    book.upstream(response_created()).expect()
    book.upstream(text_done("Hi.")).expect(STARTED, assistant("Hi."))
    book.upstream(response_done()).expect(AUDIO_DONE, DONE)
