"""Transcripts of the user's speech."""

from tests.support.machine.playbook import Playbook

TRANSCRIPTION = "conversation.item.input_audio_transcription"


def interim_delta(text, item_id="u"):
    return {"type": f"{TRANSCRIPTION}.delta", "item_id": item_id, "content_index": 0, "delta": text}


def component_transcript(text, *, is_final):
    return {
        "type": "Transcript",
        "transcript": text,
        "channel": {"alternatives": [{"transcript": text, "confidence": 1.0}]},
        "is_final": is_final,
        "speech_final": is_final,
    }


def test_the_oldest_interim_words_are_forgotten():
    book = Playbook().ready()
    for number in range(9):
        book.upstream(interim_delta("a", f"u{number}"))
    book.forget().upstream(interim_delta("b", "u0"), interim_delta("b", "u8"))
    book.expect(component_transcript("b", is_final=False), component_transcript("ab", is_final=False))
