"""A response request is sent and answered once, although other responses begin beside it.

An upstream answers speech by itself. Its own responses carry no metadata; a requested one brings back the metadata of
its `response.create`, where the upstream echoes it.
"""

import pytest

from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    AUDIO_DONE,
    call_done,
    error,
    item_added,
    settings,
    transcribed,
    transcript_delta,
)
from tests.support.machine.timed_playbook import (
    BYTES_PER_S,
    FRAME,
    TimedPlaybook,
    committed,
    created,
    is_outside,
    output_item,
    speech,
    spoken,
    started,
    stopped,
)

PROFILES = ("openai", "converse")
LONG_S = 60.0
ACTIVE = "conversation_already_has_active_response"
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
FUNCTIONS = {"think": {"provider": {"type": "open_ai"}, "functions": [{"name": "lookup"}]}}


def already_active(book):
    """Refuse the last request: another response is active."""
    event_id = book.sent("response.create")[-1]["event_id"]
    return book.upstream(error(ACTIVE, event_id=event_id))


def outside(response_id, metadata=None):
    """Make the response.created of a response outside the conversation."""
    event = created(response_id, metadata)
    return {**event, "response": {**event["response"], "conversation_id": None}}


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


# A response of which the order says nothing.


def inject(behavior="queue"):
    return {"type": "InjectAgentMessage", "message": "Mind the gap.", "behavior": behavior}


def texts_after(book, response_id, item_id):
    """Return what the client has of a response that says these words now, at its end."""
    begin = book.here
    book.says("At noon.", 0.1, response_id=response_id, item_id=item_id).ends(response_id)
    return book.texts(since=begin)


def unacknowledged(book):
    """Ask two questions, neither of which the upstream acknowledges in time, and then speak."""
    book.types("One?", acknowledged=False).types("Two?", acknowledged=False).fire(Wait.ITEM_ACK)
    return book.upstream(*speech("u1"))


@pytest.mark.parametrize("echoes", [True, False])
def test_an_answer_to_speech_covers_no_question_in_flight_that_was_not_acknowledged(echoes):
    book = TimedPlaybook().ready()
    book = unacknowledged(book.echoes() if echoes else book).begins_itself()
    book.upstream(started("u2")).ends("resp_v", "cancelled", status_details={"reason": "turn_detected"})
    assert Wait.FIRST_EVENT.value in book.timers
    begin = book.restarted_after()
    book.run(LONG_S)
    assert len(book.asked(since=begin)) == 1


def test_a_question_that_was_acknowledged_late_is_answered_by_the_next_response():
    book = unacknowledged(TimedPlaybook().ready()).acknowledge().begins("resp_1", echo=False)
    book.says("At noon.").ends().run(10.0)
    assert book.session.state.pending.in_flight is None
    assert len(book.asked()) == 1


def test_the_late_answer_to_speech_that_a_request_replaces_is_not_taken_for_a_given_text():
    book = TimedPlaybook("converse").ready().hears("u1").client(inject("interrupt"))
    book.upstream(started("u2")).begins_itself("resp_1", "item_1").upstream(stopped("u2"), committed("u2"))
    book.ends("resp_1", "cancelled").begins_itself("resp_2", "item_2")
    assert "At noon." not in texts_after(book, "resp_2", "item_2")  # it waits for the transcripts
    assert book.upstream(transcribed("One.", "u1"), transcribed("Two.", "u2")).texts()[-1] == "At noon."


def test_an_answer_to_speech_that_a_commit_by_hand_crossed_is_not_taken_for_a_given_text():
    book = TimedPlaybook("converse").ready().client(FRAME, inject("queue")).upstream(started("u1"))
    book.client({"type": "ForceEndTurn"}).upstream(stopped("u1"), committed("u1"), transcribed("When?", "u1"))
    unmarked = created("resp_v", None)
    del unmarked["response"]["conversation_id"]
    book.upstream(unmarked, output_item("resp_v", "item_v"))
    assert texts_after(book, "resp_v", "item_v") == ["At noon."]


