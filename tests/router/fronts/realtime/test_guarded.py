"""The guard around the relay of OpenAI Realtime."""

import json

import pytest

from actors import messages as engine
from router.fronts.realtime.guarded import BLOCKED, ENDED, RealtimeDialect
from router.guard.inputs import MAX_WAITING, OVER_BOUNDS
from router.guard.relay import MAX_FRAME_CHARS
from router.guard.texts import WITHHELD
from router.guard.windows import MAX_WINDOWS
from router.json_bounds import MAX_RECOUNT_CHARS, MAX_VALUES
from tests.support.machine.guarded_relays import Checked, rule
from tests.support.machine.realtime_book import AUDIO_SESSION, RealtimeBook, message

FORBIDDEN = "the secret word. "
PLACE = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}


class GuardedBook(RealtimeBook):
    def __init__(self, *rules, at_once=True, **guard):
        self._guard = rules, {"at_once": at_once, **guard}
        self._is_wrapped = False
        super().__init__()
        self.ready(**AUDIO_SESSION)

    def feed(self, received):
        if not self._is_wrapped:
            self._is_wrapped = True
            rules, options = self._guard
            self.relay = Checked(self.relay, RealtimeDialect(), *rules, **options)
        return super().feed(received)

    def decide(self, **verdict):
        commands, relay = self.relay.decide(self.now_s, **verdict), self.relay
        self.relay = Given(commands, relay.context)
        super().feed(None)
        self.relay = relay
        return self

    def speak(self, *texts):
        for text in texts:
            self.server("response.output_audio_transcript.delta", **PLACE, delta=text)
            self.server("response.output_audio.delta", **PLACE, delta="AAAA")
        return self

    def spoken(self, text):
        self.server("response.output_audio_transcript.done", **PLACE, transcript=text)
        part = {"type": "audio", "transcript": text}
        self.server("response.content_part.done", **PLACE, part=part)
        item = {"id": "a1", "type": "message", "role": "assistant", "content": [{**part, "type": "output_audio"}]}
        self.server("response.output_item.done", response_id="r1", output_index=0, item=item)
        return self.server("response.done", response={"id": "r1", "status": "completed", "output": [item]})

    def heard(self, transcript, name="u1"):
        self.server("input_audio_buffer.committed", item_id=name, previous_item_id=None)
        return self.transcribed(transcript, name)

    def transcribed(self, transcript, name="u1"):
        kind = "conversation.item.input_audio_transcription"
        self.server(f"{kind}.delta", item_id=name, content_index=0, delta=transcript)
        return self.server(f"{kind}.completed", item_id=name, content_index=0, transcript=transcript)

    @property
    def errors(self):
        return [it["error"]["code"] for it in self.sent if it["type"] == "error"]

    @property
    def text(self):
        return "".join(it["delta"] for it in self.sent if it["type"].endswith("transcript.delta"))

    @property
    def audio(self):
        return sum(it["type"] == "response.output_audio.delta" for it in self.sent)

    @property
    def requests(self):
        return [it["type"] for it in self.upstream]


class Given:
    """A machine that has only these commands left."""

    def __init__(self, commands, context):
        self._commands, self.context = commands, context

    def handle(self, _message, _now_s):
        return self._commands


def test_without_a_hit_the_client_gets_the_same_words_and_sounds_in_order():
    book = GuardedBook(rule()).begin().speak("Hello ", "there. ", "Good ", "day.").spoken("Hello there. Good day.")
    assert book.text == "Hello there. Good day."
    assert book.audio == 4
    last = book.sent[-1]["response"]["output"][0]["content"][0]["transcript"]
    assert (book.sent[-1]["type"], last) == ("response.done", "Hello there. Good day.")
    assert book.errors == []


def test_words_and_sounds_wait_for_the_verdict():
    book = GuardedBook(rule(), at_once=False).begin()
    book.take()
    book.speak("Hello there. ")
    assert (book.text, book.audio) == ("", 0)
    book.decide()
    assert (book.text, book.audio) == ("Hello there. ", 1)


def test_a_client_that_is_back_gets_its_first_event_before_the_words_that_waited():
    book = GuardedBook(rule(), at_once=False).begin()
    book.speak("Hello there. ")
    book.take()
    book.feed(engine.ClientAdopted(is_planned=True, is_new_client=True))
    assert [it["type"] for it in book.take()[0]] == ["session.created"]


