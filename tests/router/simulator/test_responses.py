"""Responses: their order, their overrides and their ends."""

import base64

import pytest

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK = {"type": "function", "name": "get_time", "description": "Tell the time.", "parameters": {"type": "object"}}


def kinds(events):
    return [event["type"] for event in events]


def of(events, kind):
    return [event for event in events if event["type"] == kind]


def code(events):
    (error,) = of(events, "error")
    return error["error"]["code"]


def response_of(events):
    (done,) = of(events, "response.done")
    return done["response"]


def streaming(make_machine, text="Tell me a long story", faults=(), **response):
    """Return a machine with a response that was created and has streamed nothing."""
    machine = make_machine(*faults, pace=10).open()
    machine.is_stepping = True
    machine.ask(text, **response)
    return machine


def step(machine, times=1):
    """Fire the stream's timer several times."""
    for _ in range(times):
        machine.fire(next(name for name in machine.timers if name.startswith("response:")))


def test_a_text_answer_streams_text_in_the_documented_order(machine):
    events = machine.ask("Hello", output_modalities=["text"])
    order = list(dict.fromkeys(kinds(events)))

    assert order == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert "".join(event["delta"] for event in of(events, "response.output_text.delta")) == machine.answer


def test_transcript_deltas_lead_the_audio_and_both_are_whole(machine):
    events = machine.ask("Hello")
    order = [event for event in events if event["type"].endswith(".delta")]
    transcript = "".join(event["delta"] for event in of(order, "response.output_audio_transcript.delta"))
    audio = b"".join(base64.b64decode(event["delta"]) for event in of(order, "response.output_audio.delta"))

    assert order[0]["type"] == "response.output_audio_transcript.delta"
    assert transcript == machine.answer
    assert len(audio) == len(transcript) * 60 * 48
    heard = spoken_ms = 0
    for event in order:
        if event["type"] == "response.output_audio.delta":
            heard += len(base64.b64decode(event["delta"])) // 48
        else:
            spoken_ms += len(event["delta"]) * 60
        assert heard <= spoken_ms


@pytest.mark.parametrize(("kind", "rate"), [("audio/pcmu", 8), ("audio/pcma", 8), ("audio/pcm", 48)])
def test_audio_comes_in_the_format_asked_for(machine, kind, rate):
    machine.update(audio={"output": {"format": {"type": kind}}})
    events = machine.ask("Hello")
    audio = b"".join(base64.b64decode(event["delta"]) for event in of(events, "response.output_audio.delta"))

    assert len(audio) == len(machine.answer) * 60 * rate
    assert response_of(events)["audio"]["output"]["format"]["type"] == kind


def test_the_answer_is_paced(make_machine):
    machine = streaming(make_machine)
    step(machine)
    (name,) = (name for name in machine.timers if name.startswith("response:"))

    assert len(of(machine.events, "response.output_audio.delta")) == 1
    assert machine.timers[name] == pytest.approx(0.01)


def test_a_fast_answer_comes_in_bursts(make_machine):
    machine = make_machine(pace=0).open()
    machine.is_stepping = True
    machine.ask("Tell me a long story " * 20)
    step(machine)

    assert not of(machine.events, "response.done")
    assert machine.send("response.cancel")


# One at a time.


def test_a_second_response_is_refused_while_one_is_active(make_machine):
    machine = streaming(make_machine)
    refused = machine.send("response.create", event_id="second")
    machine.is_stepping = False
    step(machine)
    again = machine.send("response.create")

    assert code(refused) == "conversation_already_has_active_response"
    assert refused[0]["error"]["event_id"] == "second"
    assert of(again, "response.done")


def test_items_may_be_created_while_a_response_streams(make_machine):
    machine = streaming(make_machine)
    step(machine)

    assert kinds(machine.say("And more")) == ["conversation.item.added", "conversation.item.done"]


