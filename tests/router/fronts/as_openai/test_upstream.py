"""One upstream of Deepgram's between its wire and OpenAI's events."""

import base64

import pytest

from actors import messages as engine
from actors.restart import LossKind
from router.fronts.as_openai.history import GO_ON_TEXT
from router.fronts.as_openai.upstream import COMMIT_S, KEEP_ALIVE_S, LIFE_S, UNSUPPORTED
from router.session.deadlines import SPEECH_S
from router.session.reports import UpstreamTookOver
from tests.support.machine.agent_book import AgentBook, types

AUDIO = bytes(960)
APPEND = {"audio": base64.b64encode(AUDIO).decode()}
MANUAL = {"audio": {"input": {"turn_detection": None}}}
TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
CALLED = {"id": "call_1", "name": "get_weather", "arguments": "{}", "client_side": True}


@pytest.fixture
def book():
    return AgentBook().ready()


def code_of(book):
    return book.events("error")[-1]["error"]["code"]


def message(role, text, kind="input_text"):
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def output(call_id, text="sunny"):
    return {"type": "function_call_output", "call_id": call_id, "output": text}


# The beginning.


def test_the_session_begins_with_the_welcome_and_says_when_it_ends():
    book = AgentBook().open()
    assert book.sent == []
    book.hear("Welcome", request_id="r")
    (created,) = book.take()[0]
    assert created["type"] == "session.created"
    assert created["session"]["expires_at"] == 1_700_000_000 + LIFE_S


def test_the_settings_wait_for_the_first_question_and_hold_all_that_came_before():
    book = AgentBook().welcome().configure(instructions="Be brief.")
    book.say("conversation.item.create", item=message("user", "My name is Ada."))
    book.say("conversation.item.create", item=message("assistant", "Hello Ada.", "output_text"))
    assert book.take()[1] == []
    book.ask("Tea?")
    (settings,) = book.take()[1]
    assert [it["content"] for it in settings["agent"]["context"]["messages"]] == ["My name is Ada.", "Hello Ada."]
    book.hear("SettingsApplied")
    assert book.take()[1] == [{"type": "InjectUserMessage", "content": "Tea?"}]


def test_audio_brings_the_settings_and_waits_for_their_acknowledgement():
    book = AgentBook().welcome().say("input_audio_buffer.append", **APPEND)
    assert types(book.take()[1]) == ["Settings"]
    assert book.hear("SettingsApplied").take()[1] == [AUDIO]


def test_the_settings_of_a_silent_client_leave_in_time():
    book = AgentBook().welcome().configure()
    assert types(book.wait(2.0).take()[1]) == ["Settings"]


def test_an_upstream_counts_as_serving_when_it_has_applied_the_settings():
    book = AgentBook().welcome().ask("One?")
    assert not [it for it in book.of(engine.Notify) if isinstance(it.notification, UpstreamTookOver)]
    book.hear("SettingsApplied")
    assert [it for it in book.of(engine.Notify) if isinstance(it.notification, UpstreamTookOver)]


def test_settings_that_deepgram_refuses_or_ignores_cost_it_the_call():
    book = AgentBook().welcome().ask("One?").hear("Error", code="INVALID_SETTINGS", description="no")
    (abandon,) = book.of(engine.AbandonUpstream)
    assert (abandon.loss.kind, abandon.loss.is_fatal) == (LossKind.REFUSED, True)
    book = AgentBook().welcome().ask("One?").wait(10.0)
    assert [it.loss.cause for it in book.of(engine.AbandonUpstream)] == ["session_updated"]


def test_a_frame_that_is_no_message_costs_deepgram_the_call(book):
    book.feed(engine.UpstreamTextReceived(book.generation, "no JSON"))
    (abandon,) = book.of(engine.AbandonUpstream)
    assert abandon.loss.kind is LossKind.MALFORMED
    book.take()
    assert book.said("assistant", "late").take() == ([], [])


def test_an_error_behind_the_settings_is_the_client_s_only_without_a_close(book):
    book.hear("Error", code="INTERNAL_SERVER_ERROR", description="no")
    assert book.sent == []
    assert book.wait(1.0).events("error")[0]["error"]["code"] == "internal_server_error"


def test_an_idle_connection_is_kept_open(book):
    book.wait(KEEP_ALIVE_S + 1)
    assert types(book.agent) == ["KeepAlive"]


# Questions and answers.


def test_an_answer_is_one_response_and_the_echo_of_the_question_is_not_passed_on(book):
    book.ask("Tea?").answer("Yes.", "Tea?")
    assert types(book.sent).count("response.done") == 1
    assert types(book.sent).count("conversation.item.added") == 2
    assert book.client.text.endswith("Yes.")


