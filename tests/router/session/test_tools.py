"""Functions that the router answers itself: what is offered, who answers, and what the user's interruption does."""

import pytest

from actors import messages
from actors.messages import WorkFailureKind
from actors.restart import Decision, Loss, LossKind
from router.deepgram import blocks
from router.errors import EndpointError
from router.session.deadlines import Wait
from router.session.work import CallEndpoint, CallTool
from tests.support.machine.playbook import (
    AUDIO_DONE,
    DONE,
    STARTED,
    THINKING,
    Playbook,
    assistant,
    call_done,
    request,
    response_created,
    response_done,
    settings,
    text_done,
)

CREATE = {"type": "response.create"}
SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u", "audio_start_ms": 0}
SPEECH_STOPPED = {"type": "input_audio_buffer.speech_stopped", "item_id": "u", "audio_end_ms": 900}
COMMITTED = {"type": "input_audio_buffer.committed", "item_id": "u"}
STOP_PLAYING = {"type": "UserStartedSpeaking"}

HOSTS = ("https://api.example",)
WEATHER = {"name": "weather", "endpoint": {"url": "https://api.example/weather", "headers": {"X-Key": "secret"}}}
ORDER = blocks.Function(name="order", description="Order it.", parameters={"type": "object", "properties": {}})
LOCAL = {"name": "show", "parameters": {"type": "object"}}
ORDER_TOOL = {
    "type": "function",
    "name": "order",
    "description": "Order it.",
    "parameters": {"type": "object", "properties": {}},
}


def think(*functions):
    return settings(think={"functions": list(functions)})


def opened(given, profile="converse", **options):
    """A session that was given its Settings; what came of that is there to be looked at."""
    return Playbook(profile, tool_hosts=HOSTS, tools=(ORDER,), **options).opened().client(given)


def ready(*functions, profile="converse", **options):
    book = opened(think(*functions), profile, **options)
    book.upstream_opens().upstream({"type": "session.created", "session": {}}, {"type": "session.updated"})
    return book.forget()


def called(*calls, profile="converse"):
    return ready(WEATHER, LOCAL, profile=profile).upstream(response_created()).forget().upstream(*calls)


def echo(call_id, name, content):
    return {"type": "FunctionCallResponse", "id": call_id, "name": name, "content": content}


def output(call_id, text):
    return {"item": {"type": "function_call_output", "call_id": call_id, "output": text}}


def tools_of(book):
    (update,) = (event for event in book.events_to_upstream if event["type"] == "session.update")
    return [tool["name"] for tool in update["session"]["tools"]]


def warnings(book):
    return [(frame["code"], frame["description"]) for frame in book.frames_to_client if frame["type"] == "Warning"]


# What is offered.


def test_an_endpoint_is_offered_like_any_other_function_and_ours_before_it():
    book = opened(think(WEATHER, LOCAL)).upstream({"type": "session.created"})
    assert tools_of(book) == ["order", "weather", "show"]
    (update,) = book.events_to_upstream
    assert update["session"]["tools"][0] == ORDER_TOOL
    assert warnings(book) == []


def test_a_function_whose_host_is_not_allowed_is_left_out_with_a_warning():
    book = opened(think({"name": "steal", "endpoint": {"url": "https://elsewhere.example/x?key=abc"}}, LOCAL))
    ((code, text),) = warnings(book)
    assert code == "FUNCTION_ENDPOINT_NOT_SUPPORTED"
    assert "steal" in text
    assert "abc" not in text
    assert tools_of(book.upstream({"type": "session.created"})) == ["order", "show"]


def test_a_client_cannot_put_a_function_of_its_own_in_the_place_of_ours():
    book = opened(think({"name": "order"}, LOCAL))
    ((code, text),) = warnings(book)
    assert code == "FUNCTION_NAME_TAKEN"
    assert text.endswith("order")
    assert tools_of(book.upstream({"type": "session.created"})) == ["order", "show"]


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        ({"url": "ftp://api.example"}, "url` must be an https:// or http:// URL"),
        ({"url": "https://me:secret@api.example"}, "url` must be a URL without credentials"),
        ({"url": "https://api.example/a secret"}, "url` must be a URL without spaces"),
        ({"url": "https://api.example", "method": "TRACE"}, "method` must be one of GET, POST"),
        ({"url": "https://api.example", "headers": {"Host": "secret"}}, "headers` must be HTTP headers"),
        ({"url": "https://api.example", "headers": {"X-Key": "secret\r\nX: y"}}, "headers.X-Key` must be printable"),
    ],
)
def test_an_endpoint_that_nobody_could_call_is_refused_by_its_field_and_without_its_secrets(endpoint, field):
    book = opened(think(LOCAL, {"name": "f", "endpoint": endpoint}))
    (refusal,) = book.frames_to_client
    assert refusal["code"] == "INVALID_SETTINGS"
    assert f"`agent.think.functions[1].endpoint.{field}" in refusal["description"]
    assert "secret" not in refusal["description"]


