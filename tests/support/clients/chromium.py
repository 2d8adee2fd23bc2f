"""Debian's Chromium: the program that tests start, and its flags.

Chromium's `--headless` opens each page in a window of its own, with the whole user interface, which costs a second of a
core. `chromium-headless-shell` is the same engine of the same version without a user interface.
"""

import os
import shutil

import pytest

VARIABLE = "SWITCHBOARD_CHROMIUM"
"""The environment variable that names another program."""
PROGRAMS = ("chromium-headless-shell", "chromium")
"""Debian's packages and their programs, the preferred one first."""

FLAGS = (
    "--headless",
    "--no-sandbox",  # it runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
)


def chromium_program(is_whole: bool = False) -> str:
    """Return the path of the program, on request of the whole one; skip the test where there is none."""
    wanted = os.environ.get(VARIABLE)
    names = (wanted,) if wanted else PROGRAMS[1:] if is_whole else PROGRAMS
    for name in names:
        if program := shutil.which(name):
            return program
    pytest.skip(f"a browser needs Debian's package {' or '.join(names)}")
