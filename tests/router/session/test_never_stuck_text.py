"""Text and audio of an answer reach the client once, in order and under the right item, whatever the ids are."""

import pytest

from router.session.deadlines import Wait
from tests.support.machine.playbook import AUDIO_DONE
from tests.support.machine.timed_playbook import (
    BYTES_PER_S,
    FRAME,
    TimedPlaybook,
    committed,
    created,
    output_item,
    outside,
    spoken,
    started,
    stopped,
    transcription,
)
from tests.support.processes.further import further

PROFILES = ("openai", "converse")
LONG_S = 60.0

IDS = {
    "texts": (("resp_1", "item_1"), ("resp_2", "item_2")),
    "numbers": ((7, 70), (8, 80)),
    "numbers that begin anew": ((1, 1), (1, 1)),
    "none": ((None, None), (None, None)),
    "texts that begin anew": (("resp", "item"), ("resp", "item")),
}
both_profiles = pytest.mark.parametrize("profile", PROFILES)
all_ids = pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
all_ids_in_turns = pytest.mark.parametrize(
    ("profile", "ids"),
    [
        (profile, ids) if (at + place) % 2 == 0 else further(profile, ids)
        for at, profile in enumerate(PROFILES)
        for place, ids in enumerate(IDS.values())
    ],
)
"""Each kind of ids over one of the profiles, for tests that let minutes pass."""

CUT = "Once upon a time there was a king. He had three daughters and a castle. They lived "
OTHER = "Two and two is four. Do you want to know more? I can tell you."


def joined(texts):
    return " ".join(text.strip() for text in texts)


def without_nulls(event):
    """Leave out the fields that are null."""
    if not isinstance(event, dict):
        return event
    return {key: without_nulls(value) for key, value in event.items() if value is not None}


class BarePlaybook(TimedPlaybook):
    """A session whose upstream leaves out null fields."""

    def upstream(self, *events):
        return super().upstream(*(without_nulls(event) for event in events))


# 10, 25: ids that are numbers, are absent, or begin anew.


def interrupted(profile, ids):
    """Interrupt a spoken answer; the upstream cancels it."""
    (response_id, item_id), _ = ids
    book = BarePlaybook(profile).ready().hears("u1", "Hello.").begins_itself(response_id, item_id)
    said = {"response_id": response_id, "item_id": item_id}
    book.upstream({"type": "response.output_audio_transcript.delta", **said, "delta": "Well, hello. "})
    book.upstream(spoken(5.0, response_id, item_id)).run(0.2).upstream(started("u2"))
    return book.ends(response_id, "cancelled", status_details={"reason": "turn_detected"})


@both_profiles
@all_ids
def test_an_answer_after_an_interrupted_one_is_delivered(profile, ids):
    _, (response_id, item_id) = ids
    book = interrupted(profile, ids).upstream(stopped("u2"), committed("u2"), transcription("And?", "u2"))
    begin = book.here
    book.begins_itself(response_id, item_id).says("Yes.", 1.0, response_id=response_id, item_id=item_id)
    book.ends(response_id)
    assert book.texts(since=begin) == ["Yes."]
    assert book.audio_bytes(since=begin) == BYTES_PER_S
    assert book.frames(since=begin).count(AUDIO_DONE) == 1


@all_ids_in_turns
def test_a_question_after_an_interruption_is_asked(profile, ids):
    book = interrupted(profile, ids).upstream(stopped("u2"), committed("u2"), transcription("", "u2"))
    book.types("And?").run(LONG_S, microphone=FRAME)
    assert len(book.asked()) == 1


@all_ids_in_turns
def test_a_turn_is_over_once_the_upstream_says_that_its_response_is(profile, ids):
    book = interrupted(profile, ids).upstream(stopped("u2"), committed("u2"), transcription("", "u2"))
    book.run(LONG_S, event={"type": "conversation.created"}, every_s=5.0, microphone=FRAME)
    assert book.losses() == []
    assert book.frames().count(AUDIO_DONE) == 1