def test_an_endpoint_shows_neither_its_headers_values_nor_its_query():
    shown = repr(blocks.Endpoint(url="https://a.example/x?key=secret", headers={"X-Key": "secret"}))
    assert "a.example/x" in shown
    assert "secret" not in shown


def test_a_think_block_that_is_replaced_is_held_to_the_same():
    steal = {"name": "steal", "endpoint": {"url": "https://elsewhere.example"}}
    book = ready(LOCAL).client({"type": "UpdateThink", "think": {"functions": [WEATHER, steal, {"name": "order"}]}})
    assert [code for code, _ in warnings(book)] == ["FUNCTION_ENDPOINT_NOT_SUPPORTED", "FUNCTION_NAME_TAKEN"]
    assert tools_of(book) == ["order", "weather"]
    book.forget().upstream({"type": "session.updated"}, response_created(), call_done("c", "weather"))
    assert list(book.work) == ["tool:c"]


def test_ours_are_offered_in_a_client_s_own_session_update_too():
    theirs = {"type": "function", "name": "show"}
    taken = {"type": "function", "name": "order"}
    update = {"type": "session.update", "session": {"type": "realtime", "tools": [theirs, taken]}}
    book = opened(update, profile="openai").upstream({"type": "session.created"})
    assert tools_of(book) == ["order", "show"]
    book.upstream({"type": "session.updated"}).forget()
    book.client({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}})
    assert "tools" not in book.events_to_upstream[0]["session"]


# Who answers.


def test_a_call_of_an_endpoint_is_shown_and_is_work_of_ours():
    book = called(call_done("c", "weather", '{"city":"Rome"}'))
    work = book.work["tool:c"]
    assert isinstance(work.work, CallEndpoint)
    assert (work.work.endpoint.url, work.work.arguments) == ("https://api.example/weather", '{"city":"Rome"}')
    assert work.timeout_s == 20.0
    assert Wait.TOOL_ANSWER.value not in book.timers
    book.expect(request("c", "weather", '{"city":"Rome"}', client_side=False))


def test_what_it_answers_is_told_and_the_model_is_asked_to_go_on():
    book = called(call_done("c", "weather"), response_done()).forget().performs("tool:c", "sunny")
    book.expect(echo("c", "weather", "sunny"), upstream=[output("c", "sunny"), CREATE])
    book.upstream(response_created("resp_2"), text_done("It is sunny."), response_done("resp_2"))
    assert book.frames_to_client[-1] == AUDIO_DONE
    call = {"id": "c", "name": "weather", "arguments": "{}", "client_side": False, "response": "sunny"}
    assert {"type": "History", "function_calls": [call]} in book.history


def test_a_call_of_one_of_ours_is_work_with_the_names_of_session_and_call():
    book = called(call_done("c", "order", "{}"))
    assert book.work["tool:c"].work == CallTool(book.session.state.session_id, "c", "order", "{}")


def test_on_openai_the_call_is_shown_as_text_too():
    book = called(call_done("c", "order"), response_done(), profile="openai")
    book.expect(request("c", "order", "{}", client_side=False), assistant("Function call: order({})"))
    book.performs("tool:c", "done").expect(echo("c", "order", "done"), upstream=[output("c", "done"), CREATE])
    book.upstream(response_created("resp_2"), text_done("Done."), response_done("resp_2"))
    book.expect(STARTED, assistant("Done."), AUDIO_DONE, DONE)


def test_a_function_that_nobody_declared_is_the_client_s():
    book = called(call_done("c", "dance")).expect(request("c", "dance", "{}"))
    assert book.work == {}


