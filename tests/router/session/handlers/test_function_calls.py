"""Function calls, in the client and in the router."""

import pytest

from actors import messages
from actors.messages import WorkFailureKind
from actors.restart import Decision, Loss, LossKind
from router.deepgram import blocks
from router.errors import EndpointError
from router.session.deadlines import Wait
from router.session.state.calls import MAX_OUTSTANDING
from router.session.work import CallEndpoint, CallTool
from tests.support.machine.beginnings import asked, connecting, message_item, restart
from tests.support.machine.playbook import (
    ANY,
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
    transcript_done,
)

CREATE = {"type": "response.create"}
RESTARTED = {"type": "Warning", "code": "UPSTREAM_RESTARTED", "description": ANY}
RESTART = Decision.RESTART
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


def client_called(profile="openai", *calls):
    book = Playbook(profile).ready().upstream(response_created())
    return book.forget().upstream(*(calls or [call_done("call_1", "lookup", '{"k":1}')]))


def answer(**fields):
    return {"type": "FunctionCallResponse", **fields}


def think(*functions):
    return settings(think={"functions": list(functions)})


def opened(given, profile="converse", **options):
    """Return a session with its Settings. The commands that they caused are kept."""
    return Playbook(profile, tool_hosts=HOSTS, tools=(ORDER,), **options).opened().client(given)


def ready(*functions, profile="converse", **options):
    book = opened(think(*functions), profile, **options)
    book.upstream_opens().upstream({"type": "session.created", "session": {}}, {"type": "session.updated"})
    return book.forget()


def router_called(*calls, profile="converse"):
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


def cancelled_output(call_id, name):
    return output(call_id, f'{{"error":"{name} was cancelled: the user interrupted before it answered"}}')


def cancelled(*calls):
    return {"type": "FunctionCallCancelled", "functions": [{"id": call_id, "name": name} for call_id, name in calls]}


def interrupted():
    book = router_called(
        call_done("a", "weather"), call_done("b", "show"), call_done("c", "show"), response_done()
    ).forget()
    return book.upstream(SPEECH_STARTED)


# The client's calls.


def test_a_call_is_requested_and_then_shown():
    client_called().expect(request("call_1", "lookup", '{"k":1}'), assistant('Function call: lookup({"k":1})'))


def test_on_converse_a_call_is_requested_only():
    client_called("converse").expect(request("call_1", "lookup", '{"k":1}'))


def test_the_client_sees_a_transcript_before_the_request_that_follows_it():
    book = Playbook().ready().upstream(response_created()).forget()
    book.upstream(transcript_done("Let me see."), call_done()).expect(
        STARTED, assistant("Let me see."), request("call_1", "lookup", "{}"), assistant("Function call: lookup({})")
    )


def test_the_item_names_the_function_where_the_event_does_not():
    item = {"id": "fc", "type": "function_call", "name": "lookup", "call_id": "call_1"}
    added = {"type": "response.output_item.added", "response_id": "resp_1", "item": item}
    event = call_done(item_id="fc")
    del event["name"]
    book = client_called("converse", added, event)
    book.expect(request("call_1", "lookup", "{}"))


def test_a_call_is_requested_once():
    client_called("converse", call_done(), call_done()).expect(request("call_1", "lookup", "{}"))


def test_a_call_of_a_cancelled_response_is_dropped():
    book = Playbook().ready().upstream(response_created(), response_done(status="cancelled")).forget()
    book.upstream(call_done()).expect()


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"content": "42"}, "42"),
        ({"content": {"a": 1}}, '{"a":1}'),
        ({"result": {"a": 1}}, '{"a":1}'),
        ({"error": "broken"}, '{"error":"broken"}'),
        ({}, "null"),
    ],
)
def test_an_answer_goes_upstream_and_a_response_is_requested_when_none_is_active(fields, output):
    book = client_called().upstream(response_done()).forget()
    book.client(answer(id="call_1", name="lookup", **fields)).expect(
        THINKING,
        upstream=[{"item": {"type": "function_call_output", "call_id": "call_1", "output": output}}, CREATE],
    )


