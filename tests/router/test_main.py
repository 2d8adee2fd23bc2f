"""The start of the command: one module behind three names, an old Python, missing libraries."""

import ast
import configparser
import importlib.metadata
import os
import re
import subprocess
import sys

import pytest

from router import __main__ as start
from tests.support.processes.host_apps import ROOT

NAMES = {
    "switchboard": [sys.executable, "-c", "from switchboard_voice import main; raise SystemExit(main())"],
    "python -m router": [sys.executable, "-m", "router"],
    "python run.py": [sys.executable, "run.py"],
}
"""The console script of an installation contains the first program."""


def run(*command):
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_three_names_of_the_command_print_the_same_version(name):
    result = run(*NAMES[name], "--version")
    assert re.fullmatch(
        r"switchboard \d+\.\d+\.\d+\nresampling: (?:compiled|numpy)\nkeeper: (?:compiled|Python)\n", result.stdout
    ), result
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_three_names_of_the_command_refuse_the_same_flag_with_the_same_sentence(name):
    result = run(*NAMES[name], "--prot", "80")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "switchboard: --prot (the command line) is not a flag; did you mean --port?\n"


def test_an_older_python_gets_a_sentence_that_names_a_newer_one(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert start.main(["--version"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert re.fullmatch(
        r"switchboard: this is Python 3\.9\.2 .*, and Switchboard needs 3\.11 .* -m venv .*\n", output.err
    )


@pytest.mark.parametrize(
    "file", ["run.py", "switchboard_voice.py", "router/__init__.py", "router/__main__.py", "router/version.py"]
)
def test_an_older_python_can_compile_the_files_up_to_that_sentence(file):
    ast.parse((ROOT / file).read_text(encoding="utf-8"), feature_version=(3, 8))


def test_the_libraries_are_those_that_setup_cfg_requires():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    required = {
        re.split(r"[><=\[]", line)[0].lower() for line in config["options"]["install_requires"].split("\n") if line
    }
    names = importlib.metadata.packages_distributions()
    assert {names[name][0].lower().replace("_", "-") for name in start.LIBRARIES} == required


@pytest.mark.slow
def test_missing_libraries_are_named_in_one_sentence_with_the_command_that_installs_them():
    # Without site-packages this interpreter has no library.
    result = run(sys.executable, "-S", "run.py")
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(
        r"switchboard: Python at .* lacks dotenv, gunicorn, .* -m pip install \., in .*\n", result.stderr
    )
