"""The relay: frames pass, and each step has a deadline."""

import warnings

import pytest

from actors import messages as engine
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind
from router.fronts.call_limits import CALL_TIMER, PLAYBACK_TIMER, SILENCE_TIMER
from router.fronts.deepgram_agent.closing import DRAIN_TIMER, SETTINGS_TIMER
from router.fronts.deepgram_agent.closing import PLAYBACK_TIMER as HEARD_TIMER
from router.fronts.deepgram_agent.machine import STEP_TIMER, TURN_TIMER
from router.session import reports
from router.session.deadlines import SPEECH_S
from tests.support.machine.relay_book import CALL, LOST, SETTINGS, RelayBook

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it imports websockets.legacy
    from deepgram.agent.v1.types import AgentV1ConversationText

# The first session.


def test_settings_wait_for_the_welcome_and_pass_to_the_letter(book):
    book.client("Settings", audio={}, agent=SETTINGS["agent"])
    assert book.take() == ([], [])
    book.server("Welcome", request_id="r1")
    assert book.take() == ([{"type": "Welcome", "request_id": "r1"}], [SETTINGS])
    book.server("SettingsApplied")
    assert book.take()[0] == [{"type": "SettingsApplied"}]


def test_frames_pass_as_they_are_and_early_ones_wait(book):
    book.client("Settings", audio={}, agent={})
    book.feed(engine.ClientBinaryReceived(b"mic")).client("Tomorrow", field=1)
    book.server("Welcome", request_id="r1").take()
    book.server("SettingsApplied")
    assert book.take()[1] == [b"mic", {"type": "Tomorrow", "field": 1}]
    book.server("Unknown", more=[1]).feed(engine.UpstreamBinaryReceived(1, b"agent"))
    assert book.take()[0] == [{"type": "Unknown", "more": [1]}, b"agent"]


def test_a_second_settings_and_a_first_message_that_is_none_are_the_upstream_s_to_judge(book):
    book.ready().client("Settings", agent={})
    assert book.take()[1] == [{"type": "Settings", "agent": {}}]
    other = RelayBook().server("Welcome", request_id="r1").client("KeepAlive")
    assert other.upstream == [{"type": "KeepAlive"}]


@pytest.mark.parametrize(
    "text",
    ["{", "5", "[1]", '{"a":' * 300 + "1" + "}" * 300, '{"type":"Settings","agent":' + "[" * 1100 + "]" * 1100 + "}"],
)
def test_an_unreadable_message_gets_an_answer_and_reaches_nobody(book, text):
    book.ready().feed(engine.ClientTextReceived(text))
    assert book.sent[-1]["code"] == "UNPARSABLE_CLIENT_MESSAGE"
    assert (book.upstream, book.ending) == ([], None)


def test_long_settings_that_could_not_be_written_again_are_refused(book):
    deep = '{"a":' * 600 + "1" + "}" * 600
    text = '{"type":"Settings","audio":{},"agent":{"x":' + deep + ',"y":"' + "y" * 1_100_000 + '"}}'
    book.feed(engine.ClientTextReceived(text)).server("Welcome", request_id="r1")
    assert [it["type"] for it in book.sent] == ["Error", "Welcome"]


@pytest.mark.parametrize("value", [5, None, "x", [5], {"a": 1}])
def test_ill_typed_fields_of_either_side_do_no_harm(book, value):
    book.client("Settings", audio=value, agent={"context": {"messages": value}, "think": value, "listen": value})
    book.server("Welcome", request_id="r1").server("SettingsApplied")
    book.server("FunctionCallRequest", functions=value).server("FunctionCallCancelled", functions=value)
    book.server("ConversationText", role="user", content=value).server("ConversationText", role=value, content=value)
    book.client("InjectUserMessage", content=value).client("UpdatePrompt", prompt=value)
    book.client("UpdateListen", listen=value).client("FunctionCallResponse", id=value, content=value).client(value)
    book.server("AgentAudioDone").server(value)
    book.lose().restore()
    assert book.ending is None


def test_a_frame_of_the_upstream_that_is_no_message_is_the_loss_of_it(book):
    book.ready().feed(engine.UpstreamTextReceived(1, "<html>"))
    assert (book.sent, book.abandoned.kind) == ([], LossKind.MALFORMED)


def test_a_client_without_settings_is_closed(book):
    book.feed(engine.TimerFired(SETTINGS_TIMER))
    assert book.sent[-1]["code"] == "CLIENT_MESSAGE_TIMEOUT"
    assert book.ending.code == 1000