def test_an_answer_during_the_response_goes_upstream_at_once_and_the_next_response_waits():
    book = client_called().forget()
    book.client(answer(id="call_1", name="lookup", content="42")).expect(
        THINKING, upstream=[{"item": {"type": "function_call_output"}}]
    )
    book.upstream(response_done()).expect(upstream=[CREATE])


def test_the_turn_ends_after_the_follow_up_and_not_while_a_call_is_outstanding():
    book = client_called().upstream(response_done())
    book.forget().client(answer(id="call_1", name="lookup", content="42")).forget()
    book.upstream(response_created("resp_2"), text_done("It is 42."), response_done("resp_2"))
    book.expect(STARTED, assistant("It is 42."), AUDIO_DONE, DONE)


def test_one_response_is_requested_when_all_calls_are_answered():
    book = client_called("converse", call_done("a", "f"), call_done("b", "g")).upstream(response_done()).forget()
    book.client(answer(id="b", name="g", content="2")).expect(THINKING, upstream=[{"item": {"call_id": "b"}}])
    book.client(answer(name="f", content="1")).expect(THINKING, upstream=[{"item": {"call_id": "a"}}, CREATE])


def test_an_unexpected_answer_is_refused_and_not_forwarded():
    book = client_called().upstream(response_done()).client(answer(id="call_1", content="1")).forget()
    for late in (answer(id="call_1", content="2"), answer(id="call_7", content="2"), answer(name="nothing")):
        book.client(late)
        assert book.frames_to_client[0]["code"] == "UNKNOWN_FUNCTION_CALL"
        assert book.events_to_upstream == []
        book.forget()


def test_a_call_that_is_never_answered_times_out():
    book = client_called("converse").upstream(response_done()).forget().fire(Wait.TOOL_ANSWER)
    output = '{"error":"lookup timed out after 30 s"}'
    assert book.frames_to_client[0]["code"] == "FUNCTION_CALL_FAILED"
    assert [event["type"] for event in book.events_to_upstream] == ["conversation.item.create", "response.create"]
    assert book.events_to_upstream[0]["item"]["output"] == output


def test_an_undeclared_function_is_the_client_s():
    book = router_called(call_done("c", "dance")).expect(request("c", "dance", "{}"))
    assert book.work == {}


# Declarations.


def test_a_function_with_an_endpoint_is_omitted_with_a_warning():
    function = {"name": "weather", "endpoint": {"url": "https://example.com"}}
    book = connecting(given=settings(think={"functions": [function]}))
    assert book.frames_to_client[0]["type"] == "Warning"
    assert "weather" in book.frames_to_client[0]["description"]


def test_an_endpoint_is_declared_like_any_other_function_and_the_router_s_functions_come_first():
    book = opened(think(WEATHER, LOCAL)).upstream({"type": "session.created"})
    assert tools_of(book) == ["order", "weather", "show"]
    (update,) = book.events_to_upstream
    assert update["session"]["tools"][0] == ORDER_TOOL
    assert warnings(book) == []


def test_a_function_whose_host_is_not_allowed_is_omitted_with_a_warning():
    book = opened(think({"name": "steal", "endpoint": {"url": "https://elsewhere.example/x?key=abc"}}, LOCAL))
    ((code, text),) = warnings(book)
    assert code == "FUNCTION_ENDPOINT_NOT_SUPPORTED"
    assert "steal" in text
    assert "abc" not in text
    assert tools_of(book.upstream({"type": "session.created"})) == ["order", "show"]


def test_a_client_cannot_replace_a_function_of_the_router():
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
def test_an_invalid_endpoint_is_refused_by_its_field_and_without_its_secrets(endpoint, field):
    book = opened(think(LOCAL, {"name": "f", "endpoint": endpoint}))
    (refusal,) = book.frames_to_client
    assert refusal["code"] == "INVALID_SETTINGS"
    assert f"`agent.think.functions[1].endpoint.{field}" in refusal["description"]
    assert "secret" not in refusal["description"]


