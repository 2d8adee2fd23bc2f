"""A project with modules that are called `router` or `actors`: the command works, and an import error explains."""

import configparser
import os
import subprocess
import sys

import pytest

import router
import switchboard_voice
from tests.support.processes.host_apps import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path):
    """Run a program in a project with these files; `first` is the folder that Python searches first."""

    def run(*arguments, files, first=tmp_path):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        second = ROOT if first == tmp_path else tmp_path
        return subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (first, second)))},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def last_line(result):
    assert result.returncode == 1
    return result.stderr.strip().splitlines()[-1]


FILES = [{"router.py": "urls = []\n"}, {"actors.py": ""}, {"router/__init__.py": "", "actors/__init__.py": ""}]


@pytest.mark.parametrize("files", FILES)
def test_the_command_finds_its_own_packages_in_any_project(run, files):
    result = run("-m", "switchboard_voice", "--check", files=files)
    assert (result.returncode, result.stderr) == (0, "")
    assert 'host = "127.0.0.1"' in result.stdout


def test_the_console_script_starts_there():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["options.entry_points"]["console_scripts"].split() == ["switchboard", "=", "switchboard_voice:main"]


def test_a_router_of_the_project_is_named_by_the_import_error(run, tmp_path):
    result = run("-c", "from switchboard_voice import Router", files={"router.py": "urls = []\n"})
    line = last_line(result)
    assert f"ImportError: `router` is {tmp_path / 'router.py'} here, and not Switchboard's package." in line
    assert "Rename that file" in line


@pytest.mark.parametrize("program", ["from router import Router", "from router.flask import mount", "import router"])
def test_actors_of_the_project_are_named_by_the_import_error(run, tmp_path, program):
    result = run("-c", program, files={"actors.py": ""})
    assert f"ImportError: `actors` is {tmp_path / 'actors.py'} here" in last_line(result)


def test_a_router_that_ours_hides_is_named_where_its_own_name_is_missed(run, tmp_path):
    result = run("-c", "from router import urls", files={"router.py": "urls = []\n"}, first=ROOT)
    line = last_line(result)
    assert f"Switchboard's package here, and hides {tmp_path / 'router.py'}, which has 'urls'" in line


def test_a_name_that_no_file_has_is_a_plain_error(run):
    result = run("-c", "import router; router.views", files={"router.py": "urls = []\n"}, first=ROOT)
    assert last_line(result) == "AttributeError: module 'router' has no attribute 'views'"


def test_another_copy_of_ours_is_no_file_that_ours_hides(run):
    """As where a checkout is tested, and its distribution is installed."""
    copy = {"switchboard_voice.py": "", "router/__init__.py": "asgi = None\n"}
    result = run("-c", "from router import asgi; print(asgi.__name__)", files=copy, first=ROOT)
    assert (result.stdout, result.stderr) == ("router.asgi\n", "")


def test_the_public_names_are_those_of_router():
    assert switchboard_voice.Router is router.Router
    with pytest.raises(AttributeError):
        _ = switchboard_voice.nothing
