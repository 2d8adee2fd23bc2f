"""The fields of `agent` that cannot be obeyed, each named in a sentence."""

import msgspec
import pytest

from router.deepgram.blocks import Agent, Listen, Speak, Think
from router.translation.validation import (
    MAX_CONTEXT_CHARACTERS,
    validate_agent,
    validate_listen,
    validate_speak,
    validate_think,
)


def agent(**fields):
    return msgspec.convert(fields, Agent)


def functions(count, **fields):
    return {"think": {"functions": [{"name": f"f{at}", **fields} for at in range(count)]}}


def said(count):
    return [{"role": "user", "content": "Hi"}] * count


def called(count):
    return [{"function_calls": [{"id": "c", "name": "f"}] * count}]


def function(**fields):
    return {"think": {"functions": [{"name": "f", **fields}]}}


def endpoint(url="https://api.example", **fields):
    return function(endpoint={"url": url, **fields})


VALID = [
    {},
    {"think": {"provider": {"temperature": 0}, "context_length": "max", "maxOutputTokens": "inf"}},
    {"think": {"provider": {"temperature": 2}, "context_length": 1, "maxOutputTokens": 4096}},
    {"think": {"provider": {"reasoning_mode": "none"}}},
    {"speak": [{"provider": {"speed": 0.25}}, {"provider": {"speed": 1.5}}]},
    {"listen": {"provider": {"eot_threshold": 0.5, "eager_eot_threshold": 0.9, "eot_timeout_ms": 1}}},
    {"sessionAudioOutput": {"voice": {"id": "v1"}, "speed": 1}},
    endpoint(method="delete", headers={"Authorization": "Bearer\ttoken", "X-Id": ""}),
    # Each list and each text at its bound.
    functions(128),
    {"think": [{}] * 16, "speak": [{}] * 16},
    {"context": {"messages": said(1000) + called(1000)}},
    {"messages": said(2000)},
    {"listen": {"provider": {"keyterms": ["a"] * 100, "language_hints": ["en"] * 100}}},
    function(name="f" * 128),
    endpoint("https://api.example/".ljust(2048, "x"), headers={f"X-{at}": "v" * 4096 for at in range(32)}),
]

TOO_MANY_MESSAGES = "must be a list of at most 2000 messages and function calls"
TOO_MANY_HEADERS = "`agent.think.functions[0].endpoint.headers` must be at most 32 headers of 4096 characters"