def test_an_endpoint_shows_neither_its_headers_values_nor_its_query():
    shown = repr(blocks.Endpoint(url="https://a.example/x?key=secret", headers={"X-Key": "secret"}))
    assert "a.example/x" in shown
    assert "secret" not in shown


def test_a_replaced_think_block_obeys_the_same_rules():
    steal = {"name": "steal", "endpoint": {"url": "https://elsewhere.example"}}
    book = ready(LOCAL).client({"type": "UpdateThink", "think": {"functions": [WEATHER, steal, {"name": "order"}]}})
    assert [code for code, _ in warnings(book)] == ["FUNCTION_ENDPOINT_NOT_SUPPORTED", "FUNCTION_NAME_TAKEN"]
    assert tools_of(book) == ["order", "weather"]
    book.forget().upstream({"type": "session.updated"}, response_created(), call_done("c", "weather"))
    assert list(book.work) == ["tool:c"]


def test_the_router_s_functions_are_declared_in_a_client_s_own_session_update_too():
    theirs = {"type": "function", "name": "show"}
    taken = {"type": "function", "name": "order"}
    update = {"type": "session.update", "session": {"type": "realtime", "tools": [theirs, taken]}}
    book = opened(update, profile="openai").upstream({"type": "session.created"})
    assert tools_of(book) == ["order", "show"]
    book.upstream({"type": "session.updated"}).forget()
    book.client({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}})
    assert "tools" not in book.events_to_upstream[0]["session"]


# The router's calls.


def test_a_call_of_an_endpoint_is_shown_and_runs_in_the_router():
    book = router_called(call_done("c", "weather", '{"city":"Rome"}'))
    work = book.work["tool:c"]
    assert isinstance(work.work, CallEndpoint)
    assert (work.work.endpoint.url, work.work.arguments) == ("https://api.example/weather", '{"city":"Rome"}')
    assert work.timeout_s == 20.0
    assert Wait.TOOL_ANSWER.value not in book.timers
    book.expect(request("c", "weather", '{"city":"Rome"}', client_side=False))


def test_the_output_is_sent_to_the_client_and_the_model_continues():
    book = router_called(call_done("c", "weather"), response_done()).forget().performs("tool:c", "sunny")
    book.expect(echo("c", "weather", "sunny"), upstream=[output("c", "sunny"), CREATE])
    book.upstream(response_created("resp_2"), text_done("It is sunny."), response_done("resp_2"))
    assert book.frames_to_client[-1] == AUDIO_DONE
    call = {"id": "c", "name": "weather", "arguments": "{}", "client_side": False, "response": "sunny"}
    assert {"type": "History", "function_calls": [call]} in book.history


def test_a_call_of_a_router_s_function_has_the_ids_of_session_and_call():
    book = router_called(call_done("c", "order", "{}"))
    assert book.work["tool:c"].work == CallTool(book.session.state.session_id, "c", "order", "{}")


def test_on_openai_the_call_is_shown_as_text_too():
    book = router_called(call_done("c", "order"), response_done(), profile="openai")
    book.expect(request("c", "order", "{}", client_side=False), assistant("Function call: order({})"))
    book.performs("tool:c", "done").expect(echo("c", "order", "done"), upstream=[output("c", "done"), CREATE])
    book.upstream(response_created("resp_2"), text_done("Done."), response_done("resp_2"))
    book.expect(STARTED, assistant("Done."), AUDIO_DONE, DONE)


