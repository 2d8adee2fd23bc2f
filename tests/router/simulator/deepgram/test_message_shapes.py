"""The shapes of client messages."""

import pytest

from router.simulator.deepgram.message_shapes import SHAPES, problem_of

SETTINGS = {"type": "Settings", "audio": {"input": {"encoding": "linear16", "sample_rate": 16000}}, "agent": {}}


@pytest.mark.parametrize(
    "message",
    [
        SETTINGS,
        {"type": "KeepAlive"},
        {"type": "UpdateThink", "think": [{}]},
        {"type": "InjectUserMessage", "content": "hello"},
        {"type": "FunctionCallResponse", "name": "f", "content": "{}"},
    ],
)
def test_a_message_as_the_reference_has_it_is_taken(message):
    assert problem_of(message) is None


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ([], "the text message matched none of the expected formats"),
        ({"type": "CloseStream"}, "the text message matched none of the expected formats"),
        ({"type": "Settings", "audio": {}}, "agent is missing"),
        (SETTINGS | {"language": "en"}, "language is unknown"),
        (SETTINGS | {"agent": {"mip_opt_out": True}}, "agent.mip_opt_out is unknown"),
        (SETTINGS | {"audio": {"input": {"sample_rate": "16000"}}}, "audio.input.sample_rate has the wrong type"),
        (SETTINGS | {"audio": {"input": {"sample_rate": True}}}, "audio.input.sample_rate has the wrong type"),
        (SETTINGS | {"audio": 5}, "audio has the wrong type"),
        ({"type": "InjectUserMessage", "message": "x"}, "content is missing"),
    ],
)
def test_any_other_is_refused_with_its_field(message, problem):
    assert problem_of(message) == problem


def test_every_message_has_a_shape():
    assert {"Settings", "KeepAlive", "InjectUserMessage", "FunctionCallResponse"} <= set(SHAPES)
