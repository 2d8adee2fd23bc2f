"""A response request is sent and answered once, although other responses begin beside it.

An upstream answers speech by itself. Its own responses carry no metadata; a requested one brings back the metadata of
its `response.create`, where the upstream echoes it.
"""

import pytest

from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.playbook import AUDIO_DONE, call_done, error, item_added, settings, transcribed
from tests.support.machine.timed_playbook import (
    BYTES_PER_S,
    FRAME,
    TimedPlaybook,
    already_active,
    committed,
    created,
    is_outside,
    output_item,
    outside,
    speech,
    spoken,
    started,
    stopped,
)

PROFILES = ("openai", "converse")
LONG_S = 60.0
CLASSIFY = {
    "type": "response.create",
    "response": {
        "conversation": "none",
        "metadata": {"topic": "classify"},
        "output_modalities": ["text"],
        "instructions": "Classify.",
        "input": [],
    },
}
VOICE = {"type": "open_ai", "voice": "cedar"}
FUNCTIONS = {"think": {"provider": {"type": "open_ai"}, "functions": [{"name": "lookup"}]}}


# 17: a response of the client's own outside the conversation.


def classified():
    """Have the upstream answer speech beside a classification that the client requested."""
    book = TimedPlaybook().ready().client(CLASSIFY).upstream(outside("resp_c", {"topic": "classify"}))
    book.hears("u1", "What time is it?")
    book.begins_itself("resp_v", "item_v")
    said = {"type": "response.output_text.done", "response_id": "resp_c", "item_id": "item_c", "text": '{"topic":1}'}
    return book.upstream(said)


def test_a_question_that_was_answered_beside_a_client_s_own_response_is_not_asked_again():
    book = classified().says("It is noon.", 1.0, response_id="resp_v", item_id="item_v")
    book.ends("resp_c").ends("resp_v").run(LONG_S, microphone=FRAME)
    assert book.asked() == []
    assert book.losses() == []


def test_a_client_s_own_request_outlives_an_urgent_text_and_its_upstream():
    book = TimedPlaybook().ready().client(CLASSIFY)
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "interrupt"})
    begin = book.restarted_after(1000)
    book.upstream(outside("resp_t", book.sent("response.create")[-1]["response"]["metadata"])).ends("resp_t")
    sent = [it["response"].get("metadata") for it in book.sent("response.create", since=begin)]
    assert CLASSIFY["response"]["metadata"] in sent


def test_a_client_s_own_request_beside_a_function_call_outlives_its_upstream():
    book = TimedPlaybook().ready().types("What is the weather?").begins().upstream(call_done("c1")).ends("resp_1")
    book.client(CLASSIFY)
    begin = book.restarted_after(1000)
    sent = [it["response"].get("metadata") for it in book.sent("response.create", since=begin)]
    assert CLASSIFY["response"]["metadata"] in sent


def test_a_client_s_own_request_outside_the_conversation_begins_no_latency():
    book = TimedPlaybook().ready().client(CLASSIFY)
    refused = book.sent("response.create")[-1]["event_id"]
    book.upstream(error("invalid_value", event_id=refused)).run(LONG_S).client(FRAME)
    book.hears("u1", "What time is it?").begins_itself()
    book.says("It is noon.", 1.0, response_id="resp_v", item_id="item_v").ends("resp_v").run(1.0)
    assert book.reports[-1]["total_latency"] < 1.0


def test_a_client_s_own_response_ends_no_other_answer():
    book = classified().upstream(spoken(1.0, "resp_v", "item_v"))
    begin = book.here
    book.ends("resp_c").upstream(spoken(1.0, "resp_v", "item_v"))
    assert AUDIO_DONE not in book.frames(since=begin)


def test_an_answer_beside_a_client_s_own_response_ends_once_and_behind_its_text():
    book = classified()
    begin = book.here
    book.ends("resp_c").says("It is noon.", 1.0, response_id="resp_v", item_id="item_v").ends("resp_v")
    frames = book.frames(since=begin)
    assert frames.count(AUDIO_DONE) == 1
    assert "It is noon." in [it["content"] for it in book.received("ConversationText", since=begin)]
    assert frames.index(AUDIO_DONE) > book.last_text(since=begin)


