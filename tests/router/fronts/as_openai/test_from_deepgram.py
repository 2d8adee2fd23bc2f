"""Deepgram's messages as OpenAI's events."""

import pytest

from actors import messages as engine
from actors.restart import LossKind
from router.fronts.as_openai.agent import LIFE_S
from router.translation.validation import MAX_FUNCTIONS
from tests.support.machine.agent_book import APPEND, AUDIO, CALLED, MANUAL, TRANSCRIBED, AgentBook, output, types


@pytest.fixture
def book():
    return AgentBook().ready()


def test_the_session_begins_with_the_welcome_and_says_when_it_ends():
    book = AgentBook().open()
    assert book.sent == []
    book.hear("Welcome", request_id="r")
    (created,) = book.take()[0]
    assert created["type"] == "session.created"
    assert created["session"]["expires_at"] == 1_700_000_000 + LIFE_S


def test_settings_that_deepgram_refuses_or_ignores_cost_it_the_call():
    book = AgentBook().welcome().ask("One?").hear("Error", code="INVALID_SETTINGS", description="no")
    (abandon,) = book.of(engine.AbandonUpstream)
    assert (abandon.loss.kind, abandon.loss.is_fatal) == (LossKind.REFUSED, True)
    book = AgentBook().welcome().ask("One?").wait(10.0)
    assert [it.loss.cause for it in book.of(engine.AbandonUpstream)] == ["session_updated"]


def test_an_error_behind_the_settings_is_the_client_s_only_without_a_close(book):
    book.hear("Error", code="INTERNAL_SERVER_ERROR", description="no")
    assert book.sent == []
    assert book.wait(1.0).events("error")[0]["error"]["code"] == "internal_server_error"


def test_an_answer_is_one_response_and_the_echo_of_the_question_is_not_passed_on(book):
    book.ask("Tea?").answer("Yes.", "Tea?")
    assert types(book.sent).count("response.done") == 1
    assert types(book.sent).count("conversation.item.added") == 2
    assert book.client.text.endswith("Yes.")


def test_a_response_has_the_metadata_of_its_request(book):
    book.ask("Tea?", metadata={"n": "1"}).answer("Yes.", "Tea?")
    assert book.events("response.created")[0]["response"]["metadata"] == {"n": "1"}


def test_a_refused_question_is_asked_again_as_soon_as_the_agent_has_spoken(book):
    book.ask("Tea?").said("user", "Tea?").said("assistant", "Yes").say("response.cancel").take()
    book.ask("Coffee?")
    assert [it["content"] for it in book.agent] == ["Coffee?"]
    book.hear("InjectionRefused", message="the agent speaks").take()
    book.hear("AgentAudioDone")
    assert [it["content"] for it in book.agent] == ["Coffee?"]
    book.answer("No.", "Coffee?")
    assert book.events("response.done")[0]["response"]["status"] == "completed"
    assert book.client.text.endswith("No.")
    assert book.events("conversation.item.added")[1:] == [], "the echo is no turn of the user's"


def test_a_refused_question_is_asked_again_each_second_while_the_user_speaks(book):
    book.ask("Tea?").hear("InjectionRefused", message="the user speaks").take()
    asked = [it for it in book.wait(3.5).agent if it["type"] == "InjectUserMessage"]
    assert len(asked) == 1
    book.hear("InjectionRefused", message="the user speaks").wait(1.5)
    assert len([it for it in book.agent if it["type"] == "InjectUserMessage"]) == 2
    assert book.answer("Yes.", "Tea?").events("response.done")[0]["response"]["status"] == "completed"
    assert not book.of(engine.AbandonUpstream)


def test_a_refusal_without_an_open_question_changes_nothing(book):
    book.hear("InjectionRefused", message="the agent speaks").wait(3.0)
    assert book.sent == book.agent == []
    book.ask("Tea?").say("response.cancel").hear("InjectionRefused", message="the agent speaks")
    book.hear("UserStartedSpeaking").answer("Fine.", "Tea?")
    assert book.events("input_audio_buffer.committed"), "the words are the user's own, and no echo"


def test_written_answers_have_no_audio():
    book = AgentBook().ready(output_modalities=["text"])
    book.ask("Tea?").answer("Yes.", "Tea?")
    assert "response.output_text.delta" in types(book.sent)
    assert not [kind for kind in types(book.sent) if "audio" in kind]


