"""The relay replaces a lost upstream: the client sees nothing twice, and the next session knows the conversation."""

import pytest

from actors import messages as engine
from tests.support.machine.relay_book import CALL, SETTINGS


def context(settings):
    return [(it["role"], it["content"]) for it in settings["agent"].get("context", {}).get("messages", [])]


def test_the_client_sees_nothing_twice_and_the_context_carries_the_earlier_turns(book):
    book.ready().say("assistant", "Hello.").server("AgentAudioDone")
    book.say("user", "My name is Ada.").say("assistant", "Noted.").server("AgentAudioDone").take()
    book.lose()
    assert [message["type"] for message in book.take()[0]] == ["Warning"]
    settings = book.restore()
    assert "greeting" not in settings["agent"]
    assert settings["agent"]["future"] == {"leaf": 1}
    assert context(settings) == [("assistant", "Hello."), ("user", "My name is Ada."), ("assistant", "Noted.")]
    assert book.take() == ([], [settings])


def test_a_history_that_the_new_session_repeats_before_it_is_ready_is_swallowed(book):
    book.ready().say("user", "one?").say("assistant", "One.").server("AgentAudioDone").take()
    book.lose().take()
    book.server("Welcome", request_id="r2").server("History", role="user", content="one?")
    book.server("SettingsApplied")
    assert book.sent == []


@pytest.mark.parametrize("is_begun", [False, True])
def test_an_open_question_is_asked_again_and_its_text_is_not_repeated(book, is_begun):
    book.ready().say("user", "one?").say("assistant", "One.").server("AgentAudioDone").say("user", "two?").take()
    if is_begun:
        book.say("assistant", "Tw").feed(engine.UpstreamBinaryReceived(1, b"half")).take()
    book.lose().take()
    settings = book.restore()
    assert context(settings) == [("user", "one?"), ("assistant", "One.")]
    assert book.take()[1][1:] == [{"type": "InjectUserMessage", "content": "two?"}]
    book.say("user", "two?").say("assistant", "Two.").server("AgentAudioDone")
    assert [message["type"] for message in book.take()[0]] == ["ConversationText", "History", "AgentAudioDone"]
    assert book.say("user", "two?").take()[0][0]["content"] == "two?", "asked by the user this time"


def test_an_answer_that_the_user_interrupted_is_not_asked_for_again(book):
    book.ready().say("user", "one?").say("assistant", "On").server("UserStartedSpeaking").say("user", "stop")
    book.say("assistant", "Fine.").server("AgentAudioDone").take()
    book.lose().take()
    assert context(book.restore()) == [("user", "one?"), ("assistant", "On"), ("user", "stop"), ("assistant", "Fine.")]
    assert len(book.upstream) == 1


def test_speech_that_begins_without_an_upstream_reaches_the_next_one_whole(book):
    book.ready().lose().take()
    for number in range(20):
        book.feed(engine.ClientBinaryReceived(bytes([number]) * 8000))
    book.restore()
    assert [frame[0] for frame in book.take()[1][1:]] == list(range(20))


def test_speech_that_was_under_way_is_heard_again_and_its_start_is_not_reported_twice(book):
    book.ready().feed(engine.ClientBinaryReceived(b"one")).server("UserStartedSpeaking").take()
    book.lose().take()
    book.feed(engine.ClientBinaryReceived(b"two"))
    settings = book.restore()
    assert book.take()[1] == [settings, b"one", b"two"]
    book.server("UserStartedSpeaking").say("user", "one two")
    assert [message["type"] for message in book.take()[0]] == ["ConversationText", "History"]


def injected(book):
    return [it["content"] for it in book.take()[1] if isinstance(it, dict) and it["type"] == "InjectUserMessage"]


def test_a_text_that_the_upstream_did_not_take_is_injected_again(book):
    book.ready().client("InjectUserMessage", content="hello").take()
    book.lose().take()
    book.restore()
    assert injected(book) == ["hello"]
    assert book.say("user", "hello").take()[0][0]["content"] == "hello"


def test_an_answered_text_is_not_asked_again_whatever_the_order_of_the_answers(book):
    book.ready().client("InjectUserMessage", content=" one? ").client("InjectUserMessage", content="two?")
    book.say("user", "two?").say("assistant", "Two.").server("AgentAudioDone").take()
    book.lose().restore()
    assert injected(book) == []


