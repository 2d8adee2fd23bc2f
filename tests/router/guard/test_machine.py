"""The guard around a session: what waits, what is withheld, and what happens then."""

import pytest

from actors import messages
from actors.restart import Decision
from router.config.guard import Guard, Rule
from router.guard.inputs import CONTINUE, KEY, MAX_WAITING, MAX_WAITING_CHARS, OVER_BOUNDS, TOO_MANY, UNCHECKED
from router.guard.machine import MAX_DECODED_CHARS, MAX_EVENT_CHARS, MAX_REPLACED, GuardedMachine
from router.guard.rules import CheckText, Verdict, judge
from router.guard.texts import WITHHELD
from router.guard.windows import MAX_WINDOWS
from router.json_bounds import MAX_VALUES
from router.session.deadlines import Wait
from router.session.reports import SessionFailed
from router.testing import CallHarness
from router.translation.text import MAX_TEXT_BYTES
from tests.support.machine.playbook import (
    SESSION_ID,
    Playbook,
    call_done,
    delta,
    item_added,
    response_created,
    response_done,
    text_done,
    transcribed,
    transcript_delta,
    transcript_done,
)

FORBIDDEN = "the secret word"


class GuardedBook(Playbook):
    """A session with a guard, whose checks are done at once, or by `decide`."""

    def __init__(self, *rules, profile="openai", at_once=True, is_observed=False, **guard):
        super().__init__(profile, is_observed=is_observed)
        self.guard = Guard(rules=rules, **guard)
        self.machine = GuardedMachine(self.session, self.guard, SESSION_ID)
        self.at_once = at_once

    def feed(self, message):
        for command in self.machine.handle(message, self.now_s):
            self._note(command)
        if self.prepares_at_once:
            for key in [key for key in self.work if key.startswith("audio")]:
                del self.work[key]
                self.feed(messages.WorkDone(key))
        if self.at_once and self.checks:
            self.decide()
        return self

    @property
    def checks(self):
        return [key for key in self.work if key.startswith(KEY)]

    def decide(self, verdict=None, failure=None):
        key = self.checks[0]
        work = self.work.pop(key).work
        assert isinstance(work, CheckText)
        return self.feed(messages.WorkDone(key, verdict or judge(self.guard.rules, work), failure))

    def proceed(self):
        del self.timers[CONTINUE]
        return self.feed(messages.TimerFired(CONTINUE))

    def frames(self, *kinds):
        return [it for it in self.frames_to_client if isinstance(it, dict) and it["type"] in kinds]

    def texts(self, role):
        return [it["content"] for it in self.frames("ConversationText") if it["role"] == role]

    @property
    def facts(self):
        return [it.notification for it in self.commands if isinstance(it, messages.Notify)]

    @property
    def codes(self):
        return [it["code"] for it in self.frames("Warning", "Error")]

    @property
    def audio(self):
        return sum(len(it) for it in self.frames_to_client if isinstance(it, bytes))

    @property
    def upstream_types(self):
        return [event["type"] for event in self.events_to_upstream]

    def answering(self):
        self.client({"type": "InjectUserMessage", "content": "hello"})
        self.upstream(item_added(self.events_to_upstream[-1]["item"]["id"]), response_created())
        return self.forget()


def rule(action="block", **more):
    return Rule(expression="secret", action=action, **more)


def ask(book, words):
    return book.client({"type": "InjectUserMessage", "content": words})


# What the user types, and what functions answer.


@pytest.mark.parametrize("written", ["InjectUserMessage", "\\u0049njectUserMessage"])
def test_a_typed_text_with_a_hit_never_reaches_the_upstream(written):
    book = GuardedBook(rule()).ready()
    book.client(f'{{"type": "{written}", "content": "{FORBIDDEN}"}}')
    assert book.upstream_types == []
    assert book.codes == ["GUARD_BLOCKED"]
    assert ask(book, "hello").upstream_types == ["conversation.item.create"]


