"""The messages between the simulator and its speech processes."""

from io import BytesIO

import pytest

from router.simulator.speech import messages
from router.simulator.speech.messages import Failed, Recognize, Recognized, Speech, Synthesize


@pytest.mark.parametrize("request_", [Recognize(b"\x00\xff", "audio/pcmu"), Synthesize("Hé.", "marin", "audio/pcm")])
def test_a_request_is_read_as_it_was_written(request_):
    stream = BytesIO()
    messages.write(stream, request_)
    stream.seek(0)

    assert messages.read_request(stream) == request_
    assert messages.read_request(stream) is None


@pytest.mark.parametrize("result", [Recognized("Hello."), Speech(b"ab", ((0, 0), (4, 120))), Failed("no")])
def test_a_result_is_read_as_it_was_written(result):
    stream = BytesIO()
    messages.write(stream, result)
    stream.seek(0)

    assert messages.read_result(stream) == result


def test_a_message_that_is_cut_off_is_the_end():
    stream = BytesIO()
    messages.write(stream, Recognized("Hello."))

    assert messages.read_result(BytesIO(stream.getvalue()[:-1])) is None
    assert messages.read_result(BytesIO(stream.getvalue()[:3])) is None


def test_the_output_of_something_else_is_no_message():
    with pytest.raises(ValueError, match="bytes"):
        messages.read_result(BytesIO(b"Traceback (most recent call last):"))
