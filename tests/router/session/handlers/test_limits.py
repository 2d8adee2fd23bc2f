"""The limits of one call: its length, its longest silence, its tokens, its money."""

import pytest

from actors import messages
from router.session.state import limited as limits
from router.usage.prices import Price, PriceTable
from tests.support.machine.playbook import (
    call_done,
    delta,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
)
from tests.support.machine.timed_playbook import TimedPlaybook

QUESTION = {"type": "InjectUserMessage", "content": "hello"}
SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
SILENT = bytes(4800)


def started(profile="openai", **options):
    return TimedPlaybook(profile, **options).ready().forget()


def sent(book):
    """Return the types and codes of the warnings and errors that the client got."""
    frames = [frame for frame in book.frames_to_client if isinstance(frame, dict)]
    return [(frame["type"], frame["code"]) for frame in frames if frame["type"] in ("Warning", "Error")]


def ask(book):
    book.client(QUESTION).upstream(item_added(book.events_to_upstream[-1]["item"]["id"]))


def answer(book, tokens=0, name="resp_1"):
    usage = {"total_tokens": tokens, "input_tokens": 0, "output_tokens": tokens}
    text = text_done("Hello.", f"item of {name}") | {"response_id": name}
    book.upstream(response_created(name), text, response_done(name, usage=usage))


def assert_ended(book, code):
    assert sent(book) == [("Warning", code), ("Error", code)]
    assert book.ending == messages.EndSession(1000, code, 0.0)


# The length of a call.


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_an_idle_call_is_warned_at_80_percent_and_ends_at_its_length(profile):
    book = started(profile, max_call_s=100.0)
    book.run(79)
    assert sent(book) == []
    book.run(2)
    assert sent(book) == [("Warning", limits.CALL.code)]
    book.run(18)
    assert book.ending is None
    book.run(2)
    assert_ended(book, limits.CALL.code)


def test_a_turn_in_progress_is_finished_first():
    book = started(max_call_s=100.0)
    book.run(99.5)
    ask(book)
    book.run(5)
    assert book.ending is None
    answer(book)
    book.run(1)
    assert_ended(book, limits.CALL.code)


def test_a_turn_without_an_end_has_an_end():
    book = started(max_call_s=100.0)
    book.run(99.5)
    book.upstream(SPEECH_STARTED)
    book.run(limits.GRACE_S + 5, event=SPEECH_STARTED)
    assert_ended(book, limits.CALL.code)


def test_without_limits_no_clock_runs():
    book = started()
    assert not {"call", "silence"} & set(book.timers)


# Silence.


def test_keep_alives_and_an_open_microphone_are_silence():
    book = started(max_silence_s=100.0)
    book.run(50)
    book.client({"type": "KeepAlive"})
    book.run(52, microphone=SILENT)
    assert_ended(book, limits.SILENCE.code)


@pytest.mark.parametrize("sign", ["message", "speech"])
def test_a_message_and_speech_end_a_silence_even_after_the_warning(sign):
    book = started(max_silence_s=100.0)
    book.run(85)
    assert sent(book) == [("Warning", limits.SILENCE.code)]
    if sign == "message":
        ask(book)
        answer(book)
    else:
        book.upstream(SPEECH_STARTED, {"type": "input_audio_buffer.speech_stopped", "item_id": "u"})
    book.run(75)
    assert book.ending is None
    assert len(sent(book)) == 1
    book.run(40)
    assert sent(book) == [("Warning", limits.SILENCE.code)] * 2 + [("Error", limits.SILENCE.code)]


# Tokens and money.


def test_the_tokens_of_a_session_end_it_after_the_answer_that_used_them():
    book = started(max_tokens=100)
    ask(book)
    answer(book, 50)
    assert sent(book) == []
    ask(book)
    answer(book, 30, "resp_2")
    assert sent(book) == [("Warning", limits.TOKENS.code)]
    ask(book)
    answer(book, 30, "resp_3")
    book.run(1)
    assert_ended(book, limits.TOKENS.code)


def test_one_answer_that_passes_both_shares_is_warned_of_and_delivered():
    book = started(max_tokens=10)
    ask(book)
    answer(book, 1000)
    book.run(1)
    assert "Hello." in str(book.frames_to_client)
    assert_ended(book, limits.TOKENS.code)


def talked_out(**options):
    """Begin a session whose last token the caller still hears."""
    book = started(max_tokens=10, **options).types("Tell me more.").begins()
    return book.says("Hello.", 5.0).ends(usage={"total_tokens": 10, "input_tokens": 0, "output_tokens": 10}).run(1)


