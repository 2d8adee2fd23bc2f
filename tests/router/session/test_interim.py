"""What the user is saying, while it is put into words."""

import pytest

from tests.support.machine.playbook import Playbook, user

KIND = "conversation.item.input_audio_transcription"


def delta(text, item_id="u"):
    return {"type": f"{KIND}.delta", "item_id": item_id, "content_index": 0, "delta": text}


def updated(text, item_id="u"):
    return {"type": f"{KIND}.updated", "item_id": item_id, "transcript": text}


def completed(text, item_id="u", **more):
    return {"type": f"{KIND}.completed", "item_id": item_id, "content_index": 0, "transcript": text, **more}


def transcript(text, *, is_final):
    return {
        "type": "Transcript",
        "transcript": text,
        "channel": {"alternatives": [{"transcript": text, "confidence": 1.0}]},
        "is_final": is_final,
        "speech_final": is_final,
    }


def test_what_is_being_said_is_told_as_it_grows_and_never_behind_its_end():
    book = Playbook().ready().upstream(delta(" Hello"), delta(","), delta(" you"))
    book.expect(*(transcript(words, is_final=False) for words in ("Hello", "Hello,", "Hello, you")))
    book.upstream(completed(" Hello, you. ")).expect(user("Hello, you."), transcript("Hello, you.", is_final=True))
    book.upstream(delta("!"), updated("Hello")).expect()


def test_two_items_at_a_time_are_told_apart():
    book = Playbook().ready().upstream(delta("One", "u1"), delta("Two", "u2"), completed("One.", "u1"))
    book.forget().upstream(delta(" more", "u2")).expect(transcript("Two more", is_final=False))


def test_a_service_that_repeats_what_it_heard_is_told_once():
    book = Playbook().ready().upstream(updated("Hel"), updated("Hello"), completed("Hello", status="in_progress"))
    book.expect(transcript("Hel", is_final=False), transcript("Hello", is_final=False))
    book.upstream(completed("Hello.", status="completed"))
    book.expect(user("Hello."), transcript("Hello.", is_final=True))


def test_silence_is_not_told():
    Playbook().ready().upstream(delta(" "), delta("\n"), updated("")).expect()


@pytest.mark.parametrize("event", [delta("Hello"), updated("Hello"), completed("Hello", status="in_progress")])
def test_on_converse_there_are_no_interim_transcripts(event):
    Playbook("converse").ready().upstream(event).expect()


def test_of_many_items_the_oldest_are_forgotten():
    book = Playbook().ready()
    for number in range(9):
        book.upstream(delta("a", f"u{number}"))
    book.forget().upstream(delta("b", "u0"), delta("b", "u8"))
    book.expect(transcript("b", is_final=False), transcript("ab", is_final=False))