def test_an_answer_that_begins_before_a_client_s_own_response_is_delivered_whole():
    book = TimedPlaybook().ready().echoes().client(CLASSIFY).hears("u1", "What time is it?")
    begin = book.here
    book.begins_itself("resp_v", "item_v").upstream(spoken(1.0, "resp_v", "item_v"))
    book.upstream(outside("resp_c", {"topic": "classify"})).ends("resp_c")
    book.says("It is noon.", 1.0, response_id="resp_v", item_id="item_v").ends("resp_v").run(LONG_S, microphone=FRAME)
    assert book.audio_bytes(since=begin) == 2 * BYTES_PER_S
    assert book.texts(since=begin).count("It is noon.") == 1
    assert book.frames(since=begin)[book.last_text(since=begin) :].count(AUDIO_DONE) == 1
    assert book.asked(since=begin) == []
    assert book.losses() == []


WRITTEN = {"response_id": "resp_c", "item_id": "item_c"}
TOPIC = {"type": "response.output_text.done", **WRITTEN, "text": "weather"}


def test_a_client_s_own_response_is_sent_and_begins_no_turn_and_joins_no_conversation():
    book = TimedPlaybook().ready().types("Are you there?").answers("I am.").client(CLASSIFY)
    begin = book.here
    book.upstream(outside("resp_c", {"topic": "classify"}), output_item("resp_c", "item_c"))
    book.upstream({"type": "response.output_text.delta", **WRITTEN, "delta": "wea"}, TOPIC).ends("resp_c")
    assert book.texts(since=begin) == ["weather"]
    assert book.received("AgentStartedSpeaking", since=begin) == []
    begin = book.restarted_after()
    assert [it["content"][0]["text"] for it in book.items(since=begin)] == ["Are you there?", "I am."]


def test_the_loss_of_an_upstream_loses_no_answer_beside_a_client_s_own_response():
    book = classified()
    begin = book.restarted_after()
    assert len(book.asked(since=begin)) == 1


def test_a_client_s_own_response_is_recognized_although_the_upstream_returns_no_metadata():
    book = TimedPlaybook().ready().client(CLASSIFY).upstream(outside("resp_c"), TOPIC).ends("resp_c")
    book.run(LONG_S, microphone=FRAME)
    assert book.losses() == []
    assert len(book.types("And you?").asked()) == 1


def test_a_client_s_own_response_that_is_not_announced_is_sent_and_begins_no_turn():
    book = TimedPlaybook().ready().client(CLASSIFY)
    begin = book.here
    book.upstream({"type": "response.output_text.delta", **WRITTEN, "delta": "weather"}, TOPIC)
    assert book.texts(since=begin) == ["weather"]
    assert book.received("AgentStartedSpeaking", since=begin) == []
    book.types("And you?").ends("resp_c")
    assert len(book.asked()) == 1
    book.run(1.0).answers("I am well.")
    assert book.texts(since=begin) == ["weather", "I am well."]


@pytest.mark.parametrize("pieces", [(), ("wea", "ther")])
def test_an_answer_behind_a_client_s_own_response_is_a_turn_although_the_upstream_gives_no_ids(pieces):
    book = TimedPlaybook().ready().client(CLASSIFY)
    book.upstream(*({"type": "response.output_text.delta", "delta": piece} for piece in pieces))
    book.upstream({"type": "response.output_text.done", "text": "weather"}).types("And you?")
    begin = book.here
    book.upstream({"type": "response.output_text.done", "text": "I am well."})
    assert book.texts(since=begin) == ["I am well."]
    assert book.received("AgentStartedSpeaking", since=begin) != []
    assert book.frames(since=begin).count(AUDIO_DONE) == 1


@pytest.mark.parametrize("is_announced", [True, False])
def test_each_of_a_client_s_own_responses_is_sent_although_the_upstream_names_no_item(is_announced):
    book = TimedPlaybook().ready()
    for response_id in ("resp_1", "resp_2"):
        book.client(CLASSIFY)
        if is_announced:
            book.upstream(outside(response_id, {"topic": "classify"}))
        book.upstream({"type": "response.output_text.done", "response_id": response_id, "text": "weather"})
        book.ends(response_id)
    assert book.texts() == ["weather", "weather"]


