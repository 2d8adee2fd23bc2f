"""The conversation so far, for another upstream."""

import itertools

from router.audio.formats import LINEAR16_24K, MULAW_8K, Recording
from router.openai import events as openai
from router.session.state.ledger import Ledger
from router.translation.text import message_item


def ledger(tokens=1_000_000, size=1_000_000_000):
    ids = itertools.count(1)
    return Ledger(new_id=lambda: f"id_{next(ids)}", max_tokens=tokens, max_bytes=size)


def linear16(data):
    return Recording(data, LINEAR16_24K)


def replayed(book, since=0):
    """Return the items in short."""
    return [brief(item) for item in book.items_after(since)]


def brief(item):
    match item:
        case openai.MessageItem(role=role, content=[openai.InputAudio(audio=audio)]):
            return (role, audio)
        case openai.MessageItem(role=role, content=[part]):
            return (role, part.text)
        case openai.FunctionCallItem(call_id=call_id):
            return ("call", call_id)
        case openai.FunctionCallOutputItem(call_id=call_id):
            return ("output", call_id)
    return item


def output(call_id):
    return openai.FunctionCallOutputItem(id=f"o_{call_id}", call_id=call_id, output="42")


def test_items_come_back_in_the_order_of_the_conversation():
    book = ledger()
    book.add(message_item("a", "user", "hello"))
    book.add_assistant_text("theirs", "hi")
    book.add_call("fc", "call_1", "f", "{}")
    book.add(output("call_1"))
    book.add({"type": "message", "role": "system", "content": []})
    assert replayed(book) == [
        ("user", "hello"),
        ("assistant", "hi"),
        ("call", "call_1"),
        ("output", "call_1"),
        {"type": "message", "role": "system", "content": []},
    ]


def test_items_that_an_upstream_has_are_left_out():
    book = ledger()
    book.add(message_item("a", "user", "one"))
    mark = book.sequence
    book.add(message_item("b", "user", "two"))
    assert replayed(book, mark) == [("user", "two")]


def test_a_transcript_takes_the_place_of_its_speech():
    book = ledger()
    book.add_speech("u", linear16(b"\1\0" * 100))
    book.add_assistant_text("i", "Yes.")
    assert replayed(book) == [("user", b"\1\0" * 100), ("assistant", "Yes.")]
    book.set_transcript("u", "Hm?")
    assert replayed(book) == [("user", "Hm?"), ("assistant", "Yes.")]


def test_a_transcript_finds_speech_without_an_item_id():
    book = ledger()
    book.add_speech("", linear16(b"\1\0"))
    book.set_transcript("u", "Hm?")
    assert replayed(book) == [("user", "Hm?")]


def test_a_transcript_without_speech_is_the_newest_entry():
    book = ledger()
    book.add_assistant_text("i", "Yes.")
    book.set_transcript("u", "Hm?")
    assert replayed(book) == [("assistant", "Yes."), ("user", "Hm?")]


def test_a_noise_is_deleted():
    book = ledger()
    book.add_speech("u", linear16(b"\1\0" * 100))
    book.set_transcript("u", "")
    assert replayed(book) == []
    assert (book._tokens, book._bytes) == (0, 0)


def test_the_oldest_entry_is_dropped_first_and_counted():
    book = ledger(tokens=100)
    for n in range(20):
        book.add(message_item(str(n), "user", f"{n:02} " + "x" * 40))
    texts = [text[:2] for _, text in replayed(book)]
    assert texts == [f"{n:02}" for n in range(20 - len(texts), 20)]
    assert book.dropped == 20 - len(texts)
    assert book._tokens <= 100


def test_a_call_and_its_output_are_dropped_together():
    book = ledger(size=400)
    book.add_call("fc", "call_1", "f", "{}")
    book.add(output("call_1"))
    while ("call", "call_1") in replayed(book):
        book.add(message_item("m", "user", "x" * 40))
    assert ("output", "call_1") not in replayed(book)
    assert book.dropped == 2


def test_an_output_without_its_call_is_not_kept():
    book = ledger()
    book.add(output("call_1"))
    book.add({"type": "function_call_output", "call_id": "call_2", "output": "x"})
    assert replayed(book) == []
    assert book.dropped == 2


def test_speech_is_bounded_by_its_bytes():
    book = ledger(size=10_000)
    for n in range(5):
        book.add_speech(str(n), linear16(bytes(4000)))
    assert len(book) == 2
    assert book.dropped == 3


def test_long_speech_does_not_push_earlier_text_out():
    book = ledger(size=10_000)
    book.add(message_item("m", "user", "first"))
    book.add_speech("u", linear16(bytes(90_000) + b"\1\1"))
    book.add_speech("v", linear16(bytes(6000)))
    assert replayed(book)[0] == ("user", "first")
    assert len(book) == 2
    assert book.forgotten_bytes == 85_002 + 1000
    assert book._bytes <= 10_000


def test_speech_costs_tokens_by_its_duration():
    """A second is ten tokens in any format."""
    tokens = []
    for audio_format in (LINEAR16_24K, MULAW_8K):
        book = ledger()
        book.add_speech("u", Recording(audio_format.silence(1000), audio_format))
        tokens.append(book._tokens)
    assert tokens == [10, 10]


def test_speech_is_replayed_in_the_next_upstream_s_format():
    book = ledger()
    book.add_speech("u", Recording(MULAW_8K.silence(100), MULAW_8K))

    for audio_format in (LINEAR16_24K, MULAW_8K):
        (item,) = book.items_after(0, audio_format)
        assert item.content[0].audio == audio_format.silence(100)
