"""The relay's events as messages for Deepgram, and those that get an error."""

import pytest

from actors import messages as engine
from router.fronts.as_openai.agent import UNSUPPORTED
from router.fronts.as_openai.from_relay import MAX_ITEM_VALUES, MAX_UPDATE_VALUES
from router.fronts.as_openai.history import GO_ON_TEXT
from router.fronts.as_openai.upstream import COMMIT_S, MAX_LATER_CHARS
from router.translation.validation import MAX_FUNCTIONS
from tests.support.machine.agent_book import (
    APPEND,
    AUDIO,
    CALLED,
    MANUAL,
    AgentBook,
    code_of,
    message,
    output,
    types,
)


@pytest.fixture
def book():
    return AgentBook().ready()


def test_a_request_without_a_new_item_goes_on_or_follows_its_instructions(book):
    assert book.say("response.create").take()[1] == [{"type": "InjectUserMessage", "content": GO_ON_TEXT}]
    book.answer("More.", GO_ON_TEXT).take()
    book.say("response.create", response={"instructions": "Greet the caller."})
    assert book.take()[1] == [{"type": "InjectUserMessage", "content": "Greet the caller."}]


@pytest.mark.parametrize("event_id", ["ask_1", "again_1"])
def test_a_client_s_own_id_makes_no_repetition(book, event_id):
    book.say("response.create", event_id=event_id, response={"instructions": "Greet the caller."})
    assert book.agent == [{"type": "InjectUserMessage", "content": "Greet the caller."}]


def test_an_error_about_a_client_s_own_id_reaches_the_client(book):
    book.say("output_audio_buffer.clear", event_id="again_1").wait(1.0)
    assert book.events("error")[0]["error"]["event_id"] == "again_1"


def test_a_request_during_an_answer_is_refused_as_at_openai(book):
    book.ask("Tea?").said("user", "Tea?").said("assistant", "Yes.").say("response.create")
    assert code_of(book) == "conversation_already_has_active_response"


def test_a_request_that_asks_nothing_new_is_refused_while_one_is_open(book):
    book.ask("Tea?").say("response.create")
    assert code_of(book) == "conversation_already_has_active_response"


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


@pytest.mark.parametrize("is_heard", [True, False], ids=["during the speech", "before the speech"])
def test_the_answer_to_committed_speech_stays_cancelled(is_heard):
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND)
    if is_heard:
        book.hear("UserStartedSpeaking")
    book.say("input_audio_buffer.commit").say("response.create").say("response.cancel")
    if not is_heard:
        book.hear("UserStartedSpeaking")
    book.answer("Fine.", "How are you?")
    assert [it["response"]["status"] for it in book.events("response.done")] == ["cancelled"]
    assert types(book.sent).count("input_audio_buffer.committed") == 1
    assert "Fine." not in book.client.text
    assert book.ask("Tea?").answer("Yes.", "Tea?").client.text.endswith("Yes.")


def test_the_answer_to_speech_stays_cancelled_before_deepgram_has_the_speech():
    book = AgentBook().welcome().configure(**MANUAL).say("input_audio_buffer.append", **APPEND)
    book.say("input_audio_buffer.commit").say("response.create").say("response.cancel").hear("SettingsApplied")
    book.hear("UserStartedSpeaking").answer("Fine.", "How are you?")
    assert "Fine." not in book.client.text


def test_a_commit_after_the_cancelled_request_is_answered():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit").say("response.create")
    book.hear("UserStartedSpeaking").said("user", "How are you?")
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit").say("response.cancel")
    book.hear("UserStartedSpeaking").say("response.create").answer("Noon.", "What time is it?")
    assert book.client.text.endswith("Noon.")


def test_speech_after_a_cancellation_is_answered(book):
    book.ask("Tea?").said("user", "Tea?").said("assistant", "Yes.").say("response.cancel")
    book.hear("UserStartedSpeaking").answer("Fine.", "How are you?")
    assert book.client.text.endswith("Fine.")


def test_a_cancellation_of_another_response_is_refused(book):
    book.ask("Tea?").said("user", "Tea?").said("assistant", "Yes.")
    book.say("response.cancel", response_id="resp_old").wait(1.0)
    assert code_of(book) == "response_cancel_not_active"
    assert book.events("response.done") == []
    book.say("response.cancel", response_id=book.events("response.created")[0]["response"]["id"])
    assert book.events("response.done")[0]["response"]["status"] == "cancelled"