def test_a_client_that_leaves_ends_the_session(book):
    gone = ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000)
    book.ready().feed(engine.ClientClosed(gone))
    assert book.ending.code == 1000
    assert book.server("Late").take() == ([], [])


# Deadlines.


@pytest.mark.parametrize("stage", ["session_created", "session_updated"])
def test_an_upstream_that_does_not_begin_is_abandoned(book, stage):
    book.client("Settings", audio={}, agent={}).feed(engine.UpstreamOpened(1, 0, 0.0))
    if stage == "session_updated":
        book.server("Welcome", request_id="r1")
    assert book.miss(STEP_TIMER).abandoned == Loss(kind=LossKind.SILENT, cause=stage)


def question(book):
    book.say("user", "one?")


def injection(book):
    book.client("InjectUserMessage", content="hello")


def output(book):
    book.server("FunctionCallRequest", functions=[CALL]).client(
        "FunctionCallResponse", id="c1", name="look", content="1"
    )


def text(book):
    book.say("user", "one?").say("assistant", "One")


def audio(book):
    book.say("user", "one?").feed(engine.UpstreamBinaryReceived(1, b"half"))


def speech(book):
    book.server("UserStartedSpeaking")


def function_of_deepgram(book):
    book.server("FunctionCallRequest", functions=[{**CALL, "client_side": False}])


@pytest.mark.parametrize(
    ("begin", "length_s", "cause"),
    [
        (question, 20.0, "first_event"),
        (injection, 20.0, "first_event"),
        (output, 20.0, "first_event"),
        (text, 15.0, "next_event"),
        (audio, 15.0, "next_event"),
        (function_of_deepgram, 30.0, "tool_answer"),
        (speech, SPEECH_S, "speech"),
    ],
)
def test_a_turn_has_a_deadline_at_each_step(book, begin, length_s, cause):
    begin(book.ready())
    assert book.timers[TURN_TIMER] == length_s
    assert book.miss(TURN_TIMER).abandoned == Loss(kind=LossKind.SILENT, cause=cause)


def test_a_whole_turn_has_no_deadline(book):
    book.ready().say("user", "one?").say("assistant", "One.").server("AgentAudioDone")
    assert TURN_TIMER not in book.timers


def test_signs_of_an_answer_that_begins_late_renew_the_deadline(book):
    book.ready().say("user", "one?")
    for kind in ("AgentThinking", "AgentStartedSpeaking", "LatencyReport"):
        del book.timers[TURN_TIMER]
        book.server(kind)
        assert book.timers[TURN_TIMER] == 20.0


def test_a_function_that_the_client_does_not_answer_is_answered_with_an_error(book):
    book.ready().server("FunctionCallRequest", functions=[CALL]).take()
    book.miss(TURN_TIMER)
    ((answer,),) = (book.take()[1],)
    assert {key: answer[key] for key in ("type", "id", "name")} == {
        "type": "FunctionCallResponse",
        "id": "c1",
        "name": "look",
    }
    assert "timed out" in answer["content"]
    assert book.timers[TURN_TIMER] == 20.0


def test_speech_that_two_upstreams_make_no_turn_of_is_a_noise(book):
    book.ready().feed(engine.ClientBinaryReceived(b"one")).server("UserStartedSpeaking").miss(TURN_TIMER).take()
    book.lose().take()
    book.restore()
    assert book.take()[1][1:] == [b"one"]
    book.miss(TURN_TIMER)
    assert (book.abandoned, TURN_TIMER in book.timers) == (None, False)
    assert book.feed(engine.DrainBegan(30.0)).ending is not None, "no turn is in progress"


# Errors.


def test_an_error_that_the_client_caused_ends_the_session(book):
    book.ready().server("Error", code="UNPARSABLE_CLIENT_MESSAGE", description="what?").lose()
    assert [message["type"] for message in book.sent] == ["Error"]
    assert book.ending.code == 1000


def test_an_error_without_a_close_is_the_loss_of_its_upstream(book):
    book.ready().server("Error", code="FAILED_TO_THINK", description="no")
    assert book.timers[STEP_TIMER] == 2.0
    assert book.miss(STEP_TIMER).abandoned.cause == "close"


def test_an_error_of_the_service_is_survived_and_not_shown(book):
    book.ready().server("Error", code="FAILED_TO_THINK", description="no").lose()
    assert [message["type"] for message in book.sent] == ["Warning"]
    assert book.ending is None


