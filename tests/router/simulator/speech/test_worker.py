"""A speech process: requests in, results out, until its input ends."""

import queue
import sys
from io import BytesIO

import pytest

from router.simulator.speech import messages, worker
from router.simulator.speech.messages import Failed, Recognize, Recognized, Synthesize
from router.simulator.speech.process import SpeechProcess
from tests.support.processes.children import RUN_PY, child

START = "from router.simulator.speech.worker import main; main('hear')"


def served(*requests, answer):
    stream, results = BytesIO(), BytesIO()
    for request in requests:
        messages.write(stream, request)
    stream.seek(0)
    worker.serve(stream, results, lambda: answer)
    results.seek(0)
    return list(iter(lambda: messages.read_result(results), None))


def test_every_request_is_answered_in_order_and_one_that_raises_costs_no_other():
    def answer(request):
        if request.audio == b"bad":
            raise OSError("no such sound")
        return Recognized(request.audio.decode())

    requests = [Recognize(audio, "audio/pcm") for audio in (b"one", b"bad", b"two")]
    assert served(*requests, answer=answer) == [Recognized("one"), Failed("OSError: no such sound"), Recognized("two")]


@pytest.mark.slow
def test_a_process_ends_with_an_error_where_its_library_is_missing():
    # Without its site-packages an interpreter has no library.
    command = (sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(RUN_PY.parent)!r}); {START}")
    with child(*command) as process:
        assert process.wait(timeout_s=30) != 0


@pytest.mark.voice
def test_a_process_hears_what_another_says():
    results = queue.Queue()
    for kind in ("speak", "hear"):
        process = SpeechProcess(kind, 60.0)
        said = Synthesize("The captain looked at the sea.", "cedar", "audio/pcm")
        process.request(said if kind == "speak" else Recognize(results.get().audio, "audio/pcm"), results.put)
        results.put(results.get(timeout=60))
        process.close()
    assert results.get().text == "The captain looked at the sea."