def test_a_typed_text_is_replaced():
    book = ask(GuardedBook(rule("replace")).ready(), FORBIDDEN)
    assert "the *** word" in str(book.events_to_upstream)
    assert FORBIDDEN not in str(book.events_to_upstream) + str(book.frames_to_client)


def test_later_messages_of_a_client_wait_behind_a_check_and_audio_does_not():
    book = GuardedBook(rule(), at_once=False).ready()
    ask(ask(book, "first"), "second")
    book.client(bytes(4800))
    assert "conversation.item.create" not in book.upstream_types
    assert "input_audio_buffer.append" in book.upstream_types
    book.decide().decide()
    said = [event["item"]["content"][0]["text"] for event in book.events_to_upstream if "item" in event]
    assert said[0] == "first"


def test_an_item_of_a_client_s_own_is_checked_too():
    book = GuardedBook(rule()).ready()
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": FORBIDDEN}]}
    book.client({"type": "conversation.item.create", "item": item})
    assert (book.upstream_types, book.codes) == ([], ["GUARD_BLOCKED"])


def test_a_blocked_output_of_a_function_is_withheld_and_its_call_is_answered():
    book = GuardedBook(rule(on=("function",))).ready().answering()
    book.upstream(call_done("call_1", "lookup"))
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": FORBIDDEN})
    outputs = [event["item"]["output"] for event in book.events_to_upstream if "item" in event]
    assert outputs == [WITHHELD]


@pytest.mark.parametrize(
    "output",
    [{"result": FORBIDDEN}, {"error": FORBIDDEN}, {"content": {"seat": [FORBIDDEN]}}],
    ids=lambda it: next(iter(it)),
)
def test_every_form_of_an_output_is_checked(output):
    book = GuardedBook(rule(on=("function",))).ready().answering()
    book.upstream(call_done("call_1", "lookup"))
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", **output})
    outputs = [event["item"]["output"] for event in book.events_to_upstream if "item" in event]
    assert outputs == [WITHHELD]


def test_no_output_of_the_router_s_own_function_is_dropped_although_many_messages_wait():
    book = GuardedBook(rule(on=("user", "function")), at_once=False).ready()
    for _ in range(MAX_WAITING + 1):
        book.feed(messages.ClientTextReceived('{"type":"InjectUserMessage","content":"One."}'))
    assert book.codes == ["GUARD_BLOCKED"]
    book.feed(messages.WorkDone("tool:call_1", "an output"))
    assert book.codes == ["GUARD_BLOCKED"]


def test_a_message_of_many_levels_ends_nothing():
    book = GuardedBook(rule()).ready()
    deep = "[" * 1000 + "]" * 1000
    book.feed(messages.ClientTextReceived(f'{{"type":"InjectUserMessage","content":"Hello.","x":{deep}}}'))
    assert book.codes == ["GUARD_BLOCKED"]
    assert book.upstream_types == []


@pytest.mark.parametrize("on_failure", ["block", "pass"])
def test_a_message_beyond_a_bound_is_withheld_told_and_counted(on_failure):
    book = GuardedBook(rule(), on_failure=on_failure).ready()
    items = ",".join(["{}"] * MAX_VALUES)
    book.feed(messages.ClientTextReceived(f'{{"type":"conversation.item.create","item":{{"content":[{items}]}}}}'))
    assert book.upstream_types == []
    assert [it["description"] for it in book.frames("Warning")] == [
        f"{UNCHECKED}: the message has more than {MAX_VALUES} values"
    ]
    assert book.machine.describe()["guard"] == {OVER_BOUNDS: 1}
    assert ask(book, "hello").upstream_types == ["conversation.item.create"]


# What waits for a verdict.


def test_the_messages_that_waited_are_passed_on_in_several_turns():
    book = GuardedBook(rule(), at_once=False).ready()
    ask(book, "first")
    for number in range(100):
        book.client({"type": f"Unknown {number}"})
    book.forget().decide()
    taken = [len(book.codes)]
    while CONTINUE in book.timers:
        book.forget().proceed()
        taken.append(len(book.codes))
    assert sum(taken) == 100
    assert max(taken) <= 64


