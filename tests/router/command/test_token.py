"""`switchboard token new NAME`."""

import re
import tomllib

import pytest

from router.command import token
from router.config.auth import digest
from router.errors import ConfigError
from tests.support.data.configuration import from_file


@pytest.mark.parametrize("name", ["alice", "a.b", "a-b_c", "ada@example.com"])
def test_a_new_token_is_printed_with_its_hash_and_the_lines_of_a_file(name, capsys):
    assert token.main(["new", name]) == 0
    printed = capsys.readouterr().out
    (secret,) = re.findall(r"^token: +(\S+)$", printed, re.MULTILINE)
    assert re.search(rf"^sha256: +{digest(secret)}$", printed, re.MULTILINE)
    lines = printed[printed.index("[auth.") :]
    assert tomllib.loads(lines) == {"auth": {"tokens": {name: {"sha256": digest(secret)}}}}
    assert [it.name for it in from_file(lines).auth.tokens] == [name]


@pytest.mark.parametrize("arguments", [[], ["new"], ["old", "alice"], ["new", "alice", "bob"], ["new", "a b"]])
def test_other_arguments_are_refused(arguments):
    with pytest.raises(ConfigError):
        token.main(arguments)


@pytest.mark.parametrize("arguments", [["--help"], ["new", "-h"]])
def test_help_describes_the_command(arguments, capsys):
    assert token.main(arguments) == 0
    assert "switchboard token new NAME" in capsys.readouterr().out
