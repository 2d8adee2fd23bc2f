"""The sound of an answer: both voices, as texts grow and as sentences arrive."""

import pytest

from router.simulator import voice
from router.simulator.answer import Text
from router.simulator.sound import Babble, Pending, Piece, SpeechRequest, Words
from router.simulator.speech import pace
from router.simulator.speech.messages import Speech

CHUNK_MS = 100


def speech(text, ms, words=()):
    """Return a sound of `ms`, each of whose bytes is the first letter of the text."""
    return Speech(text[:1].encode() * ms * 8, tuple(words))


def spoken(words, *, take=lambda _request: None):
    """Return the pieces until the end; `take` is called with each request, and returns its sound."""
    pieces = []
    for step in words.pieces():
        if isinstance(step, SpeechRequest):
            words.supply(take(step.text))
        elif isinstance(step, Piece):
            pieces.append(step)
    return pieces


def test_the_voice_without_words_is_the_same_for_a_text_that_grows():
    whole = "It is 21 degrees in Paris."
    text = Text()
    babble = Babble(text, voice.PCMU, ms_per_character=60, chunk_ms=CHUNK_MS)
    heard = []
    steps = babble.pieces()
    for character in whole:
        text.text += character
        text.is_complete = text.text == whole
        for step in steps:
            if isinstance(step, Pending):
                break
            heard.append(step)

    assert b"".join(piece.audio for piece in heard) == voice.speech_chunk(whole, 0, len(whole) * 60, voice.PCMU)
    assert {piece.duration_ms for piece in heard[:-1]} == {CHUNK_MS}


def test_sentences_are_requested_two_ahead():
    words = Words(Text("One. Two. Three. Four.", is_complete=True), voice.PCMU, chunk_ms=CHUNK_MS)
    steps = words.pieces()

    assert [next(steps) for _ in range(3)] == [SpeechRequest("One. "), SpeechRequest("Two. "), Pending()]
    words.supply(speech("One. ", 300))
    assert next(steps) == SpeechRequest("Three. ")


def test_a_sentence_that_grows_is_requested_when_it_is_whole():
    text = Text("It costs 3.")
    words = Words(text, voice.PCMU, chunk_ms=CHUNK_MS)
    steps = words.pieces()

    assert next(steps) == Pending()
    text.text += "50 a day. And"
    assert next(steps) == SpeechRequest("It costs 3.50 a day. ")
    text.text += " that is all"
    text.is_complete = True
    assert next(steps) == SpeechRequest("And that is all")


def test_a_text_without_a_full_stop_is_cut_between_words():
    requests = []
    spoken(Words(Text("word " * 200, is_complete=True), voice.PCMU, chunk_ms=CHUNK_MS), take=requests.append)

    assert "".join(requests) == "word " * 200
    assert all(len(text) <= 240 and text.endswith(" ") for text in requests)


def test_a_sentence_begins_at_the_pace_of_its_place():
    text = "One two three. Four five six."
    pieces = spoken(
        Words(Text(text, is_complete=True), voice.PCMU, chunk_ms=CHUNK_MS), take=lambda part: speech(part, 600)
    )

    assert [piece.duration_ms for piece in pieces] == [600, pace.whole_ms("One two three. ") - 600, 600]
    assert set(voice.decoded(pieces[1].audio, voice.PCMU)) == {0}


def test_pieces_end_between_words_where_a_router_estimates_them():
    text = "One two three four five."
    on_time = [(text.index(word), pace.whole_ms(text[: text.index(word)])) for word in text.split()]
    late = [*on_time[:2], (on_time[2][0], on_time[2][1] + 600), *on_time[3:]]
    pieces = spoken(
        Words(Text(text, is_complete=True), voice.PCMU, chunk_ms=CHUNK_MS),
        take=lambda part: speech(part, 1600, late),
    )

    ends = [sum(piece.duration_ms for piece in pieces[: at + 1]) for at in range(len(pieces))]
    assert ends == [on_time[1][1], on_time[3][1], on_time[4][1], 1600]


def test_a_sentence_without_a_word_is_no_piece():
    words = Words(Text("... One.", is_complete=True), voice.PCMU, chunk_ms=CHUNK_MS)
    pieces = spoken(words, take=lambda part: speech(part, 300 if "One" in part else 0))
    assert all(piece.duration_ms > 0 for piece in pieces)


def test_a_sentence_without_a_sound_is_spoken_by_the_other_voice():
    text = "One two three. Four."
    pieces = spoken(
        Words(Text(text, is_complete=True), voice.PCMU, chunk_ms=CHUNK_MS),
        take=lambda part: None if part.startswith("One") else speech(part, 200),
    )

    assert sum(piece.duration_ms for piece in pieces) == pytest.approx(pace.whole_ms("One two three. ") + 200, abs=15)
    assert b"F" * 1600 in b"".join(piece.audio for piece in pieces)
