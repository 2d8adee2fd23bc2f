"""What becomes of each field of Settings."""

import pytest

from actors import messages
from router.translation.voices import Voices
from tests.support.machine.playbook import APPLIED, SETTINGS, Playbook, settings

CREATED = {"type": "session.created", "session": {"id": "sess_1"}}
UPDATED = {"type": "session.updated", "session": {"id": "sess_1"}}
REALTIME_2 = "gpt-realtime-2.1"


def session_of(given, **options):
    """The `session` that these Settings become."""
    book = Playbook("converse", **options).opened().client(given).forget().upstream(CREATED)
    (update,) = book.events_to_upstream
    return update["session"]


def refusal(given):
    """The answer to Settings that cannot be obeyed; the session may be opened with others."""
    book = Playbook("converse").opened().client(given)
    (answer,) = book.frames_to_client
    book.forget().client(SETTINGS).upstream(CREATED).forget().upstream(UPDATED).expect(APPLIED)
    return answer


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


def test_every_field_of_the_protocol_is_accepted_and_those_that_can_be_are_obeyed():
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
def test_the_reasoning_mode_goes_to_models_that_reason(mode, effort):
    given = settings(think={"provider": {"reasoning_mode": mode}})
    assert session_of(given)["reasoning"] == {"effort": effort}
    assert "reasoning" not in session_of(given, model="gpt-realtime")
    assert "reasoning" not in session_of(given, model="gpt-realtime-2025-08-28")


def test_a_context_length_bounds_what_the_model_is_reminded_of():
    truncation = session_of(settings(think={"context_length": 8000}))["truncation"]
    assert truncation["token_limits"] == {"post_instructions": 2000}


def test_the_react_component_s_own_fields_are_obeyed():
    think = {
        "toolChoice": "required",
        "outputModalities": ["text"],
        "maxOutputTokens": 200,
        "managedPrompt": {"id": "p"},
    }
    session = session_of(settings(think=think, sessionAudioOutput={"voice": "cedar", "speed": 1.2}))
    assert (session["tool_choice"], session["output_modalities"]) == ("required", ["text"])
    assert (session["max_output_tokens"], session["prompt"]) == (200, {"id": "p"})
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
def test_the_language_is_the_one_of_the_most_particular_field(provider, language):
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
def test_how_sure_the_end_of_a_turn_is_to_be_is_how_eager_its_judge_is(provider, eagerness):
    session = session_of(settings(listen={"provider": provider}))
    detection = session["audio"]["input"]["turn_detection"]
    assert (detection["type"], detection["eagerness"]) == ("semantic_vad", eagerness)
    given = settings(listen={"provider": provider}, turn_detection="server_vad")
    assert session_of(given)["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert (
        session_of(settings(listen={"provider": provider}), turn_detection="manual")["audio"]["input"]["turn_detection"]
        is None
    )


def test_of_several_think_blocks_the_first_whose_model_is_there_is_taken_whole():
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


def test_a_model_behind_an_endpoint_of_the_client_s_is_not_asked_and_that_is_said():
    book = Playbook("converse").opened()
    book.client(settings(think={"endpoint": {"url": "https://example.com", "headers": {"authorization": "bearer x"}}}))
    (warning,) = book.frames_to_client
    assert (warning["type"], warning["code"]) == ("Warning", "MODEL_NOT_AVAILABLE")


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
def test_the_voice_is_the_one_that_the_tables_say(speak, voice):
    voices = Voices(default="sage", table={"aura-2-thalia-en": "coral"})

    assert session_of(settings(speak=speak), voices=voices)["audio"]["output"]["voice"] == voice


def test_a_conversation_in_its_older_place_is_taken_up_too():
    book = Playbook("converse").opened()
    book.client(settings(messages=[{"type": "History", "role": "user", "content": "hello"}]))
    book.upstream(CREATED).forget().upstream(UPDATED)
    book.expect(APPLIED, upstream=[{"item": {"role": "user"}}])


@pytest.mark.parametrize(
    ("agent", "field"),
    [
        ({"think": {"provider": {"temperature": 3}}}, "agent.think.provider.temperature"),
        ({"think": [{}, {"provider": {"reasoning_mode": "much"}}]}, "agent.think[1].provider.reasoning_mode"),
        ({"think": {"context_length": 0}}, "agent.think.context_length"),
        ({"think": {"context_length": 1e30}}, "agent.think.context_length"),
        ({"think": {"maxOutputTokens": 5000}}, "agent.think.maxOutputTokens"),
        ({"think": {"managedPrompt": {}}}, "agent.think.managedPrompt"),
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
