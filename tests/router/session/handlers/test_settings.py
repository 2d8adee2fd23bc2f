"""A client's Settings, from the handshake to SettingsApplied."""

import orjson
import pytest

from actors import messages
from actors.restart import Decision
from router.audio.formats import LINEAR16_24K, MULAW_8K
from router.session.deadlines import Wait
from router.session.handlers.settings import welcome
from router.translation.formats import output_format
from router.translation.voices import Voices
from tests.support.machine.beginnings import connecting
from tests.support.machine.playbook import (
    APPLIED,
    AUDIO_DONE,
    DONE,
    SETTINGS,
    Playbook,
    assistant,
    item_added,
    settings,
)

CREATED = {"type": "session.created", "session": {"id": "sess_1"}}
UPDATED = {"type": "session.updated", "session": {"id": "sess_1"}}
REALTIME_2 = "gpt-realtime-2.1"
EVERYTHING = {
    "type": "Settings",
    "tags": ["a", "b"],
    "experimental": True,
    "mip_opt_out": True,
    "flags": {"history": True},
    "audio": {
        "input": {"encoding": "linear16", "sample_rate": 24000},
        "output": {"encoding": "linear16", "sample_rate": 24000, "container": "none"},
    },
    "agent": {
        "language": "en",
        "context": {"messages": [{"type": "History", "role": "user", "content": "hello"}]},
        "listen": {
            "provider": {
                "type": "deepgram",
                "version": "v2",
                "model": "flux-general-multi",
                "language_hints": ["en", "de"],
                "keyterms": ["Signal"],
                "eot_threshold": 0.7,
                "eager_eot_threshold": 0.4,
                "eot_timeout_ms": 5000,
            }
        },
        "think": {
            "provider": {
                "type": "open_ai",
                "version": "v1",
                "model": REALTIME_2,
                "temperature": 0.7,
                "reasoning_mode": "low",
                "voice_prompt_opt_out": False,
            },
            "prompt": "Be brief.",
            "context_length": "max",
            "functions": [
                {
                    "name": "lookup",
                    "description": "Look up a key",
                    "parameters": {"type": "object", "properties": {"k": {"type": "string"}}},
                    "defer_until_eot": True,
                }
            ],
        },
        "speak": {
            "provider": {"type": "deepgram", "version": "v2", "model": "flux-kit-en", "speed": 1.1, "expressivity": 1}
        },
        "idleTimeoutMs": 10000,
        "from_the_future": {"any": "thing"},
    },
}


def session_of(given, **options):
    """Return the `session` that these Settings become."""
    book = Playbook("converse", **options).opened().client(given).forget().upstream(CREATED)
    update, *items = book.events_to_upstream
    assert all(item["type"] == "conversation.item.create" for item in items)
    return update["session"]


def refusal(given):
    """Return the answer to invalid Settings. Other Settings open the session afterwards."""
    book = Playbook("converse").opened().client(given)
    (answer,) = book.frames_to_client
    book.forget().client(SETTINGS).upstream(CREATED).forget().upstream(UPDATED).expect(APPLIED)
    return answer


def test_welcome_has_the_session_s_id():
    assert orjson.loads(welcome("a session's id")) == {"type": "Welcome", "request_id": "a session's id"}


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_client_with_its_welcome_receives_nothing_before_its_settings(profile):
    Playbook(profile).feed(messages.ClientOpened()).expect()


# The upstream that they ask for.


def test_an_upstream_that_is_lost_before_settings_is_dialled_again_with_them():
    book = Playbook().opened().upstream_closes().expect()
    book.client(SETTINGS)
    assert book.commands == [messages.OpenUpstream(2, "gpt-realtime-2.1")]


def test_an_allowed_model_is_dialled():
    book = connecting(given=settings(think={"provider": {"type": "open_ai", "model": "gpt-x"}}), models=("gpt-x",))
    assert book.commands == [messages.CloseUpstream(1), messages.OpenUpstream(2, "gpt-x")]


def test_a_model_that_is_not_allowed_is_replaced_with_a_warning():
    book = connecting(given=settings(think={"provider": {"model": "gpt-4o-mini"}}), models=("gpt-x",))
    assert not [command for command in book.commands if isinstance(command, messages.OpenUpstream)]
    (warning,) = book.frames_to_client
    assert warning["code"] == "MODEL_NOT_AVAILABLE"
    assert "gpt-4o-mini" in warning["description"]


