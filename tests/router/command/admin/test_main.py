"""`switchboard admin`: arguments, output, exit status."""

import orjson
import pytest

from router.command.admin import main as admin
from router.command.main import main
from router.errors import ConfigError, VerbError


@pytest.fixture
def asked(monkeypatch):
    """The requests that were made; each is answered with two workers."""
    requests = []

    def request(url, method, path, token):
        requests.append((url, method, path, token))
        row = {"pid": 7, "stage": "serving", "ready": True, "sessions": 2}
        return {"workers": [row], "missing_workers": ["worker 8"]}

    monkeypatch.setattr(admin.server, "request", request)
    for name in ("SWITCHBOARD_URL", "SWITCHBOARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return requests


def test_a_verb_is_asked_of_this_machine_and_shown_as_a_table(asked, capsys):
    assert admin.main(["workers"]) == 0
    printed = capsys.readouterr()
    assert asked == [("http://127.0.0.1:8080", "GET", "/admin/workers", None)]
    assert printed.out.splitlines()[1].split()[:3] == ["7", "serving", "yes"]
    assert printed.err == "switchboard: worker 8 gave no answer, and is missing here\n"


def test_the_address_and_the_token_come_from_flags_or_the_environment(asked, monkeypatch):
    monkeypatch.setenv("SWITCHBOARD_URL", "http://a")
    monkeypatch.setenv("SWITCHBOARD_TOKEN", "from the environment")
    admin.main(["workers"])
    admin.main(["workers", "--url", "http://b", "--token", "given"])
    assert [(url, token) for url, _, _, token in asked] == [("http://a", "from the environment"), ("http://b", "given")]


def test_the_server_s_own_answer_is_printed_as_json(asked, capsys):
    assert admin.main(["workers", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["workers"][0]["pid"] == 7
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "VERB"),
        (["sesions"], "did you mean sessions"),
        (["xyz"], "the verbs are sessions, session"),
        (["end"], "switchboard admin end ID"),
        (["workers", "7"], "has no argument"),
        (["workers", "--jsn"], "--help"),
    ],
)
def test_a_wrong_argument_is_one_sentence(asked, arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        admin.main(arguments)
    assert asked == []


def test_a_refusal_is_printed_and_exits_with_1(monkeypatch, capsys):
    def request(*_args):
        raise VerbError("No such session (HTTP 404)")

    monkeypatch.setattr(admin.server, "request", request)
    assert main(["admin", "end", "s1"]) == 1
    assert capsys.readouterr().err == "switchboard: No such session (HTTP 404)\n"


def test_help_describes_each_verb(capsys):
    with pytest.raises(SystemExit):
        admin.main(["--help"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("log-level LEVEL", "drain [ID]", "SWITCHBOARD_TOKEN"))
