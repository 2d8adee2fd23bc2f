"""The function calls of a session."""

from router.deepgram.messages import RequestedFunction
from router.openai import events as openai
from router.session.state.calls import MAX_CANCELLED, MAX_OUTSTANDING, MAX_OUTSTANDING_BYTES, MAX_REMEMBERED, Calls


def call(call_id, name="lookup", *, client_side=True):
    return RequestedFunction(id=call_id, name=name, arguments="{}", client_side=client_side)


def requested(*calls):
    made = Calls()
    for each in calls:
        assert made.request(each, "resp_1")
    return made


def test_a_call_is_requested_once_in_a_response_and_while_it_is_outstanding():
    calls = requested(call("c"))
    assert not calls.request(call("c"), "resp_2")
    calls.answer("c")
    assert not calls.request(call("c"), "resp_1")
    assert calls.request(call("c"), "resp_2")


def test_another_upstream_may_give_the_ids_again():
    calls = requested(call("c"))
    calls.record_name(openai.Item(id="fc", type="function_call", name="lookup"))
    calls.answer("c")
    calls.forget_upstream_ids()
    assert calls.request(call("c"), "resp_1")
    assert calls.name_of(openai.ResponseFunctionCallArgumentsDone(item_id="fc")) == ""


def test_an_answer_without_an_id_is_for_the_oldest_call_of_its_function():
    calls = requested(call("a", client_side=False), call("b"), call("c"), call("d", "order"))
    assert calls.find(None, "lookup") == "b"
    assert calls.find("c", "order") == "c"
    assert calls.find("a", "lookup") is None
    assert calls.find(None, "dance") is None


def test_only_the_client_s_calls_are_awaited_from_the_client():
    calls = requested(call("a", client_side=False), call("b"))
    assert [each.id for each in calls.of_client()] == ["b"]
    assert calls.await_client


def test_the_first_answer_to_a_cancelled_call_is_late_and_counted():
    calls = Calls()
    for each in (call("a"), call("b"), call("c", client_side=False)):
        calls.cancel(each)
    late = [calls.count_late_answer(*answer) for answer in [("a", None), ("a", None), (None, "lookup"), ("c", None)]]
    assert late == [True, False, True, False]
    assert calls.late == 2


def test_cancelled_calls_are_bounded():
    calls = Calls()
    for number in range(MAX_CANCELLED + 1):
        calls.cancel(call(f"c{number}"))
    assert [calls.count_late_answer(f"c{number}", None) for number in (0, 1)] == [False, True]


def test_outstanding_calls_are_bounded_by_number_and_by_size():
    calls = requested(*(call(f"call_{at}") for at in range(MAX_OUTSTANDING)))
    assert not calls.exceed_bounds
    calls.request(call("one more"), "resp_1")
    assert calls.exceed_bounds
    long = "x" * MAX_OUTSTANDING_BYTES
    calls = requested(RequestedFunction(id="long", name="lookup", arguments=long, client_side=True))
    assert not calls.exceed_bounds
    calls.request(call("one more"), "resp_1")
    assert calls.exceed_bounds


def test_the_memory_of_calls_and_their_names_is_bounded():
    calls = Calls()
    for at in range(MAX_REMEMBERED + 1):
        calls.record_name(openai.Item(id=f"item_{at}", type="function_call", name="lookup"))
        assert calls.request(call(f"call_{at}"), "resp_1")
        calls.answer(f"call_{at}")
    assert not calls.request(call("call_1"), "resp_1")
    assert calls.request(call("call_0"), "resp_1")
    names = [calls.name_of(openai.ResponseFunctionCallArgumentsDone(item_id=it)) for it in ("item_0", "item_1")]
    assert names == ["", "lookup"]