ENDED = "must be absent: OpenAI ended its reusable prompts"
INVALID = [
    ({"think": {"provider": {"temperature": 2.1}}}, "`agent.think.provider.temperature` must be between 0 and 2"),
    (
        {"think": {"provider": {"reasoning_mode": "most"}}},
        "`agent.think.provider.reasoning_mode` must be one of none, minimal, low, medium, high, xhigh",
    ),
    (
        {"think": {"context_length": MAX_CONTEXT_CHARACTERS + 1}},
        f"`agent.think.context_length` must be `max` or between 1 and {MAX_CONTEXT_CHARACTERS} characters",
    ),
    (functions(129), "`agent.think.functions` must be a list of at most 128 functions"),
    ({"think": [{}] * 17}, "`agent.think` must be a list of at most 16 blocks"),
    ({"speak": [{}] * 17}, "`agent.speak` must be a list of at most 16 blocks"),
    ({"context": {"messages": said(2001)}}, f"`agent.context.messages` {TOO_MANY_MESSAGES}"),
    ({"context": {"messages": called(2001)}}, f"`agent.context.messages` {TOO_MANY_MESSAGES}"),
    ({"messages": said(2001)}, f"`agent.messages` {TOO_MANY_MESSAGES}"),
    (
        {"listen": {"provider": {"keyterms": ["a"] * 101}}},
        "`agent.listen.provider.keyterms` must be a list of at most 100 words",
    ),
    (
        {"listen": {"provider": {"language_hint": ["en"] * 101}}},
        "`agent.listen.provider.language_hint` must be a list of at most 100 words",
    ),
    (function(name="f" * 129), "`agent.think.functions[0].name` must have at most 128 characters"),
    (
        endpoint("https://api.example/".ljust(2049, "x")),
        "`agent.think.functions[0].endpoint.url` must have at most 2048 characters",
    ),
    (endpoint(headers={f"X-{at}": "" for at in range(33)}), TOO_MANY_HEADERS),
    (endpoint(headers={"X": "v" * 4097}), TOO_MANY_HEADERS),
    ({"think": {"maxOutputTokens": 0}}, "`agent.think.maxOutputTokens` must be `inf` or between 1 and 4096"),
    ({"think": {"maxOutputTokens": "all"}}, "`agent.think.maxOutputTokens` must be `inf` or between 1 and 4096"),
    ({"think": {"managedPrompt": {"id": "p"}}}, f"`agent.think.managedPrompt` {ENDED}"),
    ({"speak": {"provider": {"speed": 0.2}}}, "`agent.speak.provider.speed` must be between 0.25 and 1.5"),
    (
        {"listen": {"provider": {"eot_threshold": 0.4}}},
        "`agent.listen.provider.eot_threshold` must be between 0.5 and 1",
    ),
    (
        {"listen": {"provider": {"eager_eot_threshold": 1}}},
        "`agent.listen.provider.eager_eot_threshold` must be between 0.3 and 0.9",
    ),
    (
        {"listen": {"provider": {"eot_timeout_ms": 0}}},
        "`agent.listen.provider.eot_timeout_ms` must be at least 1 millisecond",
    ),
    ({"think_live": {}}, "`agent.think_live` must be absent: this server does not offer Think Live"),
    (
        {"sessionAudioOutput": {"voice": 5}},
        "`agent.sessionAudioOutput.voice` must be a voice's name, or an object with its `id`",
    ),
    ({"sessionAudioOutput": {"speed": "fast"}}, "`agent.sessionAudioOutput.speed` must be between 0.25 and 1.5"),
    (
        function(agent_filler_max_count=2),
        "`agent.think.functions[0].agent_filler_max_count` needs `agent.think_live`, which this server does not offer",
    ),
]


@pytest.mark.parametrize("fields", VALID)
def test_an_agent_that_can_be_obeyed_has_no_problem(fields):
    assert validate_agent(agent(**fields)) is None


@pytest.mark.parametrize(("fields", "sentence"), INVALID)
def test_a_field_that_cannot_be_obeyed_is_named(fields, sentence):
    assert validate_agent(agent(**fields)) == sentence


def test_a_field_of_one_block_of_several_is_named_by_its_place():
    blocks = [{}, {"provider": {"temperature": 3}}]

    assert validate_agent(agent(think=blocks)).startswith("`agent.think[1].provider.temperature`")


def test_an_update_names_its_own_block():
    assert validate_think(msgspec.convert({"maxOutputTokens": 0}, Think)).startswith("`think.maxOutputTokens`")
    assert validate_speak(msgspec.convert({"provider": {"speed": 9}}, Speak)).startswith("`speak.provider.speed`")
    provider = {"provider": {"eot_threshold": 0}}
    assert validate_listen(msgspec.convert(provider, Listen)).startswith("`listen.provider.eot_threshold`")


SECRETS = [
    (endpoint("ftp://secret@api.example"), "endpoint.url` must be an https:// or http:// URL"),
    (endpoint("https://me:secret@api.example"), "endpoint.url` must be a URL without credentials"),
    (endpoint(method="secret"), "endpoint.method` must be one of GET, POST, PUT, PATCH, DELETE"),
    (
        endpoint(headers={"Host": "secret"}),
        "endpoint.headers` must be HTTP headers other than connection, content-length, host, te, transfer-encoding",
    ),
    (endpoint(headers={"bad name": "secret"}), "endpoint.headers` must be HTTP headers other than connection"),
    (endpoint(headers={"X-Key": "a\r\nsecret: b"}), "endpoint.headers.X-Key` must be printable ASCII text"),
]


@pytest.mark.parametrize(("fields", "sentence"), SECRETS)
def test_a_bad_endpoint_is_named_without_what_may_be_a_credential(fields, sentence):
    problem = validate_agent(agent(**fields))

    assert sentence in problem
    assert "secret" not in problem