def test_an_answer_to_speech_beside_two_commits_by_hand_is_not_taken_for_a_given_text():
    commit = {"type": "input_audio_buffer.commit"}
    book = TimedPlaybook().ready().client(FRAME).upstream(started("u1")).client(inject("interrupt"))
    book.upstream(stopped("u1")).client(commit).upstream(committed("u1")).client(commit)
    unmarked = created("resp_v", None)
    del unmarked["response"]["conversation_id"]
    book.upstream(unmarked, output_item("resp_v", "item_v"), transcribed("When?", "u1"))
    assert texts_after(book, "resp_v", "item_v") == ["At noon."]


@pytest.mark.parametrize("profile", PROFILES)
def test_an_answer_that_was_cancelled_without_an_interruption_is_requested_again(profile):
    book = TimedPlaybook(profile).ready().types("When?").begins().ends("resp_1", "cancelled").run(1.0)
    assert len(book.asked()) == 2
    assert book.answers("At noon.", response_id="resp_2").texts()[-1] == "At noon."


def test_an_answer_that_the_client_cancelled_is_not_requested_again():
    book = TimedPlaybook().ready().types("When?").begins().client({"type": "response.cancel"})
    book.ends("resp_1", "cancelled").run(1.0)
    assert len(book.asked()) == 1


def test_the_cancel_of_a_response_that_was_not_announced_names_it():
    book = TimedPlaybook().ready().types("When?").upstream(output_item("resp_1", "item_1"), started("u1"))
    assert [event["response_id"] for event in book.sent("response.cancel")] == ["resp_1"]


def test_a_response_that_was_neither_announced_nor_is_awaited_has_an_end():
    book = TimedPlaybook().ready().client(FRAME).upstream(started("u1")).client({"type": "ForceEndTurn"})
    book.upstream(stopped("u1"), committed("u1")).begins_itself()
    book.client({"type": "response.cancel"}).ends("resp_v", "cancelled")
    book.upstream(output_item("resp_1", "item_1")).says("At noon.", 0.1)
    book.upstream(transcribed("When?", "u1"))
    assert book.texts() == ["At noon."]
    assert book.frames().count(AUDIO_DONE) == 2


def test_a_given_text_that_speech_overtook_is_silent_although_it_is_not_announced():
    book = TimedPlaybook().ready().client(inject("default"), FRAME).hears("u1", "When?").begins_itself()
    book.says("At noon.", 0.1, response_id="resp_v", item_id="item_v").ends("resp_v")
    begin = book.here
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t")
    assert book.frames(since=begin) == []
    assert [event["response_id"] for event in book.sent("response.cancel", since=begin)] == ["resp_t"]


def overtaken():
    """Have speech overtake a given text, and then ask a question."""
    book = TimedPlaybook("converse").ready().client(inject("default"), FRAME).hears("u1", "When?").begins_itself()
    return book.ends("resp_v").types("And then?")


def test_a_given_text_that_speech_overtook_is_not_taken_for_the_answer_to_the_next_question():
    book = overtaken()
    begin = book.here
    book.upstream(output_item("resp_t", "item_t"))
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t").ends("resp_t", "cancelled")
    assert book.frames(since=begin) == []
    assert [event["response_id"] for event in book.sent("response.cancel", since=begin)] == ["resp_t"]
    book.upstream(output_item("resp_1", "item_1")).says("At noon.", 0.1).ends()
    assert book.texts(since=begin) == ["At noon."]
    assert len(book.asked()) == 1


def test_a_question_behind_a_given_text_that_was_refused_late_is_answered():
    book = overtaken()
    begin = book.here
    book.upstream(error("invalid_value", event_id=book.sent("response.create")[0]["event_id"]))
    book.upstream(output_item("resp_1", "item_1")).says("At noon.", 0.1).ends()
    assert book.texts(since=begin) == ["At noon."]


def doubtful():
    """Have the upstream begin a response while it owes two answers, and then inject a text: no metadata tells which."""
    book = TimedPlaybook("converse").ready().types("When?").hears("u1", "And where?").begins_itself()
    book.says("Here.", 0.1, response_id="resp_v", item_id="item_v").ends("resp_v")
    return book.run(1.0).client(inject("queue"))


