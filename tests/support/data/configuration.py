"""A command line, an environment and files in memory, for tests of the configuration."""

import pytest

from router.config.command_line import load
from router.errors import ConfigError

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
