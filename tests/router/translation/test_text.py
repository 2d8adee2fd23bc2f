"""Items and transcripts to messages, and messages to items."""

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


@pytest.mark.parametrize(("audio_end_ms", "seconds"), [(1500.0, 1.5), (None, 0.0)])
def test_the_end_of_an_utterance_is_in_seconds(audio_end_ms, seconds):
    assert text.utterance_end(audio_end_ms).last_word_end == seconds
