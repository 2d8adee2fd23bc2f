"""The choice of a subcommand: the table, the default, and errors as sentences."""

import pytest

import router
from actors.connections.transfer import TRANSFER
from router.audio.compiled import RESAMPLING
from router.command import main as command
from router.command.subcommands import SUBCOMMANDS
from router.errors import StartError


@pytest.mark.parametrize("arguments", [["serve", "--check"], ["--check"]])
def test_serve_is_the_default(arguments, monkeypatch, capsys):
    monkeypatch.setattr("router.command.serve.setup.configure", lambda *_: None)
    assert command.main(arguments) == 0
    assert 'host = "127.0.0.1"' in capsys.readouterr().out


def test_the_version_is_that_of_the_package_with_what_is_compiled(capsys):
    assert command.main(["--version"]) == 0
    assert (
        capsys.readouterr().out == f"switchboard {router.__version__}\nresampling: {RESAMPLING}\nkeeper: {TRANSFER}\n"
    )


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_help_describes_every_subcommand(flag, capsys):
    assert command.main([flag]) == 0
    out = capsys.readouterr().out
    for row in SUBCOMMANDS:
        assert row.summary in out


@pytest.mark.parametrize(("name", "sentence"), [("server", "did you mean serve?"), ("xyz", "the commands are serve, ")])
def test_an_unknown_subcommand_is_refused_with_a_hint(name, sentence, capsys):
    assert command.main([name]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"switchboard: {name} (the command line) is not a command; {sentence}")
    assert err.count("\n") == 1


def test_an_error_of_a_subcommand_is_one_sentence(monkeypatch, capsys):
    def fail(_arguments):
        raise StartError("cannot listen")

    monkeypatch.setattr("router.command.serve.main", fail)
    assert command.main([]) == 1
    assert capsys.readouterr().err == "switchboard: cannot listen\n"


@pytest.mark.parametrize("arguments", [["{}"], ["--config", "/{}"], ["--port", "{}"], ["--{}"]])
def test_a_key_in_the_wrong_place_is_not_printed(arguments, capsys):
    key = "sk-proj-" + "a1" * 12
    assert command.main([it.format(key) for it in arguments]) == 2
    assert "a1a1" not in capsys.readouterr().err