def test_a_request_without_a_new_item_goes_on_or_follows_its_instructions(book):
    assert book.say("response.create").take()[1] == [{"type": "InjectUserMessage", "content": GO_ON_TEXT}]
    book.answer("More.", GO_ON_TEXT).take()
    book.say("response.create", response={"instructions": "Greet the caller."})
    assert book.take()[1] == [{"type": "InjectUserMessage", "content": "Greet the caller."}]


def test_a_second_question_waits_for_the_first_answer(book):
    book.ask("Tea?").ask("Coffee?")
    assert [it["content"] for it in book.take()[1]] == ["Tea?"]
    book.answer("Yes.", "Tea?")
    assert [it["content"] for it in book.take()[1]] == ["Coffee?"]


def test_a_request_during_an_answer_is_refused_as_at_openai(book):
    book.ask("Tea?").said("user", "Tea?").said("assistant", "Yes.").say("response.create")
    assert code_of(book) == "conversation_already_has_active_response"


def test_a_request_that_asks_nothing_new_is_refused_while_one_is_open(book):
    book.ask("Tea?").say("response.create")
    assert code_of(book) == "conversation_already_has_active_response"


def test_a_response_has_the_metadata_of_its_request(book):
    book.ask("Tea?", metadata={"n": "1"}).answer("Yes.", "Tea?")
    assert book.events("response.created")[0]["response"]["metadata"] == {"n": "1"}


def test_written_answers_have_no_audio():
    book = AgentBook().ready(output_modalities=["text"])
    book.ask("Tea?").answer("Yes.", "Tea?")
    assert "response.output_text.delta" in types(book.sent)
    assert not [kind for kind in types(book.sent) if "audio" in kind]


def test_a_cancelled_answer_ends_at_once_and_its_rest_is_dropped(book):
    book.ask("Tea?").said("user", "Tea?").said("assistant", "Yes.").say("response.cancel")
    assert book.events("response.done")[0]["response"]["status"] == "cancelled"
    book.take()
    book.said("assistant", "And no.").play(AUDIO).hear("AgentAudioDone")
    assert book.take()[0] == []
    assert book.ask("Coffee?").answer("No.", "Coffee?").client.text.endswith("No.")


def test_a_request_is_cancelled_before_its_answer_has_begun(book):
    book.ask("Tea?").say("response.cancel").answer("Yes.", "Tea?")
    assert [it["response"]["status"] for it in book.events("response.done")] == ["cancelled"]
    assert "Yes." not in book.client.text


def test_a_request_that_deepgram_was_not_told_of_is_cancelled_and_its_question_stays():
    book = AgentBook().welcome().ask("Tea?").say("response.cancel").hear("SettingsApplied")
    assert types(book.take()[1]) == ["Settings"]
    book.ask("Coffee?")
    assert [it["content"] for it in book.take()[1]] == ["Tea?\nCoffee?"]


def test_without_a_response_there_is_nothing_to_cancel(book):
    book.say("response.cancel").wait(1.0)
    assert code_of(book) == "response_cancel_not_active"


# Speech.


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


def test_a_noise_ends_without_a_turn(book):
    book.hear("UserStartedSpeaking").take()
    book.wait(SPEECH_S + 2)
    assert types(book.sent) == ["input_audio_buffer.speech_stopped", "input_audio_buffer.cleared"]


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


def test_a_client_that_ends_its_turns_by_itself_does_so_here():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit").say("response.create")
    assert types(book.take()[1]) == ["audio", "ForceEndTurn"]
    book.hear("UserStartedSpeaking").answer("Fine.", "How are you?")
    assert types(book.sent)[0] == "input_audio_buffer.committed"
    assert book.events("response.done")[0]["response"]["status"] == "completed"


def test_silence_ends_the_turn_where_deepgram_has_no_message_for_it():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit").take()
    book.hear("Warning", code="FORCE_END_TURN_UNSUPPORTED", description="no")
    (silence,) = book.take()[1]
    assert silence == bytes(len(silence))


def test_a_commit_without_speech_is_refused_and_so_is_its_request():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit").say("response.create")
    book.wait(COMMIT_S + 1)
    assert [it["error"]["code"] for it in book.events("error")] == [
        "input_audio_buffer_commit_empty",
        "response_without_input",
    ]
    assert book.ask("Tea?").answer("Yes.", "Tea?").client.text.endswith("Yes.")


def test_an_empty_commit_is_refused(book):
    book.say("input_audio_buffer.commit")
    assert code_of(book) == "input_audio_buffer_commit_empty"


def test_audio_that_is_no_base64_is_refused(book):
    book.say("input_audio_buffer.append", audio="%%%")
    assert book.wait(1.0).events("error")[0]["error"]["code"] == "invalid_value"


# Functions.