def test_the_second_of_two_owed_answers_is_not_taken_for_a_given_text():
    book = doubtful()
    begin = book.here
    book.upstream(created("resp_1", None), output_item("resp_1", "item_1"))
    book.says("At noon.", 1.0).ends("resp_1", "cancelled")
    assert book.frames(since=begin) == []
    assert [event["response_id"] for event in book.sent("response.cancel", since=begin)] == ["resp_1"]
    book.upstream(outside("resp_t"), output_item("resp_t", "item_t"))
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t").ends("resp_t")
    assert book.audio_bytes(since=begin) == BYTES_PER_S
    assert book.frames(since=begin)[-1] == AUDIO_DONE


def test_the_second_of_two_owed_answers_is_not_taken_for_a_given_text_although_it_is_not_announced():
    book = doubtful()
    begin = book.here
    book.says("At noon.", 1.0).ends("resp_1", "cancelled")
    assert book.frames(since=begin) == []
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t")
    assert book.audio_bytes(since=begin) == BYTES_PER_S
    assert book.frames(since=begin)[-1] == AUDIO_DONE


def test_no_second_answer_is_awaited_where_the_upstream_refused_its_request():
    book = doubtful()
    begin = book.here
    book.upstream(error("invalid_value", event_id=book.asked()[0]["event_id"]))
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t")
    assert book.audio_bytes(since=begin) == BYTES_PER_S


@pytest.mark.parametrize("is_ended_by_hand", [True, False])
def test_an_answer_to_speech_that_is_not_announced_leaves_nothing_owed(is_ended_by_hand):
    book = TimedPlaybook().ready().client(FRAME).upstream(started("u1"))
    book = book.client({"type": "ForceEndTurn"}) if is_ended_by_hand else book
    book.upstream(stopped("u1"), committed("u1"))
    if is_ended_by_hand:
        book.upstream(error("input_audio_buffer_commit_empty"))
    book.upstream(output_item("resp_1", "item_1"), transcribed("When?", "u1")).says("At noon.", 0.1).run(LONG_S)
    assert book.texts() == ["At noon."]
    assert book.losses() == []


def test_an_answer_to_speech_that_is_not_announced_covers_no_question():
    book = TimedPlaybook().ready().hears("u1", "When?").types("And where?")
    book.upstream(output_item("resp_v", "item_v")).says("At noon.", 0.1, response_id="resp_v", item_id="item_v")
    assert len(book.run(1.0).asked()) == 1


@pytest.mark.parametrize("is_lost", [True, False])
def test_an_answer_to_speech_that_is_not_announced_and_fails_before_its_text_is_requested_again(is_lost):
    book = TimedPlaybook().ready().hears("u1", "When?").upstream(output_item("resp_v", "item_v"))
    begin = book.here
    if is_lost:
        book.restarted_after()
    else:
        book.ends("resp_v", "failed")
    assert len(book.run(1.0).asked(since=begin)) == 1


def test_a_question_in_flight_is_asked_once_although_another_response_fails_before_it_begins():
    book = TimedPlaybook().ready().echoes().types("When?").begins_itself()
    begin = book.here
    book.ends("resp_v", "failed").run(1.0)
    assert Wait.FIRST_EVENT.value in book.timers
    assert book.answers("At noon.", response_id="resp_2").run(LONG_S).texts(since=begin) == ["At noon."]
    assert book.asked(since=begin) == []


def test_a_cut_answer_is_continued_behind_a_question_in_flight():
    book = TimedPlaybook().ready().echoes().types("When?").begins_itself()
    begin = book.here
    book.upstream(transcript_delta("It is noon. And it is", "item_v", "resp_v"), spoken(1.0, "resp_v", "item_v"))
    book.ends("resp_v", "failed").run(1.0)
    assert book.asked(since=begin) == []
    book.answers("At noon.", response_id="resp_2", item_id="item_2").run(1.0)
    assert len(book.asked(since=begin)) == 1


def test_the_late_end_of_a_failed_response_does_not_end_the_next():
    book = TimedPlaybook().ready().types("One?").client({"type": "response.create"}).begins("resp_1")
    book.ends("resp_1", "failed").ends("resp_1", "failed").run(1.0)
    assert book.session.state.pending.in_flight is not None
    assert Wait.FIRST_EVENT.value in book.timers


