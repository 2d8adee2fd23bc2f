"""A template, started by a small program in the place of the arbiter; test_server.py has it with gunicorn."""

import os
import sys

import pytest

from router.web import template
from tests.support.processes.children import RUN_PY, child

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]

ARBITER = """
import os, sys
from router.web.handoff import Handoff
from router.web.successor import Successor

listener = os.open(os.devnull, os.O_RDWR)
given = Handoff(arbiter=os.getpid(), listener=listener, stderr=2, slots=1, peers="", areas={})
template = Successor(given, [sys.executable, "-c", sys.argv[1]])
assert template._is_readable(30.0)
print("ready", template.poll(), flush=True)
for age in (1, 2):
    worker = template.fork(7, age)
    assert os.waitpid(worker, 0) == (worker, age << 8)
template.end()
print("ended", flush=True)
"""

TEMPLATE = """
import os, sys
from router.web import handoff, template

class Server:
    def ready(self):
        print("a line of its start", file=sys.stderr)
        return handoff.Ready(workers=2, drain_s=1.0)

    def work(self, slot, age):
        print("worker", slot, "is a child of", os.getppid(), "and not of the template", file=sys.stderr, flush=True)
        os._exit(age)

template.run(Server(), *handoff.inherited())
"""


def test_the_workers_of_a_template_are_children_of_the_arbiter_and_share_its_error_stream():
    env = {"PYTHONPATH": str(RUN_PY.parent)}
    with child(sys.executable, "-c", ARBITER, TEMPLATE, env=env) as process:
        process.wait_for(r"ready Ready\(workers=2, drain_s=1.0\)")
        process.wait_for("^a line of its start")
        process.wait_for_lines(f"worker 7 is a child of {process.pid} and not of the template", 2)
        process.wait_for("ended")
        assert process.wait() == 0


def test_a_fork_that_fails_leaves_no_second_template(monkeypatch):
    parent, fork = os.getpid(), os.fork

    def fork_once():
        if os.getpid() != parent:
            raise BlockingIOError
        return fork()

    monkeypatch.setattr(os, "fork", fork_once)
    with pytest.raises(OSError, match="no room for another process"):
        template._fork(parent)
