"""`switchboard talk` as a process: from a pipe, from a file, and in a terminal."""

import os
import pty
import signal
import subprocess
import sys
import wave

import pytest

from router.command.canary.steps import QUESTION_WAV
from router.command.talk import main as talk
from router.errors import ConfigError, StartError
from tests.support.processes.broken_upstreams import serving, with_status
from tests.support.processes.children import RUN_PY, child, clean_environment, completed, router
from tests.support.processes.further import further

TIMEOUT_S = 60.0
PATHS = ("/openai", "/v1/agent/converse")


@pytest.fixture(scope="module")
def running():
    with router("--upstream", "simulator") as process:
        yield process


def run(*flags, typed=""):
    return completed("talk", *flags, typed=typed, timeout_s=TIMEOUT_S)


@pytest.mark.slow
@pytest.mark.parametrize("path", [PATHS[0], further(PATHS[1])])
def test_the_lines_of_a_pipe_are_asked_one_after_another(running, path):
    result = run(f"ws://{running.address}{path}", typed="My name is Ada.\nWhat is my name?\n")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.strip() for line in result.stdout.splitlines()]
    said = [line for line in lines if line.startswith(("you", "agent"))]
    assert said[0] == "you  My name is Ada."
    assert said.index("you  What is my name?") > 1
    assert "Ada" in said[-1]
    assert sum(line.startswith("first words") for line in lines) == 2


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_a_wav_file_is_spoken_and_the_answer_is_kept(running, path, tmp_path):
    result = run(f"ws://{running.address}{path}", "--wav", QUESTION_WAV, "--out", tmp_path / "answer.wav")
    assert (result.returncode, result.stderr) == (0, "")
    assert "    you  " in result.stdout
    assert "  agent  " in result.stdout
    with wave.open(str(tmp_path / "answer.wav")) as answer:
        assert answer.getframerate() == 24000
        assert answer.getnframes() > 24000


@pytest.mark.slow
@pytest.mark.parametrize("turn_detection", [further("semantic_vad"), "manual"])
def test_a_wav_file_is_answered_with_every_turn_detection(running, turn_detection):
    result = run(f"ws://{running.address}/openai?turn_detection={turn_detection}", "--wav", QUESTION_WAV)
    assert result.returncode == 0
    assert "  agent  " in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", [PATHS[0], further(PATHS[1])])
def test_a_greeting_is_waited_for_before_the_first_question(running, path):
    result = run(f"ws://{running.address}{path}", "--greeting", "Good morning.", typed="hello\n")
    assert result.stdout.index("Good morning.") < result.stdout.index("you  hello")


@pytest.mark.slow
def test_a_conversation_in_a_terminal_shows_states_and_ends_with_ctrl_c(running):
    ours, theirs = pty.openpty()
    url = f"ws://{running.address}/openai"
    with subprocess.Popen(
        [sys.executable, RUN_PY, "talk", url, "--text"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=clean_environment(),
    ) as process:
        os.close(theirs)
        try:
            os.write(ours, b"hello there\n")
            shown = b""
            while b"first words" not in shown:
                shown += os.read(ours, 4096)
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()
            os.close(ours)
    assert "the agent is thinking …".encode() in shown
    assert b"\x1b[1;32m  agent\x1b[0m" in shown


@pytest.mark.slow
def test_an_end_by_the_router_is_an_error_with_its_code():
    def close(connection):
        connection.close(1012, "restart")

    with serving(close) as url, child(sys.executable, RUN_PY, "talk", url, "--wav", QUESTION_WAV) as process:
        assert process.wait(timeout_s=TIMEOUT_S) == 1
        process.wait_for(r"error  the router closed the call \(1012, restart\)")


@pytest.mark.slow
def test_an_endpoint_of_another_kind_is_an_error():
    def greet(connection):
        connection.send("<html>")
        connection.recv()

    with serving(greet) as url, child(sys.executable, RUN_PY, "talk", url, "--wav", QUESTION_WAV) as process:
        process.wait_for("it sent text that is not JSON")
        assert process.wait(timeout_s=TIMEOUT_S) == 1


@pytest.mark.slow
def test_a_router_that_refuses_is_a_sentence():
    with (
        with_status(401) as url,
        pytest.raises(StartError, match="HTTP 401: it wants another token; set the variable SWITCHBOARD_TOKEN"),
    ):
        talk.main([url])


@pytest.mark.slow
@pytest.mark.parametrize("is_ready", [False, True])
def test_a_router_that_says_nothing_ends_a_scripted_call_at_the_deadline(is_ready):
    def be_silent(connection):
        if is_ready:
            connection.recv()
            connection.send('{"type": "SettingsApplied"}')
        for _ in connection:
            pass

    with serving(be_silent) as url:
        result = run(url, "--wait-s", "0.5", typed="hello\n")
    assert result.returncode == 1
    assert "error  the router sent nothing for 0.5 s, and owes an answer" in result.stdout


@pytest.mark.slow
def test_a_refused_question_ends_a_scripted_call_with_1():
    def refuse(connection):
        connection.recv()
        connection.send('{"type": "SettingsApplied"}')
        connection.recv()
        connection.send('{"type": "InjectionRefused", "message": "the agent speaks"}')
        for _ in connection:
            pass

    with serving(refuse) as url:
        result = run(url, typed="hello\n")
    assert result.returncode == 1
    assert "error  not sent: hello: the agent speaks" in result.stdout


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://127.0.0.1:1/", "; a route is a WebSocket: ws://127.0.0.1:1/openai"),
        ("https://voice.example", "; a route is a WebSocket: wss://voice.example/openai"),
        ("http://voice.example/v1/agent/converse", "WebSocket: ws://voice.example/v1/agent/converse"),
        ("ws://127.0.0.2:1/openai", "; start a router with `switchboard`, or name another"),
        ("ws://[::1]:1/openai", "; start a router with `switchboard`, or name another"),
    ],
)
@pytest.mark.slow
def test_a_url_that_cannot_be_right_has_a_hint(url, hint):
    with pytest.raises(StartError) as caught:
        talk.main([url])
    assert str(caught.value).endswith(hint)


def test_a_wrong_deadline_is_a_sentence():
    with pytest.raises(ConfigError, match="a number of seconds"):
        talk.main(["--wait-s", "long"])


@pytest.mark.slow
def test_a_token_with_a_line_break_is_a_sentence_that_does_not_show_it(monkeypatch):
    monkeypatch.setenv("SWITCHBOARD_TOKEN", "secret-\n-token")
    with serving(lambda _: None) as url, pytest.raises(StartError) as caught:
        talk.main([url])
    assert "line break or a character outside ASCII; set the variable SWITCHBOARD_TOKEN again" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_wrong_flag_is_a_sentence():
    with pytest.raises(ConfigError, match=r"talk .* has a wrong flag: unrecognized arguments: --wave"):
        talk.main(["--wave"])


def test_a_missing_file_is_a_sentence_before_anything_is_dialled(tmp_path):
    with pytest.raises(StartError, match="cannot be read"):
        talk.main(["--wav", str(tmp_path / "none.wav")])


def test_help_has_examples_and_names_the_variable_of_the_token(capsys):
    assert talk.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "switchboard talk --wav question.wav --out answer.wav" in text
    assert "SWITCHBOARD_TOKEN" in text