def test_a_long_message_that_waits_is_read_in_one_turn_and_passed_on_in_the_next():
    book = GuardedBook(rule(), at_once=False).ready()
    ask(book, "first")
    book.client({"type": "KeepAlive", "text": "\u20ac" * 70_000})
    ask(book, "second").decide()
    assert book.checks == []
    book.proceed().proceed()
    assert len(book.checks) == 1


def test_long_messages_wait_only_within_a_bound():
    book = GuardedBook(rule(), at_once=False).ready()
    for _ in range(20):
        book.feed(messages.ClientTextReceived('{"type":"InjectUserMessage","content":"' + "x" * 1_000_000 + '"}'))
    assert len(book.machine.waiting) == MAX_WAITING_CHARS // 1_000_000
    assert [it["description"] for it in book.frames("Warning")] == [TOO_MANY] * (20 - len(book.machine.waiting))


# Bounds of the agent's texts.


def item_done(text):
    item = {"id": "item_1", "type": "message", "role": "assistant"}
    return {"type": "conversation.item.done", "item": {**item, "content": [{"type": "output_text", "text": text}]}}


def test_a_text_that_only_the_finished_item_has_is_checked():
    book = GuardedBook(rule()).ready().answering().upstream(item_done(FORBIDDEN))
    assert book.texts("assistant") == []
    assert book.codes == ["GUARD_BLOCKED"]
    book = GuardedBook(rule()).ready().answering().upstream(item_done("Hello there."))
    assert book.texts("assistant") == ["Hello there."]


def test_a_text_beside_an_unreadable_field_is_checked():
    book = GuardedBook(rule()).ready().answering().upstream({**text_done(FORBIDDEN), "item_id": [1]})
    assert book.texts("assistant") == []
    assert book.codes == ["GUARD_BLOCKED"]


@pytest.mark.parametrize("event", [text_done, transcript_delta, transcript_done])
def test_a_text_of_the_agent_beyond_the_bound_is_withheld_with_its_answer(event):
    book = GuardedBook(rule(on=("agent",)), at_once=False).ready().answering()
    book.upstream(transcript_delta("Hello. And"), delta(bytes(480)), event("x" * (MAX_EVENT_CHARS + 1)))
    book.upstream(delta(bytes(480)), text_done("Hello. And so on."), delta(bytes(480)))
    assert book.codes == ["GUARD_BLOCKED"]
    assert book.upstream_types[-1] == "response.cancel"
    book.decide()
    assert not book.audio
    assert not book.checks
    assert book.machine.describe()["guard"] == {OVER_BOUNDS: 1}
    book.upstream(response_done("resp_1", "cancelled"))
    ask(book, "Again")
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), response_created("resp_2"))
    book.forget().upstream({**text_done("Hello there.", "item_2"), "response_id": "resp_2"}).decide()
    assert book.texts("assistant") == ["Hello there."]


def test_a_long_text_of_the_agent_passes_where_no_rule_is_about_the_agent():
    book = GuardedBook(rule(on=("user",))).ready().answering()
    book.upstream(text_done("x" * (MAX_DECODED_CHARS + 1)))
    assert book.codes == []
    assert len("".join(book.texts("assistant"))) > MAX_EVENT_CHARS


def test_a_text_of_many_sentences_is_checked_whole_in_a_bounded_number_of_checks():
    text = "Hi. " * 10_000 + FORBIDDEN
    book = GuardedBook(rule(on=("agent",)), at_once=False).ready().answering().upstream(text_done(text))
    checks = 0
    while book.checks:
        book.decide()
        checks += 1
    assert checks <= MAX_WINDOWS + 1
    assert book.texts("assistant") == []
    assert book.codes == ["GUARD_BLOCKED"]


