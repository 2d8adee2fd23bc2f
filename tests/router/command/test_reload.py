"""`switchboard reload`: arguments, output, exit status; tests/sockets/test_command.py has it with a server."""

import pytest

from router.command import reload
from router.command.main import main
from router.errors import VerbError


class Server:
    """A server whose reload is over at the third look."""

    def __init__(self, problem=""):
        self.asked = []
        self._problem = problem

    def request(self, url, method, path, token):
        self.asked.append((url, method, path, token))
        if method == "POST":
            return {"reload": 3}
        return {"finished": 3 if len(self.asked) > 3 else 2, "problem": self._problem}


@pytest.fixture
def served(monkeypatch):
    def serve(**fields):
        server = Server(**fields)
        monkeypatch.setattr(reload.server, "request", server.request)
        monkeypatch.setattr(reload, "LOOK_S", 0.0)
        return server

    for name in ("SWITCHBOARD_URL", "SWITCHBOARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return serve


def test_the_command_waits_for_the_new_workers(served, capsys):
    server = served()
    assert main(["reload", "--token", "t"]) == 0
    assert server.asked[0] == ("http://127.0.0.1:8080", "POST", "/admin/reload", "t")
    assert [method for _, method, _, _ in server.asked] == ["POST", "GET", "GET", "GET"]
    assert capsys.readouterr().out == "the new workers serve; the old ones drain\n"


def test_a_reload_that_changes_nothing_is_an_error_with_the_reason(served):
    served(problem="ValueError: broken")
    with pytest.raises(VerbError, match="keeps its present workers: ValueError: broken"):
        reload.main([])


def test_a_reload_without_an_end_is_not_waited_for_for_ever(served, monkeypatch):
    served()
    monkeypatch.setattr(reload, "PATIENCE_S", -1.0)
    with pytest.raises(VerbError, match="is not over after"):
        reload.main([])


def test_a_wrong_argument_is_one_sentence(served, capsys):
    served()
    assert main(["reload", "now"]) == 2
    assert "arguments" in capsys.readouterr().err
