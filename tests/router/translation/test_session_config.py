"""Settings to the upstream's session: its fields, their updates, and the items of the context."""

import itertools

import msgspec
import pytest

from router.config.model import Tuning
from router.deepgram.blocks import Agent, Function, Think, ThinkProvider
from router.deepgram.messages import Audio, AudioFormat, Settings
from router.openai import events as openai
from router.translation import functions, session_config
from router.translation.formats import Formats
from router.translation.session_config import InvalidSettings
from router.translation.voices import Voices
from tests.support.data.oracle import assert_client_event


def agent(**fields):
    return msgspec.convert(fields, Agent)


def session_of(given, **options):
    defaults = {"turn_detection": "server_vad", "formats": Formats(), "voices": Voices(default="marin")}
    models = {"transcription_model": "gpt-4o-transcribe", "model": "gpt-realtime"}
    return session_config.session_of(Settings(Audio(), given), **(defaults | models | options))


# Validation.


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Settings(Audio(), Agent()), None),
        (
            Settings(Audio(), "agent-1"),
            InvalidSettings("AGENT_ID_NOT_SUPPORTED", "`agent` is an id: this server stores no agents"),
        ),
        (
            Settings(Audio(input=AudioFormat("opus")), Agent()),
            InvalidSettings(
                "INVALID_SETTINGS",
                "`audio.input.encoding` is opus: it may be linear16, linear32, mulaw or alaw",
            ),
        ),
        (
            Settings(Audio(), agent(think={"maxOutputTokens": 0})),
            InvalidSettings("INVALID_SETTINGS", "`agent.think.maxOutputTokens` must be `inf` or between 1 and 4096"),
        ),
    ],
)
def test_settings_that_cannot_be_obeyed_have_a_code_and_a_sentence(settings, problem):
    assert session_config.validate_settings(settings) == problem


# The session.


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"think": {"prompt": "Be brief.", "functions": [{"name": "f"}], "toolChoice": "none", "context_length": 8000}},
        {"speak": {"provider": {"voice": "ash", "speed": 1.2}}, "sessionAudioOutput": {"voice": "cedar"}},
        {"listen": {"provider": {"keyterms": ["Ada"], "language_hints": ["en"]}}},
    ],
)
def test_a_session_is_one_that_the_vendor_s_types_accept(given):
    assert_client_event({"type": "session.update", "session": session_of(agent(**given))})


def test_the_server_s_functions_come_before_the_client_s():
    session = session_of(agent(think={"functions": [{"name": "mine"}]}), server_functions=[Function("order")])

    assert [tool["name"] for tool in session["tools"]] == ["order", "mine"]


@pytest.mark.parametrize(
    ("modalities", "asked"),
    [(["text"], ["text"]), (["audio"], ["audio"]), (["text", "audio"], ["audio"]), ([], ["audio"]), (None, ["audio"])],
)
def test_exactly_one_modality_is_asked_for(modalities, asked):
    assert session_of(agent(think={"outputModalities": modalities}))["output_modalities"] == asked


@pytest.mark.parametrize(
    ("model", "mode", "reasoning"),
    [
        ("gpt-realtime-2.1", "high", {"effort": "high"}),
        ("gpt-realtime-2", "none", {"effort": "minimal"}),
        ("gpt-realtime", "high", None),
        ("gpt-realtime-2025-08-28", "high", None),
        ("gpt-realtime-2.1", None, None),
    ],
)
def test_reasoning_is_asked_for_only_of_the_family_that_takes_it(model, mode, reasoning):
    session = session_of(agent(think={"provider": {"reasoning_mode": mode}}), model=model)

    assert session.get("reasoning") == reasoning


@pytest.mark.parametrize(("length", "tokens"), [(8000, 2000), (1, 1)])
def test_a_context_length_is_a_truncation_in_tokens(length, tokens):
    truncation = session_of(agent(think={"context_length": length}))["truncation"]

    assert truncation["token_limits"] == {"post_instructions": tokens}
    assert "truncation" not in session_of(agent(think={"context_length": "max"}))


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ({}, {"voice": "sage"}),
        ({"speak": {"provider": {"voice": "ash", "speed": 1.2}}}, {"voice": "ash", "speed": 1.2}),
        (
            {"speak": {"provider": {"voice": "ash", "speed": 1.2}}, "sessionAudioOutput": {"voice": "cedar"}},
            {"voice": "cedar", "speed": 1.2},
        ),
    ],
)
def test_the_component_s_own_audio_output_comes_before_the_speak_block(given, output):
    assert session_config.speech_of(agent(**given), Voices(default="sage")) == output


# Fallbacks.


def test_the_first_think_block_whose_model_is_available_is_chosen_whole():
    blocks = [Think(ThinkProvider(model=name), prompt=name) for name in ("a", "b", "c")]

    chosen = session_config.choose_think(Agent(think=blocks), {"b", "c"}.__contains__)
    assert chosen.think is blocks[1]
    assert session_config.choose_think(Agent(think=blocks), lambda _: False).think is blocks[0]
    assert session_config.choose_think(Agent(think=[]), lambda _: True).think == Think()


# The context.


def items_of(given, new_id, *, shows_calls=True):
    return session_config.context_items(given, new_id, shows_calls=shows_calls)


