"""The conversation so far, for another upstream."""

import itertools

from hypothesis import given, strategies

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


def output(call_id, content="42"):
    return openai.FunctionCallOutputItem(id=f"o_{call_id}", call_id=call_id, output=content)


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


def test_a_transcript_that_names_no_item_is_that_of_the_oldest_speech():
    book = ledger()
    for item_id in ("u", "v"):
        book.add_speech(item_id, linear16(b"\1\0"))
    book.set_transcript(None, "One.")
    book.set_transcript("v", "Two.")
    assert replayed(book) == [("user", "One."), ("user", "Two.")]


def test_a_transcript_of_an_unknown_item_takes_no_other_item_s_place():
    book = ledger()
    book.add_speech("u", linear16(b"\1\0"))
    book.set_transcript("v", "Two.")
    assert replayed(book) == [("user", b"\1\0"), ("user", "Two.")]


def test_a_context_is_trimmed_once_and_its_newest_messages_are_kept():
    book = ledger(tokens=500)
    book.extend(message_item(str(n), "user", f"{n:04}") for n in range(1000))
    texts = [text for _, text in replayed(book)]
    assert texts == [f"{n:04}" for n in range(1000 - len(texts), 1000)]
    assert book.dropped == 1000 - len(texts)
    assert book._tokens <= 500


def test_one_long_entry_is_cut_and_drives_nothing_out():
    book = ledger(tokens=1000)
    book.add(message_item("a", "user", "first"))
    book.add(message_item("b", "user", "x" * 100_000))
    (first, second) = replayed(book)
    assert first == ("user", "first")
    assert second[1].endswith("x…")
    assert (book.cut, book.dropped) == (1, 0)


def test_a_refused_item_is_forgotten_by_its_own_id_or_by_the_client_s_event():
    book = ledger()
    book.add(message_item("a", "user", "one"))
    book.add({"id": "mine", "type": "message", "role": "user", "content": []}, event_id="e1")
    book.add_assistant_text("theirs", "two")
    book.refuse("e1")
    book.refuse("theirs")  # an upstream's own id names no event
    assert replayed(book) == [("user", "one"), ("assistant", "two")]
    book.refuse("a")
    assert replayed(book) == [("assistant", "two")]
    assert book.dropped == 0


def test_a_refused_half_of_a_call_takes_the_other_one_with_it():
    book = ledger()
    book.add_call("fc", "call_1", "f", "{}")
    book.add(output("call_1"))
    book.refuse("o_call_1")
    assert replayed(book) == []
    assert (book._tokens, book._bytes) == (0, 0)


def test_a_call_names_its_output_and_any_other_item_names_none():
    book = ledger()
    book.add(message_item("user", "hello", "q"))
    book.add_call("fc", "call_1", "f", "{}")
    (_, call) = book.items_after()
    assert book.output_of(call.id) is None
    book.add(output("call_1"))
    assert book.output_of(call.id) == "o_call_1"
    assert (book.output_of("o_call_1"), book.output_of("q"), book.output_of("unknown")) == (None, None, None)


def test_calls_of_one_id_are_pairs_of_their_own():
    book = ledger()
    for n in range(3):
        book.add_call(f"fc_{n}", "1", "f", f'{{"n":{n}}}')
        book.add(output("1", f"out {n}"))
    book.delete("fc_1")
    items = list(book.items_after())
    assert [getattr(it, "arguments", None) or it.output for it in items] == ['{"n":0}', "out 0", '{"n":2}', "out 2"]


def test_a_second_output_of_a_call_is_not_kept():
    book = ledger()
    book.add_call("fc", "1", "f", "{}")
    book.add(output("1"))
    book.add(output("1"))
    assert replayed(book) == [("call", "1"), ("output", "1")]
    assert book.dropped == 1


def test_an_output_belongs_to_the_newest_call_that_has_none():
    book = ledger()
    for n in range(2):
        book.add_call(f"fc_{n}", "1", "f", "{}")
    book.add(output("1"))
    book.delete("fc_0")
    assert replayed(book) == [("call", "1"), ("output", "1")]


def test_a_call_that_the_upstream_ran_itself_stands_there_once():
    book = ledger()
    for _ in range(2):
        book.add_finished_call("mcp_1", "find", '{"id":7}', "in Berlin")
    call, answer = book.items_after()
    assert (call.name, call.arguments, answer.output) == ("find", '{"id":7}', "in Berlin")
    assert call.call_id == answer.call_id