@pytest.mark.parametrize(
    ("loss", "code", "close_code"),
    [
        (LOST, "UPSTREAM_CLOSED", 1011),
        (Loss(kind=LossKind.HTTP, code=401), "UPSTREAM_UNAUTHORIZED", 1000),
        (Loss(kind=LossKind.NOT_DIALLED, cause="refused"), "UPSTREAM_UNAVAILABLE", 1011),
    ],
)
def test_a_session_without_another_attempt_ends_with_a_code_and_a_close(book, loss, code, close_code):
    book.ready().lose(Decision.TEAR_DOWN, loss)
    assert (book.sent[-1]["type"], book.sent[-1]["code"], book.ending.code) == ("Error", code, close_code)


def test_the_last_error_of_the_service_explains_the_end(book):
    book.ready().server("Error", code="FAILED_TO_SPEAK", description="secret").lose(Decision.TEAR_DOWN)
    assert book.sent == [{"type": "Error", "code": "FAILED_TO_SPEAK", "description": "[redacted]"}]


def test_a_credential_that_the_service_repeats_leaves_in_no_text_of_its_own(book):
    book.ready().server("Warning", code="x", description="secret")
    book.server("ConversationText", role="assistant", content="a secret")
    assert [each.get("description") or each["content"] for each in book.sent] == ["[redacted]", "a secret"]
    refused = RelayBook()
    refused.server("Welcome", request_id="r1")
    refused.server("Error", code="INVALID_AUTH", description="secret")
    assert refused.sent[-1]["description"] == "[redacted]"


def test_a_client_that_does_not_read_is_closed(book):
    book.ready().feed(engine.ClientOverflowed(1000))
    assert (book.sent[-1]["code"], book.ending.code) == ("CLIENT_TOO_SLOW", 1008)


# The drain.


def test_an_idle_session_ends_at_once_when_the_process_does(book):
    book.ready().feed(engine.DrainBegan(30.0))
    assert book.sent[-1]["code"] == "SERVER_GOING_AWAY"
    assert book.ending.code == 1012


def test_an_idle_session_that_stays_is_warned_and_ends_with_the_second_drain(book):
    book.ready().feed(engine.DrainBegan(30.0, keeps_idle=True))
    assert (book.sent[-1]["code"], book.ending) == ("SERVER_GOING_AWAY", None)
    book.feed(engine.DrainBegan(20.0))
    assert (book.sent[-1]["code"], book.ending.code) == ("SERVER_GOING_AWAY", 1012)


def test_a_turn_in_progress_is_finished_and_heard_first(book):
    book.ready().say("user", "one?").feed(engine.DrainBegan(30.0))
    assert book.ending is None
    book.say("assistant", "One.").feed(engine.UpstreamBinaryReceived(1, bytes(48_000))).server("AgentAudioDone")
    assert (book.ending, book.timers[HEARD_TIMER]) == (None, 1.0)
    book.now_s = 1.0
    book.miss(HEARD_TIMER)
    assert book.ending == engine.EndSession(1012, "SERVER_GOING_AWAY", 29.0)


def test_a_drain_ends_a_turn_that_takes_too_long(book):
    book.ready().say("user", "one?").feed(engine.DrainBegan(30.0)).feed(engine.DrainBegan(5.0))
    assert book.timers[DRAIN_TIMER] == 5.0
    book.miss(DRAIN_TIMER)
    assert [it["type"] for it in book.sent[-2:]] == ["Warning", "Error"]
    assert book.ending.code == 1012


# Notifications.


def notified(book):
    return [it.notification for it in book.others if isinstance(it, engine.Notify)]


def test_an_observer_learns_of_turns_upstreams_and_the_end():
    book = RelayBook(is_observed=True, is_reported=True)
    book.ready()
    book.now_s = 10.0
    book.say("user", "one?")
    book.now_s = 10.5
    book.say("assistant", "One.")
    book.now_s = 11.0
    book.feed(engine.ClientBinaryReceived(bytes(24_000)))
    book.feed(engine.UpstreamBinaryReceived(1, bytes(48_000))).server("FunctionCallRequest", functions=[CALL, 5])
    book.server("AgentAudioDone")
    said = (reports.Said("user", "one?"), reports.Said("assistant", "One."))
    assert notified(book) == [
        reports.TurnBegan(0.0),
        reports.AudioCarried(received_s=0.5, sent_s=1.0),
        reports.TurnEnded(),
        reports.TurnLatency(first_audio_s=1.0, first_text_s=0.5),
        reports.Turn(said=said, functions=("look",)),
    ]
    book.take()
    book.lose().restore()
    assert notified(book) == [reports.UpstreamTookOver(generation=2, position=0)]
    book.take()
    book.say("user", "two?").lose(Decision.TEAR_DOWN)
    _began, failed, turn = notified(book)
    assert (failed.code, turn.is_whole) == ("UPSTREAM_CLOSED", False)


