"""docs/architecture.md names each file of the session, and every file and name that it gives as a place exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:router|actors)/[\w/.-]+)`", PAGE)))
NAMES = sorted(set(re.findall(r"`([A-Za-z_]\w*)` (?:in|of) `((?:router|actors)/[\w/]+\.\w+)`", PAGE)))
ROWS = [row for row in PAGE.splitlines() if row.startswith("| ") and re.search(r"`(?:router|actors)/", row)]
TABLES = re.findall(r"^\| file of `(router/session/[\w/]*)` \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)


def test_the_page_names_enough_to_be_worth_a_check():
    assert len(PATHS) > 100
    assert len(NAMES) > 10
    assert len(TABLES) == 3


def test_each_path_exists():
    assert [path for path in PATHS if not (ROOT / path).exists()] == []


def test_each_name_is_in_its_file():
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for _, path in NAMES}
    assert [(name, path) for name, path in NAMES if not re.search(rf"\b{name}\b", texts[path])] == []


def test_each_file_without_a_folder_is_beside_a_path_of_its_row():
    rows = [(row, re.findall(r"`(\w+\.(?:py|js|html|toml))`", row)) for row in ROWS]
    assert sum(len(names) for _, names in rows) > 30
    assert [(name, row) for row, names in rows for name in names if not _is_beside_a_path(name, row)] == []


def _is_beside_a_path(name, row):
    paths = [ROOT / path for path in re.findall(r"`((?:router|actors)/[\w/.-]+)`", row)]
    return any(((path if path.is_dir() else path.parent) / name).exists() for path in paths)


@pytest.mark.parametrize(("folder", "rows"), TABLES, ids=[folder for folder, _ in TABLES])
def test_a_table_of_files_names_each_file(folder, rows):
    files = {it.name for it in (ROOT / folder).glob("*.py")} - {"__init__.py"}
    named = re.findall(r"`(\w+\.py)`", "".join(row.split(" | ")[0] + "\n" for row in rows.splitlines()))
    assert len(named) == len(set(named))
    assert set(named) == files