def test_the_model_in_the_url_wins():
    book = connecting(given=settings(think={"provider": {"model": "gpt-x"}}), models=("gpt-x",), fixed_model="gpt-url")
    assert book.session.state.model == "gpt-url"
    assert book.generation == 1


def test_the_first_think_block_with_an_available_model_counts_as_a_whole():
    think = [
        {"provider": {"type": "anthropic", "model": "claude"}, "prompt": "One."},
        {"provider": {"type": "open_ai", "model": "gpt-x"}, "prompt": "Two."},
    ]
    book = Playbook("converse", models=("gpt-x",)).opened().client(settings(think=think))
    assert book.commands[-1] == messages.OpenUpstream(2, "gpt-x")
    assert book.frames_to_client[0]["code"] == "MODEL_NOT_AVAILABLE"
    book.forget().upstream(CREATED)
    assert book.events_to_upstream[0]["session"]["instructions"] == "Two."
    assert session_of(settings(think=think))["instructions"] == "One."
    assert "instructions" not in session_of(settings(think=[], speak=[]))


def test_a_client_s_own_model_endpoint_is_not_called_and_the_client_is_warned():
    book = Playbook("converse").opened()
    book.client(settings(think={"endpoint": {"url": "https://example.com", "headers": {"authorization": "bearer x"}}}))
    (warning,) = book.frames_to_client
    assert (warning["type"], warning["code"]) == ("Warning", "MODEL_NOT_AVAILABLE")


# Their fields.


def test_every_field_of_the_protocol_is_accepted_and_the_supported_ones_are_obeyed():
    session = session_of(EVERYTHING, transcription_model="gpt-live-transcribe")
    assert session["audio"]["input"]["transcription"] == {
        "model": "gpt-live-transcribe",
        "languages": ["en", "de"],
        "keywords": ["Signal"],
    }
    assert session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
    assert session["audio"]["output"]["speed"] == 1.1
    assert session["reasoning"] == {"effort": "low"}
    assert session["instructions"] == "Be brief."
    assert [tool["name"] for tool in session["tools"]] == ["lookup"]
    assert not {"temperature", "truncation"} & set(session)


@pytest.mark.parametrize(("mode", "effort"), [("none", "minimal"), ("high", "high"), ("xhigh", "xhigh")])
def test_the_reasoning_mode_reaches_the_models_that_reason(mode, effort):
    given = settings(think={"provider": {"reasoning_mode": mode}})
    assert session_of(given)["reasoning"] == {"effort": effort}
    assert "reasoning" not in session_of(given, model="gpt-realtime")
    assert "reasoning" not in session_of(given, model="gpt-realtime-2025-08-28")


def test_a_context_length_becomes_a_truncation():
    truncation = session_of(settings(think={"context_length": 8000}))["truncation"]
    assert truncation["token_limits"] == {"post_instructions": 2000}


def test_the_react_component_s_own_fields_are_obeyed():
    think = {
        "toolChoice": "required",
        "outputModalities": ["text"],
        "maxOutputTokens": 200,
    }
    session = session_of(settings(think=think, sessionAudioOutput={"voice": "cedar", "speed": 1.2}))
    assert (session["tool_choice"], session["output_modalities"]) == ("required", ["text"])
    assert session["max_output_tokens"] == 200
    assert (session["audio"]["output"]["voice"], session["audio"]["output"]["speed"]) == ("cedar", 1.2)


@pytest.mark.parametrize(
    ("model", "taken"),
    [
        ("whisper-1", {"prompt": "Signal, Meaning"}),
        ("gpt-4o-mini-transcribe-2025-12-15", {"prompt": "Expect these words: Signal, Meaning."}),
        ("gpt-4o-transcribe-diarize", {}),
        ("gpt-transcribe", {"keywords": ["Signal", "Meaning"]}),
        ("gpt-realtime-whisper", {}),
        ("somebody-s-deployment", {}),
    ],
)
def test_key_terms_reach_the_models_that_take_them(model, taken):
    given = settings(listen={"provider": {"type": "deepgram", "keyterms": ["Signal", "Meaning"]}})
    transcription = session_of(given, transcription_model=model)["audio"]["input"]["transcription"]
    assert transcription == {"model": model, **taken}


@pytest.mark.parametrize(
    ("provider", "language"),
    [
        ({"language": "de-CH"}, "de"),
        ({"language": "multi"}, None),
        ({"language_hints": ["fr"]}, "fr"),
        ({"language_hint": "fr"}, "fr"),
        ({"language_hint": ["fr"]}, "fr"),
        ({"language_hints": ["fr", "it"]}, "en"),
        ({}, "en"),
    ],
)
def test_the_most_specific_field_decides_the_language(provider, language):
    session = session_of(settings(language="en", listen={"provider": provider}))
    assert session["audio"]["input"]["transcription"].get("language") == language


