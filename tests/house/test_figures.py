"""The figures of a tree, and the program that prints them."""

import subprocess
import sys

import orjson
import pytest

from tests.house import figures, tree
from tests.house.samples import load

STATE = '''
"""Whatever is here. The state of a session."""

from dataclasses import dataclass

from app.machine import run

# A reason.
@dataclass
class State:
    is_open: bool = False

    def __init__(self):
        """Make one.

        It is empty.
        """
        self.is_ready = False
        self.count = 0


@dataclass(frozen=True)
class Fixed:
    is_fixed: bool = True
'''
FILES = {
    "app/state.py": STATE,
    "app/machine.py": "from app import state\n\ndef run():\n    return state\n",
    "tests/app/test_state.py": "",
    "tests/deep/test_machine.py": "",
    "tests/helper.py": "",
    "README.md": "Whoever reads. This is plain.",
}


@pytest.fixture
def sample(tmp_path):
    """Make a tree of two files in a circle."""
    return load(tmp_path, FILES)


@pytest.mark.slow
def test_the_figures_of_a_small_tree(sample):
    measured = figures.measure(sample, is_ours=True)
    lines = {name: len(sample.modules[name].source.splitlines()) for name in sample.modules}
    assert measured == {
        "modules": 3,
        "packages": 1,
        "flat": 2,
        "imports": 2,
        "circles": [2],
        "back": 1,
        "up": 0,
        "function": [2, 3, 3],
        "module": [lines["app.machine"], lines["app.state"]],
        "comments": 1 / sum(lines.values()),
        "flags": 2,
        "docstrings": 1 / 4,
        "docs": 1 / 2,
        "tested": [2, 2],
        "mirrored": [1, 2],
        "helpers": 1,
        "subjects": None,
        "new subjects": None,
    }


def test_a_package_is_measured_by_itself(sample):
    assert figures.packages(sample) == {"app": {"files": 2, "imports": 2, "circles": [2], "flags": 2}}


def test_a_project_without_tests_has_no_figure_for_them(tmp_path):
    load(tmp_path, {"app/a.py": "def act():\n    pass\n"})
    measured = figures.measure(tree.load_directory(tmp_path / "app"))
    assert measured["tested"] is None
    assert figures.show("tested", measured["tested"]) == "–"


def run(sample, *arguments):
    """Run the program over a sample tree."""
    command = [sys.executable, "-m", "tests.house", "--root", sample.root, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tree.ROOT, check=False)
    assert done.stderr == ""
    return done


@pytest.mark.slow
def test_the_program_prints_every_figure_beside_those_of_others(sample):
    header, *rows = run(sample, "--beside", sample.root / "app").stdout.splitlines()
    assert header.split() == ["here", "app"]
    assert [row.split("  ")[0] for row in rows[: len(figures.LAYOUT)]] == list(figures.LAYOUT)


@pytest.mark.slow
def test_the_program_prints_json(sample):
    printed = orjson.loads(run(sample, "--json", "--beside", sample.root / "app").stdout)
    assert printed["figures"]["app"]["circles"] == [2]
    assert set(printed["figures"]["here"]) == set(figures.LAYOUT)
    assert printed["prose"]["docs"] == {"share": 0.5, "sentences": 2}


@pytest.mark.slow
def test_the_program_shows_offenders_and_fails_where_the_prose_breaks_the_rule(sample):
    done = run(sample, "--show", "1")
    assert "README.md:1: opens with 'Whoever': Whoever reads." in done.stdout
    assert done.returncode == 1


@pytest.mark.slow
def test_the_program_ends_well_where_the_prose_keeps_the_rule(sample):
    (sample.root / "README.md").write_text("This is plain.")
    assert run(sample).returncode == 0