def test_answers_come_in_any_order_and_one_response_follows_all_of_them():
    book = router_called(call_done("a", "weather"), call_done("b", "show"), call_done("c", "order"), response_done())
    assert Wait.TOOL_ANSWER.value in book.timers
    book.forget().performs("tool:c", "3").expect(echo("c", "order", "3"), upstream=[output("c", "3")])
    book.client({"type": "FunctionCallResponse", "id": "b", "name": "show", "content": "2"})
    book.expect(THINKING, upstream=[output("b", "2")])
    assert Wait.TOOL_ANSWER.value not in book.timers
    book.performs("tool:a", "1").expect(echo("a", "weather", "1"), upstream=[output("a", "1"), CREATE])


def test_an_output_during_the_response_goes_upstream_at_once_and_the_next_response_waits():
    book = router_called(call_done("c", "order")).forget().performs("tool:c", "1")
    book.expect(echo("c", "order", "1"), upstream=[output("c", "1")])
    book.upstream(response_done()).expect(upstream=[CREATE])


def test_a_call_never_runs_twice():
    book = router_called(call_done("c", "order"), call_done("c", "order"))
    assert list(book.work) == ["tool:c"]
    book.performs("tool:c", "1").upstream(call_done("c", "order"))
    assert book.work == {}


@pytest.mark.parametrize("fields", [{"id": "c"}, {"name": "weather"}])
def test_a_client_cannot_answer_a_call_of_the_router(fields):
    book = router_called(call_done("c", "weather"), response_done()).forget()
    book.client({"type": "FunctionCallResponse", "content": "snow", **fields})
    assert [frame["code"] for frame in book.frames_to_client] == ["UNKNOWN_FUNCTION_CALL"]
    assert book.events_to_upstream == []


def test_a_client_cannot_answer_a_call_of_the_router_with_openai_s_event():
    book = router_called(call_done("c", "weather"), response_done(), profile="openai").forget()
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
    book = router_called(call_done("c", "weather"), response_done()).forget().performs("tool:c", failure=failure)
    error_output = f'{{"error":"weather {problem}"}}'
    book.expect(
        {
            "type": "Warning",
            "code": "FUNCTION_CALL_FAILED",
            "description": f"the function call c (weather) {problem}",
        },
        echo("c", "weather", error_output),
        upstream=[output("c", error_output), CREATE],
    )


def test_the_client_s_deadline_expires_for_its_own_calls_alone():
    book = (
        router_called(call_done("a", "weather"), call_done("b", "show"), response_done())
        .forget()
        .fire(Wait.TOOL_ANSWER)
    )
    assert [event["item"]["call_id"] for event in book.events_to_upstream] == ["b"]
    book.forget().performs("tool:a", "1")
    assert book.events_to_upstream[-1]["type"] == "response.create"


# The loss of the upstream.


def test_a_call_continues_through_a_restart_and_the_next_upstream_gets_its_output():
    book = router_called(call_done("c", "weather"), response_done()).forget()
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1006), Decision.RESTART).forget()
    assert list(book.work) == ["tool:c"], "it is neither dropped nor begun again"
    book.performs("tool:c", "sunny").expect(echo("c", "weather", "sunny"))
    replayed = [{"item": {"type": "function_call", "call_id": "c"}}, output("c", "sunny"), CREATE]
    book.restarted(upstream=replayed)


def test_a_call_that_outlasts_a_restart_is_waited_for():
    book = router_called(call_done("c", "weather"), response_done()).forget()
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1006), Decision.RESTART).forget()
    book.restarted(upstream=[{"item": {"type": "function_call", "call_id": "c"}}])
    book.performs("tool:c", "sunny")
    book.expect(echo("c", "weather", "sunny"), upstream=[output("c", "sunny"), CREATE])


def test_a_client_s_call_is_replayed_and_its_answer_is_taken():
    book = asked().upstream(response_created(), call_done(), response_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book).expect(
        upstream=[message_item("user", "hello"), {"item": {"type": "function_call", "call_id": "call_1"}}]
    )
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.expect(THINKING, upstream=[{"item": {"call_id": "call_1", "output": "42"}}, CREATE])
    book.upstream(response_created("r2"), text_done("42.", "i2"), response_done("r2"))
    book.expect(STARTED, assistant("42."), AUDIO_DONE, DONE)