def test_instructions_of_a_cancelled_request_are_no_words_of_the_user():
    book = AgentBook().welcome().say("response.create", response={"instructions": "Say hello."})
    book.say("response.cancel").hear("SettingsApplied").take()
    assert [it["content"] for it in book.ask("Coffee?").agent] == ["Coffee?"]


def test_without_a_response_there_is_nothing_to_cancel(book):
    book.say("response.cancel").wait(1.0)
    assert code_of(book) == "response_cancel_not_active"


def test_a_client_that_ends_its_turns_by_itself_does_so_here():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit").say("response.create")
    assert types(book.take()[1]) == ["audio", "ForceEndTurn"]
    book.hear("UserStartedSpeaking").answer("Fine.", "How are you?")
    assert types(book.sent)[0] == "input_audio_buffer.committed"
    assert book.events("response.done")[0]["response"]["status"] == "completed"


def test_a_commit_goes_on_at_the_next_upstream_and_its_clock_begins_there():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit").say("response.create")
    book.lose().welcome().wait(COMMIT_S - 1).take()
    book.hear("SettingsApplied").wait(COMMIT_S - 1)
    assert types(book.agent) == ["audio", "ForceEndTurn"]
    book.hear("UserStartedSpeaking").answer("Fine.", "How are you?")
    assert book.events("error") == []
    assert book.events("response.done")[0]["response"]["status"] == "completed"


def test_an_empty_commit_is_refused(book):
    book.say("input_audio_buffer.commit")
    assert code_of(book) == "input_audio_buffer_commit_empty"


def test_empty_audio_is_not_sent(book):
    assert book.say("input_audio_buffer.append", audio="").take() == ([], [])


@pytest.mark.parametrize("kind", ["input_audio_buffer.commit", "input_audio_buffer.clear"])
def test_a_commit_without_new_audio_is_refused(kind):
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).say(kind).say("input_audio_buffer.commit", event_id="second")
    (error,) = book.events("error")
    assert (error["error"]["code"], error["error"]["event_id"]) == ("input_audio_buffer_commit_empty", "second")


def test_a_commit_waits_until_the_one_before_has_its_text():
    book = AgentBook().ready(**MANUAL)
    for name in ("first", "second"):
        book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit", event_id=name)
    book.say("input_audio_buffer.append", **APPEND)
    assert types(book.agent) == ["audio", "ForceEndTurn", "audio"]
    book.take()
    book.hear("UserStartedSpeaking").said("user", "One")
    assert types(book.agent) == ["ForceEndTurn", "audio"]
    book.hear("UserStartedSpeaking").answer("Fine.", "Two")
    assert types(book.sent).count("input_audio_buffer.committed") == 2
    assert book.events("error") == []
    assert not book.wait(10.0).of(engine.AbandonUpstream)


def test_two_commits_of_a_lost_upstream_are_heard_by_deepgram_one_after_the_other():
    book = AgentBook().open(position=0)
    book.hear("session.created", session={"id": "sess_1"}).configure(**MANUAL)
    book.hear("session.updated", session={"id": "sess_1", **MANUAL})
    for _ in range(2):
        book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit")
    book.lose().take()
    book.welcome().hear("SettingsApplied")
    assert types(book.agent) == ["Settings", "audio", "ForceEndTurn", "audio"]
    book.hear("UserStartedSpeaking").said("user", "One").hear("UserStartedSpeaking").said("user", "Two")
    assert types(book.agent)[4:] == ["ForceEndTurn"]
    assert types(book.sent).count("input_audio_buffer.committed") == 2
    assert book.events("error") == []


def test_events_behind_a_commit_that_waits_have_a_bound():
    book = AgentBook().ready(**MANUAL)
    for _ in range(2):
        book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit")
    book.say("input_audio_buffer.append", audio="A" * MAX_LATER_CHARS, event_id="long")
    assert [it["error"]["event_id"] for it in book.events("error")] == ["long"]
    assert code_of(book) == "too_many_waiting_events"


