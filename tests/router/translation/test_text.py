"""Items and transcripts to messages, and messages to items."""

import orjson
import pytest

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.translation import text


def test_the_part_of_a_message_has_the_type_of_its_role():
    assert text.message_item("i1", "user", "Hi").content == [openai.InputText(text="Hi")]
    assert text.message_item("i2", "assistant", "Hello").content == [openai.OutputText(text="Hello")]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([openai.ContentPart(text="One. "), openai.ContentPart(text="Two.")], "One. Two."),
        ([openai.ContentPart(transcript="Spoken.")], "Spoken."),
        ([openai.ContentPart(type="audio")], ""),
        (None, ""),
    ],
)
def test_the_text_of_an_item_is_in_its_texts_or_its_transcripts(parts, expected):
    assert text.item_text(openai.Item(content=parts)) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (openai.Item(role="assistant", type="message"), True),
        (openai.Item(role="assistant"), True),
        (openai.Item(role="user", type="message"), False),
        (openai.Item(role="assistant", type="function_call"), False),
        (openai.Item(type="function_call"), False),
    ],
)
def test_an_assistant_message_is_known_by_its_role_and_type(item, expected):
    assert text.is_assistant_message(item) is expected


def test_history_repeats_a_conversation_text():
    message = deepgram.ConversationText(role="user", content="Hi")

    assert text.history_of(message) == deepgram.HistoryText(role="user", content="Hi")


@pytest.mark.parametrize("is_final", [True, False])
def test_a_transcript_has_its_text_once_more_in_its_channel(is_final):
    transcript = text.transcript("Hi", is_final=is_final)

    assert transcript.channel.alternatives[0].transcript == transcript.transcript == "Hi"
    assert (transcript.is_final, transcript.speech_final) == (is_final, is_final)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, []),
        ("Hello", []),
        ([{"word": "Hello", "start": 0, "end": 0.4}], [("Hello", 0.0, 0.4)]),
        ([{"word": "Hello", "start": "0", "end": 0.4}, 7, {"word": "you", "start": 1, "end": 2}], [("you", 1.0, 2.0)]),
    ],
)
def test_the_words_of_a_transcript_are_those_that_the_upstream_times(given, found):
    (alternative,) = text.transcript("Hello you", is_final=True, words=given).channel.alternatives
    assert [(it.word, it.start, it.end) for it in alternative.words] == found


@pytest.mark.parametrize(("audio_end_ms", "seconds"), [(1500.0, 1.5), (None, 0.0)])
def test_the_end_of_an_utterance_is_in_seconds(audio_end_ms, seconds):
    assert text.utterance_end(audio_end_ms).last_word_end == seconds


@pytest.mark.parametrize("content", ["", "Hi.", "x" * 500_000, "é" * 200_000])
def test_a_text_that_fits_into_one_message_stays_whole(content):
    assert text.parts_of(content) == [content]


@pytest.mark.parametrize("content", ["word " * 300_000, "x" * 1_300_000, "\u0001 " * 200_000, "é" * 600_000])
def test_a_longer_text_is_cut_into_parts_that_fit(content):
    parts = text.parts_of(content)

    assert len(parts) > 1
    assert all(len(orjson.dumps(part)) <= text.MAX_TEXT_BYTES for part in parts)
    assert "".join("".join(parts).split()) == "".join(content.split())


def test_a_long_text_is_cut_between_words():
    assert {word for part in text.parts_of("word " * 300_000) for word in part.split()} == {"word"}
