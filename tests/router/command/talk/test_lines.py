"""The reading of lines on a thread that can be stopped."""

import os
import queue

import pytest

from router.command.talk.lines import Lines

pytestmark = pytest.mark.slow

WAIT_S = 5.0


@pytest.fixture
def pipe():
    read, write = os.pipe()
    ends = [read, write]
    yield ends
    for end in ends:
        os.close(end)


def test_lines_are_delivered_and_then_the_end(pipe):
    delivered = queue.SimpleQueue()
    lines = Lines(pipe[0], delivered.put)
    lines.start()
    os.write(pipe[1], "hello\n\n  wörld \nlast".encode())
    os.close(pipe.pop())
    assert [delivered.get(timeout=WAIT_S) for _ in range(4)] == ["hello", "wörld", "last", None]
    lines.stop()


def test_a_thread_that_waits_for_a_line_can_be_stopped(pipe):
    lines = Lines(pipe[0], pytest.fail)
    lines.start()
    lines.stop()