def test_commits_without_speech_are_refused_one_after_the_other_and_deepgram_stays():
    book = AgentBook().ready(**MANUAL)
    for name in ("first", "second", "third"):
        book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit", event_id=name)
    book.wait(4 * COMMIT_S)
    assert [it["error"]["event_id"] for it in book.events("error")] == ["first", "second", "third"]
    assert not book.of(engine.AbandonUpstream)


def test_events_behind_a_commit_that_waits_are_counted():
    book = AgentBook().ready(**MANUAL)
    for _ in range(2):
        book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit")
    before, audio = book.machine.held_bytes(), "A" * 1000
    book.say("input_audio_buffer.append", audio=audio)
    # The relay keeps the audio, and so does the event that waits.
    assert book.machine.held_bytes() - before > 2 * len(audio)


def contexts(book):
    """Return the texts of the context that Deepgram gets with the next question."""
    book.ask("Which?")
    (settings,) = (it for it in book.agent if it["type"] == "Settings")
    return [it["content"] for it in settings["agent"]["context"]["messages"]]


def said(name, text):
    return {"id": name, **message("assistant", text, "output_text")}


def test_an_item_before_the_first_question_has_the_place_that_the_client_names():
    book = AgentBook().welcome().configure()
    for name, place in (("a", {}), ("c", {}), ("b", {"previous_item_id": "a"}), ("o", {"previous_item_id": "root"})):
        book.say("conversation.item.create", item=said(name, name), **place)
    assert [it["previous_item_id"] for it in book.events("conversation.item.added")] == [None, "a", "a", None]
    assert contexts(book) == ["o", "a", "b", "c"]


def test_a_question_has_its_place_among_the_questions_that_wait(book):
    last = next(reversed(book.client.items))
    for name, previous in (("a", last), ("c", None), ("b", "a")):
        place = {"previous_item_id": previous} if previous else {}
        book.say("conversation.item.create", item={"id": name, **message("user", name)}, **place)
    book.say("response.create")
    assert [it["content"] for it in book.agent] == ["a\nb\nc"]


@pytest.mark.parametrize("previous", ["root", "q1", "unknown"])
def test_a_place_in_what_deepgram_has_is_refused(book, previous):
    book.say("conversation.item.create", item={"id": "q1", **message("user", "One?")}).say("response.create")
    book.answer("Yes.", "One?").take()
    item = {"id": "x", **message("user", "Where?")}
    book.say("conversation.item.create", event_id="mine", item=item, previous_item_id=previous)
    error = book.wait(1.0).events("error")[0]["error"]
    assert (error["code"], error["event_id"], error["param"]) == (UNSUPPORTED, "mine", "previous_item_id")
    assert [it["content"] for it in book.ask("Tea?").agent] == ["Tea?"]


def test_audio_that_is_no_base64_is_refused(book):
    book.say("input_audio_buffer.append", audio="%%%")
    assert book.wait(1.0).events("error")[0]["error"]["code"] == "invalid_value"


@pytest.mark.parametrize("role", ["user", "system"])
def test_items_that_deepgram_has_not_got_are_counted_and_have_a_bound(book, role):
    before = book.machine.held_bytes()
    for _ in range(3):
        book.say("conversation.item.create", item=message(role, "x" * 1_000_000))
    assert book.machine.held_bytes() - before > 3_000_000
    for _ in range(6):
        book.say("conversation.item.create", item=message(role, "x" * 1_000_000)).take()
    book.wait(1.0)
    book.say("conversation.item.create", item=message(role, "x" * 1_000_000)).wait(1.0)
    assert code_of(book) == "too_many_waiting_events"


def test_a_request_that_waits_is_counted_until_deepgram_has_it(book):
    def kept():
        return book.machine.held_bytes() - book.relay.held_bytes()

    book.ask("Tea?")
    assert kept() == 0
    book.ask("x" * 2_000_000)
    assert kept() > 2_000_000
    book.answer("Yes.", "Tea?")
    assert kept() == 0


def test_an_output_that_waits_is_counted_until_deepgram_has_it(book):
    book.ask("Weather?").said("user", "Weather?").hear("FunctionCallRequest", functions=[CALLED])
    book.say("conversation.item.create", item=output("call_1", "x" * 1_000_000))
    assert book.machine.held_bytes() - book.relay.held_bytes() > 1_000_000
    book.say("response.create")
    assert book.machine.held_bytes() - book.relay.held_bytes() == 0


