"""The mask of inputs: what a session decides on stays, and everything that was said goes."""

import base64
import json
import types

import pytest

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from actors.restart import Decision, Loss, LossKind, Verdict
from router.errors import HandlerError, ToolError
from router.recording.mask import Hidden, Mask
from router.recording.secrets import redactor_of

MARKED = "a-marked-secret-value"
DEEP = "[" * 300 + '"Ada"' + "]" * 300
SOUND = base64.b64encode(bytes(range(200))).decode()


def mask(**fields):
    return Mask(**{"has_content": False, "has_audio": False, "redact": redactor_of([MARKED]), **fields})


def frame(value, **fields):
    return json.loads(mask(**fields).frame(json.dumps(value)))


def test_types_ids_codes_and_numbers_stay_and_texts_go():
    event = {
        "type": "response.output_audio_transcript.delta",
        "item_id": "item_1",
        "content_index": 0,
        "delta": "Hello Ada",
        "response": {"id": "resp_1", "status": "completed", "usage": {"total_tokens": 12}},
        "error": {"code": "invalid_api_key", "message": "The key of Ada"},
    }
    assert frame(event) == {
        **event,
        "delta": "Xxxxx Xxx",
        "error": {"code": "invalid_api_key", "message": "Xxx xxx xx Xxx"},
    }


def test_a_text_under_a_key_that_steers_stays_only_as_a_single_word():
    assert frame({"name": "get_weather", "id": "call of Ada"}) == {"name": "get_weather", "id": "xxxx xx Xxx"}


def test_the_arguments_of_a_function_stay_json():
    said = frame({"type": "response.function_call_arguments.done", "arguments": '{"name":"Ada","n":42}'})
    assert said["arguments"] == '{"xxxx":"Xxx","x":11}'


def test_the_texts_of_free_objects_go_whatever_their_keys_are():
    assert frame({"metadata": {"name": "Ada", "switchboard": "statement"}}) == {
        "metadata": {"name": "Xxx", "switchboard": "statement"}
    }


def test_of_two_members_with_one_name_neither_is_written():
    assert "Ada" not in mask().frame('{"type":"KeepAlive","text":"Ada","text":""}')


@pytest.mark.parametrize(
    "text", ["Ada says: no JSON", '"Ada"', "[" * 300 + '"Ada"' + "]" * 300, '{"a": "\\ud800 Ada"}']
)
def test_a_message_that_is_no_object_is_masked_as_well(text):
    assert "Ada" not in mask().frame(text)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "input_audio_buffer.append", "audio": SOUND},
        {"type": "response.output_audio.delta", "delta": SOUND},
        {"event": "media", "media": {"track": "inbound", "payload": SOUND}},
        {"type": "input_audio", "audio": SOUND},
    ],
)
def test_sound_becomes_silence_of_the_same_length(event):
    written = mask(has_content=True).frame(json.dumps(event))
    assert SOUND not in written
    assert base64.b64encode(bytes(200)).decode() in written
    assert SOUND in mask(has_audio=True, has_content=True).frame(json.dumps(event))


def test_binary_sound_becomes_zeros_unless_it_is_recorded():
    received = messages.ClientBinaryReceived(b"abc")
    assert mask().input(received) == messages.ClientBinaryReceived(bytes(3))
    assert mask(has_audio=True).input(received) == received


def test_with_content_texts_stay_and_credentials_go():
    settings = {
        "type": "Settings",
        "greeting": f"Hello Ada, {MARKED}",
        "endpoint": {
            "url": "https://user:pass@api.example/a?key=value1234",
            "headers": {"authorization": "Bearer x", "x": "y"},
        },
        "provider": {"credentials": {"secret_access_key": "abc"}, "api_key": "abc"},
    }
    assert frame(settings, has_content=True) == {
        "type": "Settings",
        "greeting": "Hello Ada, [redacted]",
        "endpoint": {
            "url": "https://***@api.example/a?xxx=xxxxx1111",
            "headers": {"authorization": "[redacted]", "x": "[redacted]"},
        },
        "provider": {"credentials": {"secret_access_key": "[redacted]"}, "api_key": "[redacted]"},
    }


def test_the_inputs_of_the_engine_are_masked_too():
    closed = ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=4000, reason="Ada left")
    loss = Loss(kind=LossKind.CLOSED, code=1011, reason="Ada broke it", cause="session_expired")
    verdict = Verdict(decision=Decision.RESTART)
    assert mask().input(messages.ClientClosed(closed)).closed.reason == "Xxx xxxx"
    lost = mask().input(messages.UpstreamLost(1, loss, verdict))
    assert (lost.loss.reason, lost.loss.cause, lost.verdict) == ("Xxx xxxxx xx", "session_expired", verdict)
    assert mask().input(messages.TimerFired("first_event")) == messages.TimerFired("first_event")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("Ada is 7", "Xxx xx 1"),
        ({"agent": {"greeting": "Hello"}, "type": "Settings"}, {"agent": {"greeting": "Xxxxx"}, "type": "Settings"}),
        (types.MappingProxyType({"type": "Settings"}), {"type": "Settings"}),
        (object(), "<xxxxx 'xxxxxx'>"),
        (None, None),
    ],
)
def test_the_results_of_work_are_masked(result, expected):
    assert mask().input(messages.WorkDone("tool:call_1", result)).result == expected


def test_the_text_of_a_foreign_exception_is_not_recorded():
    failed = messages.WorkFailureKind.RAISED
    hidden = mask().input(messages.WorkDone("k", None, messages.WorkFailure(failed, ValueError("Ada")))).failure.error
    assert isinstance(hidden, Hidden)
    assert "Ada" not in repr(hidden)
    shown = mask(has_content=True).input(
        messages.WorkDone("k", None, messages.WorkFailure(failed, HandlerError("Ada")))
    )
    assert (type(shown.failure.error), str(shown.failure.error)) == (ToolError, "Ada")