def test_a_blocked_answer_is_cancelled_and_no_frame_repeats_its_words():
    book = (
        GuardedBook(rule()).begin().speak("Well. ", FORBIDDEN, "More of it. ").spoken(f"Well. {FORBIDDEN}More of it. ")
    )
    assert book.text == "Well. "
    assert book.errors == [BLOCKED]
    assert [it["response_id"] for it in book.upstream if it["type"] == "response.cancel"] == ["r1"]
    written = json.dumps(book.sent)
    assert "secret" not in written
    assert "More" not in written
    assert book.sent[-1]["response"]["output"][0]["content"][0]["transcript"] == "Well. "


def test_replaced_words_are_replaced_in_every_frame_and_their_sounds_withheld():
    book = GuardedBook(rule("replace")).begin().speak("Well. ", FORBIDDEN, "Bye. ").spoken(f"Well. {FORBIDDEN}Bye. ")
    assert book.text == "Well. the *** word. Bye. "
    assert "secret" not in json.dumps(book.sent)
    assert (book.audio, book.errors) == (2, [])
    assert "response.cancel" not in book.requests


# Texts that no delta had.


def item_of(text, role="assistant", name="a1"):
    return {"id": name, "type": "message", "role": role, "content": [{"type": "output_text", "text": text}]}


def ended_with(book, text):
    part = {"type": "output_text", "text": text}
    book.server("response.content_part.done", **PLACE, part=part)
    book.server("response.output_item.done", response_id="r1", output_index=0, item=item_of(text))
    book.server("conversation.item.done", previous_item_id=None, item=item_of(text))
    return book.server("response.done", response={"id": "r1", "status": "completed", "output": [item_of(text)]})


def test_a_text_that_no_delta_had_is_checked_once_and_passes():
    book = GuardedBook(rule(), at_once=False).begin()
    book.take()
    ended_with(book, "Hello there.")
    assert book.sent == []
    assert len(book.relay.works) == 1
    book.decide()
    assert json.dumps(book.sent).count("Hello there.") == 4
    assert not book.relay.works
    assert book.relay.machine.is_at_rest


@pytest.mark.parametrize(("action", "left"), [("block", ""), ("replace", "the *** word. ")])
def test_a_text_that_no_delta_had_is_withheld_from_every_event(action, left):
    book = ended_with(GuardedBook(rule(action)).begin(), FORBIDDEN)
    assert "secret" not in json.dumps(book.sent)
    assert [it["type"] for it in book.sent].count("response.done") == 1
    assert book.sent[-1]["response"]["output"][0]["content"][0]["text"] == left
    assert book.errors == ([BLOCKED] if action == "block" else [])


def test_a_further_text_of_a_blocked_answer_is_withheld_from_its_last_event():
    book = GuardedBook(rule()).begin().speak(FORBIDDEN)
    book.server("response.done", response={"id": "r1", "status": "cancelled", "output": [item_of("More.", name="a2")]})
    assert book.sent[-1]["response"]["output"][0]["content"][0]["text"] == ""


def test_an_item_of_no_answer_is_emptied_and_the_next_answer_goes_on():
    book = GuardedBook(rule(on=("agent",)))
    book.client("conversation.item.create", item=item_of(FORBIDDEN, name="mine"))
    book.server("conversation.item.added", previous_item_id=None, item=item_of(FORBIDDEN, name="mine"))
    assert book.errors == [BLOCKED]
    assert "secret" not in json.dumps(book.sent)
    assert book.begin().speak("Hello there. ").text == "Hello there. "
    assert "response.cancel" not in book.requests


def test_a_text_without_a_verdict_is_empty_at_the_end_of_the_session():
    book = ended_with(GuardedBook(rule(), at_once=False).begin(), FORBIDDEN)
    book.feed(engine.EndRequested())
    assert "secret" not in json.dumps(book.sent)
    assert "response.done" in [it["type"] for it in book.sent]


def test_no_event_repeats_a_text_without_a_verdict_at_the_end_of_the_session():
    book = GuardedBook(rule(), at_once=False).begin().speak(FORBIDDEN)
    ended_with(book, FORBIDDEN).transcribed(FORBIDDEN)
    book.server("conversation.item.done", previous_item_id=None, item=item_of(FORBIDDEN, "user", "u1"))
    book.feed(engine.EndRequested())
    assert "secret" not in json.dumps(book.sent)
    assert "response.done" in [it["type"] for it in book.sent]


# Bounds.