def test_an_item_whose_audio_is_no_base64_is_refused(book):
    content = [{"type": "input_audio", "audio": "%%%"}]
    book.say("conversation.item.create", item={"type": "message", "role": "user", "content": content}).wait(1.0)
    assert types(book.sent) == ["error"]
    assert code_of(book) == "invalid_value"


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


def test_the_output_of_a_function_reaches_deepgram_although_the_user_spoke_meanwhile(book):
    book.ask("Weather?").said("user", "Weather?").hear("FunctionCallRequest", functions=[CALLED])
    book.hear("UserStartedSpeaking").said("user", "Hello?").take()
    book.say("conversation.item.create", item=output("call_1")).say("response.create")
    assert types(book.agent) == ["FunctionCallResponse"]
    assert book.answer("It is sunny.").events("response.done")[0]["response"]["status"] == "completed"


def test_instructions_and_tools_change_within_the_session(book):
    book.configure(instructions="Be kind.")
    (update,) = book.agent
    assert (update["type"], update["think"]["prompt"]) == ("UpdateThink", "Be kind.")
    assert book.events("session.updated")[0]["session"]["instructions"] == "Be kind."


def test_many_changes_during_the_settings_are_one_update_with_the_newest():
    book = AgentBook().welcome().say("input_audio_buffer.append", **APPEND)
    for number in range(200):
        book.configure(instructions=f"Rule {number}.")
    book.take()
    book.hear("SettingsApplied")
    assert types(book.agent) == ["UpdateThink", "audio"]
    assert book.agent[0]["think"]["prompt"] == "Rule 199."


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


def test_a_request_with_an_empty_input_has_its_instructions_alone(book):
    book.say("conversation.item.create", item=message("user", "Tea?"))
    book.say("response.create", response={"input": [], "instructions": "Say hello."})
    assert [it["content"] for it in book.take()[1]] == ["Say hello."]
    book.answer("Hello.", "Say hello.").say("response.create")
    assert [it["content"] for it in book.agent] == ["Tea?"]


IMAGE = {"type": "input_image", "image_url": "data:"}
UNTAKEN = {
    "a response outside of the conversation": ("response.create", {"response": {"conversation": "none"}}),
    "a response to other items": ("response.create", {"response": {"input": [message("user", "Tea?")]}}),
    "another format": ("session.update", {"session": {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}}),
    "words of the agent": ("conversation.item.create", {"item": message("assistant", "Hi", "output_text")}),
    "an image": (
        "conversation.item.create",
        {"item": {"type": "message", "role": "user", "content": [IMAGE]}},
    ),
    "an image beside a text": (
        "conversation.item.create",
        {"item": {**message("user", "Tea?"), "content": [{"type": "input_text", "text": "Tea?"}, IMAGE]}},
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


def test_tools_beyond_the_bound_are_refused(book):
    tools = [{"type": "function", "name": f"f{number}"} for number in range(MAX_FUNCTIONS + 1)]
    book.configure(tools=tools)
    error = book.events("error")[0]["error"]
    assert (error["code"], error["param"]) == (UNSUPPORTED, "session.tools")
    assert book.agent == []
    book.configure(tools=tools[1:])
    assert [it["type"] for it in book.agent] == ["UpdateThink"]


def test_an_item_of_too_many_values_is_refused(book):
    parts = [{"type": "input_text", "text": "a"}] * (MAX_ITEM_VALUES // 3)
    book.say("conversation.item.create", item={"type": "message", "role": "user", "content": parts})
    error = book.events("error")[0]["error"]
    assert (error["code"], error["param"]) == (UNSUPPORTED, "item")
    assert "conversation.item.added" not in types(book.sent)


def test_a_configuration_of_too_many_values_is_refused(book):
    book.configure(prompt={"variables": [[]] * (MAX_UPDATE_VALUES // 2)})
    error = book.events("error")[0]["error"]
    assert (error["code"], error["param"]) == (UNSUPPORTED, "session")
    assert "session.updated" not in types(book.sent)
