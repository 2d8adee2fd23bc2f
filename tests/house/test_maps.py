"""The maps: of a package in its docstring, and of the tests in tests/README.md."""

import pytest

from tests.house import maps
from tests.house.samples import load, write

MODULE = "def act():\n    pass\n"


@pytest.fixture
def problems(tmp_path):
    """Return what is wrong with the map of a package `app` that has modules a and b, and a subpackage c."""

    def problems(docstring, code=""):
        files = {
            "app/__init__.py": f'"""{docstring}"""\n{code}',
            "app/a.py": "",
            "app/b.py": "",
            "app/c/__init__.py": "",
        }
        sample = load(tmp_path, files)
        return maps.package_problems(sample.modules["app"], sample)

    return problems


WHOLE = "The app.\n\n`a`   does one thing\n- `b`: does another thing\n`c` – has the rest, with `a`\n"


def test_a_map_with_a_row_for_each_module_and_subpackage_is_whole(problems):
    assert problems(WHOLE) == []


def test_modules_may_share_a_row(problems):
    assert problems("The app.\n\n`a`, `b`  do things\n`c`  does the rest\n") == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("", "app: its map has no row for `b`"),
        ("`b` does another thing", "app: its map has no row for `b`"),
        ("`b`  does\n`b`  more things", "app: its map has 2 rows for `b`"),
        ("`b`  does another thing\n`d`  is not there", "app: its map has a row for `d`, which does not exist"),
        ("`b`  things", "app: its map gives no purpose of `b`"),
    ],
)
def test_a_row_that_is_missing_doubled_unknown_or_empty_is_found(problems, row, expected):
    assert expected in problems(f"The app.\n\n`a`  does one thing\n{row}\n`c`  has the rest\n")


def test_a_row_may_name_what_the_package_itself_defines(problems):
    assert problems(WHOLE + "`start`  starts it all\n", MODULE.replace("act", "start")) == []


def test_a_package_without_a_docstring_has_no_map(problems):
    assert len(problems("")) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app.a", []),
        ("app.a.act", []),
        ("run.py", []),
        ("app.gone", ["app: there is no `app.gone`"]),
        ("app.a.gone", ["app: there is no `app.a.gone`"]),
    ],
)
def test_a_full_name_in_a_map_exists(tmp_path, name, expected):
    files = {"app/__init__.py": f'"""Map.\n\n`a`   acts, as `{name}` says\n"""', "app/a.py": MODULE}
    sample = load(tmp_path, files)
    assert maps.package_problems(sample.modules["app"], sample) == expected


@pytest.fixture
def uncovered(tmp_path):
    """Return what is wrong with the tests of a package `app`, given its other files and the rows of the map."""

    def uncovered(*rows, files=None):
        table = "\n".join(["# Tests", "", maps.HEADER, "|---|---|", *rows, ""])
        defaults = {"app/sub/__init__.py": "", "app/sub/part.py": MODULE, "tests/README.md": table}
        sample = load(tmp_path, defaults | (files or {}))
        return maps.test_problems(sample, tmp_path)

    return uncovered


ROW = "| `app.sub.part` | `tests/test_whole.py` |"


def test_a_module_without_a_test_file_of_its_name_is_found(uncovered):
    assert uncovered() == [
        "app.sub.part: there is no tests/app/sub/test_part.py, and tests/README.md has no row for it"
    ]


def test_a_test_file_of_the_name_in_another_place_is_none(uncovered):
    assert len(uncovered(files={"tests/test_part.py": "import app.sub.part"})) == 1


def test_a_test_file_where_tests_mirror_the_source_suffices(uncovered):
    assert uncovered(files={"tests/app/sub/test_part.py": ""}) == []


@pytest.mark.parametrize(
    "source",
    [
        "import app.sub.part",
        "from app.sub import part",
        "def test():\n    from app.sub.part import act",
        "from app import act",
        "import app\n\napp.act()",
        "START = ['python', '-m', 'app.sub.part']",
        "import helper",
        "from tests.helper import run",
    ],
)
def test_a_row_is_good_for_a_file_that_exercises_the_module(uncovered, source):
    assert uncovered(ROW, files={"tests/test_whole.py": source, "tests/helper.py": "from app.sub import part"}) == []


@pytest.mark.parametrize("source", ["", "import app", "# app.sub.part", "import app.sub", "from app.sub import other"])
def test_a_row_is_no_good_for_a_file_that_does_not(uncovered, source):
    assert uncovered(ROW, files={"tests/test_whole.py": source}) == [
        "tests/README.md: app.sub.part: tests/test_whole.py neither imports it nor uses a name that only it defines"
    ]


def test_a_name_that_two_modules_define_proves_nothing(uncovered):
    found = uncovered(
        ROW, files={"app/other.py": MODULE, "tests/app/test_other.py": "", "tests/test_whole.py": "from app import act"}
    )
    assert len(found) == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([ROW], "app.sub.part: there is no tests/test_whole.py"),
        (["| `app.gone` | `tests/test_a.py` |"], "there is no module app.gone to be tested"),
        (["| `app.sub.part` | |"], "app.sub.part is covered by no file"),
        ([ROW, ROW], "app.sub.part has 2 rows"),
    ],
)
def test_a_row_that_names_what_does_not_exist_is_found(uncovered, rows, expected):
    assert f"tests/README.md: {expected}" in uncovered(*rows)


def test_a_row_for_a_module_that_has_a_test_file_of_its_name_is_one_too_many(uncovered):
    found = uncovered(ROW, files={"tests/test_whole.py": "import app.sub.part", "tests/app/sub/test_part.py": ""})
    assert found == ["tests/README.md: app.sub.part has a test file of its name, and needs no row"]


def test_a_package_needs_a_test_only_where_it_defines_something(uncovered):
    found = uncovered(files={"app/sub/__init__.py": MODULE, "tests/app/sub/test_part.py": ""})
    assert found == ["app.sub: there is no tests/app/sub/test_init.py, and tests/README.md has no row for it"]


def test_a_helper_that_lies_directly_in_tests_is_found(tmp_path):
    names = ("conftest.py", "README.md", "test_whole.py", "helper.py", "data.json", "support/other.py")
    write(tmp_path, {f"tests/{name}": "" for name in names})
    assert maps.helpers_at_the_root(tmp_path) == ["data.json", "helper.py"]