@pytest.mark.parametrize(
    ("provider", "eagerness"),
    [
        ({"eot_threshold": 0.7}, "auto"),
        ({"eot_threshold": 0.7, "eot_timeout_ms": 5000}, "auto"),
        ({"eot_threshold": 0.5}, "high"),
        ({"eot_threshold": 1.0}, "low"),
        ({"eot_threshold": 1.0, "eot_timeout_ms": 5000}, "auto"),
        ({"eot_timeout_ms": 10000}, "auto"),
        ({"eot_timeout_ms": 1000}, "high"),
    ],
)
def test_a_threshold_for_the_end_of_a_turn_becomes_the_eagerness_of_semantic_vad(provider, eagerness):
    session = session_of(settings(listen={"provider": provider}))
    detection = session["audio"]["input"]["turn_detection"]
    assert (detection["type"], detection["eagerness"]) == ("semantic_vad", eagerness)
    given = settings(listen={"provider": provider}, turn_detection="server_vad")
    assert session_of(given)["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert (
        session_of(settings(listen={"provider": provider}), turn_detection="manual")["audio"]["input"]["turn_detection"]
        is None
    )


@pytest.mark.parametrize(
    ("speak", "voice"),
    [
        ({"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}}, "coral"),
        (
            [{"provider": {"type": "eleven_labs"}}, {"provider": {"type": "deepgram", "model": "aura-2-zeus-en"}}],
            "cedar",
        ),
        ({"provider": {"type": "aws_polly", "voice": "Joanna"}}, "sage"),
    ],
)
def test_the_table_of_voices_decides_the_voice(speak, voice):
    voices = Voices(default="sage", table={"aura-2-thalia-en": "coral"})

    assert session_of(settings(speak=speak), voices=voices)["audio"]["output"]["voice"] == voice


@pytest.mark.parametrize("mode", ["server_vad", "semantic_vad", "manual"])
@pytest.mark.parametrize("where", ["configuration", "Settings"])
def test_the_configuration_and_the_settings_choose_the_turn_detection(mode, where):
    if where == "configuration":
        book = connecting(turn_detection=mode)
    else:
        book = connecting(given=settings(turn_detection=mode))
    book.forget().upstream(CREATED)
    detection = book.events_to_upstream[0]["session"]["audio"]["input"]["turn_detection"]
    assert detection is None if mode == "manual" else detection["type"] == mode


def test_functions_of_the_think_block_become_tools():
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


# Invalid Settings.


def test_the_id_of_a_stored_agent_is_refused():
    book = Playbook("converse").opened().client({**SETTINGS, "agent": "some-uuid"})
    assert book.frames_to_client[0]["code"] == "AGENT_ID_NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("agent", "field"),
    [
        ({"think": {"provider": {"temperature": 3}}}, "agent.think.provider.temperature"),
        ({"think": [{}, {"provider": {"reasoning_mode": "much"}}]}, "agent.think[1].provider.reasoning_mode"),
        ({"think": {"context_length": 0}}, "agent.think.context_length"),
        ({"think": {"context_length": 1e30}}, "agent.think.context_length"),
        ({"think": {"maxOutputTokens": 5000}}, "agent.think.maxOutputTokens"),
        ({"think": {"managedPrompt": {"id": "p"}}}, "agent.think.managedPrompt"),
        ({"think": {"functions": [{"name": "f", "agent_filler_max_count": 1}]}}, "functions[0].agent_filler_max_count"),
        ({"think_live": {"provider": {"type": "deepgram"}}}, "agent.think_live"),
        ({"speak": {"provider": {"speed": 2}}}, "agent.speak.provider.speed"),
        ({"listen": {"provider": {"eot_threshold": 0.2}}}, "agent.listen.provider.eot_threshold"),
        ({"listen": {"provider": {"eager_eot_threshold": 1}}}, "agent.listen.provider.eager_eot_threshold"),
        ({"listen": {"provider": {"eot_timeout_ms": 0}}}, "agent.listen.provider.eot_timeout_ms"),
        ({"sessionAudioOutput": {"speed": 9}}, "agent.sessionAudioOutput.speed"),
        ({"sessionAudioOutput": {"voice": 9}}, "agent.sessionAudioOutput.voice"),
    ],
)
def test_a_value_that_cannot_be_obeyed_is_refused_by_field(agent, field):
    answer = refusal(settings(**agent))
    assert (answer["type"], answer["code"]) == ("Error", "INVALID_SETTINGS")
    assert field in answer["description"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({**SETTINGS, "tags": "a"}, "tags"),
        ({**SETTINGS, "experimental": "yes"}, "experimental"),
        ({**SETTINGS, "flags": {"history": "no"}}, "flags.history"),
        (settings(listen={"provider": {"keyterms": "a"}}), "agent"),
    ],
)
def test_a_field_of_the_wrong_type_is_unparsable(given, field):
    answer = refusal(given)
    assert answer["code"] == "UNPARSABLE_CLIENT_MESSAGE"
    assert field in answer["description"]


