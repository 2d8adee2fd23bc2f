"""The import graph of a tree of files, and its circles."""

from tests.house import tree
from tests.house.samples import load, write


def test_an_import_counts_wherever_in_the_file_it_stands(tmp_path):
    source = """
    from typing import TYPE_CHECKING
    import importlib
    import app.plain

    if TYPE_CHECKING:
        from app.typed import Thing

    def late():
        from app import called
        return importlib.import_module("app.by_name")
    """
    names = ("plain", "typed", "called", "by_name")
    sample = load(tmp_path, {"app/a.py": source, **{f"app/{name}.py": "" for name in names}})
    assert sorted(sample.imports["app.a"]) == sorted(f"app.{name}" for name in names)


def test_an_import_is_found_with_its_line(tmp_path):
    sample = load(tmp_path, {"app/a.py": "import os\n\nimport app.b\n", "app/b.py": ""})
    assert sample.imports["app.a"] == {"app.b": 3}


def test_relative_imports_are_resolved_from_their_package(tmp_path):
    files = {
        "app/one/__init__.py": "from .a import x",
        "app/one/a.py": "from . import b\nfrom .. import two\nfrom ..two.c import y",
        "app/one/b.py": "",
        "app/two/__init__.py": "",
        "app/two/c.py": "",
    }
    sample = load(tmp_path, files)
    assert set(sample.imports["app.one"]) == {"app.one.a"}
    assert set(sample.imports["app.one.a"]) == {"app.one.b", "app.two", "app.two.c"}


def test_an_import_of_a_name_is_an_import_of_the_module_that_has_it(tmp_path):
    files = {"app/a.py": "from app.pack import name, part", "app/pack/__init__.py": "", "app/pack/part.py": ""}
    assert set(load(tmp_path, files).imports["app.a"]) == {"app.pack", "app.pack.part"}


def test_only_packages_that_setup_cfg_distributes_are_read(tmp_path):
    sample = load(tmp_path, {"app/a.py": "", "other/__init__.py": "", "other/b.py": ""})
    assert set(sample.modules) == {"app", "app.a"}


def test_a_subpackage_of_another_project_keeps_its_full_name(tmp_path):
    write(tmp_path, {"their/__init__.py": "", "their/proxy/__init__.py": "", "their/proxy/tests/test_a.py": ""})
    assert set(tree.load_directory(tmp_path / "their" / "proxy").modules) == {"their.proxy"}


def test_each_circle_of_imports_is_found_once_and_whole():
    graph = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": ["e"], "e": ["d"], "f": ["a"]}
    assert tree.circles(graph) == [["a", "b", "c"], ["d", "e"]]


def test_a_graph_without_a_circle_has_none():
    graph = {"a": ["b", "c"], "b": ["c"], "c": []}
    assert tree.circles(graph) == []
    assert tree.arrows_back(graph) == []


def test_the_arrow_that_closes_a_circle_runs_back():
    assert len(tree.arrows_back({"a": ["b"], "b": ["c"], "c": ["a"]})) == 1
    assert tree.arrows_back({"a": ["b", "c", "d"], "b": ["c", "d"], "c": ["d"], "d": ["a"]}) == [("d", "a")]


def test_two_circles_have_two_arrows_back():
    assert len(tree.arrows_back({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]})) == 2