@pytest.mark.parametrize("profile", ["openai", "converse"])
@pytest.mark.parametrize("sign", ["message", "speech"])
def test_the_last_token_is_heard_and_a_further_turn_ends_the_session(profile, sign):
    book = talked_out(profile=profile)
    assert book.ending is None
    asked = len(book.asked())
    if sign == "message":
        book.client(QUESTION)
    else:
        book.upstream(SPEECH_STARTED)
    assert_ended(book, limits.TOKENS.code)
    assert len(book.asked()) == asked


def test_an_answer_that_is_interrupted_behind_the_last_token_is_the_last():
    book = started(max_tokens=10).types("Tell me more.").begins().says("Hello.", 5.0)
    details = {"total_tokens": 10, "input_tokens": 0, "output_tokens": 10}
    book.types("Or rather of this.").ends(status="cancelled", usage=details).begins("resp_2", "item_2")
    assert book.ending is None
    book.client(QUESTION)
    assert sent(book) == [("Warning", limits.TOKENS.code), ("Error", limits.TOKENS.code)]
    assert (book.ending.code, book.ending.reason) == (1000, limits.TOKENS.code)


def test_an_open_microphone_does_not_cut_the_last_answer():
    book = talked_out()
    book.run(3, microphone=SILENT)
    assert book.ending is None
    book.run(2)
    assert_ended(book, limits.TOKENS.code)


def test_the_money_of_a_session_ends_it():
    prices = PriceTable({"gpt-realtime-2.1": Price(text_output=1_000_000.0)})
    book = started(max_cost_usd=2.0, price_table=prices)
    ask(book)
    answer(book, 2)
    book.run(1)
    assert_ended(book, limits.COST.code)


def test_a_drain_after_a_limit_ends_the_session_once():
    book = started(max_call_s=100.0)
    book.run(99.5)
    ask(book)
    book.run(1)
    book.feed(messages.DrainBegan(30.0))
    answer(book)
    book.run(1)
    assert_ended(book, limits.CALL.code)


def test_the_settings_of_the_client_do_not_matter():
    book = TimedPlaybook("converse", max_call_s=10.0).opened()
    book.client(settings()).run(11)
    assert sent(book)[-1][0] == "Error"


# Turns, and the sums of a day.


def test_a_call_ends_after_its_largest_number_of_turns():
    book = started(max_turns=2)
    ask(book)
    answer(book, name="resp_1")
    assert sent(book) == []
    ask(book)
    answer(book, name="resp_2")
    book.run(1)
    assert_ended(book, limits.TURNS.code)


def test_an_answer_without_an_announcement_and_an_end_counts():
    book = started(max_turns=2)
    for name in ("resp_1", "resp_2"):
        assert book.ending is None
        ask(book)
        book.upstream(text_done("Hello.", f"item of {name}") | {"response_id": name})
    book.run(1)
    assert_ended(book, limits.TURNS.code)


@pytest.mark.parametrize("has_end", [False, True])
def test_an_answer_to_speech_without_an_announcement_counts_once(has_end):
    book = started(max_turns=9).hears("u1", "Hi.").upstream(text_done("Hello.") | {"response_id": "resp_1"})
    if has_end:
        book.upstream(response_done("resp_1"))
    assert book.session.state.limited.spending.turns == 1


@pytest.mark.parametrize("end", ["before the output", "behind the output", "none"])
def test_an_answer_with_a_function_call_counts_once(end):
    functions = {"think": {"provider": {"type": "open_ai"}, "functions": [{"name": "lookup"}]}}
    book = TimedPlaybook(max_turns=9).ready(settings(**functions)).types("Look it up.")
    book = book if end == "none" else book.begins()
    book.upstream(delta(SILENT, "resp_1", item_id="item_1"), call_done("call_1"))
    book = book.ends() if end == "before the output" else book
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"}).acknowledge()
    book = book.ends() if end == "behind the output" else book
    book.answers("It is 42.", response_id="resp_2", item_id="item_2")
    assert book.session.state.limited.spending.turns == 1


def test_an_answer_that_the_user_interrupts_counts():
    book = started(max_turns=9)
    ask(book)
    place = {"response_id": "resp_1", "item_id": "a", "output_index": 0, "content_index": 0}
    book.upstream(response_created("resp_1"), {"type": "response.output_text.delta", **place, "delta": "One"})
    cut = response_done("resp_1", status="cancelled", status_details={"reason": "turn_detected"})
    book.upstream(SPEECH_STARTED, cut)
    assert book.session.state.limited.spending.turns == 1