# Settings again.


def test_a_second_settings_is_applied_again_on_openai_and_refused_on_converse():
    Playbook("openai").ready().client(SETTINGS).expect(APPLIED)
    book = Playbook("converse").ready().client(SETTINGS)
    assert book.frames_to_client[0]["code"] == "SETTINGS_ALREADY_APPLIED"
    assert book.ending is None


def test_settings_during_a_restart_are_applied_again_and_settings_before_the_first_are_applied_are_not():
    connecting().forget().client(SETTINGS).expect()
    book = Playbook().ready().upstream_closes(decision=Decision.RESTART).forget()
    book.client(SETTINGS).expect(APPLIED)
    book.restarted()


# Context and greeting.


def test_the_context_becomes_items_before_anything_newer():
    call = {"id": "call_9", "name": "lookup", "client_side": True, "arguments": "{}", "response": "42"}
    context = {
        "messages": [
            {"type": "History", "role": "user", "content": "hello"},
            {"type": "History", "role": "assistant", "content": "hi"},
            {"type": "History", "function_calls": [call]},
        ]
    }
    book = connecting(given=settings(context=context, greeting="unused"))
    book.client({"type": "InjectUserMessage", "content": "newer"}).forget().upstream(CREATED)
    book.expect(
        upstream=[
            {"type": "session.update"},
            {"item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}},
            {"item": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}},
            {"item": {"type": "function_call", "call_id": "call_9", "name": "lookup", "arguments": "{}"}},
            {"item": {"type": "function_call_output", "call_id": "call_9", "output": "42"}},
        ],
    )
    newer = {"item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "newer"}]}}
    book.upstream(UPDATED).expect(APPLIED, upstream=[newer])


def test_a_context_in_its_older_place_counts_too():
    book = Playbook("converse").opened()
    book.client(settings(messages=[{"type": "History", "role": "user", "content": "hello"}]))
    book.upstream(CREATED).expect(upstream=[{"type": "session.update"}, {"item": {"role": "user"}}])
    book.upstream(UPDATED).expect(APPLIED)


def test_the_context_is_neither_sent_to_the_client_nor_answered():
    context = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}
    book = connecting(given=settings(context=context)).upstream(CREATED)
    first, second = (event["item"]["id"] for event in book.events_to_upstream[1:])
    book.forget().upstream(UPDATED).expect(APPLIED)
    content = [{"type": "output_text", "text": "hi"}]
    book.upstream(item_added(first), {**item_added(first), "type": "conversation.item.done"})
    book.upstream(
        item_added(second, "assistant", content=content),
        {**item_added(second, "assistant", content=content), "type": "conversation.item.done"},
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
        AUDIO_DONE,
        *([DONE] if profile == "openai" else []),
        upstream=[{"item": {"role": "assistant", "content": [{"type": "output_text", "text": "Hello there."}]}}],
    )
    done = {**item_added(greeting_id, "assistant"), "type": "conversation.item.done"}
    done["item"]["content"] = [{"type": "output_text", "text": "Hello there."}]
    book.upstream(item_added(greeting_id, "assistant"), done).expect()


def test_a_client_that_sends_back_the_text_of_a_call_is_not_greeted_and_the_text_is_no_item():
    shown = {"role": "assistant", "content": 'Function call: look_up({"key": "a"})'}
    book = connecting("openai", given=settings(context={"messages": [shown]}, greeting="unused")).forget()
    book.upstream(CREATED).expect(upstream=[{"type": "session.update"}])
    book.upstream(UPDATED).expect(APPLIED)


# Settings that leave fields out.


