"""The check of a text by expressions, a URL and a function."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import orjson
import pytest

from router.config.guard import Guard, Rule
from router.errors import ConfigError
from router.guard.asking import GuardCheckError
from router.guard.checking import Checks
from router.guard.rules import PASS, CheckText, Verdict

WORK = CheckText(source="user", text="hello", session_id="s1")


def decide(asked):
    return {"action": "block"} if "bad" in asked["text"] else None


def test_a_function_decides_where_no_rule_does():
    checks = Checks(Guard(rules=(Rule(expression="worse", action="end"),), function=f"{__name__}:decide"))
    assert checks.check(WORK) == PASS
    assert checks.check(CheckText(source="agent", text="bad")) == Verdict("block")
    assert checks.check(CheckText(source="agent", text="bad and worse")).action == "end"


def test_a_function_is_asked_about_its_sources_alone():
    checks = Checks(Guard(function=f"{__name__}:decide", on=("agent",)))
    assert checks.check(CheckText(source="user", text="bad")) == PASS


@pytest.mark.parametrize("place", ["no_such_module:f", f"{__name__}:WORK", f"{__name__}:none"])
def test_a_function_that_does_not_exist_stops_the_start(place):
    with pytest.raises(ConfigError):
        Checks(Guard(function=place))


ANSWERS = {"bad": (200, b'{"action": "say", "text": "No."}'), "hello": (200, b"null"), "broken": (200, b"{")}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        status, body = ANSWERS.get(asked["text"], (500, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        """Print nothing."""


@pytest.fixture
def server():
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_a_url_decides(server):
    checks = Checks(Guard(url=f"http://127.0.0.1:{server.server_port}/check"))
    assert checks.check(WORK) == PASS
    assert server.asked == [{"source": "user", "text": "hello", "session_id": "s1"}]
    assert checks.check(CheckText(source="user", text="bad")) == Verdict("say", "No.")
    for text in ("broken", "an error"):
        with pytest.raises(GuardCheckError):
            checks.check(CheckText(source="user", text=text))


@pytest.mark.slow
def test_a_url_that_does_not_answer_gives_no_verdict():
    with pytest.raises(GuardCheckError, match="gave no verdict"):
        Checks(Guard(url="http://127.0.0.1:9/", timeout_s=0.2)).check(WORK)
