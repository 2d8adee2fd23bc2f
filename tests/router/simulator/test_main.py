"""The command `python -m router.simulator`, as a process."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from websockets.sync.client import connect

from router.simulator.__main__ import main


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal(number):
    command = [sys.executable, "-m", "router.simulator", "--port", "0", "--fault", "response_create:close,code=1012"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        try:
            line = process.stdout.readline()
            url = re.search(r"ws://\S+", line)[0]
            with connect(url) as client:
                assert "session.created" in client.recv(timeout=5)
                process.send_signal(number)
                assert process.wait(timeout=5) == 0
        finally:
            process.kill()
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_an_address_in_use_is_reported_in_a_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["--port", port]) == 1
    problem = f"cannot listen on 127.0.0.1, port {port}: Address already in use"
    remedy = "end the program that has the port, or choose another with --port (0 takes a free one)"
    assert capsys.readouterr().err == f"switchboard: {problem}; {remedy}\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fault", "nowhere:close"], "nowhere"),
        (["--pace", "-1"], "pace cannot be -1"),
        (["--pace", "fast"], "--pace"),
        (["--unknown"], "--unknown"),
    ],
)
def test_a_bad_flag_stops_the_command_with_a_sentence(capsys, flags, message):
    with pytest.raises(SystemExit) as caught:
        main(flags)

    assert caught.value.code == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("switchboard: simulator (the command line) has a wrong flag: ")
    assert message in sentence
