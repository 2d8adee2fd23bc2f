"""The work of a session, by its class."""

import subprocess
import sys

import pytest

from router.deepgram.blocks import Endpoint
from router.session.work import CallEndpoint, CallTool
from router.tools.registry import FunctionRegistry
from router.tools.runner import WorkRunner


class Endpoints:
    """A stand-in for endpoints, which counts how often it is made."""

    made = 0

    def __init__(self):
        Endpoints.made += 1

    def call(self, work):
        return f"{work.endpoint.url} {work.arguments}"


def test_work_is_done_by_its_class_and_endpoints_are_made_for_the_first_call_of_one():
    functions = FunctionRegistry(max_bytes=100)
    functions.add(
        "f", {}, lambda arguments, call: [arguments, call.session_id, call.call_id, call.name, call.principal]
    )
    perform = WorkRunner(functions, Endpoints)
    assert perform(CallTool("s", "c", "f", '{"k":1}'), "ada") == '[{"k":1},"s","c","f","ada"]'
    assert Endpoints.made == 0
    for _ in range(2):
        assert perform(CallEndpoint(Endpoint(url="https://api.example"), "{}")) == "https://api.example {}"
    assert Endpoints.made == 1


def test_work_of_an_unknown_class_is_a_bug():
    with pytest.raises(KeyError):
        WorkRunner(FunctionRegistry(max_bytes=100), Endpoints)("dance")


@pytest.mark.slow
def test_urllib3_is_loaded_only_where_an_endpoint_is_called():
    code = "import sys, router.core; sys.exit('urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
