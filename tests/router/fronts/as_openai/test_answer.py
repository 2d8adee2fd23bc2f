"""One turn of Deepgram's agent as the events of one response."""

import itertools

from router.fronts.as_openai.answer import Answer


def answer(**fields):
    numbers = itertools.count(1)
    given = {"previous": "q1", "metadata": None, "is_text": False, **fields}
    return Answer(lambda kind: f"{kind}_{next(numbers)}", **given)


def kinds(events):
    return [event["type"] for event in events]


def test_a_spoken_answer_has_openai_s_events_in_order():
    made = answer()
    events = [*made.begin(), *made.say("One."), *made.play(b"\x01\x02"), *made.say("Two."), *made.end("completed")]
    assert kinds(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert [event["delta"] for event in events if "delta" in event] == ["One.", "AQI=", " Two."]
    item = events[-1]["response"]["output"][0]
    assert item["content"] == [{"type": "output_audio", "transcript": "One. Two."}]
    assert (events[2]["previous_item_id"], item["status"], made.last_item) == ("q1", "completed", item["id"])


def test_a_written_answer_has_no_audio():
    made = answer(is_text=True)
    events = [*made.begin(), *made.say("One."), *made.play(b"\x01\x02"), *made.end("completed")]
    assert not [kind for kind in kinds(events) if "audio" in kind]
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "output_text", "text": "One."}]


def test_an_answer_that_is_cut_off_ends_whole():
    made = answer()
    events = [*made.begin(), *made.say("One."), *made.end("cancelled", "turn_detected")]
    assert kinds(events)[-2:] == ["response.output_item.done", "response.done"]
    assert events[-2]["item"]["status"] == "incomplete"
    assert events[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


def test_a_call_ends_the_message_before_it():
    made = answer()
    events = [
        *made.begin(),
        *made.say("Let me see."),
        *made.call("call_1", "get_weather", "{}"),
        *made.end("completed"),
    ]
    output = events[-1]["response"]["output"]
    assert [it["type"] for it in output] == ["message", "function_call"]
    (done,) = [it for it in events if it["type"] == "response.function_call_arguments.done"]
    assert (done["call_id"], done["arguments"], done["output_index"]) == ("call_1", "{}", 1)
    added = [it for it in events if it["type"] == "conversation.item.added"]
    assert [it["previous_item_id"] for it in added] == ["q1", output[0]["id"]]


def test_a_response_repeats_the_metadata_of_its_request():
    made = answer(metadata={"topic": "tea"})
    events = [*made.begin(), *made.end("completed")]
    assert [event["response"]["metadata"] for event in events] == [{"topic": "tea"}] * 2