def test_each_message_of_the_context_is_an_item_and_a_call_is_two():
    call = {"id": "c" * 40, "name": "f", "arguments": "{}", "response": "snow"}
    messages = [
        {"role": "user", "content": "Hi"},
        {"function_calls": [call]},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": ""},
    ]
    ids = map(str, itertools.count())

    items = items_of(agent(context={"messages": messages}), lambda: next(ids))
    assert items == [
        openai.MessageItem(id="0", role="user", content=[openai.InputText(text="Hi")]),
        openai.FunctionCallItem(id="1", call_id="c" * 32, name="f", arguments="{}"),
        openai.FunctionCallOutputItem(id="2", call_id="c" * 32, output="snow"),
        openai.MessageItem(id="3", role="assistant", content=[openai.OutputText(text="Hello.")]),
    ]


def test_the_context_may_stand_at_its_older_place():
    messages = [{"role": "user", "content": "Hi"}]
    context = {"messages": []}

    assert len(items_of(agent(messages=messages), lambda: "i")) == 1
    assert items_of(agent(messages=messages, context=context), lambda: "i") == []


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_text_that_shows_a_call_is_no_item_where_the_client_is_shown_calls(is_shown):
    shown = functions.call_text("look_up", '{"at": "here (or there)"}').content
    said = ["Function call: none was needed.", f"I said: {shown}", "Function call: look_up", "Hello."]
    messages = [{"role": "assistant", "content": content} for content in (shown, f" {shown}\n", *said)]
    messages.append({"role": "user", "content": shown})
    items = items_of(agent(context={"messages": messages}), lambda: "i", shows_calls=is_shown)
    assert [item.content[0].text for item in items[-5:]] == [*said, shown]
    assert len(items) == len(said) + 1 + 2 * (not is_shown)


@pytest.mark.parametrize(
    ("messages", "is_continued"),
    [
        ([], False),
        ([{"role": "user", "content": ""}], False),
        ([{"role": "user", "content": "Hi"}], True),
        ([{"role": "assistant", "content": "Function call: look_up({})"}], True),
        ([{"function_calls": [{"id": "c", "name": "f"}]}], True),
    ],
)
def test_a_conversation_with_any_context_is_continued(messages, is_continued):
    assert session_config.has_context(agent(context={"messages": messages})) is is_continued


# Updates.


def test_a_field_that_an_update_leaves_out_is_unset():
    before = {"instructions": "Be brief.", "tool_choice": "none", "tools": [1], "reasoning": {"effort": "low"}}

    assert session_config.replaced(before, {"tools": []}) == {"instructions": "", "tool_choice": "auto", "tools": []}


def test_partial_updates_merge_objects_and_replace_lists():
    before = {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}}, "tools": [1, 2]}

    same = session_config.merged(before, {"audio": {"input": {"turn_detection": {"silence_duration_ms": 9}}}})
    other = session_config.merged(before, {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}})
    assert same["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.7,
        "silence_duration_ms": 9,
    }
    assert other["audio"]["input"]["turn_detection"] == {"type": "semantic_vad"}
    assert session_config.merged(before, {"tools": [3]})["tools"] == [3]


@pytest.mark.parametrize("session", [None, {}, {"instructions": 5}])
def test_an_agent_is_made_of_any_update_of_the_client_s_own(session):
    assert session_config.passthrough_agent(session).think.prompt is None
    assert session_config.passthrough_agent({"instructions": "Hi"}).think.prompt == "Hi"


# The operator's options.

TUNING = Tuning(
    vad_threshold=0.7,
    vad_prefix_ms=200,
    vad_silence_ms=900,
    noise_reduction="far_field",
    retention_ratio=0.6,
    max_output_tokens=400,
    speed=1.25,
)


def test_an_operator_s_options_hold_where_the_client_chooses_none():
    session = session_of(agent(), tuning=TUNING)
    assert_client_event({"type": "session.update", "session": session})
    heard, spoken = session["audio"]["input"], session["audio"]["output"]
    assert heard["noise_reduction"] == {"type": "far_field"}
    detection = heard["turn_detection"]
    assert (detection["threshold"], detection["prefix_padding_ms"], detection["silence_duration_ms"]) == (0.7, 200, 900)
    assert (spoken["speed"], session["max_output_tokens"]) == (1.25, 400)
    assert session["truncation"] == {"type": "retention_ratio", "retention_ratio": 0.6}


def test_the_client_s_choice_comes_before_the_operator_s_options():
    think = {"maxOutputTokens": 10, "context_length": 4000}
    given = agent(think=think, speak={"provider": {"type": "deepgram", "model": "x", "speed": 0.9}})
    session = session_of(given, tuning=TUNING)
    assert (session["audio"]["output"]["speed"], session["max_output_tokens"]) == (0.9, 10)
    assert session["truncation"]["token_limits"] == {"post_instructions": 1000}
    assert session["truncation"]["retention_ratio"] == 0.6


def test_without_options_the_upstream_s_defaults_stay():
    session = session_of(agent())
    assert "noise_reduction" not in session["audio"]["input"]
    assert "speed" not in session["audio"]["output"]
    assert not {"max_output_tokens", "truncation"} & set(session)