def test_a_spoken_turn_has_openai_s_events_in_order():
    book = AgentBook().ready(**TRANSCRIBED)
    book.say("input_audio_buffer.append", **APPEND).hear("UserStartedSpeaking").answer("Fine.", "How are you?")
    assert types(book.sent)[:6] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert book.sent[5]["transcript"] == "How are you?"
    assert book.sent[0]["audio_start_ms"] == 20
    assert book.events("response.done")[0]["response"]["status"] == "completed"


def test_a_transcript_comes_only_where_the_client_wants_one(book):
    book.hear("UserStartedSpeaking").answer("Fine.", "How are you?")
    assert "conversation.item.input_audio_transcription.completed" not in types(book.sent)
    assert book.events("conversation.item.added")[0]["item"]["content"][0]["transcript"] == "How are you?"


def test_a_barge_in_cuts_the_answer_off_and_late_audio_is_dropped(book):
    book.ask("Tea?").said("user", "Tea?").said("assistant", "Yes.").play(AUDIO).take()
    book.hear("UserStartedSpeaking").hear("AgentAudioDone")
    assert types(book.sent)[0] == "input_audio_buffer.speech_started"
    details = book.events("response.done")[0]["response"]["status_details"]
    assert details == {"type": "cancelled", "reason": "turn_detected"}
    book.take()
    assert book.play(AUDIO).take()[0] == []


def test_a_request_behind_speech_is_the_answer_that_deepgram_gives_by_itself(book):
    book.hear("UserStartedSpeaking").said("user", "How are you?").say("response.create").take()
    book.answer("Fine.")
    assert types(book.sent).count("response.done") == 1
    assert book.agent == []


def test_an_answer_ends_speech_without_a_text(book):
    book.hear("UserStartedSpeaking").take()
    book.answer("Are you there?")
    assert types(book.sent)[:3] == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.cleared",
        "response.created",
    ]


def test_a_sign_of_listening_leaves_the_speech_open(book):
    book.hear("UserStartedSpeaking").take()
    book.hear("ConversationText", role="assistant", content="Mhm.", conversational_behavior="backchannel")
    book.hear("AgentAudioDone").said("user", "So I said.")
    assert types(book.sent).count("input_audio_buffer.speech_stopped") == 1
    assert types(book.sent).count("input_audio_buffer.committed") == 1
    assert "input_audio_buffer.cleared" not in types(book.sent)


def test_silence_ends_the_turn_where_deepgram_has_no_message_for_it():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit").take()
    book.hear("Warning", code="FORCE_END_TURN_UNSUPPORTED", description="no")
    (silence,) = book.take()[1]
    assert silence == bytes(len(silence))


def test_a_function_that_deepgram_runs_itself_is_no_call(book):
    book.hear("FunctionCallRequest", functions=[{**CALLED, "client_side": False}])
    assert book.sent == []


def test_a_call_in_a_turn_that_the_client_has_cancelled_gets_an_error_as_its_output(book):
    book.ask("Weather?").said("user", "Weather?").say("response.cancel").take()
    book.hear("FunctionCallRequest", functions=[CALLED])
    (response,) = book.agent
    assert (response["type"], response["id"], response["name"]) == ("FunctionCallResponse", "call_1", "get_weather")
    assert "error" in response["content"]
    assert "get_weather" in book.of(engine.Log)[0].text
    assert book.take()[0] == []
    book.answer("I stopped.")
    assert book.take()[0] == []
    assert book.ask("Tea?").answer("Yes.", "Tea?").client.text.endswith("Yes.")


def test_the_output_of_a_cancelled_call_stays_here(book):
    book.ask("Weather?").said("user", "Weather?").hear("FunctionCallRequest", functions=[CALLED]).take()
    book.say("conversation.item.create", item=output("call_1"))
    book.hear("FunctionCallCancelled", functions=[{"id": "call_1", "name": "get_weather"}])
    book.ask("Tea?")
    assert types(book.take()[1]) == ["InjectUserMessage"]


def test_calls_beyond_the_bound_of_one_message_are_answered_here_and_logged(book):
    calls = [{**CALLED, "id": f"call_{number}"} for number in range(MAX_FUNCTIONS + 2)]
    book.ask("Tea?").hear("FunctionCallRequest", functions=calls)
    assert types(book.sent).count("response.function_call_arguments.done") == MAX_FUNCTIONS
    assert [it.text for it in book.of(engine.Log) if "dropped" in it.text] == [
        "2 calls of one message of Deepgram's are dropped"
    ]
    answered = [it["id"] for it in book.agent if it["type"] == "FunctionCallResponse"]
    assert answered == [f"call_{MAX_FUNCTIONS}", f"call_{MAX_FUNCTIONS + 1}"]