# The limits of a call.


def codes(book):
    return [(it["type"], it["code"]) for it in book.sent if isinstance(it, dict) and "code" in it]


def pass_limit(book, timer, to_s):
    """Let a timer of the limits fire for the warning, and again at the limit."""
    for book.now_s in (to_s * 0.8, to_s):
        book.feed(engine.TimerFired(timer))


def test_a_call_ends_at_its_length_between_two_turns_when_the_answer_was_heard():
    book = RelayBook(max_call_s=100.0).ready().say("user", "one?")
    pass_limit(book, CALL_TIMER, 100.0)
    second = bytes(48_000)
    book.say("assistant", "One.").feed(engine.UpstreamBinaryReceived(1, second)).server("AgentAudioDone")
    assert book.ending is None
    book.now_s += 1.0
    book.feed(engine.TimerFired(PLAYBACK_TIMER))
    assert codes(book) == [("Warning", "MAX_CALL_LENGTH"), ("Error", "MAX_CALL_LENGTH")]
    assert book.ending.code == 1000


def test_an_answer_that_was_interrupted_does_not_delay_the_end():
    book = RelayBook(max_call_s=100.0).ready().say("user", "one?")
    pass_limit(book, CALL_TIMER, 100.0)
    book.say("assistant", "One.").feed(engine.UpstreamBinaryReceived(1, bytes(480_000)))
    book.server("UserStartedSpeaking").say("user", "stop")
    assert book.ending is None, "a question is open again"
    book.say("assistant", "Fine.").server("AgentAudioDone")
    assert book.ending.code == 1000


def test_keep_alives_and_an_open_microphone_are_silence():
    book = RelayBook(max_silence_s=100.0).ready()
    book.now_s = 79.0
    book.client("KeepAlive").feed(engine.ClientBinaryReceived(bytes(320)))
    pass_limit(book, SILENCE_TIMER, 100.0)
    assert codes(book) == [("Warning", "MAX_SILENCE"), ("Error", "MAX_SILENCE")]
    assert book.ending.code == 1000


@pytest.mark.parametrize("message", ["InjectUserMessage", "InjectAgentMessage", "FunctionCallResponse"])
def test_a_message_that_asks_for_something_ends_a_silence(message):
    book = RelayBook(max_silence_s=100.0).ready()
    book.now_s = 79.0
    book.client(message)
    pass_limit(book, SILENCE_TIMER, 100.0)
    assert codes(book) == []


def test_speech_ends_a_silence():
    book = RelayBook(max_silence_s=100.0).ready()
    book.now_s = 79.0
    book.server("UserStartedSpeaking")
    pass_limit(book, SILENCE_TIMER, 100.0)
    assert codes(book) == []


def test_answers_that_the_user_interrupts_count():
    book = RelayBook(max_turns=2).ready()
    for _ in range(2):
        assert book.ending is None
        book.say("user", "one?").server("UserStartedSpeaking").say("user", "two?")
        book.say("assistant", "One.").server("UserStartedSpeaking").server("AgentAudioDone")
    assert codes(book) == [("Warning", "MAX_TURNS")]
    book.say("user", "three?").say("assistant", "Three.").server("UserStartedSpeaking")
    assert codes(book)[-1] == ("Error", "MAX_TURNS")


SILENT = {"max_silence_s": 100.0, "silence_question": "Are you there?", "silence_goodbye": "Goodbye."}


def silent(book, passed_s):
    book.now_s += passed_s
    book.feed(engine.TimerFired(SILENCE_TIMER))
    return [it["message"] for it in book.take()[1] if it["type"] == "InjectAgentMessage"]


def test_the_agent_asks_into_a_silence_and_says_goodbye_before_the_end():
    book = RelayBook(**SILENT).ready()
    assert silent(book, 80) == [SILENT["silence_question"]]
    book.say("assistant", "Are you there?").server("AgentAudioDone")
    assert [it["type"] for it in book.take()[0]] == ["ConversationText", "History", "AgentAudioDone"]
    assert silent(book, 20) == [SILENT["silence_goodbye"]]
    assert book.ending is None
    book.say("assistant", "Goodbye.").server("AgentAudioDone")
    assert (book.sent[-1]["code"], book.ending.code) == ("MAX_SILENCE", 1000)