def test_speech_during_a_client_s_own_response_is_answered_where_the_upstream_does_not():
    book = TimedPlaybook().ready().client(CLASSIFY).upstream(outside("resp_c", {"topic": "classify"}))
    book.hears("u1", "What time is it?").ends("resp_c").run(LONG_S, microphone=FRAME)
    assert book.asked() or book.losses()


# 18: in REQUESTED a response begins that was not requested.


def interrupted_follow_up():
    """Interrupt an answer that is still audible, before the response to a function's result begins."""
    book = TimedPlaybook("converse").ready(settings(**FUNCTIONS)).echoes()
    book.hears("u1", "Weather?").begins_itself("resp_1", "item_1")
    book.says("Let me look that up for you, one moment please.", 4.0)
    book.upstream(call_done("call_1", "lookup")).ends("resp_1").run(0.3)
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "rain"})
    assert len(book.asked()) == 2
    book.run(0.3).upstream(started("u2")).run(0.9)
    return book.upstream(stopped("u2"), committed("u2"), transcribed("Stop. What time is it?", "u2"))


def test_the_upstream_s_own_answer_to_an_interruption_is_not_taken_for_what_was_interrupted():
    book = interrupted_follow_up()
    begin = book.here
    book.begins_itself("resp_v", "item_v").says("It is noon.", 1.0, response_id="resp_v", item_id="item_v")
    book.ends("resp_v")
    assert "resp_v" not in [event.get("response_id") for event in book.sent("response.cancel", since=begin)]
    assert book.texts(since=begin) == ["It is noon."]
    assert book.audio_bytes(since=begin) == BYTES_PER_S


def test_an_interruption_is_answered_although_what_was_interrupted_begins_first():
    book = interrupted_follow_up()
    begin = book.here
    book.begins("resp_2", "item_2").ends("resp_2", "cancelled", status_details={"reason": "client_cancelled"})
    book.begins_itself("resp_v", "item_v").says("It is noon.", 1.0, response_id="resp_v", item_id="item_v")
    book.ends("resp_v").run(LONG_S, microphone=FRAME)
    assert book.texts(since=begin) == ["It is noon."]
    assert book.losses() == []


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_given_text_that_speech_overtook_is_not_played_although_no_metadata_marks_it(profile):
    book = TimedPlaybook(profile).ready()
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "interrupt"})
    book.hears("u1", "What time is it?").begins_itself("resp_v", "item_v")
    begin = book.here
    book.upstream(outside("resp_s"))
    assert "resp_s" in [event.get("response_id") for event in book.sent("response.cancel", since=begin)]
    book.says("It is noon.", 1.0, response_id="resp_v", item_id="item_v").ends("resp_v")
    begin = book.here
    book.says("Mind the gap.", 1.0, response_id="resp_s", item_id="item_s").ends("resp_s", "cancelled")
    assert book.texts(since=begin) == []
    assert book.audio_bytes(since=begin) == 0


def statement_beside_a_cough():
    """Request a verbatim text; the upstream first answers a cough with an empty transcript."""
    book = TimedPlaybook("converse").ready().echoes().hears("u1", "")
    book.client({"type": "InjectAgentMessage", "message": "Your order has been shipped."})
    return book.upstream(created("resp_c", None), output_item("resp_c", "item_c"))


def test_an_answer_to_a_cough_is_not_taken_for_a_verbatim_text():
    book = statement_beside_a_cough()
    book.says("Bless you!", 1.0, response_id="resp_c", item_id="item_c").ends("resp_c")
    said = [item for item in book.items() if item.get("role") == "assistant"]
    assert said == []


def test_a_verbatim_text_is_spoken_although_the_upstream_answers_a_cough_first():
    book = statement_beside_a_cough()
    asked = [event for event in book.sent("response.create") if is_outside(event)]
    begin = book.here
    book.upstream(outside("resp_s", asked[-1]["response"]["metadata"]))
    is_cancelled = "resp_s" in [event.get("response_id") for event in book.sent("response.cancel", since=begin)]
    if is_cancelled:
        book.ends("resp_s", "cancelled", status_details={"reason": "client_cancelled"})
    book.says("Bless you!", response_id="resp_c", item_id="item_c").ends("resp_c")
    if is_cancelled:
        assert [event for event in book.sent("response.create", since=begin) if is_outside(event)]
        book.begins("resp_s", "item_s")
    begin = book.here
    book.upstream(spoken(1.0, "resp_s", "item_s")).ends("resp_s")
    assert book.audio_bytes(since=begin) == BYTES_PER_S


