"""A speech process as the simulator uses it: in order, in time, restarted, and gone at the end. It runs a script."""

import os
import queue
import signal
import sys
import threading
import time

import pytest

from router.simulator.speech import process as module
from router.simulator.speech.messages import Recognize, Recognized
from router.simulator.speech.process import MAX_WAITING, SpeechProcess

pytestmark = pytest.mark.slow

TIMEOUT_S = 20.0
SCRIPT = """
import os, sys, time
from router.simulator.speech import messages
while (request := messages.read_request(sys.stdin.buffer)) is not None:
    words = request.audio.decode()
    if words == "die":
        os._exit(3)
    if words == "hang":
        time.sleep(60)
    if words == "garbage":
        sys.stdout.buffer.write(b"Traceback (most recent call last)"); sys.stdout.buffer.flush()
    if words == "secrets":
        words = str([name for name in os.environ if "KEY" in name])
    messages.write(sys.stdout.buffer, messages.Recognized(words) if words != "fail" else messages.Failed("no"))
"""


@pytest.fixture
def make():
    """Return a function that makes a process."""
    made = []

    def make(deadline_s=TIMEOUT_S, script=SCRIPT):
        made.append(SpeechProcess("hear", deadline_s, (sys.executable, "-c", script)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ask(process, words):
    """Request the words, and wait for them."""
    results = queue.Queue()
    process.request(Recognize(words.encode(), "audio/pcm"), results.put)
    result = results.get(timeout=TIMEOUT_S)
    return result.text if isinstance(result, Recognized) else result


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_nothing_runs_before_the_first_request(make):
    process = make()
    assert process.pid is None
    assert ask(process, "hello") == "hello"
    assert process.pid is not None


def test_requests_are_answered_in_their_order(make):
    process, results = make(), queue.Queue()
    for number in range(5):
        process.request(Recognize(str(number).encode(), "audio/pcm"), results.put)
    assert [results.get(timeout=TIMEOUT_S).text for _ in range(5)] == list("01234")


@pytest.mark.parametrize("words", ["die", "garbage"])
def test_a_process_that_fails_is_started_again(make, words):
    process = make()
    assert ask(process, "hello") == "hello"
    first = process.pid
    assert ask(process, words) is None
    assert ask(process, "again") == "again"
    assert process.pid != first
    assert is_gone(first)


def test_a_process_that_died_while_it_was_idle_costs_no_request(make):
    process = make()
    assert ask(process, "hello") == "hello"
    pid = process.pid
    os.kill(pid, signal.SIGKILL)
    while process.pid is not None:  # until the kernel has ended it
        threading.Event().wait(0.01)
    assert ask(process, "again") == "again"
    assert process.pid != pid


def test_a_request_that_fails_keeps_the_process(make):
    process = make()
    assert ask(process, "hello") == "hello"
    first = process.pid
    assert ask(process, "fail") is None
    assert (ask(process, "again"), process.pid) == ("again", first)


def test_a_request_that_takes_too_long_costs_the_process_and_no_later_request(make):
    process = make(deadline_s=3.0)
    assert ask(process, "hello") == "hello"
    started_s = time.monotonic()
    assert ask(process, "hang") is None
    assert time.monotonic() - started_s < TIMEOUT_S
    assert ask(process, "again") == "again"


def test_a_request_never_waits_and_the_queue_is_bounded(make):
    process, results = make(), queue.Queue()
    process.request(Recognize(b"hang", "audio/pcm"), results.put)
    for _ in range(MAX_WAITING + 2):
        process.request(Recognize(b"later", "audio/pcm"), results.put)
    assert results.get_nowait() is None


def test_a_process_that_cannot_start_is_left_alone_for_a_while(make, monkeypatch):
    starts = []
    real = module.subprocess.Popen

    def popen(*arguments, **options):
        starts.append(arguments)
        return real(*arguments, **options)

    process = make(script="raise SystemExit(1)")
    monkeypatch.setattr(module.subprocess, "Popen", popen)
    assert [ask(process, "hello") for _ in range(6)] == [None] * 6
    assert len(starts) == 3


def test_a_command_that_does_not_exist_answers_none():
    process = SpeechProcess("hear", TIMEOUT_S, ("/nonexistent/python",))
    assert ask(process, "hello") is None
    process.close()


def test_the_process_gets_no_credential(make, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-shown")
    assert ask(make(), "secrets") == "[]"


def test_closing_ends_the_process_and_answers_every_request(make):
    process, results = make(), queue.Queue()
    assert ask(process, "hello") == "hello"
    pid = process.pid
    for words in (b"hang", b"later"):
        process.request(Recognize(words, "audio/pcm"), results.put)
    process.close()
    assert [results.get(timeout=TIMEOUT_S) for _ in range(2)] == [None, None]
    assert is_gone(pid)
    process.request(Recognize(b"late", "audio/pcm"), results.put)
    assert results.get_nowait() is None
    assert "simulator-hear" not in {thread.name for thread in threading.enumerate()}
