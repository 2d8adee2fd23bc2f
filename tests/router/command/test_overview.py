"""The text of `--help`: commands, examples, the key, choices."""

from router.command import overview
from router.command.subcommands import SUBCOMMANDS
from router.config.schema import SETTINGS

TEXT = overview.text(SUBCOMMANDS)


def test_the_text_has_examples_and_names_the_variable_of_the_key():
    assert "OPENAI_API_KEY=sk-... switchboard\n" in TEXT
    assert "read from the variable OPENAI_API_KEY" in TEXT


def test_the_text_has_every_setting_with_its_variable():
    for row in SETTINGS:
        assert (row.flag or (*row.env, row.name)[0]) in TEXT
        assert all(name in TEXT for name in row.env[:1])


def test_the_text_lists_the_choices_of_a_setting():
    assert "server_vad, semantic_vad or manual" in TEXT
    assert "trace, debug, info, warning or error" in TEXT


def test_no_line_is_wider_than_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert max(map(len, overview.text(SUBCOMMANDS).splitlines())) <= 120