@pytest.mark.parametrize("is_echoing", [True, False], ids=["with an echo", "without"])
def test_a_function_s_result_is_spoken_of_although_another_response_had_begun_before_it_came(is_echoing):
    update = {
        "type": "session.update",
        "session": {"type": "realtime", "tools": [{"type": "function", "name": "lookup"}]},
    }
    book = TimedPlaybook().ready(update)
    if is_echoing:
        book.echoes()
    book.hears("u1", "Where is my parcel?").begins_itself("resp_1").upstream(call_done("call_1", "lookup"))
    book.ends("resp_1")
    begin = book.here
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "in Berlin"})
    assert len(book.asked(since=begin)) == 1
    # The upstream begins a response of its own before it has the output, and refuses ours.
    book.begins_itself("resp_2", "item_2")
    already_active(book)
    book.says("One moment.", response_id="resp_2", item_id="item_2").ends("resp_2")
    assert len(book.asked(since=begin)) == 2


@pytest.mark.parametrize("is_echoing", [True, False], ids=["with an echo", "without"])
def test_a_client_s_own_response_create_that_was_in_the_way_of_another_is_sent_again(is_echoing):
    book = TimedPlaybook().ready()
    if is_echoing:
        book.echoes()
    begin = book.here
    book.client({"type": "response.create", "response": {"instructions": "Say the opening hours."}})
    book.begins_itself("resp_2", "item_2")
    already_active(book)
    book.says("One moment.", response_id="resp_2", item_id="item_2").ends("resp_2")
    asked = [event["response"]["instructions"] for event in book.asked(since=begin)]
    assert asked == ["Say the opening hours."] * 2


# 24: a verbatim text is refused because another response is active.


def refused_statement():
    """Request a verbatim text, and refuse it because of a response that was not announced."""
    book = TimedPlaybook("converse").ready()
    book.client({"type": "InjectAgentMessage", "message": "Your order has been shipped."})
    return already_active(book)


def said(book, *, since=0):
    """Return the items that hold the text."""
    parts = [part for item in book.items(since=since) for part in item.get("content") or ()]
    return [part["text"] for part in parts if "shipped" in part.get("text", "")]


def test_a_verbatim_text_that_was_refused_is_recorded_once_and_only_after_it_was_spoken():
    book = refused_statement()
    book.says("Other words.", response_id="resp_9", item_id="item_9").ends("resp_9")
    assert said(book) == []
    book.begins("resp_s", "item_s").upstream(spoken(1.0, "resp_s", "item_s")).ends("resp_s")
    assert said(book) == ["Your order has been shipped."]


def test_the_text_of_the_response_that_was_in_the_way_reaches_the_client():
    book = refused_statement()
    book.says("Other words.", response_id="resp_9", item_id="item_9").ends("resp_9")
    assert "Other words." in book.texts()


def test_a_verbatim_text_that_was_refused_is_spoken_once_after_a_loss():
    book = refused_statement()
    begin = book.restarted_after()
    for at in range(3):
        if len([it for it in book.sent("response.create", since=begin) if is_outside(it)]) <= at:
            break
        book.begins(f"resp_{at}", f"item_{at}").upstream(spoken(1.0, f"resp_{at}", f"item_{at}")).ends(f"resp_{at}")
        book.run(5.0)
    assert len([it for it in book.sent("response.create", since=begin) if is_outside(it)]) == 1
    assert book.texts() == ["Your order has been shipped."]


# 29: an item is refused, and the error names no event.


def test_a_refused_item_of_a_client_s_own_is_not_awaited():
    content = [{"type": "input_text", "text": "Too long."}]
    own = {"type": "message", "role": "user", "content": content}
    for item in ({"id": "own_1", **own}, own):
        book = TimedPlaybook().ready().client({"type": "conversation.item.create", "item": item})
        event_id = book.sent("conversation.item.create")[-1]["event_id"]
        book.upstream(error("invalid_value", event_id=event_id)).types("And?", acknowledged=False)
        book.upstream(item_added("other", "user", content=content))
        assert len(book.asked()) == 1


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("param", ["item.content[0].text", "item"])
def test_no_response_is_asked_for_to_an_item_that_was_refused_without_its_event(profile, param):
    book = TimedPlaybook(profile).ready().types("A", acknowledged=False)
    book.upstream(error("invalid_value", "bad content", param=param)).run(LONG_S)
    assert [message["code"] for message in book.received("Error")] == ["invalid_value"]
    assert book.asked() == []