def test_more_texts_than_the_bound_are_not_replaced_but_withheld():
    book = GuardedBook(rule("replace")).ready().answering()
    for number in range(MAX_REPLACED + 1):
        book.upstream(transcript_delta(f"The secret {number}. "), delta(bytes(480)))
    assert book.codes == ["GUARD_BLOCKED"]
    assert book.machine.describe()["guard"][OVER_BOUNDS] == 1


# What the user says.

SPOKEN = [
    *(
        {"type": f"input_audio_buffer.{name}", "item_id": "u"}
        for name in ("speech_started", "speech_stopped", "committed")
    ),
    response_created(),
]


def test_a_spoken_text_with_a_hit_is_withheld_and_its_answer_cancelled():
    book = GuardedBook(rule(on=("user",))).ready()
    book.upstream(*SPOKEN, transcribed(FORBIDDEN, "u"))
    assert book.texts("user") == []
    assert "response.cancel" in book.upstream_types
    assert book.codes == ["GUARD_BLOCKED"]


def test_a_spoken_text_that_comes_within_a_sentence_of_the_agent_is_withheld():
    book = GuardedBook(rule(on=("user", "agent"))).ready()
    book.upstream(*SPOKEN, transcript_delta("Hello. And"), transcribed(FORBIDDEN, "u"))
    book.upstream(transcript_delta(" so on. "), transcript_done("Hello. And so on."), response_done())
    assert FORBIDDEN not in str(book.frames_to_client)
    assert book.codes == ["GUARD_BLOCKED"]


def interim(words):
    return {
        "type": "conversation.item.input_audio_transcription.delta",
        "item_id": "u",
        "content_index": 0,
        "delta": words,
    }


@pytest.mark.parametrize(("action", "left"), [("block", []), ("replace", ["the *** word"]), ("say", [])])
def test_the_transcript_for_the_component_has_no_word_that_is_withheld(action, left):
    book = GuardedBook(rule(action, on=("user",))).ready()
    book.upstream(*SPOKEN, interim("the secret"), transcribed(FORBIDDEN, "u"))
    assert "secret" not in str(book.frames_to_client)
    assert [it["transcript"] for it in book.frames("Transcript")] == book.texts("user") == left
    assert [it["channel"]["alternatives"][0]["transcript"] for it in book.frames("Transcript")] == left


def test_the_transcript_for_the_component_is_checked_with_the_text_and_comes_after_it():
    book = GuardedBook(rule(on=("user",)), at_once=False).ready()
    book.upstream(*SPOKEN, interim("Hello"), transcribed("Hello there.", "u"))
    assert book.frames("ConversationText", "Transcript") == []
    book.decide()
    assert not book.checks
    assert [it["type"] for it in book.frames("ConversationText", "Transcript")] == ["ConversationText", "Transcript"]