TEXTS_OVER_BOUNDS = {
    "values": "[" + ",".join(["{}"] * MAX_VALUES) + "]",
    "levels": "[" * 300 + "]" * 300,
    "length": json.dumps("x" * MAX_FRAME_CHARS),
    "a half of a character in a long text": '"\\ud83d' + "x" * MAX_RECOUNT_CHARS + '"',
}


@pytest.mark.parametrize("value", TEXTS_OVER_BOUNDS.values(), ids=TEXTS_OVER_BOUNDS)
def test_an_event_that_the_guard_does_not_read_is_withheld_with_the_rest_of_the_answer(value):
    book = GuardedBook(rule()).begin().speak("Well. ")
    head = '{"type":"response.output_audio_transcript.delta","event_id":"e","response_id":"r1","item_id":"a1",'
    book.feed(engine.UpstreamTextReceived(book.generation, f'{head}"content_index":0,"delta":"secret","x":{value}}}'))
    book.speak("More. ").spoken("Well. secret More. ")
    assert book.text == "Well. "
    assert book.errors == [BLOCKED]
    assert "response.cancel" in book.requests
    assert not {"secret", "More"} & set(json.dumps(book.sent).replace('"', " ").replace(".", " ").split())
    assert book.relay.machine.describe()["guard"] == {OVER_BOUNDS: 1}
    assert book.begin("r2").errors == [BLOCKED]


def test_words_after_half_of_a_character_are_checked():
    book = GuardedBook(rule()).begin()
    head = '{"type":"response.output_audio_transcript.delta","event_id":"e","response_id":"r1","item_id":"a1",'
    book.feed(engine.UpstreamTextReceived(book.generation, f'{head}"content_index":0,"delta":"\\ud83d secret. "}}'))
    assert "secret" not in json.dumps(book.sent)
    assert book.errors == [BLOCKED]


def test_a_delta_of_many_sentences_leaves_in_a_bounded_number_of_deltas():
    text = "Hi. " * 10_000
    book = GuardedBook(rule()).begin().speak(text).spoken(text)
    deltas = [it for it in book.sent if it["type"] == "response.output_audio_transcript.delta"]
    assert book.text == text
    assert len(deltas) <= MAX_WINDOWS + 1


def test_many_replaced_windows_that_wait_keep_the_place_of_every_frame():
    book = GuardedBook(rule("replace"), at_once=False).begin()
    book.take()
    for _ in range(20):
        book.speak(FORBIDDEN, "Bye. ")
    while book.relay.works:
        book.decide()
    assert book.text == "the *** word. Bye. " * 20
    assert book.audio == 20
    assert book.relay.machine.held_bytes() == book.relay.machine._machine.held_bytes()


@pytest.mark.parametrize(
    "text", ['[1,"conversation.item.create"]', '"conversation.item.create"', "conversation\\u002e"]
)
def test_an_event_that_is_no_object_is_told_when_too_many_wait(text):
    book = GuardedBook(rule(), at_once=False)
    book.client("conversation.item.create", item=message("m", "user", "Hello"))
    for _ in range(MAX_WAITING + 1):
        book.feed(engine.ClientTextReceived(text))
    assert book.errors[0] == BLOCKED


def test_a_late_verdict_leaves_the_next_answer_alone():
    book = GuardedBook(rule(), at_once=False).begin().speak(FORBIDDEN).spoken(FORBIDDEN)
    book.begin("r2")
    place = {**PLACE, "response_id": "r2", "item_id": "a2"}
    book.server("response.output_audio_transcript.delta", **place, delta="All is well. ")
    book.server("response.output_audio.delta", **place, delta="AAAA")
    while book.relay.works:
        book.decide()
    assert book.text == "All is well. "
    assert (book.audio, book.errors) == (1, [BLOCKED])
    assert "response.cancel" not in book.requests


def test_a_whole_text_without_parts_is_checked_too():
    book = GuardedBook(rule()).begin()
    book.server("response.output_text.done", **PLACE, text=FORBIDDEN)
    assert book.errors == [BLOCKED]
    assert "secret" not in json.dumps(book.sent)