def test_the_item_behind_one_that_was_refused_without_its_event_is_answered():
    book = TimedPlaybook().ready().types("A", acknowledged=False)
    book.upstream(error("invalid_value", "bad content", param="item.content[0].text"))
    book.types("B").answers("Yes.").run(LONG_S)
    assert len(book.asked()) == 1


def test_the_question_behind_a_request_that_was_refused_without_its_event_is_asked_at_once():
    book = TimedPlaybook().ready().types("A")
    book.upstream(error("invalid_value", "no such voice", param="response.audio.output.voice"))
    assert [message["code"] for message in book.received("Error")] == ["invalid_value"]
    assert len(book.types("B").asked()) == 2
    assert book.answers("Yes.").texts() == ["Yes."]


# Suspected: the end of a response is lost.


@pytest.mark.parametrize("profile", PROFILES)
def test_a_response_that_follows_one_without_an_end_is_delivered_and_ends_the_turn(profile):
    book = TimedPlaybook(profile).ready().hears("u1", "One?").begins_itself("resp_1", "item_1").says("One.")
    book.hears("u2", "Two?").begins_itself("resp_2", "item_2")
    book.says("Two.", 1.0, response_id="resp_2", item_id="item_2")
    begin = book.here
    book.ends("resp_2").run(LONG_S, microphone=FRAME)
    assert book.frames(since=begin).count(AUDIO_DONE) == 1
    assert book.texts()[-1] == "Two."
    assert book.audio_bytes() == BYTES_PER_S
    assert book.losses() == []


def test_a_question_behind_a_response_without_an_end_is_asked_once_the_next_has_ended():
    book = TimedPlaybook().ready().hears("u1", "One?").begins_itself("resp_1", "item_1").says("One.")
    book.upstream(*speech("u2")).begins_itself("resp_2", "item_2").types("Three?")
    book.says("Two.", response_id="resp_2", item_id="item_2").ends("resp_2")
    assert len(book.asked()) == 1
    assert book.losses() == []


# A request that waits outlives its upstream.


def test_every_question_of_several_kinds_outlives_the_upstream():
    book = TimedPlaybook().ready().types("One?")
    book.client({"type": "response.create", "response": {"instructions": "Two."}})
    book.client({"type": "InjectAgentMessage", "message": "Three.", "behavior": "queue"})
    book.upstream_closes(decision=Decision.RESTART).upstream_opens()
    book.upstream({"type": "session.created", "session": {}}, {"type": "session.updated", "session": {}}).acknowledge()
    asked = []
    for at in range(4):
        events = book.sent("response.create", generation=2)
        if len(events) <= at:
            break
        asked.append("Three." if is_outside(events[at]) else events[at].get("response", {}).get("instructions", "One?"))
        book.begins(f"resp_{at}", f"item_{at}").says("Well.", 0.1, response_id=f"resp_{at}", item_id=f"item_{at}")
        book.ends(f"resp_{at}").run(1.0).acknowledge()
    assert asked == ["One?", "Two.", "Three."]


def test_an_item_that_was_acknowledged_under_another_id_is_asked_about_once():
    book = TimedPlaybook().ready().types("A", acknowledged=False)
    book.upstream(item_added("theirs", content=[{"type": "input_text", "text": "A"}])).run(LONG_S)
    assert len(book.asked()) == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_the_item_of_the_user_s_speech_acknowledges_no_typed_question(profile):
    book = TimedPlaybook(profile).ready()
    book.upstream(started("u")).types("And now?", acknowledged=False)
    book.upstream(stopped("u"), committed("u"), item_added("u"), created("resp_1", None)).acknowledge()
    book.upstream({"type": "response.done", "response": {"id": "resp_1", "status": "completed"}})
    assert len(book.asked()) == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_a_question_behind_an_urgent_text_is_answered_although_the_answer_to_speech_gives_way_to_that_text(profile):
    book = TimedPlaybook(profile).ready().upstream(started("u"), stopped("u"), committed("u"))
    book.client({"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": "interrupt"}).types("And now?")
    book.upstream(
        created("resp_1", None), {"type": "response.done", "response": {"id": "resp_1", "status": "cancelled"}}
    )
    book.upstream(created("resp_2", book.sent("response.create")[-1]["response"]["metadata"]))
    book.upstream({"type": "response.done", "response": {"id": "resp_2", "status": "completed"}})
    assert len(book.asked()) == 1