def test_a_text_that_the_upstream_repeats_in_other_words_counts_as_taken(book):
    book.ready().client("InjectUserMessage", content="one  ?").say("user", "one ?").say("assistant", "One.")
    book.server("AgentAudioDone").take()
    book.lose().restore()
    assert injected(book) == []


def test_speech_before_the_echo_of_a_text_does_not_take_its_place(book):
    book.ready().server("UserStartedSpeaking").client("InjectUserMessage", content="typed").say("user", "spoken").take()
    book.lose().restore()
    assert injected(book) == ["spoken", "typed"]


def test_a_text_from_the_time_without_an_upstream_survives_the_loss_of_the_next_one(book):
    book.ready().lose()
    book.client("InjectUserMessage", content="hello").restore()
    assert injected(book) == ["hello"]
    book.lose().restore()
    assert injected(book) == ["hello"]


def test_texts_without_an_echo_have_a_bound_that_the_client_learns(book):
    book.ready()
    for number in range(70):
        book.client("InjectUserMessage", content=str(number))
    sent, upstream = book.take()
    assert len(upstream) == 64
    assert {it["code"] for it in sent} == {"TOO_MANY_EARLY_MESSAGES"}
    assert len(sent) == 6


def test_a_text_for_the_agent_is_injected_again_until_the_agent_begins_it(book):
    book.ready().client("InjectAgentMessage", message="Hold on. I look.").take()
    book.lose().restore()
    assert book.take()[1][1]["message"] == "Hold on. I look."
    book.say("assistant", "Hold on.").lose()
    book.restore()
    assert len(book.upstream) == 1 + len([it for it in book.upstream if it["type"] == "InjectAgentMessage"])
    assert book.upstream[-1]["type"] == "Settings"


def test_a_change_whose_acknowledgement_was_lost_is_acknowledged(book):
    book.ready().client("UpdatePrompt", prompt="New.").take()
    assert book.lose().restore()["agent"]["think"] == {"prompt": "New."}
    assert [it["type"] for it in book.take()[0]] == ["Warning", "PromptUpdated"]
    book.client("UpdatePrompt", prompt="Newer.").server("PromptUpdated").take()
    book.lose().restore()
    assert [it["type"] for it in book.take()[0]] == ["Warning"]


def test_a_function_of_the_lost_upstream_is_cancelled_and_its_late_output_dropped(book):
    book.ready().say("user", "look").server("FunctionCallRequest", functions=[CALL]).take()
    book.lose()
    assert book.sent[-1] == {"type": "FunctionCallCancelled", "functions": [{"id": "c1", "name": "look"}]}
    book.restore()
    book.take()
    book.client("FunctionCallResponse", id="c1", name="look", content="late")
    assert book.take()[1] == []


def test_the_output_of_a_function_is_part_of_the_context(book):
    call = {"id": "c1", "name": "look", "arguments": "{}", "client_side": True}
    book.ready().say("user", "look").server("FunctionCallRequest", functions=[call])
    book.client("FunctionCallResponse", id="c1", name="look", content="seen").say("assistant", "Seen.")
    book.server("AgentAudioDone").take()
    messages = book.lose().restore()["agent"]["context"]["messages"]
    assert messages[1]["function_calls"][0]["response"] == "seen"


def test_changes_of_the_client_s_count_for_the_next_session(book):
    book.ready().client("UpdatePrompt", prompt="New.").take()
    assert book.lose().restore()["agent"]["think"] == {"prompt": "New."}


def test_an_upstream_that_is_lost_before_it_was_ready_is_replaced_without_a_warning(book):
    book.client("Settings", audio={}, agent=SETTINGS["agent"])
    book.lose()
    assert book.sent == []
    book.server("Welcome", request_id="r2")
    assert book.take() == ([{"type": "Welcome", "request_id": "r2"}], [SETTINGS])


def test_a_message_of_the_lost_upstream_is_ignored(book):
    book.ready().lose().take()
    book.feed(engine.UpstreamTextReceived(1, '{"type":"Late"}'))
    assert book.take() == ([], [])