@pytest.mark.parametrize("begins", ["before", "after"])
def test_the_answer_to_a_blocked_speech_is_cancelled(begins):
    book = GuardedBook(rule(on=("user",)))
    if begins == "before":
        book.server("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
        book.begin().transcribed(FORBIDDEN)
    else:
        book.heard(FORBIDDEN).begin()
    book.speak("I heard. ")
    assert (book.text, book.audio) == ("", 0)
    assert "response.cancel" in book.requests
    assert book.errors == [BLOCKED]
    assert "secret" not in json.dumps(book.sent)
    completed = [it for it in book.sent if it["type"].endswith("transcription.completed")]
    assert [it["transcript"] for it in completed] == [""]


def test_an_answer_that_ended_before_the_verdict_cancels_no_later_one():
    book = GuardedBook(rule(on=("user",)), at_once=False)
    book.server("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
    book.begin().done().transcribed(FORBIDDEN)
    book.decide().begin("r2")
    assert "response.cancel" not in book.requests


def test_a_blocked_typed_text_stays_out_and_its_event_is_named():
    book = GuardedBook(rule())
    book.client("conversation.item.create", event_id="mine", item=message("q1", "user", FORBIDDEN))
    assert book.requests == []
    (error,) = [it["error"] for it in book.sent]
    assert (error["code"], error["event_id"]) == (BLOCKED, "mine")


def test_a_blocked_output_of_a_function_is_replaced():
    book = GuardedBook(rule(on=("function",)))
    item = {"type": "function_call_output", "call_id": "call_1", "output": FORBIDDEN}
    book.client("conversation.item.create", item=item)
    assert [it["item"]["output"] for it in book.upstream] == [WITHHELD]


def test_the_agent_says_a_sentence_once_the_blocked_answer_has_ended():
    book = GuardedBook(rule("say", say="I keep the secret of that.")).begin().speak(FORBIDDEN)
    assert book.requests == ["response.cancel"]
    book.done(status="cancelled")
    assert book.requests == ["response.cancel", "response.create"]
    assert "I keep the secret of that." in book.upstream[-1]["response"]["instructions"]
    book.begin("r2")
    place = {**PLACE, "response_id": "r2", "item_id": "a2"}
    book.server("response.output_audio_transcript.delta", **place, delta="I keep the secret of that.")
    book.server("response.output_audio_transcript.done", **place, transcript="I keep the secret of that.")
    assert book.text == "I keep the secret of that."
    assert book.errors == [BLOCKED]


def test_a_text_may_end_the_session():
    book = GuardedBook(rule("end")).begin().speak(FORBIDDEN)
    (end,) = [it for it in book.others if isinstance(it, engine.EndSession)]
    assert (end.code, end.reason) == (1000, ENDED)
    assert book.errors == [BLOCKED, ENDED]
    assert "secret" not in json.dumps(book.sent)


@pytest.mark.parametrize(("on_failure", "text"), [("pass", FORBIDDEN), ("block", "")])
def test_a_check_that_fails_does_as_configured(on_failure, text):
    book = GuardedBook(rule(), at_once=False, on_failure=on_failure).begin().speak(FORBIDDEN)
    book.decide(fails=True)
    assert book.text == text


def test_the_user_s_audio_does_not_wait_for_checks_of_the_agent():
    book = GuardedBook(rule(), at_once=False).begin().speak(FORBIDDEN)
    book.client("input_audio_buffer.append", audio="AAAA")
    assert book.requests == ["input_audio_buffer.append"]


@pytest.mark.parametrize(("text", "rests"), [("Good day. ", True), (FORBIDDEN, False)])
def test_a_call_with_a_withheld_text_does_not_move(text, rests):
    # The guard of the next process could not keep the text out of a retrieved item.
    book = GuardedBook(rule()).begin()
    assert not book.relay.machine.is_at_rest
    book.speak(text).spoken(text)
    assert book.relay.machine.is_at_rest is rests


def test_frames_that_are_no_events_pass():
    dialect = RealtimeDialect()
    assert dialect.read({}).text == dialect.read(None).text == ""
    assert dialect.rewritten({"type": "x", "item": {"content": ["odd"]}}, lambda _key: "y") is None


def test_no_event_id_is_given_twice_although_one_delta_leaves_in_parts():
    book = GuardedBook(rule())
    sentences = "This is a sentence that is long enough for a window of its own, and so is the next. " * 4
    book.ask().begin().speak(sentences).spoken(sentences)
    ids = [event["event_id"] for event in book.sent]
    assert sum("transcript.delta" in event["type"] for event in book.sent) > 1
    assert len(set(ids)) == len(ids)


def test_each_notice_of_the_guard_has_an_id_of_its_own():
    dialect = RealtimeDialect()
    assert dialect.notice("no", None) != dialect.notice("no", None)