def test_out_of_band_responses_run_beside_it_without_items(make_machine):
    machine = streaming(make_machine)
    metadata = {"topic": "aside"}
    (created,) = machine.send("response.create", response={"conversation": "none", "metadata": metadata, "input": []})
    timer = f"response:{created['response']['id']}"
    events = []
    while timer in machine.timers:
        events += machine.fire(timer)

    assert created["response"]["conversation_id"] is None
    assert created["response"]["metadata"] == metadata
    assert response_of(events)["metadata"] == metadata
    assert not [kind for kind in kinds(events) if kind.startswith("conversation.item")]


def test_out_of_band_responses_do_not_lock_the_voice_nor_remember(machine):
    machine.send("response.create", response={"conversation": "none", "instructions": 'Say exactly: "Ahoy"'})
    updated = machine.update(audio={"output": {"voice": "cedar"}})
    machine.ask("What did you say?")

    assert kinds(updated) == ["session.updated"]
    assert "Ahoy" not in machine.answer


# Overrides.


def test_instructions_of_a_response_replace_the_session_s(machine):
    machine.update(instructions='Say exactly: "Session"')
    machine.ask("Hello", instructions="Say exactly: 'Response: it\"s me.'")
    assert machine.answer == 'Response: it"s me.'

    machine.ask("Hello")
    assert machine.answer == "Session"


def test_input_replaces_the_conversation(machine):
    machine.say("My name is Alice.", id="alice")
    question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is my name?"}]}

    machine.send("response.create", response={"input": [question]})
    assert "Alice" not in machine.answer

    machine.send("response.create", response={"input": [{"type": "item_reference", "id": "alice"}, question]})
    assert machine.answer == "Your name is Alice."


def test_an_item_reference_to_nothing_is_refused(machine):
    events = machine.send("response.create", response={"input": [{"type": "item_reference", "id": "none"}]})

    assert code(events) == "invalid_value"


WRONG_RESPONSES = [
    ({"modalities": ["text"]}, "unknown_parameter", "response.modalities"),
    ({"voice": "alloy"}, "unknown_parameter", "response.voice"),
    ({"output_modalities": ["audio", "text"]}, "invalid_value", "response.output_modalities"),
    ({"conversation": "other"}, "invalid_value", "response.conversation"),
    ({"metadata": {str(n): "x" for n in range(17)}}, "object_above_max_properties", "response.metadata"),
    ({"metadata": {"k": "x" * 513}}, "string_above_max_length", "response.metadata.k"),
    ({"metadata": {"k": 1}}, "invalid_type", "response.metadata.k"),
    ({"max_output_tokens": 4097}, "integer_above_max_value", "response.max_output_tokens"),
    ({"input": [{"type": "message"}]}, "missing_required_parameter", "response.input[0].role"),
]


@pytest.mark.parametrize(("response", "expected", "param"), WRONG_RESPONSES)
def test_a_wrong_request_is_refused(machine, response, expected, param):
    (event,) = machine.send("response.create", response=response)

    assert (event["error"]["code"], event["error"]["param"]) == (expected, param)


def test_another_voice_for_one_response_is_refused_once_there_is_audio(machine):
    machine.ask("Hello", audio={"output": {"voice": "cedar"}})
    refused = machine.send("response.create", response={"audio": {"output": {"voice": "cedar"}}})

    assert code(refused) == "cannot_update_voice"


# Functions.


def test_a_fitting_function_is_called_and_its_output_repeated(machine):
    machine.update(tools=[WEATHER], output_modalities=["text"])
    events = machine.ask("What is the weather in Paris?")
    (call,) = response_of(events)["output"]
    machine.send(
        "conversation.item.create",
        item={"type": "function_call_output", "call_id": call["call_id"], "output": "It is 21 degrees & sunny."},
    )
    answered = machine.send("response.create")

    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "get_weather", '{"city":"Paris"}')
    assert kinds(events)[-3:] == ["response.output_item.done", "response.done", "rate_limits.updated"]
    assert response_of(answered)["status"] == "completed"
    assert "It is 21 degrees & sunny." in machine.answer


