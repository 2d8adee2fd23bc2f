"""The relay of Deepgram's transcription: frames pass, and a lost upstream is replaced."""

import json

import pytest

from actors import messages as engine
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from router.fronts.call_limits import CALL_TIMER
from router.fronts.deepgram_agent.waiting import AUDIO_DROPPED, MAX_AUDIO_BYTES
from router.fronts.listen.relay import CLOSE_TIMER, DRAIN_TIMER, UNHEARD_DROPPED, ListenRelay
from tests.support.machine.options import session_options
from tests.support.machine.policies import policy

FINAL = {"type": "Results", "is_final": True, "channel": {"alternatives": [{"transcript": "one"}]}}


class Book:
    """A relay, and what it sent since the last look."""

    def __init__(self, **options):
        self.relay = ListenRelay(session_options(**options))
        self.now_s, self.sent, self.upstream, self.others = 0.0, [], [], []
        self.feed(engine.ClientOpened())

    def feed(self, message):
        for command in self.relay.handle(message, self.now_s):
            match command:
                case engine.SendToClient(frame):
                    self.sent.append(json.loads(frame))
                case engine.SendToUpstream(frame):
                    self.upstream.append(json.loads(frame) if isinstance(frame, str) else frame)
                case _:
                    self.others.append(command)
        return self

    def opened(self, generation=1):
        return self.feed(engine.UpstreamOpened(generation, 0, 0.0))

    def client(self, kind):
        return self.feed(engine.ClientTextReceived(json.dumps({"type": kind})))

    def hear(self, data):
        return self.feed(engine.ClientBinaryReceived(data))

    def server(self, generation=1, **fields):
        return self.feed(engine.UpstreamTextReceived(generation, json.dumps(fields)))

    def lose(self, generation=1, decision=Decision.RESTART, code=1011):
        loss = Loss(kind=LossKind.CLOSED, code=code)
        return self.feed(engine.UpstreamLost(generation, loss, Verdict(decision=decision)))

    @property
    def ending(self):
        return next((it for it in self.others if isinstance(it, engine.EndSession)), None)


@pytest.fixture
def book():
    return Book()


def test_frames_pass_and_early_ones_wait(book):
    book.hear(b"one").client("Finalize").client("KeepAlive").opened().hear(b"two").client("KeepAlive")
    assert book.upstream == [b"one", {"type": "Finalize"}, b"two", {"type": "KeepAlive"}]
    book.server(type="SpeechStarted").server(**FINAL)
    assert book.sent == [{"type": "SpeechStarted"}, FINAL]


def test_audio_without_words_is_heard_by_the_next_upstream(book):
    book.opened().hear(b"one").server(**FINAL).hear(b"two").lose()
    book.hear(b"three").opened(2)
    assert book.upstream == [b"one", b"two", b"two", b"three"]
    assert book.relay.describe()["generation"] == 2


def test_a_closed_stream_ends_with_the_upstream(book):
    book.opened().client("CloseStream").server(type="Metadata").lose(code=1000)
    assert (book.ending.code, book.sent) == (1000, [{"type": "Metadata"}])


@pytest.mark.parametrize("is_early", [False, True])
def test_the_next_upstream_is_asked_to_close_the_stream_too(book, is_early):
    book = book if is_early else book.opened()
    book.hear(b"one").client("CloseStream").lose(code=1006).opened(2)
    assert book.upstream[-2:] == [b"one", {"type": "CloseStream"}]
    book.lose(2, code=1000)
    assert book.ending.code == 1000


def test_an_upstream_that_never_closes_the_stream_holds_no_client(book):
    book.opened().client("CloseStream")
    assert engine.StartTimer(CLOSE_TIMER, 10.0) in book.others
    assert book.feed(engine.TimerFired(CLOSE_TIMER)).ending.code == 1000


def test_audio_is_heard_again_by_every_further_upstream(book):
    book.hear(b"one").opened().lose().opened(2).lose(2).opened(3)
    assert book.upstream == [b"one"] * 3


def test_an_upstream_that_closes_by_itself_is_replaced(book):
    book.opened().lose(code=1000)
    assert book.ending is None
    assert book.relay.describe()["lifecycle"] == "dialling"


def test_a_session_without_another_attempt_ends_with_an_error_and_a_close(book):
    book.opened().lose(decision=Decision.TEAR_DOWN)
    assert (book.sent[-1]["variant"], book.ending.code) == ("UPSTREAM_CLOSED", 1011)
    assert book.hear(b"late").upstream == []


def test_an_unreadable_message_and_too_many_early_ones_get_an_error(book):
    book.feed(engine.ClientTextReceived("{"))
    for _ in range(65):
        book.client("Finalize")
    assert [it["variant"] for it in book.sent] == ["UNPARSABLE_CLIENT_MESSAGE", "TOO_MANY_EARLY_MESSAGES"]