@both_profiles
@all_ids
def test_an_item_s_text_is_sent_once_although_two_events_bring_it(profile, ids):
    (response_id, item_id), _ = ids
    book = BarePlaybook(profile).ready().types("Q").begins(response_id, item_id)
    begin = book.here
    done = {"type": "response.output_text.done", "response_id": response_id, "item_id": item_id, "text": "Yes."}
    content = [{"type": "output_text", "text": "Yes."}]
    item = {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": content}
    book.upstream(done, {"type": "conversation.item.done", "item": item}).ends(response_id)
    assert book.texts(since=begin) == ["Yes."]


@both_profiles
@all_ids
def test_the_same_words_in_two_turns_are_sent_twice(profile, ids):
    book = BarePlaybook(profile).ready()
    for at, (response_id, item_id) in enumerate(ids):
        book.types(f"Question {at}").begins(response_id, item_id)
        book.says("Yes.", response_id=response_id, item_id=item_id).ends(response_id)
    assert book.texts() == ["Yes.", "Yes."]


UNNAMED = {"response_id": None, "item_id": None}


def test_an_interruption_cuts_the_newest_of_two_answers_without_ids_where_it_was_heard():
    long = "One and two and three and four and five and six and seven and eight and nine and ten."
    book = BarePlaybook("converse").ready()
    book.types("Short?").begins(None, None).says("Yes.", 1.0, **UNNAMED).ends(None).run(5.0)
    book.types("Long?").begins(None, None).says(long, 10.0, **UNNAMED).ends(None).run(2.0).upstream(started("u1"))
    begin = book.restarted_after()
    first, second = (it["content"][0]["text"] for it in book.items(since=begin) if it["role"] == "assistant")
    assert first == "Yes."
    assert long.startswith(second)
    assert len(second) < len(long) / 2


def test_a_late_response_without_an_id_is_neither_played_nor_the_answer_to_the_next_question():
    book = BarePlaybook("converse").ready().echoes()
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap."})
    metadata = book.sent("response.create")[-1]["response"]["metadata"]
    book.hears("u1", "Hello.").begins_itself(None, None).says("Hello.", 1.0, **UNNAMED).ends(None).types("And?")
    begin = book.here
    book.upstream(outside(None, metadata)).says("Mind the gap.", 1.0, **UNNAMED).ends(None, "cancelled")
    assert (book.texts(since=begin), book.audio_bytes(since=begin), len(book.asked())) == ([], 0, 2)
    book.begins(None, None).says("Yes.", 1.0, **UNNAMED).ends(None)
    assert (book.texts(since=begin), book.audio_bytes(since=begin)) == (["Yes."], BYTES_PER_S)


# 18: an answer that is no continuation.


def assert_sent_whole(book, begin):
    assert joined(book.texts(since=begin)) == OTHER


def half_sent(book):
    """Send a part of an answer and half a second of its audio."""
    said = {"response_id": "resp_1", "item_id": "item_1"}
    book.types("Story?").begins("resp_1", "item_1")
    book.upstream({"type": "response.output_audio_transcript.delta", **said, "delta": CUT}, spoken(0.5))
    return book.run(1.0)


def test_an_answer_to_speech_is_sent_whole_although_a_continuation_was_requested_after_a_failure():
    book = half_sent(TimedPlaybook("converse").ready().echoes())
    book.ends("resp_1", "failed", status_details={"type": "failed", "error": {"code": "server_error"}}).run(2.0)
    assert len(book.asked()) == 3
    book.hears("u2", "Never mind. What is two and two?")
    begin = book.here
    book.begins_itself("resp_v", "item_v").says(OTHER, 1.0, response_id="resp_v", item_id="item_v").ends("resp_v")
    assert_sent_whole(book, begin)


def test_an_answer_to_speech_is_sent_whole_although_a_continuation_was_requested_after_a_restart():
    book = half_sent(TimedPlaybook("converse").ready().echoes())
    begin = book.restarted_after()
    assert len(book.asked(since=begin)) == 1
    book.run(2.0).hears("u2", "Never mind. What is two and two?")
    begin = book.here
    book.begins_itself("resp_v", "item_v").says(OTHER, 1.0, response_id="resp_v", item_id="item_v").ends("resp_v")
    assert_sent_whole(book, begin)


# 21: several items, and several parts of one.


def overlapping(profile):
    """Send a remark and an answer in one response; the answer's item begins before the remark is done."""
    book = TimedPlaybook(profile).ready().types("Q")
    book.upstream(created("resp_1", None), output_item("resp_1", "A", phase="commentary"))
    remark = {"response_id": "resp_1", "item_id": "A"}
    answer = {"response_id": "resp_1", "item_id": "B"}
    transcript = "response.output_audio_transcript"
    book.upstream(
        {"type": f"{transcript}.delta", **remark, "delta": "Let me see. I will look"},
        spoken(1.0, item_id="A"),
        output_item("resp_1", "B", phase="final_answer"),
        {"type": f"{transcript}.delta", **remark, "delta": " it up."},
        spoken(1.0, item_id="A"),
        {"type": f"{transcript}.done", **remark, "transcript": "Let me see. I will look it up."},
        {"type": f"{transcript}.delta", **answer, "delta": "It is noon."},
        spoken(1.0, item_id="B"),
        {"type": f"{transcript}.done", **answer, "transcript": "It is noon."},
    )
    return book


@both_profiles
def test_items_that_overlap_are_sent_once_each_and_in_order(profile):
    book = overlapping(profile).ends("resp_1")
    assert joined(book.texts()) == "Let me see. I will look it up. It is noon."


@both_profiles
def test_each_of_two_items_that_overlap_is_truncated_at_what_was_heard_of_it(profile):
    book = overlapping(profile).run(2.5)
    begin = book.here
    book.upstream(started("u2"))
    truncated = [(it["item_id"], it["audio_end_ms"]) for it in book.sent("conversation.item.truncate", since=begin)]
    assert truncated == [("B", 500)]
    assert book.sent("conversation.item.delete", since=begin) == []


@both_profiles
def test_an_item_that_has_not_been_heard_is_deleted_and_not_the_one_before_it(profile):
    book = overlapping(profile).run(1.5)
    begin = book.here
    book.upstream(started("u2"))
    truncated = [(it["item_id"], it["audio_end_ms"]) for it in book.sent("conversation.item.truncate", since=begin)]
    deleted = [it["item_id"] for it in book.sent("conversation.item.delete", since=begin)]
    assert (truncated, deleted) == ([("A", 1500)], ["B"])


@both_profiles
def test_each_of_two_items_reaches_the_next_upstream_with_its_own_words(profile):
    book = overlapping(profile).ends("resp_1").run(10.0)
    begin = book.restarted_after()
    said = [it["content"][0]["text"] for it in book.items(since=begin) if it["role"] == "assistant"]
    assert said == ["Let me see. I will look it up.", "It is noon."]


@both_profiles
def test_both_parts_of_one_item_are_sent(profile):
    book = TimedPlaybook(profile).ready().types("Q").begins("resp_1", "A")
    said = {"response_id": "resp_1", "item_id": "A"}
    book.upstream(
        {"type": "response.output_text.done", **said, "content_index": 0, "text": "Part one."},
        {
            "type": "response.output_audio_transcript.done",
            **said,
            "content_index": 1,
            "transcript": "Part two, spoken.",
        },
    ).ends("resp_1")
    assert joined(book.texts()) == "Part one. Part two, spoken."
    begin = book.restarted_after()
    said = [part["text"] for it in book.items(since=begin) if it["role"] == "assistant" for part in it["content"]]
    assert joined(said) == "Part one. Part two, spoken."


# Suspected: transcripts without an item; messages that a client does not accept.


@both_profiles
def test_an_answer_does_not_wait_for_a_transcript_that_names_no_item(profile):
    book = TimedPlaybook(profile).ready().run(1.0, microphone=b"\x01\x02" * 2400).hears("u1")
    book.upstream(transcription("When?", None)).begins_itself("resp_1", "item_1").says("At noon.")
    assert book.texts() == ["At noon."]
    assert Wait.TRANSCRIPT.value not in book.timers


def test_speech_whose_transcript_names_no_item_reaches_the_next_upstream_once_and_in_words():
    book = TimedPlaybook("converse").ready().run(1.0, microphone=b"\x01\x02" * 2400).hears("u1")
    book.upstream(transcription("When?", None)).begins_itself("resp_1", "item_1").says("At noon.").ends("resp_1")
    begin = book.restarted_after()
    parts = [part["type"] for item in book.items(since=begin) for part in item["content"]]
    assert parts == ["input_text", "output_text"]