def test_the_audio_of_another_response_is_not_taken_for_a_verbatim_text_that_was_refused():
    book = TimedPlaybook("converse").ready().client({"type": "InjectAgentMessage", "message": "Mind the gap."})
    book.begins_itself("resp_v", "item_v")
    book.upstream(error("invalid_value", event_id=book.sent("response.create")[-1]["event_id"]))
    here = book.here
    book.upstream(spoken(2.0, "resp_v", "item_v"), started("u"))
    cut = book.sent("conversation.item.delete", since=here) + book.sent("conversation.item.truncate", since=here)
    assert {event["item_id"] for event in cut} == {"item_v"}


# 18 once more: the first verbatim text of a session whose upstream has shown no metadata yet.

TEXT = "Your order has been shipped."


def first_statement_behind_a_cough(profile):
    book = TimedPlaybook(profile).ready().hears("u1", "")
    return book.client({"type": "InjectAgentMessage", "message": TEXT}).upstream(created("resp_c", None))


def own_response(book):
    """Let the upstream begin the response to the verbatim text, and return whether the session cancels it."""
    asked = [event for event in book.sent("response.create") if is_outside(event)]
    book.upstream(outside("resp_s", asked[-1]["response"]["metadata"]))
    return "resp_s" in [event.get("response_id") for event in book.sent("response.cancel")]


def written_items(book):
    return [item["content"][0]["text"] for item in book.items() if item.get("role") == "assistant"]


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_the_first_verbatim_text_is_spoken_although_an_answer_to_a_cough_began_in_its_place(profile):
    book = first_statement_behind_a_cough(profile).upstream(output_item("resp_c", "item_c"), spoken(0.5, "resp_c"))
    assert own_response(book)
    begin = book.here
    book.ends("resp_s", "cancelled", status_details={"reason": "client_cancelled"})
    book.says("Bless you!", 0.5, response_id="resp_c", item_id="item_c").ends("resp_c")
    assert book.texts(since=begin) == ["Bless you!"]
    assert written_items(book) == []
    assert len([event for event in book.sent("response.create", since=begin) if is_outside(event)]) == 1
    book.run(2.0).begins("resp_t", "item_t").upstream(spoken(1.0, "resp_t", "item_t")).ends("resp_t")
    assert written_items(book) == [TEXT]
    assert book.texts().count(TEXT) == 1


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_the_first_verbatim_text_is_spoken_although_an_answer_to_a_cough_ended_in_its_place(profile):
    book = first_statement_behind_a_cough(profile)
    book.says("Bless you!", 0.5, response_id="resp_c", item_id="item_c").ends("resp_c").run(2.0)
    begin = book.here
    assert own_response(book)
    book.ends("resp_s", "cancelled", status_details={"reason": "client_cancelled"})
    assert len([event for event in book.sent("response.create", since=begin) if is_outside(event)]) == 1
    assert [event["type"] for event in book.sent("conversation.item.delete", since=begin)]
    assert book.texts(since=begin) == ["Bless you!"]
    begin = book.here
    book.run(2.0).begins("resp_t", "item_t").upstream(spoken(1.0, "resp_t", "item_t")).ends("resp_t")
    assert book.audio_bytes(since=begin) == BYTES_PER_S
    assert [item["content"][0]["text"] for item in book.items(since=begin)] == [TEXT]
    assert book.texts().count(TEXT) == 1


# An upstream that does not announce the responses that were requested.