def test_the_newest_entry_and_its_other_half_are_never_dropped():
    book = ledger(tokens=300)
    book.add_call("fc", "1", "f", "{}")
    while book._tokens < 250:
        book.add(message_item("m", "user", "x" * 40))
    book.add(output("1", "y" * 200))
    assert replayed(book)[0] == ("call", "1")
    assert replayed(book)[-1] == ("output", "1")
    assert book.dropped > 0


names = strategies.sampled_from(["1", "2"])
STEPS = strategies.one_of(
    strategies.tuples(strategies.just("text"), strategies.integers(0, 300)),
    strategies.tuples(strategies.just("call"), names),
    strategies.tuples(strategies.just("output"), names),
    strategies.tuples(strategies.just("speech"), strategies.integers(0, 3000)),
    strategies.tuples(strategies.just("transcript"), strategies.sampled_from(["", "Hm?"])),
    strategies.tuples(strategies.just("correct"), strategies.sampled_from(["", "cut"])),
    strategies.tuples(strategies.just("delete"), strategies.integers(0, 20)),
    strategies.tuples(strategies.just("refuse"), strategies.integers(0, 20)),
    strategies.tuples(strategies.just("extend"), strategies.integers(0, 10)),
)


def take_step(book, at, step, value):
    """Change the ledger as a conversation does."""
    match step:
        case "text":
            book.add(message_item(f"m{at}", "user", "x" * value))
        case "call":
            book.add_call(f"m{at}", value, "f", "{}")
        case "output":
            book.add(openai.FunctionCallOutputItem(id=f"m{at}", call_id=value, output=str(at)))
        case "speech":
            book.add_speech(f"m{at}", linear16(bytes(2 * value)))
        case "transcript":
            book.set_transcript(None, value)
        case "correct":
            book.correct(f"m{at - 1}", value)
        case "delete":
            book.delete(f"m{value}")
        case "refuse":
            book.refuse(f"m{value}")
        case "extend":
            book.extend(message_item(f"m{at}", "user", "y") for _ in range(value))


@given(strategies.lists(STEPS, max_size=30))
def test_after_any_steps_both_bounds_hold_and_no_pair_is_split(steps):
    book = ledger(tokens=300, size=3000)
    for at, (step, value) in enumerate(steps):
        take_step(book, at, step, value)
        entries = list(book._entries.values())
        assert book._tokens == sum(it.tokens for it in entries)
        assert book._bytes == sum(it.size_bytes for it in entries)
        assert len(entries) <= 2 or (book._tokens <= 300 and book._bytes <= 3000)
        outputs = [it for it in entries if isinstance(it.item, openai.FunctionCallOutputItem)]
        assert all(it.other_half in entries and it.other_half.other_half is it for it in outputs)
        calls = [it for it in entries if isinstance(it.item, openai.FunctionCallItem)]
        open_calls = [it for waiting in book._open_calls.values() for it in waiting]
        assert all((it.other_half is None) is (it in open_calls) for it in calls)
        assert all(it in entries for it in open_calls)
        assert list(book._speech.values()) == [it for it in entries if it.audio.data or it.item is None]


def test_texts_are_yielded_in_order_up_to_untranscribed_speech():
    ids = map(str, itertools.count())
    ledger = Ledger(new_id=lambda: next(ids), max_tokens=1000, max_bytes=100_000)
    ledger.add(message_item("a", "user", "One"))
    ledger.add(message_item("b", "assistant", "Two"))
    ledger.add_speech("u", Recording(bytes(4800), LINEAR16_24K))
    ledger.add(message_item("c", "user", "Three"))
    assert [(sequence, item.id) for sequence, item in ledger.texts_after()] == [(1, "a"), (2, "b")]
    assert [item.id for _, item in ledger.texts_after(1)] == ["b"]
    ledger.set_transcript("u", "Spoken")
    assert [sequence for sequence, _ in ledger.texts_after()] == [1, 2, 3, 4]


def test_items_that_an_upstream_refused_come_again_and_an_odd_id_is_no_such_item():
    book = ledger()
    book.add(message_item("a", "user", "hello"))
    book.add({"id": ["b"], "type": "message", "role": "user", "content": []})
    since = book.sequence
    assert [brief(it) for it in book.items_after(since, again={"a": 1})] == [("user", "hello")]
