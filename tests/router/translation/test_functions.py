"""Function calls and their outputs, in both directions."""

import pytest

from router.deepgram.messages import CalledFunction, CallText, FunctionCallResponse, HistoryCalls, RequestedFunction
from router.openai.events import FunctionCallOutputItem
from router.translation import functions


@pytest.mark.parametrize(
    ("response", "output"),
    [
        (FunctionCallResponse(content="sunny"), "sunny"),
        (FunctionCallResponse(content={"sky": "grey"}), '{"sky":"grey"}'),
        (FunctionCallResponse(content="", result="not this"), ""),
        (FunctionCallResponse(result=[1, 2]), "[1,2]"),
        (FunctionCallResponse(content=False), "false"),
        (FunctionCallResponse(error="no such city"), '{"error":"no such city"}'),
        (FunctionCallResponse(), "null"),
    ],
)
def test_the_model_gets_the_content_or_else_the_result_or_else_the_error(response, output):
    assert functions.output_of(response) == output


def test_a_call_without_an_answer_has_an_error_for_the_model():
    assert functions.failed_output("weather", "timed out") == '{"error":"weather timed out"}'
    assert functions.cancelled_output("weather").startswith('{"error":"weather was cancelled')


def test_an_answered_call_becomes_history():
    call = functions.call_of("c1", "weather", '{"city":"Oslo"}', client_side=True)

    assert call == RequestedFunction(id="c1", name="weather", arguments='{"city":"Oslo"}', client_side=True)
    called = CalledFunction(id="c1", name="weather", client_side=True, arguments='{"city":"Oslo"}', response="snow")
    assert functions.history_of(call, "snow") == HistoryCalls(function_calls=[called])


def test_a_call_is_shown_as_a_text_of_the_assistant():
    assert functions.call_text("f", "{}") == CallText(role="assistant", content="Function call: f({})")


def test_an_output_goes_upstream_as_an_item():
    assert functions.output_item("i1", "c1", "snow") == FunctionCallOutputItem(id="i1", call_id="c1", output="snow")
