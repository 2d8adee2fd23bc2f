"""`switchboard serve`, without a server; tests/sockets/test_command.py starts it as a process."""

import pytest

from router.command import serve
from router.errors import ConfigError


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_flags_and_starts_nothing(flag, monkeypatch, capsys):
    monkeypatch.setattr(serve, "serve", pytest.fail)
    assert serve.main([flag]) == 0
    assert "--upstream UPSTREAM" in capsys.readouterr().out


def test_the_server_gets_the_configuration_of_the_flags(monkeypatch):
    served = []
    monkeypatch.setattr(serve, "serve", lambda config, *_, take_over: served.append((config, take_over)))
    monkeypatch.setattr(serve.setup, "configure", lambda *_: None)
    assert serve.main(["--port", "9001", "--upstream", "simulator"]) == 0
    ((config, take_over),) = served
    assert (config.port, config.upstream, take_over) == (9001, "simulator", False)
    assert serve.main(["--take-over"]) == 0
    assert served[1][1]


def test_a_file_with_a_byte_order_mark_is_read_without_it(tmp_path):
    path = tmp_path / "router.toml"
    path.write_text("port = 1", encoding="utf-8-sig")
    assert serve.read_text(str(path)) == "port = 1"


def test_an_invalid_flag_raises_before_anything_starts(monkeypatch):
    monkeypatch.setattr(serve, "serve", pytest.fail)
    with pytest.raises(ConfigError):
        serve.main(["--port", "http"])