def test_a_user_who_answers_the_question_ends_the_silence():
    book = RelayBook(**SILENT, max_turns=2).ready()
    silent(book, 80)
    book.say("assistant", "Are you there?").server("AgentAudioDone").server("UserStartedSpeaking")
    book.say("user", "Yes.").say("assistant", "Good.").server("AgentAudioDone")
    assert silent(book, 20) == []
    assert book.ending is None, "the question counts as no turn"


def test_a_question_that_the_upstream_says_in_other_words_ends_with_its_audio():
    book = RelayBook(**SILENT).ready()
    silent(book, 80)
    book.say("assistant", "Hello?").server("AgentAudioDone")
    assert book.relay.can_move
    book.say("user", "Yes.").say("assistant", "Good.").server("AgentAudioDone")
    assert [silent(book, passed_s) for passed_s in (20, 60)] == [[], [SILENT["silence_question"]]]


def test_the_upstream_s_refusal_of_the_question_is_not_the_client_s():
    book = RelayBook(**SILENT).ready()
    silent(book, 80)
    book.server("InjectionRefused", message="the user speaks")
    assert book.sent == []
    book.client("InjectAgentMessage", message="Mine.").server("InjectionRefused", message="the user speaks")
    assert [it["type"] for it in book.sent] == ["InjectionRefused"]


def test_a_question_into_a_silence_survives_the_upstream():
    book = RelayBook(**SILENT).ready()
    silent(book, 80)
    book.lose().restore()
    assert book.upstream[-1] == {"type": "InjectAgentMessage", "message": SILENT["silence_question"]}


def test_without_an_upstream_the_agent_says_nothing_and_the_call_ends():
    book = RelayBook(**SILENT)
    assert silent(book, 80) == []
    assert silent(book, 20) == []
    book = RelayBook(**SILENT).ready()
    book.lose()
    assert silent(book, 80) == []


def test_the_answers_of_the_agent_have_a_limit_and_a_greeting_is_none():
    book = RelayBook(max_turns=2).ready().say("assistant", "Hello.").server("AgentAudioDone")
    for _ in range(2):
        assert book.ending is None
        book.say("user", "one?").say("assistant", "One.").server("AgentAudioDone")
    assert codes(book) == [("Warning", "MAX_TURNS"), ("Error", "MAX_TURNS")]
    assert book.ending.code == 1000


# An operator.


def test_an_operator_ends_a_session(book):
    book.ready().feed(engine.EndRequested())
    assert (codes(book), book.ending.code) == ([("Error", "SESSION_ENDED")], 1000)


# Bounds.


def test_waiting_audio_has_a_bound_and_the_oldest_goes_counted(book):
    book.client("Settings", audio={}, agent={}).client("InjectUserMessage", content="kept")
    for _ in range(30):
        book.feed(engine.ClientBinaryReceived(bytes(100_000)))
    assert book.relay.held_bytes() <= 1024 * 1024 + 100_000
    assert book.relay.describe() == {
        "profile": "deepgram",
        "lifecycle": "dialling",
        "generation": 1,
        "dropped_bytes": 2_000_000,
    }
    assert len([it for it in book.others if isinstance(it, engine.Log)]) == 1
    book.server("Welcome", request_id="r1").server("SettingsApplied")
    assert book.upstream[1]["content"] == "kept"


def test_a_waiting_text_beyond_the_bound_gets_an_answer(book):
    book.client("Settings", audio={}, agent={})
    for number in range(66):
        book.client("Tomorrow", number=number)
    assert [it["code"] for it in book.sent] == ["TOO_MANY_EARLY_MESSAGES"] * 2


def test_a_keep_alive_waits_for_no_upstream(book):
    book.ready().lose().client("KeepAlive").restore()
    assert len(book.upstream) == 1


def test_the_kind_and_the_languages_of_a_text_reach_the_sdk_leaf_by_leaf(book):
    agent = {"greeting": "Hello.", "conversational_behavior": {"presence_check": {"leaf": 1}}}
    book.client("Settings", audio={}, agent=agent).server("Welcome", request_id="r1").server("SettingsApplied")
    assert book.take()[1][0]["agent"] == agent
    annotations = {"conversational_behavior": "backchannel", "languages": ["en"], "languages_hinted": ["en", "de"]}
    book.server("ConversationText", role="assistant", content="Mhm.", **annotations)
    (sent,) = book.take()[0]
    read = AgentV1ConversationText.model_validate(sent)
    assert {name: getattr(read, name) for name in annotations} == annotations
