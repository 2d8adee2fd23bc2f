"""A command line, an environment and files in memory, for tests of the configuration."""

import re
from pathlib import Path

import pytest

from router.config.command_line import load
from router.errors import ConfigError

DOCUMENTATION = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"

KEY = "sk-proj-0123456789-never-shown"
PEM = "-----BEGIN CERTIFICATE-----\n"


class Files:
    """Files in memory: reading any other raises FileNotFoundError."""

    def __init__(self, **files):
        self.files = {name.replace("_", "."): text for name, text in files.items()} | {"ca.pem": PEM}
        self.dotenv = self.files.pop("dotenv", None)

    def __call__(self, path):
        text = self.dotenv if path == ".env" else self.files.get(path)
        if isinstance(text, Exception):
            raise text
        if text is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return text


def configure(*argv, env=None, **files):
    return load(argv, env or {}, Files(**files))


def refusal(*argv, env=None, **files):
    with pytest.raises(ConfigError) as caught:
        configure(*argv, env=env, **files)
    return caught.value


def from_file(text, *argv, env=None, **files):
    """Load a configuration from a file `a.toml` with that text."""
    return configure("--config", "a.toml", *argv, env=env, a_toml=text, **files)


def refusal_of_file(text, *argv, env=None, **files):
    return refusal("--config", "a.toml", *argv, env=env, a_toml=text, **files)


def section(heading):
    """Return the documentation below a heading, up to the next."""
    return DOCUMENTATION.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def documented(heading):
    """Return the rows of the table below a heading, as lists of cells without code marks."""
    table = [line for line in section(heading).splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
