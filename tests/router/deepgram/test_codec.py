"""Text frames of the client: read to messages, with a sentence for each mistake, and written."""

import orjson
import pytest

from router.deepgram import codec
from router.deepgram.messages import (
    CLIENT_MESSAGES,
    AgentStartedSpeaking,
    CallText,
    HistoryCalls,
    HistoryText,
    InjectUserMessage,
    KeepAlive,
    Welcome,
)
from router.json_bounds import MAX_VALUES


def test_a_message_is_read_by_its_type():
    assert codec.decode('{"type":"KeepAlive"}') == KeepAlive()
    assert codec.decode('{"type":"InjectUserMessage","content":"Hi"}') == InjectUserMessage("Hi")


def test_an_unknown_field_is_ignored():
    assert codec.decode('{"type":"KeepAlive","since":1}') == KeepAlive()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the message is not valid JSON: "),
        ("{", "the message is not valid JSON: "),
        ("[]", "the message is not a JSON object"),
        ("null", "the message is not a JSON object"),
        ("{}", "the field `type` is missing"),
        ('{"type":5}', "the field `type` is not a string"),
        ('{"type":"InjectUserMessage"}', "InjectUserMessage: Object missing required field `content`"),
        ('{"type":"InjectUserMessage","content":5}', "InjectUserMessage: Expected `str`, got `int` - at `content`"),
        (
            '{"type":"Settings","audio":{"input":{"sample_rate":"x"}},"agent":{}}',
            "Settings: Expected `int | float | null`, got `str` - at `audio.input.sample_rate`",
        ),
    ],
)
def test_a_mistake_is_a_sentence_that_names_the_field(text, problem):
    decoded = codec.decode(text)

    assert isinstance(decoded, codec.Unparsable)
    assert decoded.problem.startswith(problem)


def test_an_object_of_another_protocol_keeps_its_text():
    text = '{"type": "response.create", "event_id": "e1"}'

    assert codec.decode(text) == codec.Foreign("response.create", {"type": "response.create", "event_id": "e1"}, text)


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
@pytest.mark.parametrize("name", ["FunctionCallResponse", "response.create"])
def test_a_message_that_could_not_be_written_again_is_refused(name, opening, closing):
    def decoded(levels):
        nested = opening * levels + "1" + closing * levels
        return codec.decode(f'{{"type":"{name}","content":{nested}}}')

    assert not isinstance(decoded(150), codec.Unparsable)
    assert decoded(400) == codec.Unparsable("the message is nested too deeply", is_excess=True)


def test_a_message_of_too_many_values_is_refused_before_it_is_parsed():
    # Its end is missing, which a parser would report.
    decoded = codec.decode('{"type":"x","a":[' + "[]," * MAX_VALUES)

    assert decoded == codec.Unparsable(f"the message has more than {MAX_VALUES} values", is_excess=True)


def test_brackets_alone_make_no_message_too_deep():
    content = [[]] * 1000

    assert codec.decode(orjson.dumps({"type": "FunctionCallResponse", "content": content}).decode()).content == content


@pytest.mark.parametrize("kind", CLIENT_MESSAGES)
def test_every_client_message_is_read_or_refused_without_its_fields(kind):
    decoded = codec.decode(f'{{"type":"{kind}"}}')

    assert isinstance(decoded, (CLIENT_MESSAGES[kind], codec.Unparsable))


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Welcome(request_id="r"), {"type": "Welcome", "request_id": "r"}),
        (AgentStartedSpeaking(), {"type": "AgentStartedSpeaking"}),
        (
            CallText(role="assistant", content="f()"),
            {"type": "ConversationText", "role": "assistant", "content": "f()"},
        ),
        (HistoryText(role="user", content="Hi"), {"type": "History", "role": "user", "content": "Hi"}),
        (HistoryCalls(function_calls=[]), {"type": "History", "function_calls": []}),
    ],
)
def test_a_message_is_written_under_its_wire_name_without_absent_fields(message, wire):
    assert orjson.loads(codec.encode(message)) == wire


@pytest.mark.parametrize(
    "text", ['{"type":"Settings"}', '{"type":"Settings","audio":{}}', '{"type":"Settings","agent":{}}']
)
def test_settings_without_their_blocks_are_read_where_they_may_be_sparse(text):
    assert isinstance(codec.decode(text), codec.Unparsable)
    settings = codec.decode(text, is_sparse=True)
    assert (settings.audio.input.encoding, settings.audio.input.sample_rate) == ("linear16", None)
    assert settings.agent.greeting is None


def test_sparse_settings_name_a_field_of_the_wrong_type():
    found = codec.decode('{"type":"Settings","audio":{"input":3}}', is_sparse=True)
    assert "`audio.input`" in found.problem


def test_the_names_in_settings_are_one_object_for_all_sessions():
    text = (
        '{"type":"Settings","audio":{"input":{"encoding":"linear16"}},"agent":{"think":{"provider":{"type":"x y z"}}}}'
    )
    first, second = codec.decode(text), codec.decode(text)
    assert first.audio.input.encoding is second.audio.input.encoding
    assert first.agent.think.provider.type is second.agent.think.provider.type