def test_several_fitting_functions_are_called_in_one_response(machine):
    machine.update(tools=[WEATHER, CLOCK])
    output = response_of(machine.ask("What is the time and the weather in Oslo?"))["output"]

    assert [item["name"] for item in output] == ["get_weather", "get_time"]
    assert len({item["call_id"] for item in output}) == 2


def test_tool_choice_none_calls_nothing_and_required_calls_something(machine):
    machine.update(tools=[WEATHER], output_modalities=["text"])

    none = response_of(machine.ask("What is the weather in Paris?", tool_choice="none"))
    required = response_of(machine.ask("Good evening", tool_choice="required"))
    forced = response_of(machine.ask("Good evening", tool_choice={"type": "function", "name": "get_weather"}))

    assert [item["type"] for item in none["output"]] == ["message"]
    assert [item["type"] for item in required["output"]] == ["function_call"]
    assert [item["type"] for item in forced["output"]] == ["function_call"]


def test_an_output_sent_before_the_calling_response_ended_shows_up_behind_it(make_machine):
    machine = make_machine(pace=10).open()
    machine.update(tools=[WEATHER])
    machine.is_stepping = True
    machine.ask("What is the weather in Paris?")
    while not of(machine.events, "response.function_call_arguments.delta"):
        step(machine)
    call_id = of(machine.events, "response.function_call_arguments.delta")[0]["call_id"]

    sent = machine.send(
        "conversation.item.create", item={"type": "function_call_output", "call_id": call_id, "output": "x"}
    )
    machine.is_stepping = False
    events = machine.fire(next(name for name in machine.timers if name.startswith("response:")))

    assert sent == []
    assert kinds(events)[-4:] == [
        "response.done",
        "rate_limits.updated",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert events[-1]["item"]["type"] == "function_call_output"


# Ends.


def test_cancelling_closes_the_open_item_as_incomplete(make_machine):
    machine = streaming(make_machine)
    step(machine, 3)
    events = machine.send("response.cancel")
    response = response_of(events)

    assert kinds(events) == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert response["output"][0]["status"] == "incomplete"
    assert not [name for name in machine.timers if name.startswith("response:")]


def test_cancelling_before_any_output_ends_an_empty_response(make_machine):
    machine = streaming(make_machine)
    events = machine.send("response.cancel")

    assert kinds(events) == ["response.done", "rate_limits.updated"]
    assert response_of(events)["output"] == []


def test_cancelling_by_id(make_machine):
    machine = streaming(make_machine)
    (created,) = machine.send("response.create", response={"conversation": "none"})
    wrong = machine.send("response.cancel", response_id="resp_x")
    right = machine.send("response.cancel", response_id=created["response"]["id"])

    assert code(wrong) == "response_cancel_not_active"
    assert response_of(right)["id"] == created["response"]["id"]


def test_cancelling_nothing_is_an_error(machine):
    assert code(machine.send("response.cancel")) == "response_cancel_not_active"


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_max_output_tokens_ends_a_response_incomplete(machine, modality):
    events = machine.ask("It rained on the way to the station", output_modalities=[modality], max_output_tokens=30)
    response = response_of(events)
    limited = response_of(machine.ask("It rained on the way", output_modalities=[modality], max_output_tokens=5))

    assert limited["status"] == "incomplete"
    assert limited["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert limited["usage"]["output_tokens"] <= 5
    assert response["status"] == ("completed" if modality == "text" else "incomplete")


def test_usage_counts_both_sides(machine):
    usage = response_of(machine.ask("Hello"))["usage"]
    later = response_of(machine.ask("Hello again and again " * 30))["usage"]

    assert usage["output_token_details"]["audio_tokens"] == len("Hello! How can I help you?") * 60 // 50
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert later["input_token_details"]["audio_tokens"] > 0


def test_rate_limits_may_be_left_out(make_machine):
    machine = make_machine(rate_limits=False).open()

    assert kinds(machine.ask("Hello"))[-1] == "response.done"
