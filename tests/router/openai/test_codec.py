"""Text frames of the upstream: read leniently, written to the letter, and the shortcut for audio."""

import base64
import binascii

import orjson
import pytest

from router.json_bounds import MAX_VALUES
from router.openai import codec
from router.openai.events import (
    ContentPart,
    ConversationItemAdded,
    ConversationItemCreate,
    ConversationItemDone,
    Error,
    ErrorDetail,
    Ignored,
    InputAudio,
    Item,
    MessageItem,
    Response,
    ResponseCreate,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputTextDelta,
    SessionCreated,
    SessionInfo,
)
from tests.support.data.oracle import assert_client_event

AUDIO = base64.b64encode(bytes(range(256))).decode()
DELTA = f'{{"type":"response.output_audio.delta","event_id":"e","response_id":"r","item_id":"i","delta":"{AUDIO}"}}'


# Reading.


def test_an_event_is_read_by_its_type_with_its_known_fields():
    text = '{"type":"session.created","session":{"id":"s","expires_at":1,"from":"the future"}}'

    assert codec.decode(text) == SessionCreated(SessionInfo(id="s", expires_at=1.0))


def test_a_beta_name_is_read_as_its_ga_name():
    assert codec.decode('{"type":"conversation.item.created","item":{"id":"i"}}') == ConversationItemAdded(Item("i"))


def test_an_event_without_consequence_is_ignored():
    assert codec.decode('{"type":"conversation.created","conversation":5}') == Ignored()


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "{}", '{"type":5}', "[" * 100_000])
def test_a_frame_that_is_no_event_is_malformed(text):
    assert isinstance(codec.decode(text), codec.Malformed)


def test_an_unknown_type_is_named():
    assert codec.decode('{"type":"response.dance"}') == codec.Unknown("response.dance", "unknown type")


@pytest.mark.parametrize(
    ("head", "kind"), [('{"type":"response.done",', "response.done"), ('{"event_id":"e",', "an event")]
)
def test_an_event_of_too_many_values_is_passed_over_before_it_is_parsed(head, kind):
    # Its end is missing, which a parser would report.
    decoded = codec.decode(head + '"a":[' + "[]," * MAX_VALUES)

    assert decoded == codec.Unknown(kind, f"it has more than {MAX_VALUES} values", is_excess=True)


def test_the_bounds_of_a_text_that_is_counted_are_not_counted_again():
    text = '{"type":"response.done","response":{"id":"r"},"a":[' + "[]," * MAX_VALUES + "[]]}"

    assert isinstance(codec.decode(text), codec.Unknown)
    assert codec.decode(text, is_counted=True).response.id == "r"
    assert codec.decode(text + " " * (4 * 1024 * 1024), is_counted=True).is_excess


def test_half_a_character_costs_no_long_parse():
    text = '{"type":"response.output_text.done","text":"' + "x" * (1024 * 1024) + r' \ud83d"}'

    assert codec.decode(text) == codec.Unknown(
        "response.output_text.done", "it is long, and has half a character", is_excess=True
    )


def test_unreadable_fields_are_dropped_and_the_rest_counts():
    parts = '[{"text":"Hi."},{"text":5,"transcript":" Ho."}]'
    decoded = codec.decode(f'{{"type":"conversation.item.done","item":{{"id":[7],"content":{parts}}}}}')

    assert isinstance(decoded, codec.Partial)
    item = Item(content=[ContentPart(text="Hi."), ContentPart(transcript=" Ho.")])
    assert decoded.event == ConversationItemDone(item)
    assert decoded.type == "conversation.item.done"
    assert "$.item.id" in decoded.problem


def test_ids_that_are_numbers_are_read_as_texts():
    text = '{"type":"response.done","event_id":1,"response":{"id":7,"status":"completed"}}'
    assert codec.decode(text) == ResponseDone(Response(id="7", status="completed"))
    text = '{"type":"response.output_audio.delta","response_id":7,"item_id":8,"delta":"AAAA"}'
    assert codec.decode(text).response_id == "7"


def test_an_event_with_too_many_unreadable_fields_is_ignored_as_a_whole():
    parts = orjson.dumps([{"text": number} for number in range(20)]).decode()
    decoded = codec.decode(f'{{"type":"conversation.item.done","item":{{"content":{parts}}}}}')

    assert isinstance(decoded, codec.Unknown)
    assert decoded.type == "conversation.item.done"


def test_an_error_that_is_a_string_becomes_its_own_message():
    decoded = codec.decode('{"type":"error","error":"out of memory"}')

    assert decoded.event == Error(ErrorDetail(message="out of memory"))


def test_half_a_character_is_replaced():
    assert codec.decode(r'{"type":"response.output_text.delta","delta":"Hi \ud83d"}') == ResponseOutputTextDelta("Hi ?")


# Audio.


def test_a_delta_is_read_without_its_other_fields():
    assert codec.decode(DELTA) == ResponseOutputAudioDelta(AUDIO, "r", "i")


@pytest.mark.parametrize(
    "text",
    [
        DELTA.replace(",", ", "),
        DELTA.replace("/", r"\/"),
        DELTA.replace('"type":"response.output_audio.delta",', "").replace(
            "}", ',"type":"response.output_audio.delta"}'
        ),
        DELTA.replace("output_audio", "audio"),
        DELTA.replace('"event_id":"e"', '"event_id":"\\"delta\\":\\"no\\""'),
        DELTA.replace('"event_id":"e"', '"more":{"response_id":"no"}'),
    ],
)
def test_a_delta_in_any_other_form_is_read_alike(text):
    assert codec.decode(text) == ResponseOutputAudioDelta(AUDIO, "r", "i")


def test_a_delta_without_its_response_has_none():
    assert codec.decode('{"type":"response.output_audio.delta","delta":"AAAA"}') == ResponseOutputAudioDelta("AAAA")


def test_the_audio_of_a_delta_is_decoded_strictly():
    assert codec.delta_audio(AUDIO) == bytes(range(256))
    for bad in ("%%%", "AAA", "AA AA"):
        with pytest.raises(binascii.Error):
            codec.delta_audio(bad)


def test_an_append_is_an_event_with_the_audio():
    event = orjson.loads(codec.append_event(bytes(range(256))))

    assert event == {"type": "input_audio_buffer.append", "audio": AUDIO}
    assert_client_event(event)


# Writing.


def test_an_event_is_written_without_absent_fields():
    assert orjson.loads(codec.encode(ResponseCreate())) == {"type": "response.create"}


def test_audio_of_an_item_is_written_as_base64():
    item = MessageItem(id="i", role="user", content=[InputAudio(audio=bytes(range(256)))])
    event = orjson.loads(codec.encode(ConversationItemCreate(item=item)))

    assert event["item"]["content"] == [{"type": "input_audio", "audio": AUDIO}]
    assert_client_event(event)
