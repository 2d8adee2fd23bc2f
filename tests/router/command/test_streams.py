"""The standard streams of the command: closed ones, and a reader that is gone."""

import os
import subprocess
import sys

import pytest

from tests.support.processes.host_apps import ROOT

pytestmark = pytest.mark.slow

ENSURE = "import os, sys; from router.command.streams import ensure_streams, say; ensure_streams(); "


def run(program, *redirections):
    """Run a program in a shell, with redirections that close its streams."""
    command = f"exec {sys.executable} -c '{program}' {' '.join(redirections)}"
    return subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(("name", "redirection"), [("stdin", "<&-"), ("stdout", ">&-"), ("stderr", "2>&-")])
def test_a_closed_stream_is_replaced_by_an_empty_one(name, redirection):
    program = ENSURE + f'sys.exit(0 if sys.{name} is not None and not sys.{name}.closed else "none")'
    assert run(program, redirection).returncode == 0


def test_a_file_that_is_opened_later_is_no_standard_stream():
    program = ENSURE + 'sys.exit(0 if open(os.devnull).fileno() > 2 else "a file is a standard stream")'
    assert run(program, "<&-", ">&-", "2>&-").returncode == 0


def test_a_reader_that_closes_the_pipe_is_no_failure():
    program = ENSURE + 'say("one"); input(); say("two"); say("three")'
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"one\n"
        process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""


def test_a_character_that_the_terminal_cannot_show_is_escaped():
    command = [sys.executable, "-c", ENSURE + "say(chr(8230))"]
    environ = os.environ | {"PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout == "\\u2026\n"
