"""The arbiter's end of a template, with small programs in the place of templates."""

import os
import sys

import psutil
import pytest

from router.web.handoff import Handoff, Ready
from router.web.successor import Successor, SuccessorError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"),
]

PRELUDE = """
import json, os, socket, sys
channel = socket.socket(fileno=int(os.environ["SWITCHBOARD_TEMPLATE"]))
given = json.loads(channel.recv(65536))
def say(**message):
    channel.send(json.dumps(message).encode())
"""


def successor(program):
    """Start a program in the place of a template. It is given the descriptor of /dev/null as listener."""
    listener = os.open(os.devnull, os.O_RDWR)
    try:
        given = Handoff(arbiter=os.getpid(), listener=listener, stderr=2, slots=1, peers="", areas={})
        return Successor(given, [sys.executable, "-S", "-c", PRELUDE + program])
    finally:
        os.close(listener)


def wait(started):
    """Poll until the template has said something, or has ended."""
    assert started._is_readable(30.0)
    return started.poll()


def test_a_template_reports_that_it_is_ready_and_forks():
    started = successor(
        "say(type='ready', workers=3, drain_s=1.5)\norder = json.loads(channel.recv(65536))\n"
        "say(type='forked', pid=order['age'])\nchannel.recv(1)"
    )
    try:
        assert wait(started) == Ready(workers=3, drain_s=1.5)
        assert started.is_alive
        assert started.fork(0, 4711) == 4711
    finally:
        started.end()
    assert not psutil.pid_exists(started.pid)


def test_the_last_line_of_a_template_that_ends_is_the_reason():
    started = successor("print('a line', file=sys.stderr)\nraise ValueError('broken on purpose')")
    with pytest.raises(SuccessorError, match=r"^ValueError: broken on purpose$"):
        wait(started)
    started.end()


def test_a_template_that_ends_without_a_word_has_a_sentence_too():
    started = successor("os._exit(0)")
    with pytest.raises(SuccessorError, match="it ended without a word"):
        wait(started)
    started.end()


def test_a_template_that_gives_no_answer_is_killed(monkeypatch):
    monkeypatch.setattr("router.web.successor.FORK_S", 0.0)
    started = successor("say(type='ready', workers=1, drain_s=0.0)\nchannel.recv(65536)\nchannel.recv(1)")
    assert wait(started) is not None
    with pytest.raises(SuccessorError, match="forks no worker"):
        started.fork(0, 1)
    assert started._is_readable(30.0)
    assert not started.is_alive
    started.end()
