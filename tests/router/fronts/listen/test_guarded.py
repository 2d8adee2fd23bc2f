"""The guard around the relay of Deepgram's Listen."""

from router.fronts.listen.guarded import ENDED, ListenDialect
from tests.router.fronts.listen.test_relay import Book
from tests.support.machine.guarded_relays import Checked, rule


class GuardedBook(Book):
    def __init__(self, *rules, **guard):
        self._guard = rules, guard
        self._is_wrapped = False
        super().__init__()
        self.opened()

    def feed(self, message):
        if not self._is_wrapped:
            self._is_wrapped = True
            rules, options = self._guard
            self.relay = Checked(self.relay, ListenDialect(), *rules, **options)
        return super().feed(message)

    def hear_words(self, *transcripts, **fields):
        alternatives = [{"transcript": it, "words": [{"word": "x"}], "confidence": 1.0} for it in transcripts]
        return self.server(type="Results", channel={"alternatives": alternatives}, **fields)

    @property
    def words(self):
        return [[it["transcript"] for it in frame["channel"]["alternatives"]] for frame in self.sent]


def test_words_pass_and_those_with_a_hit_are_emptied():
    book = GuardedBook(rule()).hear_words("one").hear_words("a secret", "a cigarette").hear_words("")
    assert book.words == [["one"], ["", ""], [""]]
    assert [it["words"] for it in book.sent[1]["channel"]["alternatives"]] == [[], []]


def test_words_are_replaced_in_each_reading():
    book = GuardedBook(rule("replace")).hear_words("a secret", "one secret")
    assert book.words == [["a ***", "one ***"]]


def test_words_may_end_the_session():
    book = GuardedBook(rule("end")).hear_words("a secret")
    assert (book.ending.code, book.ending.reason) == (1000, ENDED)
    assert [it["type"] for it in book.sent] == ["Error"]


def test_a_rule_about_the_agent_holds_nothing_back():
    book = GuardedBook(rule(on=("agent",))).hear_words("a secret")
    assert book.words == [["a secret"]]
    assert ListenDialect().cancel("x") is ListenDialect().say("x") is ListenDialect().notice("x", None) is None