def test_an_answer_during_a_restart_is_in_time_however_long_the_restart_takes():
    book = asked().upstream(response_created(), call_done(), response_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.expect(THINKING)
    assert Wait.TOOL_ANSWER.value not in book.timers
    restart(book)
    kinds = [event.get("item", {}).get("type") for event in book.events_to_upstream]
    assert kinds == ["message", "function_call", "function_call_output", None]


def test_a_call_that_times_out_during_a_restart_reaches_the_next_upstream_once():
    book = asked().upstream(response_created(), call_done(), response_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    book.fire(Wait.TOOL_ANSWER)
    assert book.frames_to_client[0]["code"] == "FUNCTION_CALL_FAILED"
    assert book.events_to_upstream == []
    restart(book.forget())
    kinds = [event.get("item", {}).get("type") for event in book.events_to_upstream]
    assert kinds == ["message", "function_call", "function_call_output", None]


def test_an_output_is_replayed_and_its_response_requested_again():
    book = asked().upstream(response_created(), call_done(), response_done()).forget()
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"}).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book).expect(
        upstream=[
            message_item("user", "hello"),
            {"item": {"type": "function_call"}},
            {"item": {"type": "function_call_output", "output": "42"}},
            CREATE,
        ]
    )


def test_no_function_runs_twice_after_a_restart():
    book = asked().upstream(response_created(), call_done()).forget()
    book.upstream_closes(decision=RESTART).expect(RESTARTED)
    restart(book)
    assert "response.create" not in [event["type"] for event in book.events_to_upstream]
    book.forget().upstream(call_done()).expect()


# Interruption.


def test_calls_that_the_user_interrupts_are_cancelled_and_the_client_is_notified_of_its_own():
    book = interrupted()
    assert book.work == {}
    assert Wait.TOOL_ANSWER.value not in book.timers
    outputs = [cancelled_output("a", "weather"), cancelled_output("b", "show"), cancelled_output("c", "show")]
    book.expect(STOP_PLAYING, cancelled(("b", "show"), ("c", "show")), AUDIO_DONE, upstream=outputs)


def test_the_user_s_new_turn_is_answered_and_the_cancelled_calls_request_nothing():
    book = interrupted().forget().upstream(SPEECH_STOPPED, COMMITTED).expect()
    book.upstream(response_created("resp_2"), text_done("As you wish."), response_done("resp_2"))
    assert book.events_to_upstream == []


def test_a_noise_lets_the_model_continue():
    book = interrupted().forget().upstream(SPEECH_STOPPED).expect()
    book.fire(Wait.COMMIT).expect(upstream=[CREATE])


@pytest.mark.parametrize("fields", [{"id": "b", "name": "show"}, {"name": "show"}])
def test_a_late_answer_is_dropped_silently_and_counted_once_for_each_call(fields):
    answer = {"type": "FunctionCallResponse", "content": "1", **fields}
    book = interrupted().forget().client(answer).expect()
    assert book.session.describe()["late_answers"] == 1
    book.client({**answer, "id": "c"}).expect()
    book.client(answer)
    assert [frame["code"] for frame in book.frames_to_client] == ["UNKNOWN_FUNCTION_CALL"]
    assert book.session.describe()["late_answers"] == 2


def test_a_late_answer_with_openai_s_event_is_dropped_too():
    book = router_called(call_done("b", "show"), response_done(), profile="openai").upstream(SPEECH_STARTED).forget()
    item = {"type": "function_call_output", "call_id": "b", "output": "1"}
    book.client({"type": "conversation.item.create", "item": item}).expect()
    assert book.session.describe()["late_answers"] == 1


def test_work_that_ends_as_the_user_interrupts_is_ignored():
    book = router_called(call_done("c", "order"), response_done()).upstream(SPEECH_STARTED).forget()
    book.feed(messages.WorkDone("tool:c", "1")).expect()


def test_calls_of_an_active_response_are_cancelled_and_the_turn_ends_with_it():
    book = router_called(call_done("b", "show")).forget().upstream(SPEECH_STARTED)
    book.expect(
        STOP_PLAYING,
        cancelled(("b", "show")),
        upstream=[{"type": "response.cancel"}, cancelled_output("b", "show")],
    )
    book.upstream(response_done(status="cancelled")).expect(AUDIO_DONE)


def test_the_next_upstream_gets_the_outputs_of_cancelled_calls():
    book = router_called(call_done("b", "show"), response_done()).upstream(SPEECH_STARTED).forget()
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1006), Decision.RESTART).forget()
    replayed = [{"item": {"type": "function_call", "call_id": "b"}}, cancelled_output("b", "show")]
    book.configured()
    assert [event["item"]["type"] for event in book.events_to_upstream[:2]] == [it["item"]["type"] for it in replayed]


