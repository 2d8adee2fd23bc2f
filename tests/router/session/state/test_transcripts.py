"""Transcripts of the user's speech."""

from router.deepgram.messages import AgentAudioDone, ConversationText
from router.session.state.transcripts import (
    MAX_AWAITED,
    MAX_EARLY,
    MAX_HELD,
    MAX_HELD_BYTES,
    MAX_ITEMS,
    InterimTranscripts,
    Transcripts,
)

HI = ConversationText(role="assistant", content="Hi.")
DONE = AgentAudioDone()


def test_interim_words_are_new_until_the_item_is_complete():
    interim = InterimTranscripts()
    assert interim.update("u", "Hel")
    assert not interim.update("u", "Hel")
    assert interim.update("u", "Hello")
    interim.complete("u")
    assert not interim.update("u", "Hello!")
    assert interim.so_far("u") == ""


def test_an_item_without_an_id_is_never_complete():
    interim = InterimTranscripts()
    interim.complete(None)
    assert interim.update(None, "Hello")


def test_only_the_newest_items_are_remembered():
    interim = InterimTranscripts()
    for number in range(MAX_ITEMS + 1):
        interim.update(f"u{number}", "Hello")
    assert [interim.so_far(f"u{number}") for number in (0, 1, MAX_ITEMS)] == ["", "Hello", "Hello"]


def test_transcripts_are_awaited_until_each_is_resolved():
    transcripts = Transcripts()
    for item_id in ("u", "v"):
        transcripts.expect(item_id)
    transcripts.resolve("u")
    assert transcripts.are_awaited
    transcripts.resolve("v")
    assert not transcripts.are_awaited


def test_a_transcript_that_came_before_its_commit_is_not_awaited_unless_another_upstream_gave_the_id():
    transcripts = Transcripts()
    transcripts.resolve("u")
    transcripts.expect("u")
    assert not transcripts.are_awaited
    transcripts.forget_upstream_ids()
    transcripts.expect("u")
    assert transcripts.are_awaited


def test_early_transcripts_are_bounded():
    transcripts = Transcripts()
    for number in range(MAX_EARLY + 1):
        transcripts.resolve(f"u{number}")
    transcripts.expect("u0")
    assert transcripts.are_awaited


def test_any_transcript_resolves_an_item_without_an_id():
    transcripts = Transcripts()
    transcripts.expect(None)
    transcripts.resolve("u")
    assert not transcripts.are_awaited


def test_held_texts_of_a_cut_item_are_dropped_and_the_end_of_the_turn_stays():
    transcripts = Transcripts()
    for message, item_id in ((HI, "i"), (DONE, None), (HI, "other")):
        transcripts.hold(message, 10, item_id)
    transcripts.drop_texts({"i"})
    assert transcripts.take_held() == [DONE, HI]
    assert transcripts.take_held() == []


def test_abandoned_transcripts_release_the_held_messages():
    transcripts = Transcripts()
    transcripts.expect("u")
    transcripts.hold(HI, 10, "i")
    assert transcripts.abandon() == [HI]
    assert not transcripts.are_awaited


def test_awaited_transcripts_are_bounded():
    transcripts = Transcripts()
    for number in range(MAX_AWAITED + 1):
        transcripts.expect(f"u{number}")
    assert len(transcripts) == MAX_AWAITED
    for number in range(1, MAX_AWAITED + 1):
        transcripts.resolve(f"u{number}")
    assert not transcripts.are_awaited


def test_held_messages_are_bounded_by_number_and_size():
    transcripts = Transcripts()
    for _ in range(MAX_HELD - 1):
        transcripts.hold(HI, 10)
    assert not transcripts.are_full
    transcripts.hold(HI, 10)
    assert transcripts.are_full
    transcripts.take_held()
    transcripts.hold(HI, MAX_HELD_BYTES)
    assert transcripts.are_full