def test_speech_does_not_interrupt_a_client_s_own_response_that_is_not_announced():
    book = TimedPlaybook().ready().types("Are you there?").answers("I am.", 2.0).client(CLASSIFY)
    book.hears("u1", "What time is it?").begins_itself().says("Noon.", response_id="resp_v", item_id="item_v")
    begin = book.ends("resp_v").here
    book.upstream(output_item("resp_c", "item_c"), TOPIC).run(LONG_S, microphone=FRAME)
    assert book.received("AgentStartedSpeaking", since=begin) == []
    restarted = book.restarted_after()
    assert "weather" not in str(book.items(since=restarted))


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_client_s_own_request_that_failed_is_sent_again_although_the_user_spoke_meanwhile(is_lost):
    book = TimedPlaybook().ready().types("When?").answers("At noon.", 4.0).client(CLASSIFY)
    if is_lost:
        book.client(FRAME).upstream(started("u1"))
        begin = book.restarted_after()
        book.run(LONG_S)
    else:
        begin = already_active(book.hears("u1", "And then?")).here
        book.begins_itself().says("Later.", response_id="resp_v", item_id="item_v").ends("resp_v")
    assert [event for event in book.sent("response.create", since=begin) if is_outside(event)]


def test_an_answer_to_speech_beside_a_client_s_own_request_outlives_its_upstream():
    book = TimedPlaybook().ready().client(CLASSIFY).hears("u1", "What time is it?").begins_itself()
    begin = book.restarted_after()
    book.answers("It is noon.")
    assert [is_outside(event) for event in book.sent("response.create", since=begin)] == [False, True]


@pytest.mark.parametrize("request_of", ["question", "speech", "client"])
def test_a_request_outlives_its_upstream_although_the_next_one_refuses_a_later_item(request_of):
    book = TimedPlaybook().ready()
    book = book.types("When?").begins() if request_of == "question" else book
    book = book.hears("u1", "When?") if request_of == "speech" else book
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "By the way."}]}
    book.client({"type": "conversation.item.create", "item": {"id": "own_1", **said}})
    if request_of == "client":
        book.client({"type": "response.create"})
    book.upstream_closes(1000, decision=Decision.RESTART).upstream_opens()
    book.upstream({"type": "session.created", "session": {}}, {"type": "session.updated", "session": {}})
    assert book.items()[-1]["id"] == "own_1"
    begin = book.here
    last = book.sent("conversation.item.create", generation=book.generation)[-1]
    book.upstream(error("invalid_value", event_id=last["event_id"]))
    assert len(book.sent("response.create", since=begin)) == 1


def test_speech_is_answered_at_the_next_upstream_although_that_one_refuses_a_typed_question_behind_it():
    book = TimedPlaybook().ready().hears("u1", "When?").types("And where?", acknowledged=False)
    book.upstream_closes(1000, decision=Decision.RESTART).upstream_opens()
    book.upstream({"type": "session.created", "session": {}}, {"type": "session.updated", "session": {}})
    begin = book.here
    last = book.sent("conversation.item.create", generation=book.generation)[-1]
    book.upstream(error("invalid_value", event_id=last["event_id"]))
    assert len(book.asked(since=begin)) == 1


def test_no_response_is_asked_for_to_a_question_that_is_refused_late_while_an_update_waits():
    book = TimedPlaybook("converse").ready().client({"type": "UpdateSpeak", "speak": {"provider": VOICE}})
    book.types("When?", acknowledged=False).fire(Wait.ITEM_ACK)
    begin = book.here
    last = book.sent("conversation.item.create")[-1]
    book.upstream(error("invalid_value", event_id=last["event_id"]), {"type": "session.updated", "session": {}})
    assert book.asked(since=begin) == []


def test_the_turn_of_an_interrupted_given_text_ends_when_its_request_is_refused():
    book = TimedPlaybook().ready().client({"type": "InjectAgentMessage", "message": "Mind the gap."})
    begin = book.here
    already_active(book.upstream(started("u1")))
    assert book.frames(since=begin).count(AUDIO_DONE) == 1


def test_an_answer_to_speech_does_not_cover_a_function_s_output_that_is_not_acknowledged():
    book = TimedPlaybook().ready(settings(**FUNCTIONS)).types("Look it up.").begins().says("Let me see.", 2.0)
    book.upstream(call_done("call_1")).ends()
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    asked = book.sent("response.create")[-1]
    book.hears("u1", "Wait.").upstream(created("resp_v", None)).ends("resp_v")
    begin = book.upstream(created("resp_2", asked["response"]["metadata"])).here
    book.says("It is 42.", response_id="resp_2", item_id="item_2").ends("resp_2")
    assert book.texts(since=begin) == ["It is 42."]
