"""The table of subcommands."""

import importlib

from router.command.subcommands import SUBCOMMANDS


def test_every_row_names_a_module_with_a_main():
    for row in SUBCOMMANDS:
        assert callable(importlib.import_module(row.module).main)


def test_names_are_unique():
    names = [row.name for row in SUBCOMMANDS]
    assert len(set(names)) == len(names)