def test_answers_come_in_any_order_and_one_response_is_asked_for_when_all_are_in():
    book = called(call_done("a", "weather"), call_done("b", "show"), call_done("c", "order"), response_done())
    assert Wait.TOOL_ANSWER.value in book.timers
    book.forget().performs("tool:c", "3").expect(echo("c", "order", "3"), upstream=[output("c", "3")])
    book.client({"type": "FunctionCallResponse", "id": "b", "name": "show", "content": "2"})
    book.expect(THINKING, upstream=[output("b", "2")])
    assert Wait.TOOL_ANSWER.value not in book.timers
    book.performs("tool:a", "1").expect(echo("a", "weather", "1"), upstream=[output("a", "1"), CREATE])


def test_an_answer_during_the_response_waits_for_its_end_with_the_question():
    book = called(call_done("c", "order")).forget().performs("tool:c", "1")
    book.expect(echo("c", "order", "1"), upstream=[output("c", "1")])
    book.upstream(response_done()).expect(upstream=[CREATE])


def test_a_call_is_never_begun_twice():
    book = called(call_done("c", "order"), call_done("c", "order"))
    assert list(book.work) == ["tool:c"]
    book.performs("tool:c", "1").upstream(call_done("c", "order"))
    assert book.work == {}


@pytest.mark.parametrize("fields", [{"id": "c"}, {"name": "weather"}])
def test_a_client_cannot_answer_a_call_that_is_ours(fields):
    book = called(call_done("c", "weather"), response_done()).forget()
    book.client({"type": "FunctionCallResponse", "content": "snow", **fields})
    assert [frame["code"] for frame in book.frames_to_client] == ["UNKNOWN_FUNCTION_CALL"]
    assert book.events_to_upstream == []


def test_a_client_cannot_answer_it_in_openai_s_words_either():
    book = called(call_done("c", "weather"), response_done(), profile="openai").forget()
    item = {"type": "function_call_output", "call_id": "c", "output": "snow"}
    book.client({"type": "conversation.item.create", "item": item})
    assert [frame["code"] for frame in book.frames_to_client] == ["UNKNOWN_FUNCTION_CALL"]
    assert book.events_to_upstream == []


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (messages.WorkFailure(WorkFailureKind.TIMED_OUT), "timed out after 20 s"),
        (messages.WorkFailure(WorkFailureKind.REFUSED, RuntimeError("x")), "failed: too many functions are running"),
        (messages.WorkFailure(WorkFailureKind.RAISED, EndpointError("HTTP 500")), "failed: HTTP 500"),
        (messages.WorkFailure(WorkFailureKind.RAISED, ValueError("secret")), "failed"),
    ],
)
def test_a_failure_is_an_error_for_the_model_and_a_warning_for_the_client(failure, problem):
    book = called(call_done("c", "weather"), response_done()).forget().performs("tool:c", failure=failure)
    told = f'{{"error":"weather {problem}"}}'
    book.expect(
        {
            "type": "Warning",
            "code": "FUNCTION_CALL_FAILED",
            "description": f"the function call c (weather) {problem}",
        },
        echo("c", "weather", told),
        upstream=[output("c", told), CREATE],
    )


def test_only_the_client_s_calls_run_out_with_its_time():
    book = called(call_done("a", "weather"), call_done("b", "show"), response_done()).forget().fire(Wait.TOOL_ANSWER)
    assert [event["item"]["call_id"] for event in book.events_to_upstream] == ["b"]
    book.forget().performs("tool:a", "1")
    assert book.events_to_upstream[-1]["type"] == "response.create"


# An upstream is lost.


def test_a_call_that_runs_while_the_upstream_is_lost_goes_on_and_the_next_one_is_told_its_output():
    book = called(call_done("c", "weather"), response_done()).forget()
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1006), Decision.RESTART).forget()
    assert list(book.work) == ["tool:c"], "it is neither dropped nor begun again"
    book.performs("tool:c", "sunny").expect(echo("c", "weather", "sunny"))
    told = [{"item": {"type": "function_call", "call_id": "c"}}, output("c", "sunny"), CREATE]
    book.restarted(upstream=told)


