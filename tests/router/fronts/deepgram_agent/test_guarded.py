"""The guard around the relay of Deepgram's Voice Agent."""

import pytest

from actors import messages as engine
from router.fronts.deepgram_agent.guarded import BLOCKED, DeepgramDialect
from router.guard.texts import WITHHELD
from tests.router.fronts.deepgram_agent.test_value import MovingBook
from tests.support.machine.guarded_relays import Checked, rule
from tests.support.machine.relay_book import RelayBook

FORBIDDEN = "the secret word"


class GuardedBook(RelayBook):
    def __init__(self, *rules, **guard):
        self._guard = rules, guard
        self._is_wrapped = False
        super().__init__()
        self.ready()

    def feed(self, message):
        if not self._is_wrapped:
            self._is_wrapped = True
            rules, options = self._guard
            self.relay = Checked(self.relay, DeepgramDialect(), *rules, **options)
        return super().feed(message)

    def hear(self, data):
        return self.feed(engine.UpstreamBinaryReceived(self.generation, data))

    def texts(self, kind="ConversationText"):
        return [(it["role"], it["content"]) for it in self.messages(kind)]

    def messages(self, kind):
        return [it for it in self.sent if isinstance(it, dict) and it["type"] == kind]

    @property
    def audio(self):
        return [it for it in self.sent if isinstance(it, bytes)]


def test_without_a_hit_every_message_passes_as_it_is():
    book = GuardedBook(rule()).say("user", "one").say("assistant", "two").hear(b"2").server("AgentAudioDone")
    assert book.texts() == book.texts("History") == [("user", "one"), ("assistant", "two")]
    assert (book.audio, book.sent[-1]["type"]) == ([b"2"], "AgentAudioDone")


def test_a_client_that_is_back_gets_its_first_message_before_the_words_that_waited():
    book = MovingBook()
    book.relay = Checked(book.relay, DeepgramDialect(), rule(), at_once=False)
    book.ready().say("assistant", "Hello there.").play().take()
    book.feed(engine.ClientAdopted(is_planned=True, is_new_client=True))
    assert [it["type"] for it in book.sent] == ["Welcome"]


def test_the_rest_of_a_blocked_answer_is_withheld_up_to_the_end_of_the_turn():
    book = GuardedBook(rule(on=("agent",))).say("assistant", "Well.").hear(b"1")
    book.say("assistant", FORBIDDEN).hear(b"2").say("assistant", "More.").hear(b"3").server("AgentAudioDone")
    book.say("assistant", "Next.").hear(b"4")
    assert book.texts() == book.texts("History") == [("assistant", "Well."), ("assistant", "Next.")]
    assert book.audio == [b"1", b"4"]
    assert [it["code"] for it in book.messages("Warning")] == [BLOCKED]
    assert book.messages("AgentAudioDone") != []


def test_the_answer_to_a_blocked_speech_is_withheld():
    book = GuardedBook(rule(on=("user",))).say("user", FORBIDDEN)
    book.say("assistant", "I heard.").hear(b"1").server("AgentAudioDone")
    book.say("user", "hello").say("assistant", "Hi.").hear(b"2")
    assert book.texts() == book.texts("History") == [("user", "hello"), ("assistant", "Hi.")]
    assert book.audio == [b"2"]


def test_replaced_words_are_replaced_in_the_history_too():
    book = GuardedBook(rule("replace", on=("user",))).say("user", FORBIDDEN)
    assert book.texts() == book.texts("History") == [("user", "the *** word")]


def test_a_blocked_typed_text_never_reaches_the_upstream_and_an_output_is_replaced():
    book = GuardedBook(rule())
    book.client("InjectUserMessage", content=FORBIDDEN)
    book.client("FunctionCallResponse", id="c1", name="f", content=FORBIDDEN)
    assert [(it["type"], it.get("content")) for it in book.upstream] == [("FunctionCallResponse", WITHHELD)]
    assert [it["code"] for it in book.messages("Warning")] == [BLOCKED] * 2


def test_the_agent_says_a_sentence_in_place_of_a_blocked_one():
    book = GuardedBook(rule("say", on=("agent",), say="Not that."))
    book.say("assistant", FORBIDDEN).hear(b"1")
    assert book.upstream == [{"type": "InjectAgentMessage", "message": "Not that.", "behavior": "interrupt"}]
    book.say("assistant", "Not that.").hear(b"2")
    assert book.texts() == [("assistant", "Not that.")]
    assert book.audio == [b"2"]


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_no_message_has_a_text_without_a_verdict_at_the_end_of_the_session(role):
    book = GuardedBook(rule(), at_once=False).say(role, FORBIDDEN).feed(engine.EndRequested())
    assert book.texts() == book.texts("History") == []
    assert book.relay.machine.dropped == 2
    assert book.ending is not None


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_text_may_end_the_session(role):
    book = GuardedBook(rule("end")).say(role, FORBIDDEN)
    assert (book.ending.code, book.ending.reason) == (1000, "GUARD_ENDED")
    assert [it["code"] for it in book.messages("Error")] == ["GUARD_ENDED"]
    assert book.texts() == []