@pytest.mark.parametrize("acknowledged", [True, False])
def test_an_answer_to_speech_covers_the_output_of_a_function_that_was_acknowledged(acknowledged):
    book = TimedPlaybook().ready(settings(**FUNCTIONS)).types("When?").begins().upstream(call_done()).ends()
    book.types("And then?", acknowledged=False)
    question = book.sent("conversation.item.create")[-1]["item"]["id"]
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.upstream(started("u1"), stopped("u1"), item_added(question))
    book = book.acknowledge() if acknowledged else book
    begin = book.here
    book.upstream(committed("u1")).begins_itself().ends("resp_v").run(1.0)
    assert len(book.asked(since=begin)) == (0 if acknowledged else 1)


# A response that begins too late.


def answered_with_speech():
    """Let the answer to speech cover a question in flight. Return the metadata of that question's request."""
    book = TimedPlaybook().ready().echoes().types("One?")
    metadata = book.asked()[-1]["response"]["metadata"]
    return book.hears("u1", "When?").begins_itself().ends("resp_v"), metadata


def late(*questions):
    """Begin the response to the covered question all the same, with these questions in flight."""
    book, metadata = answered_with_speech()
    for question in questions:
        book.types(question)
    return book.upstream(created("resp_1", metadata))


def test_no_response_is_requested_before_a_response_that_began_too_late_has_ended():
    book = late()
    begin = book.here
    book.types("Two?").run(1.0)
    assert book.asked(since=begin) == []
    book.ends("resp_1", "cancelled")
    assert len(book.asked(since=begin)) == 1


def test_a_response_that_began_too_late_is_cancelled_and_silent():
    book = late()
    begin = book.here
    book.upstream(output_item("resp_1", "item_1")).says("At noon.", 1.0).ends("resp_1", "cancelled").run(LONG_S)
    assert [event["response_id"] for event in book.sent("response.cancel")] == ["resp_1"]
    assert (book.frames(since=begin), book.losses()) == ([], [])


@pytest.mark.parametrize("is_refused_first", [True, False])
def test_a_request_that_a_response_which_began_too_late_keeps_off_is_sent_again_at_its_end(is_refused_first):
    book, metadata = answered_with_speech()
    book.types("Two?")
    if is_refused_first:
        already_active(book).upstream(created("resp_1", metadata))
    else:
        already_active(book.upstream(created("resp_1", metadata)))
    begin = book.here
    book.ends("resp_1", "cancelled")
    assert len(book.asked(since=begin)) == 1
    book.answers("At noon.", response_id="resp_2", item_id="item_2").run(LONG_S)
    assert book.texts(since=begin) == ["At noon."]
    assert book.frames(since=begin).count(AUDIO_DONE) == 1
    assert book.losses() == []


def test_a_request_beside_a_response_that_began_too_late_is_answered():
    book = late("Two?").ends("resp_1", "cancelled")
    begin = book.here
    assert Wait.FIRST_EVENT.value in book.timers
    book.answers("At noon.", response_id="resp_2", item_id="item_2").run(LONG_S)
    assert book.texts(since=begin) == ["At noon."]
    assert book.frames().count(AUDIO_DONE) == 3
    assert len(book.asked()) == 3


def test_a_question_beside_a_response_that_began_too_late_is_asked_at_the_next_upstream():
    book = late("Two?")
    here = book.here
    begin = book.restarted_after()
    assert AUDIO_DONE not in book.frames(since=here)
    assert len(book.asked(since=begin)) == 1


def test_a_given_text_is_spoken_beside_a_response_that_began_too_late():
    book, metadata = answered_with_speech()
    book.client(inject("queue")).upstream(created("resp_1", metadata))
    begin = book.here
    book.upstream(outside("resp_t", book.sent("response.create")[-1]["response"]["metadata"]))
    book.says("Mind the gap.", 1.0, response_id="resp_t", item_id="item_t").ends("resp_1", "cancelled").ends("resp_t")
    assert book.audio_bytes(since=begin) == BYTES_PER_S
    assert book.frames(since=begin).count(AUDIO_DONE) == 1
    assert [event["response_id"] for event in book.sent("response.cancel")] == ["resp_1"]