def test_without_the_upstream_s_detector_no_call_is_cancelled():
    book = ready(LOCAL, turn_detection="manual").upstream(response_created(), call_done("b", "show"), response_done())
    book.forget().upstream(SPEECH_STARTED).expect(STOP_PLAYING)


# Too many calls.


def outputs_of(book):
    items = [event["item"] for event in book.events_to_upstream if event["type"] == "conversation.item.create"]
    return {item["call_id"]: item["output"] for item in items if item["type"] == "function_call_output"}


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_a_call_beyond_the_bound_gets_an_output_at_once_and_the_client_is_told(profile):
    book = Playbook(profile).ready().upstream(response_created()).forget()
    book.upstream(*(call_done(f"call_{at}") for at in range(MAX_OUTSTANDING))).forget()
    book.upstream(call_done("one_more"))
    assert book.frames_to_client == []
    assert outputs_of(book) == {"one_more": '{"error":"lookup failed: too many function calls are outstanding"}'}
    assert book.session.describe()["over_bounds"] == 1
    # The answers of the others end the turn of calls, and the model goes on.
    book.upstream(response_done())
    (warning,) = (frame for frame in book.frames_to_client if frame["type"] == "Warning")
    assert warning["code"] == "FUNCTION_CALL_FAILED"
    assert warning["description"] == "1 function call failed: too many function calls are outstanding"
    book.forget()
    for at in range(MAX_OUTSTANDING):
        book.client({"type": "FunctionCallResponse", "id": f"call_{at}", "name": "lookup", "content": "1"})
    assert [event["type"] for event in book.events_to_upstream].count("response.create") == 1


def beyond_the_bound(profile, count):
    book = Playbook(profile).ready().upstream(response_created())
    return book.upstream(*(call_done(f"call_{at}") for at in range(MAX_OUTSTANDING + count))).forget()


def failures_of(book):
    return [frame["description"] for frame in book.frames_to_client if frame["type"] == "Warning"]


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_one_warning_has_the_number_of_the_calls_beyond_the_bound(profile):
    book = beyond_the_bound(profile, 70).upstream(response_done())
    assert failures_of(book) == ["70 function calls failed: too many function calls are outstanding"]
    assert book.session.describe()["over_bounds"] == 70
    book.forget().upstream(response_created(), response_done())
    assert failures_of(book) == []


def test_the_client_is_told_of_calls_beyond_the_bound_although_their_upstream_is_lost():
    book = beyond_the_bound("openai", 2)
    book.upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1006), Decision.RESTART)
    assert failures_of(book).count("2 function calls failed: too many function calls are outstanding") == 1


def test_a_call_beyond_the_bound_is_not_begun_by_the_router():
    book = Playbook("converse", tools=(ORDER,)).ready().upstream(response_created())
    book.upstream(*(call_done(f"call_{at}", "order") for at in range(MAX_OUTSTANDING + 1)))
    assert len(book.work) == MAX_OUTSTANDING