def test_a_call_that_still_runs_when_the_next_upstream_is_there_is_waited_for():
    book = called(call_done("c", "weather"), response_done()).forget()
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1006), Decision.RESTART).forget()
    book.restarted(upstream=[{"item": {"type": "function_call", "call_id": "c"}}])
    book.performs("tool:c", "sunny")
    book.expect(echo("c", "weather", "sunny"), upstream=[output("c", "sunny"), CREATE])


# The user interrupts.


def cancelled_output(call_id, name):
    return output(call_id, f'{{"error":"{name} was cancelled: the user interrupted before it answered"}}')


def cancelled(*calls):
    return {"type": "FunctionCallCancelled", "functions": [{"id": call_id, "name": name} for call_id, name in calls]}


def interrupted():
    book = called(call_done("a", "weather"), call_done("b", "show"), call_done("c", "show"), response_done()).forget()
    return book.upstream(SPEECH_STARTED)


def test_calls_that_the_user_interrupts_are_cancelled_and_the_client_is_told_of_its_own():
    book = interrupted()
    assert book.work == {}
    assert Wait.TOOL_ANSWER.value not in book.timers
    outputs = [cancelled_output("a", "weather"), cancelled_output("b", "show"), cancelled_output("c", "show")]
    book.expect(STOP_PLAYING, cancelled(("b", "show"), ("c", "show")), AUDIO_DONE, upstream=outputs)


def test_the_user_s_new_turn_is_answered_and_nothing_is_asked_for_on_their_account():
    book = interrupted().forget().upstream(SPEECH_STOPPED, COMMITTED).expect()
    book.upstream(response_created("resp_2"), text_done("As you wish."), response_done("resp_2"))
    assert book.events_to_upstream == []


def test_speech_that_was_none_lets_the_model_go_on():
    book = interrupted().forget().upstream(SPEECH_STOPPED).expect()
    book.fire(Wait.COMMIT).expect(upstream=[CREATE])


@pytest.mark.parametrize("fields", [{"id": "b", "name": "show"}, {"name": "show"}])
def test_a_late_answer_is_dropped_without_a_word_and_counted_once_for_each_call(fields):
    answer = {"type": "FunctionCallResponse", "content": "1", **fields}
    book = interrupted().forget().client(answer).expect()
    assert book.session.describe()["late_answers"] == 1
    book.client({**answer, "id": "c"}).expect()
    book.client(answer)
    assert [frame["code"] for frame in book.frames_to_client] == ["UNKNOWN_FUNCTION_CALL"]
    assert book.session.describe()["late_answers"] == 2


def test_a_late_answer_in_openai_s_words_is_dropped_too():
    book = called(call_done("b", "show"), response_done(), profile="openai").upstream(SPEECH_STARTED).forget()
    item = {"type": "function_call_output", "call_id": "b", "output": "1"}
    book.client({"type": "conversation.item.create", "item": item}).expect()
    assert book.session.describe()["late_answers"] == 1


def test_work_that_was_done_as_the_user_interrupted_is_passed_over():
    book = called(call_done("c", "order"), response_done()).upstream(SPEECH_STARTED).forget()
    book.feed(messages.WorkDone("tool:c", "1")).expect()


def test_calls_of_a_response_that_still_runs_are_cancelled_and_the_turn_ends_with_it():
    book = called(call_done("b", "show")).forget().upstream(SPEECH_STARTED)
    book.expect(
        STOP_PLAYING,
        cancelled(("b", "show")),
        upstream=[{"type": "response.cancel"}, cancelled_output("b", "show")],
    )
    book.upstream(response_done(status="cancelled")).expect(AUDIO_DONE)


def test_a_restart_tells_the_next_upstream_that_they_were_cancelled():
    book = called(call_done("b", "show"), response_done()).upstream(SPEECH_STARTED).forget()
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1006), Decision.RESTART).forget()
    told = [{"item": {"type": "function_call", "call_id": "b"}}, cancelled_output("b", "show")]
    book.upstream_opens().upstream({"type": "session.created", "session": {}}).forget()
    book.upstream({"type": "session.updated", "session": {}})
    assert [event["item"]["type"] for event in book.events_to_upstream[:2]] == [it["item"]["type"] for it in told]


def test_without_a_detector_of_the_upstream_s_nobody_is_cancelled():
    book = ready(LOCAL, turn_detection="manual").upstream(response_created(), call_done("b", "show"), response_done())
    book.forget().upstream(SPEECH_STARTED).expect(STOP_PLAYING)