def test_a_client_that_has_spent_its_day_is_ended_between_turns():
    spent = [0, 0.0, 0]

    def spend(tokens, cost_usd, turns):
        spent[:] = spent[0] + tokens, spent[1] + cost_usd, spent[2] + turns
        return tuple(spent)

    book = started(max_tokens_per_day=1000, spend_today=spend)
    ask(book)
    answer(book, tokens=850)
    assert sent(book) == [("Warning", limits.TOKENS_TODAY.code)]
    spent[0] += 100  # another session of this client
    ask(book)
    answer(book, tokens=60, name="resp_2")
    book.run(1)
    assert_ended(book, limits.TOKENS_TODAY.code)


def test_a_client_whose_turns_of_the_day_are_used_is_ended_between_turns():
    turns = iter((8, 8, 10, 10))  # another session of this client answers as well
    book = started(max_turns_per_day=10, spend_today=lambda *_spent: (0, 0.0, next(turns)))
    ask(book)
    answer(book, name="resp_1")
    assert sent(book) == [("Warning", limits.TURNS_TODAY.code)]
    ask(book)
    answer(book, name="resp_2")
    book.run(1)
    assert_ended(book, limits.TURNS_TODAY.code)


# The agent's question into a silence, and its goodbye.

ASKING = {"max_silence_s": 100.0, "silence_question": "Are you still there?", "silence_goodbye": "Goodbye."}


def spoken(book):
    """Return what the upstream was asked to speak word for word."""
    creates = [str(event) for event in book.events_to_upstream if event["type"] == "response.create"]
    wanted = (ASKING["silence_question"], ASKING["silence_goodbye"])
    return [words for event in creates for words in wanted if words in event]


def speak(book, words, name):
    metadata = book.events_to_upstream[-1]["response"].get("metadata")
    created, done = response_created(name), response_done(name)
    for event in (created, done):
        event["response"]["metadata"] = metadata
    book.upstream(created, text_done(words, f"item of {name}") | {"response_id": name}, done)


def test_the_agent_asks_into_a_silence_says_goodbye_and_ends():
    book = started(**ASKING)
    book.run(81)
    assert spoken(book) == ["Are you still there?"]
    speak(book, "Are you still there?", "resp_q")
    book.run(15)
    assert book.ending is None
    book.run(10)
    assert spoken(book) == ["Are you still there?", "Goodbye."]
    assert book.ending is None
    speak(book, "Goodbye.", "resp_g")
    book.run(1)
    assert_ended(book, limits.SILENCE.code)


def test_a_user_who_answers_the_question_begins_a_new_silence():
    book = started(**ASKING)
    book.run(81)
    speak(book, "Are you still there?", "resp_q")
    book.upstream(SPEECH_STARTED, {"type": "input_audio_buffer.speech_stopped", "item_id": "u"})
    book.run(75)
    assert book.ending is None
    assert spoken(book) == ["Are you still there?"]


def test_an_answer_that_the_upstream_starts_in_a_silence_does_not_end_it():
    book = started(max_silence_s=100.0)
    for number in range(4):
        book.run(24)
        book.upstream({"type": "input_audio_buffer.timeout_triggered", "item_id": f"u{number}"})
        answer(book, name=f"resp_{number}")
    book.run(30)
    assert_ended(book, limits.SILENCE.code)


# The silence that a client chooses.


def with_idle(idle_ms, **options):
    book = TimedPlaybook("openai", **options)
    return book.ready(settings(idleTimeoutMs=idle_ms)).forget()


@pytest.mark.parametrize(("idle_ms", "ends_s"), [(10_000, 12), (1, 7), (900_000, 100)])
def test_a_client_s_own_idle_timeout_is_honoured_within_bounds(idle_ms, ends_s):
    book = with_idle(idle_ms, max_silence_s=100.0)
    ask(book)
    answer(book)
    book.run(ends_s - 1)
    assert book.ending is None
    book.run(2)
    assert book.ending == messages.EndSession(1000, limits.SILENCE.code, 0.0)


def test_a_client_s_own_idle_timeout_begins_with_its_user_and_comes_without_a_warning():
    book = with_idle(10_000)
    book.run(60)
    assert book.ending is None
    ask(book)
    answer(book)
    book.run(14)
    assert sent(book)[-1] == ("Error", limits.SILENCE.code)
