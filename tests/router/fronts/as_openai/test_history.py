"""The items of a conversation as Deepgram's context, and the question to ask."""

import pytest

from router.fronts.as_openai.history import OUTPUT_TEXT, History, Question, UnsupportedItemError, read


def message(role, text, kind="input_text"):
    return {"type": "message", "id": text, "role": role, "content": [{"type": kind, "text": text}]}


USER, AGENT = message("user", "Hello"), message("assistant", "Hi there", "output_text")
CALL = {"type": "function_call", "id": "c", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}
OUTPUT = {"type": "function_call_output", "id": "o", "call_id": "call_1", "output": "sunny"}
SPEECH = {"type": "message", "id": "s", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}


def history(*items):
    made = History()
    for item in items:
        made.add(read(item))
    return made


def written(role, content):
    return {"type": "History", "role": role, "content": content}


def test_texts_become_context_in_order():
    assert history(USER, AGENT).begin() == [written("user", "Hello"), written("assistant", "Hi there")]


def test_a_call_becomes_context_with_its_output_and_not_without():
    (record,) = history(CALL, OUTPUT).begin()[0]["function_calls"]
    assert record == {
        "id": "call_1",
        "name": "get_weather",
        "client_side": True,
        "arguments": '{"city":"Paris"}',
        "response": "sunny",
    }
    assert history(CALL).begin() == []


def test_the_transcript_of_speech_is_its_text():
    heard = {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": "Good morning"}]}
    assert history(heard).begin() == [written("user", "Good morning")]


def test_the_texts_behind_the_last_answer_are_the_question_and_leave_the_context():
    made = history(USER, AGENT, message("user", "Tea?"), message("user", "Or coffee?"))
    assert made.take_question(is_repeated=False) == Question("Tea?\nOr coffee?")
    assert made.begin() == [written("user", "Hello"), written("assistant", "Hi there")]


def test_an_answer_that_was_cut_off_is_left_out_where_its_question_is_asked_again():
    made = history(USER, AGENT, message("user", "Tea?"), message("assistant", "Te", "output_text"))
    assert made.take_question(is_repeated=True) == Question("Tea?")
    assert made.begin() == [written("user", "Hello"), written("assistant", "Hi there")]


def test_without_an_open_item_there_is_no_question():
    assert history(USER, AGENT).take_question(is_repeated=False) is None
    assert history().take_question(is_repeated=True) is None


def test_the_output_of_an_earlier_upstream_s_call_is_asked_and_its_question_stays():
    made = history(USER, CALL, OUTPUT)
    assert made.take_question(is_repeated=False) == Question(OUTPUT_TEXT.format(output="sunny"))
    assert [it.get("content") for it in made.begin()] == ["Hello", None]


def test_an_output_that_comes_behind_the_context_is_asked_alone():
    made = history(USER, CALL)
    made.begin()
    made.add(read(OUTPUT))
    assert made.take_question(is_repeated=False) == Question(OUTPUT_TEXT.format(output="sunny"))
    assert made.take_question(is_repeated=False) is None


def test_speech_without_words_is_asked_as_audio():
    assert history(SPEECH).take_question(is_repeated=False) == Question("", "AAAA")
    assert history(SPEECH).begin() == []


def test_a_removed_item_is_in_no_context():
    made = history(USER, AGENT)
    assert made.remove("Hello")
    assert not made.remove("Hello")
    assert made.begin() == [written("assistant", "Hi there")]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:"}]},
        {"type": "mcp_call", "name": "x"},
        {"type": "message", "role": "system", "content": []},
    ],
)
def test_an_item_that_deepgram_has_nothing_for_is_refused(item):
    with pytest.raises(UnsupportedItemError):
        read(item)


def test_the_words_beside_an_image_are_kept_only_where_the_item_is_repeated():
    image = {"type": "input_image", "image_url": "data:"}
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Tea?"}, image]}
    assert read(item, takes_images=True).text == "Tea?"
    with pytest.raises(UnsupportedItemError):
        read(item)
    with pytest.raises(UnsupportedItemError):
        read({**item, "content": [image]}, takes_images=True)