def test_a_frame_of_the_upstream_that_is_no_message_passes_nothing_on(book):
    book.opened().server(type="Results", channel={"alternatives": 5}).server(type="Results", channel=5)
    assert len(book.sent) == 2


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (engine.ClientClosed(ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)), 1000),
        (engine.ClientOverflowed(5), 1008),
        (engine.EndRequested(), 1000),
        (engine.TimerFired(DRAIN_TIMER), 1012),
    ],
)
def test_every_end_has_its_code(book, message, code):
    assert book.opened().feed(message).ending.code == code


def test_a_drain_leaves_the_last_words_a_second(book):
    book.opened().feed(engine.DrainBegan(30.0))
    assert engine.StartTimer(DRAIN_TIMER, 1.0) in book.others


def test_a_drain_that_keeps_idle_sessions_ends_this_one_with_the_second(book):
    book.opened().feed(engine.DrainBegan(30.0, keeps_idle=True))
    assert not any(isinstance(it, engine.StartTimer) and it.name == DRAIN_TIMER for it in book.others)
    book.feed(engine.DrainBegan(20.0))
    assert engine.StartTimer(DRAIN_TIMER, 1.0) in book.others


def test_a_call_ends_at_its_length_with_a_warning_and_an_error():
    book = Book(max_call_s=100.0).opened()
    for book.now_s in (80.0, 100.0):
        book.feed(engine.TimerFired(CALL_TIMER))
    assert [(it["type"], it["code"]) for it in book.sent] == [
        ("Warning", "MAX_CALL_LENGTH"),
        ("Error", "MAX_CALL_LENGTH"),
    ]
    assert book.ending == engine.EndSession(1000, "MAX_CALL_LENGTH")


def test_a_call_that_has_reached_its_length_ends_after_the_final_words():
    book = Book(max_call_s=100.0).opened()
    book.server(**FINAL | {"is_final": False})
    for book.now_s in (80.0, 100.0):
        book.feed(engine.TimerFired(CALL_TIMER))
    assert book.ending is None
    book.server(**FINAL)
    assert book.sent[-1]["code"] == "MAX_CALL_LENGTH"
    assert book.ending == engine.EndSession(1000, "MAX_CALL_LENGTH")


def test_a_client_under_a_policy_sends_only_messages_that_change_nothing():
    book = Book(policy=policy(transcription={"force": "nova-3"})).opened()
    for text in (
        '{"type":"Configure","keyterms":["x"]}',
        '{"type":"KeepAlive","type":"Configure"}',
        '{"type":"keepalive"}',
    ):
        book.feed(engine.ClientTextReceived(text))
    assert [(it["type"], it["code"]) for it in book.sent] == [("Error", "NOT_ALLOWED")] * 3
    book.feed(engine.ClientTextReceived('{"type":"Configure","keyterms":["x"],"type":"Finalize"}'))
    assert book.upstream == [{"type": "Finalize"}]


def test_a_policy_may_allow_a_further_message():
    book = Book(policy=policy(events={"allow": ["Configure"]})).opened()
    book.client("Configure").client("Other")
    assert book.upstream == [{"type": "Configure"}]
    assert [it["code"] for it in book.sent] == ["NOT_ALLOWED"]


def test_audio_that_waits_is_counted(book):
    book.hear(bytes(1000))
    assert book.relay.held_bytes() == 1000


def test_a_credential_that_the_upstream_repeats_leaves_in_no_text_of_its_own():
    book = Book(redact=lambda text: text.replace("secret", "[redacted]")).opened()
    book.feed(engine.UpstreamTextReceived(1, json.dumps({"type": "Metadata", "note": "secret"})))
    book.feed(engine.UpstreamTextReceived(1, json.dumps(FINAL | {"note": "secret"})))
    assert [each["note"] for each in book.sent] == ["[redacted]", "secret"]


def test_audio_that_is_dropped_before_an_upstream_is_ready_is_counted_and_logged_once(book):
    for _ in range(3):
        book.hear(bytes(MAX_AUDIO_BYTES))
    assert book.relay.describe()["dropped_bytes"] == 2 * MAX_AUDIO_BYTES
    assert [it.text for it in book.others if isinstance(it, engine.Log)] == [AUDIO_DROPPED]


def test_audio_that_the_next_upstream_would_not_get_is_counted_and_logged_once(book):
    book.opened()
    for _ in range(3):
        book.hear(bytes(MAX_AUDIO_BYTES))
    assert book.relay.describe()["unheard_dropped_bytes"] == 2 * MAX_AUDIO_BYTES
    assert [it.text for it in book.others if isinstance(it, engine.Log)] == [UNHEARD_DROPPED]
