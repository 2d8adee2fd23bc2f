"""The rows of the wire view, as the console gets them."""

import json
from wsgiref.util import setup_testing_defaults

import pytest

from actors import messages
from router.access.request import Principal
from router.web import wire
from router.wire_view import PAGE_ROWS, WireView


class Machine:
    """A machine without effects."""

    def handle(self, _message, _now_s):
        return []

    def describe(self):
        return {}


class Router:
    """A router with a wire view, or without one."""

    def __init__(self, wire_view, principal=None):
        self.wire_view = wire_view
        self._principal = principal

    def identify(self, _environ):
        return self._principal


def get(view, query="", principal=None):
    """Get the rows; return status and body."""
    environ = {"QUERY_STRING": query}
    setup_testing_defaults(environ)
    response = wire.routes(Router(view, principal))["/console/wire"](environ)
    assert "Access-Control-Allow-Origin" not in dict(response.all_headers)
    return response.status, response.body


@pytest.fixture
def view():
    """Record a session in which the client sent two texts."""
    view = WireView(lambda text: text.replace("hunter2", "***"))
    machine = view.observe("one", "openai", Machine(), "{}")
    for n, text in enumerate(("first", "with hunter2")):
        machine.handle(messages.ClientTextReceived(text), float(n))
    return view


def test_without_a_session_the_sessions_are_listed(view):
    status, body = get(view)
    (session,) = json.loads(body)["sessions"]
    assert (status, session["id"], session["profile"], session["is_live"], session["rows"]) == (
        200,
        "one",
        "openai",
        True,
        2,
    )


@pytest.mark.parametrize(
    ("after", "numbers"), [("0", [1, 2]), ("1", [2]), ("2", []), ("", [1, 2]), ("-1", [1, 2]), ("9" * 5000, [1, 2])]
)
def test_the_rows_behind_a_number_are_answered(view, after, numbers):
    page = json.loads(get(view, f"session=one&after={after}")[1])
    assert [row["n"] for row in page["rows"]] == numbers


def test_a_credential_of_the_router_is_masked(view):
    assert json.loads(get(view, "session=one")[1])["rows"][1]["text"] == "with ***"


def test_one_answer_has_a_bounded_number_of_rows(view):
    machine = view.observe("two", "openai", Machine(), "{}")
    for n in range(PAGE_ROWS + 5):
        machine.handle(messages.ClientTextReceived(str(n)), 0.0)
    assert len(json.loads(get(view, "session=two")[1])["rows"]) == PAGE_ROWS
    assert len(json.loads(get(view, f"session=two&after={PAGE_ROWS}")[1])["rows"]) == 5


def test_an_unknown_session_and_a_view_that_is_off_are_not_found(view):
    assert get(view, "session=none")[0] == 404
    assert get(None)[0] == 404


def test_a_client_sees_its_own_sessions_and_an_administrator_those_of_all(view):
    view.observe("two", "openai", Machine(), "{}", owner="ada")
    ada, root = Principal("ada"), Principal("root", is_admin=True)

    def listed(principal):
        return [session["id"] for session in json.loads(get(view, principal=principal)[1])["sessions"]]

    assert listed(ada) == ["two"]
    assert listed(root) == listed(None) == ["two", "one"]
    assert get(view, "session=one", ada)[0] == 404
    assert get(view, "session=two", ada)[0] == get(view, "session=one", root)[0] == 200