def test_a_call_is_answered_with_the_request_for_its_answer(book):
    book.ask("Weather?").said("user", "Weather?").hear("FunctionCallRequest", functions=[CALLED])
    assert book.events("response.function_call_arguments.done")[0]["call_id"] == "call_1"
    assert book.events("response.done")[0]["response"]["status"] == "completed"
    book.take()
    book.say("conversation.item.create", item=output("call_1"))
    assert book.agent == []
    book.say("response.create")
    response = {"type": "FunctionCallResponse", "id": "call_1", "name": "get_weather", "content": "sunny"}
    assert book.take()[1] == [response]
    assert book.answer("It is sunny.").client.text.endswith("It is sunny.")


def test_each_of_several_outputs_reaches_deepgram_although_it_answers_once(book):
    calls = [CALLED, {**CALLED, "id": "call_2"}]
    book.ask("Weather?").said("user", "Weather?").hear("FunctionCallRequest", functions=calls).take()
    book.say("conversation.item.create", item=output("call_1")).say("response.create")
    book.say("conversation.item.create", item=output("call_2")).say("response.create")
    assert [it["id"] for it in book.agent] == ["call_1", "call_2"]
    assert code_of(book) == "conversation_already_has_active_response"


def test_a_function_that_deepgram_runs_itself_is_no_call(book):
    book.hear("FunctionCallRequest", functions=[{**CALLED, "client_side": False}])
    assert book.sent == []


def test_the_output_of_a_cancelled_call_stays_here(book):
    book.ask("Weather?").said("user", "Weather?").hear("FunctionCallRequest", functions=[CALLED]).take()
    book.say("conversation.item.create", item=output("call_1"))
    book.hear("FunctionCallCancelled", functions=[{"id": "call_1", "name": "get_weather"}])
    book.ask("Tea?")
    assert types(book.take()[1]) == ["InjectUserMessage"]


# What the client changes.


def test_instructions_and_tools_change_within_the_session(book):
    book.configure(instructions="Be kind.")
    (update,) = book.agent
    assert (update["type"], update["think"]["prompt"]) == ("UpdateThink", "Be kind.")
    assert book.events("session.updated")[0]["session"]["instructions"] == "Be kind."


def test_a_message_of_the_system_follows_the_prompt(book):
    book.say("conversation.item.create", item=message("system", "The caller is Ada."))
    assert book.agent[0]["think"]["prompt"] == "The caller is Ada."
    assert types(book.sent) == ["conversation.item.added", "conversation.item.done"]


def test_an_item_is_retrieved_and_truncated(book):
    (item,) = [it for it in book.client.items if "dg" in it]
    book.say("conversation.item.retrieve", item_id=item)
    assert book.events("conversation.item.retrieved")[0]["item"]["content"][0]["transcript"] == "One."
    book.say("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=10)
    assert book.events("conversation.item.truncated")[0]["audio_end_ms"] == 10


def test_an_item_that_is_not_there_is_not_retrieved(book):
    book.say("conversation.item.retrieve", item_id="nothing")
    assert code_of(book) == "item_retrieve_invalid_item_id"


def test_a_question_that_was_not_asked_is_deleted(book):
    book.say("conversation.item.create", item={"id": "mine", **message("user", "Tea?")})
    book.say("conversation.item.delete", item_id="mine").ask("Coffee?")
    assert [it["content"] for it in book.agent] == ["Coffee?"]


def test_audio_is_cleared_while_nobody_speaks(book):
    assert types(book.say("input_audio_buffer.clear").take()[0]) == ["input_audio_buffer.cleared"]


UNTAKEN = {
    "a response outside of the conversation": ("response.create", {"response": {"conversation": "none"}}),
    "a response to other items": ("response.create", {"response": {"input": []}}),
    "another format": ("session.update", {"session": {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}}),
    "words of the agent": ("conversation.item.create", {"item": message("assistant", "Hi", "output_text")}),
    "an image": (
        "conversation.item.create",
        {"item": {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}},
    ),
    "a deletion": ("conversation.item.delete", {"item_id": "dg"}),
    "an unknown event": ("output_audio_buffer.clear", {}),
}


@pytest.mark.parametrize(("kind", "fields"), UNTAKEN.values(), ids=UNTAKEN.keys())
def test_an_event_that_deepgram_has_nothing_for_is_answered_and_the_call_goes_on(book, kind, fields):
    if fields.get("item_id") == "dg":
        fields = {"item_id": next(it for it in book.client.items if "dg" in it)}
    book.say(kind, event_id="mine", **fields)
    error = book.wait(1.0).events("error")[0]["error"]
    assert (error["code"], error["event_id"]) == (UNSUPPORTED, "mine")
    assert not book.of(engine.EndSession)
    assert book.ask("Tea?").answer("Yes.", "Tea?").client.text.endswith("Yes.")


def test_speech_in_progress_cannot_be_cleared(book):
    book.hear("UserStartedSpeaking").say("input_audio_buffer.clear")
    assert code_of(book) == UNSUPPORTED