def test_a_long_spoken_text_that_is_sent_in_parts_is_in_no_transcript_if_a_part_is_withheld():
    book = GuardedBook(rule(on=("user",))).ready()
    book.upstream(*SPOKEN, transcribed(f"{FORBIDDEN}. " + "Words. " * (MAX_TEXT_BYTES // 7), "u"))
    while book.checks:
        book.decide()
    assert len(book.texts("user")) == 1
    assert book.frames("Transcript") == []


def test_interim_words_pass_where_no_rule_is_about_the_user():
    book = GuardedBook(rule(on=("agent",))).ready().upstream(*SPOKEN, interim("the secret"))
    assert [it["transcript"] for it in book.frames("Transcript")] == ["the secret"]


def test_the_cancelled_answer_to_a_spoken_text_is_not_requested_again():
    book = GuardedBook(rule(on=("user",))).ready()
    book.upstream(*SPOKEN, delta(bytes(4800), item_id="item_1"), transcribed(FORBIDDEN, "u"))
    book.forget().upstream(delta(bytes(4800), item_id="item_1"), response_done(status="cancelled"))
    assert (book.audio, book.upstream_types) == (0, [])
    assert Wait.ASK_AGAIN.value not in book.timers
    assert len(book.frames("AgentAudioDone")) == 1


# What the agent says.


def test_a_verdict_that_comes_after_the_next_answer_began_withholds_its_own_answer_alone():
    book = GuardedBook(rule(on=("agent",)), at_once=False).ready().answering()
    book.upstream(transcript_delta(f"It is {FORBIDDEN}. "), delta(bytes(4800)), transcript_done(f"It is {FORBIDDEN}. "))
    book.upstream(response_done())
    ask(book, "and now?")
    book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"]), response_created("r2"))
    last = {**transcript_done("All is well. ", "item_2"), "response_id": "r2"}
    book.upstream(transcript_delta("All is well. ", "item_2", "r2"), delta(bytes(2400), "r2"), last)
    book.forget()
    while book.checks:
        book.decide()
    book.upstream(response_done("r2"))
    assert book.texts("assistant") == ["All is well."]
    assert (book.audio, book.codes) == (2400, ["GUARD_BLOCKED"])
    assert "response.cancel" not in book.upstream_types


def speak(book, *words):
    for word in words:
        book.upstream(transcript_delta(word), delta(bytes(4800)))
    return book


def test_the_agent_s_audio_waits_for_the_check_of_its_window_and_no_longer():
    book = GuardedBook(rule(), at_once=False).ready()
    book.at_once = True
    book.answering().at_once = False
    speak(book, "Hello ", "there. ", "More")
    assert book.audio == 0
    book.decide()
    first = book.audio
    assert first > 0
    book.upstream(transcript_done("Hello there. More"))
    book.decide()
    assert book.audio > first
    assert book.texts("assistant") == ["Hello there. More"]


@pytest.mark.parametrize("action", ["block", "cancel"])
def test_a_hit_in_the_agent_s_text_cancels_the_response_and_withholds_the_rest(action):
    book = GuardedBook(rule(action)).ready().answering()
    speak(book, "All is well. ")
    before = book.audio
    assert before > 0
    speak(book, f"It is {FORBIDDEN}. ", "And so on. ")
    book.upstream(transcript_done(f"All is well. It is {FORBIDDEN}. And so on."), response_done(status="cancelled"))
    assert book.audio == before
    assert FORBIDDEN not in str(book.frames_to_client)
    assert "response.cancel" in book.upstream_types
    assert book.codes == ["GUARD_BLOCKED"]
    assert book.machine.describe()["guard"] == {action: 1}


def test_an_upstream_that_was_given_up_gets_no_cancel():
    book = GuardedBook(rule()).ready().answering()
    book.at_once = False
    speak(book, f"{FORBIDDEN}. ")
    book.fire(Wait.NEXT_EVENT).forget().decide()
    assert book.upstream_types == []


def test_the_next_answer_is_heard_again():
    book = GuardedBook(rule()).ready().answering()
    speak(book, f"{FORBIDDEN}. ")
    book.upstream(transcript_done(f"{FORBIDDEN}."), response_done(status="cancelled"))
    book.answering()
    speak(book, "Fine. ")
    assert book.audio > 0


def test_the_next_answer_is_heard_again_although_the_upstream_announces_none():
    book = GuardedBook(rule(on=("agent",))).ready()
    for number, words in enumerate((f"{FORBIDDEN}.", "Fine."), 1):
        ask(book, "hello")
        book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"])).forget()
        named = {"item_id": f"item_{number}", "response_id": f"resp_{number}"}
        book.upstream({**item_added(f"item_{number}", "assistant"), "type": "response.output_item.added", **named})
        book.upstream({**delta(bytes(4800)), **named}, {**transcript_delta(words), **named})
        book.upstream({**transcript_done(words), **named}, response_done(f"resp_{number}"))
    assert book.texts("assistant") == ["Fine."]
    assert book.audio > 0
    assert FORBIDDEN not in str(book.frames_to_client)


def test_the_rest_of_a_withheld_answer_stays_withheld_while_another_response_ends():
    book = GuardedBook(rule(on=("agent",))).ready().answering()
    book.upstream(transcript_delta("Fine. ", "item_0", "resp_0"), response_done("resp_0"))
    speak(book, f"{FORBIDDEN}. ")
    book.upstream(transcript_delta("More. ", "item_9", "resp_9"), response_done("resp_9"))
    before = book.audio
    speak(book, "The rest. ")
    assert book.audio == before


def test_a_text_is_replaced_and_its_audio_withheld():
    book = GuardedBook(rule("replace")).ready().answering()
    speak(book, "All is well. ")
    before = book.audio
    speak(book, f"It is {FORBIDDEN}. ")
    book.upstream(transcript_done(f"All is well. It is {FORBIDDEN}."), response_done())
    assert book.texts("assistant") == ["All is well. It is the *** word."]
    assert book.audio <= before + 4800
    assert "response.cancel" not in book.upstream_types


def test_a_replacement_holds_for_a_text_that_waits_although_the_next_answer_has_begun():
    book = GuardedBook(rule("replace", replacement="***", on=("agent",)), at_once=False)
    speak(book.ready().answering(), f"It is {FORBIDDEN}. ", "And so on. ")
    book.upstream(transcript_done(f"It is {FORBIDDEN}. And so on."), response_done())
    book.decide()
    book.upstream(response_created("r2"))
    book.decide()
    assert book.texts("assistant") == ["It is the *** word. And so on."]


def test_the_agent_says_the_configured_sentence_instead():
    book = GuardedBook(rule("say", say="Let us talk about something else.")).ready().answering()
    speak(book, f"It is {FORBIDDEN}. ")
    assert FORBIDDEN not in str(book.frames_to_client)
    book.upstream(response_done(status="cancelled"))
    assert "Let us talk about something else." in str(book.events_to_upstream)


def test_a_hit_may_end_the_session():
    book = GuardedBook(rule("end"), is_observed=True).ready().answering()
    speak(book, f"It is {FORBIDDEN}. ")
    assert book.codes[-1] == "GUARD_ENDED"
    assert (book.ending.code, book.ending.reason) == (1000, "GUARD_ENDED")
    assert [it.code for it in book.facts if isinstance(it, SessionFailed)] == ["GUARD_ENDED"]
    assert book.audio == 0


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_spoken_text_without_a_verdict_is_withheld_at_the_end(profile):
    book = GuardedBook(rule(), profile=profile, at_once=False).ready()
    book.upstream(*SPOKEN, transcribed(FORBIDDEN, "u"))
    book.feed(messages.EndRequested())
    assert FORBIDDEN not in str([*book.frames_to_client, *book.history])
    assert book.machine.dropped == 2, "the text, and the message of the profile that repeats it"
    assert book.ending is not None


@pytest.mark.parametrize(("on_failure", "is_heard"), [("pass", True), ("block", False)])
def test_a_check_that_is_late_or_broken_counts_as_configured(on_failure, is_heard):
    book = GuardedBook(rule(), on_failure=on_failure).ready().answering()
    book.at_once = False
    speak(book, "Hello there. ")
    failure = messages.WorkFailure(messages.WorkFailureKind.TIMED_OUT, "late")
    book.decide(failure=failure)
    assert (book.audio > 0) == is_heard


def test_a_whole_text_without_deltas_is_checked():
    book = GuardedBook(rule()).ready().answering()
    book.upstream(text_done(f"It is {FORBIDDEN}."), response_done())
    assert FORBIDDEN not in str(book.frames_to_client)


def test_what_is_checked_by_no_rule_waits_for_nothing():
    book = GuardedBook(rule(on=("function",)), at_once=False).ready().answering()
    speak(book, f"It is {FORBIDDEN}. ")
    assert book.checks == []
    assert book.audio > 0


def test_a_url_may_decide_what_the_agent_says():
    book = GuardedBook(url="http://127.0.0.1:9/", at_once=False).ready()
    ask(book, "hello")
    book.decide(Verdict("say", "Not here."))
    assert "Not here." in str(book.events_to_upstream)


def test_frames_wait_for_no_answer_whose_upstream_is_lost():
    book = GuardedBook(rule()).ready().answering()
    speak(book, "Hello th")
    assert book.audio == 0
    book.upstream_closes(1006, decision=Decision.RESTART)
    assert book.audio > 0


def test_a_router_with_a_guard_checks_the_words_of_a_client_and_of_the_agent(simulator):
    rules = [{"expression": "forbidden", "action": "replace", "replacement": "tea"}]
    with CallHarness(guard={"rules": rules}) as harness:
        call = harness.call(simulator=simulator)
        call.client.start()
        call.client.say("I like forbidden")
        frames = []
        while not (isinstance(frame := call.client.receive(), dict) and frame["type"] == "AgentAudioDone"):
            frames.append(frame)
        texts = [it for it in frames if isinstance(it, dict)]
        assert "forbidden" not in str(texts)
        assert [it["role"] for it in texts if it["type"] == "ConversationText"]
        assert "GUARD_BLOCKED" in [it.get("code") for it in texts]


# Audio of a blocked answer that waits for its playback.


def blocked_with_waiting_audio(action="block", *, at_once=True):
    book = GuardedBook(rule(action)).ready().answering()
    book.at_once = at_once
    book.upstream(transcript_delta("All is well. "))
    if not at_once:
        book.decide()
    book.upstream(*(delta(bytes(48_000), item_id="item_1") for _ in range(60)))
    assert book.session.state.playback.is_waiting
    return book.upstream(transcript_delta(f"{FORBIDDEN}. "))


def played_out(book):
    """Let the client play all audio."""
    book.forget()
    book.now_s += 120.0
    if Wait.PLAYBACK.value in book.timers:
        book.fire(Wait.PLAYBACK)
    return book


@pytest.mark.parametrize("action", ["block", "cancel"])
def test_waiting_audio_of_a_blocked_answer_does_not_follow_in_the_next_answer(action):
    book = blocked_with_waiting_audio(action).upstream(delta(bytes(48_000), item_id="item_1"))
    book.upstream(response_done(status="cancelled"), response_created("resp_2"))
    assert played_out(book).audio == 0


def test_waiting_audio_of_an_answer_that_is_blocked_behind_the_next_one_is_withheld():
    book = blocked_with_waiting_audio(at_once=False)
    book.upstream(transcript_done("", "item_1"), response_done(), response_created("resp_2"))
    book.upstream(transcript_delta("Fine. ", "item_2", "resp_2"), delta(bytes(2400), "resp_2", item_id="item_2"))
    while book.checks:
        book.decide()
    assert played_out(book).audio == 2400


def test_the_turn_of_a_blocked_answer_ends():
    book = blocked_with_waiting_audio().upstream(response_done(status="cancelled"))
    assert [it["type"] for it in book.frames("AgentAudioDone")] == ["AgentAudioDone"]
    assert "response.create" not in book.upstream_types


def test_audio_of_an_earlier_answer_that_waits_is_still_heard():
    book = GuardedBook(rule()).ready().answering()
    book.upstream(transcript_delta("All is well. "), *(delta(bytes(48_000), item_id="item_1") for _ in range(60)))
    book.upstream(transcript_done("All is well. "), response_done(), response_created("resp_2"))
    book.upstream(transcript_delta(f"{FORBIDDEN}. ", "item_2", "resp_2"))
    book.upstream(delta(bytes(48_000), "resp_2", item_id="item_2"), response_done("resp_2", "cancelled"))
    waiting_bytes = book.session.state.playback.held_bytes
    book.upstream(response_created("resp_3"))
    assert waiting_bytes > 48_000
    assert played_out(book).audio >= waiting_bytes - 1000