@pytest.mark.parametrize(
    "sparse", [{}, {"audio": {}}, {"agent": {}}, {"audio": {"input": {"encoding": "linear16"}}, "agent": {"think": {}}}]
)
def test_the_component_s_settings_may_leave_fields_out(sparse):
    book = Playbook("openai").opened().client({"type": "Settings", **sparse}).upstream(CREATED)
    (update,) = book.events_to_upstream
    assert "instructions" not in update["session"]
    state = book.session.state
    assert (state.microphone.source.encoding, state.microphone.source.rate) == ("linear16", 16_000)
    assert output_format(state.plan.source.audio) == LINEAR16_24K
    book.forget().upstream(UPDATED).expect(APPLIED)


def test_another_encoding_without_a_rate_has_its_own_rate():
    given = {"type": "Settings", "audio": {"input": {"encoding": "mulaw"}, "output": {"encoding": "mulaw"}}}
    state = Playbook("openai").opened().client(given).session.state
    assert (state.microphone.source, output_format(state.plan.source.audio)) == (MULAW_8K, MULAW_8K)


@pytest.mark.parametrize("field", ["audio", "agent"])
def test_deepgram_s_own_path_needs_every_block(field):
    given = {key: value for key, value in SETTINGS.items() if key != field}
    answer = refusal(given)
    assert answer["code"] == "UNPARSABLE_CLIENT_MESSAGE"
    assert f"`{field}`" in answer["description"]


def test_a_microphone_on_deepgram_s_own_path_has_the_rate_of_the_published_schema():
    state = Playbook("converse").opened().client({**SETTINGS, "audio": {}}).session.state
    assert state.microphone.source.rate == 24_000


@pytest.mark.parametrize(("given", "sent"), [(10_000, 10_000), (1, 5000), (90_000, 30_000), (0, None), (-1, None)])
def test_the_component_s_idle_time_out_lets_the_upstream_ask_within_its_bounds(given, sent):
    session = session_of(settings(idleTimeoutMs=given))
    assert session["audio"]["input"]["turn_detection"].get("idle_timeout_ms") == sent


def test_a_detector_that_has_no_idle_time_out_gets_none():
    session = session_of(settings(idleTimeoutMs=10_000, turn_detection="semantic_vad"))
    assert "idle_timeout_ms" not in session["audio"]["input"]["turn_detection"]


# The first dial.


def test_the_dial_has_a_deadline_from_the_settings_on():
    book = Playbook().opened()
    assert Wait.DIAL.value not in book.timers
    book.client(SETTINGS)
    assert book.timers[Wait.DIAL.value] == 20
    book.upstream_opens()
    assert Wait.DIAL.value not in book.timers


def test_an_upstream_that_is_connected_before_the_settings_needs_no_deadline_for_its_dial():
    assert Wait.DIAL.value not in Playbook().opened().upstream_opens().client(SETTINGS).timers


@pytest.mark.parametrize("levels", [150, 194, 249, 250, 1000])
def test_settings_of_any_depth_are_passed_on_or_refused(levels):
    """The voice is one level deeper in session.update: orjson had read the Settings, and could not write it."""
    session = Playbook("openai").opened().session
    voice = '{"id":"v","a":' + '{"a":' * levels + "1" + "}" * (levels + 1)
    audio = '{"input":{"sample_rate":24000}}'
    text = f'{{"type":"Settings","audio":{audio},"agent":{{"sessionAudioOutput":{{"voice":{voice}}}}}}}'
    commands = [
        *session.handle(messages.ClientTextReceived(text), 1001.0),
        *session.handle(messages.UpstreamOpened(1, 0, 0.0), 1001.0),
        *session.handle(messages.UpstreamTextReceived(1, orjson.dumps(CREATED).decode()), 1001.0),
    ]
    updates = [it for it in commands if isinstance(it, messages.SendToUpstream)]
    refusals = [it for it in commands if isinstance(it, messages.SendToClient) and "nested too deeply" in it.frame]
    assert len(updates) + len(refusals) == 1


def test_key_terms_that_the_transcription_model_does_not_take_are_named_in_a_warning():
    listen = {"provider": {"type": "deepgram", "keyterms": ["Signal"]}}
    book = Playbook("converse", transcription_model="gpt-realtime-whisper").opened().client(settings(listen=listen))
    assert [it["code"] for it in book.frames_to_client] == ["LISTEN_OPTION_NOT_SUPPORTED"]
    book = Playbook("converse", transcription_model="gpt-4o-transcribe").opened().client(settings(listen=listen))
    assert book.frames_to_client == []
    book.configured().forget().client(
        {"type": "UpdateListen", "listen": {"provider": {"language_hints": ["en", "fr"]}}}
    )
    assert [it["code"] for it in book.frames_to_client] == ["LISTEN_OPTION_NOT_SUPPORTED"]
