"""The client's events that are not acknowledged, and those that wait."""

from router.fronts.realtime.requests import MAX_WAITING, MAX_WAITING_CHARS, Sent, Unanswered, Waiting
from router.fronts.realtime.responses import Request
from router.fronts.realtime.wire import new_event, read_client


def sent(kind, event_id, request=None, **fields):
    return Sent(new_event(kind, **fields), event_id, has_own_id=False, request=request)


def asking(*fields):
    unanswered = Unanswered()
    for at, each in enumerate(fields):
        unanswered.add(sent("response.create", f"e{at}", Request(each, event_id=f"e{at}")))
    return unanswered


def test_an_acknowledgement_is_for_the_oldest_event_of_its_type():
    unanswered = Unanswered()
    unanswered.add(sent("session.update", "e1"))
    unanswered.add(sent("conversation.item.create", "e2", item={"id": "a"}))
    unanswered.add(sent("conversation.item.create", "e3", item={"id": "b"}))
    unanswered.add(sent("conversation.item.delete", "e4", item_id="b"))
    assert unanswered.take_item("conversation.item.create", "b").event_id == "e3"
    assert unanswered.take_item("conversation.item.delete", "b").event_id == "e4"
    assert unanswered.take("conversation.item.create").event_id == "e2"
    assert unanswered.take_id("e1").kind == "session.update"
    assert unanswered.take("session.update") is None
    assert len(unanswered) == 0


def test_a_response_answers_the_request_with_its_metadata():
    unanswered = asking({"metadata": {"n": "1"}}, {"metadata": {"n": "2"}}, {})
    assert unanswered.take_request({"metadata": {"n": "2"}}).event_id == "e1"
    assert unanswered.take_request({"metadata": None, "conversation_id": "c"}).event_id == "e2"
    assert unanswered.take_request({"metadata": None, "conversation_id": "c"}) is None
    assert unanswered.has_request


def test_a_response_of_the_conversation_answers_no_request_outside_of_it():
    unanswered = asking({"conversation": "none"})
    assert not unanswered.has_request_of_the_conversation
    assert unanswered.take_request({"conversation_id": "c"}) is None
    assert unanswered.take_request({"conversation_id": None}) is not None


def test_events_wait_in_order_up_to_a_bound():
    waiting = Waiting()
    assert all(waiting.add(read_client('{"type":"x"}')) for _ in range(MAX_WAITING))
    assert not waiting.add(read_client('{"type":"x"}'))
    assert len(waiting.take_all()) == MAX_WAITING
    assert waiting.add(read_client('{"type":"x"}'))


def test_the_oldest_audio_makes_room_for_newer_audio():
    waiting = Waiting()
    waiting.add(read_client('{"type":"session.update"}'))
    for at in range(50):
        event = new_event("input_audio_buffer.append", at=at)
        event.text = "x" * 100_000
        assert waiting.add(event)
    assert waiting.held_bytes <= MAX_WAITING_CHARS
    assert waiting.dropped_chars == 50 * 100_000 - (waiting.held_bytes - len('{"type":"session.update"}'))
    kinds = [event.fields.get("at", "update") for event in waiting]
    assert (kinds[0], kinds[-1]) == ("update", 49)
