"""The layers of setup.cfg: which module stands on which floor."""

import pytest

from tests.house import contracts
from tests.house.samples import load

FILES = {
    f"app/{name}.py": ""
    for name in ("high", "low", "loose", "pack/__init__", "pack/a", "pack/b", "other/__init__", "other/a", "other/b")
}
ROOMS = """
[importlinter]
root_packages =
    app

[importlinter:contract:rooms]
name = rooms
type = layers
layers =
    app.high
    app.pack | app.other
    (app.absent)
    app.low
"""
FLOORS = """
[importlinter:contract:floors]
name = floors
type = layers
containers =
    {containers}
layers =
    a
    (b)
{more}
"""


@pytest.fixture
def read(tmp_path):
    """Read the contracts of a sample tree."""

    def read(setup, **files):
        sample = load(tmp_path, FILES | {f"app/{name}.py": text for name, text in files.items()}, setup)
        return sample, contracts.read(sample.modules, tmp_path)

    return read


def test_a_layer_places_its_module_and_all_that_lies_in_it(read):
    sample, floors = read(ROOMS)
    assert contracts.unplaced(sample.modules, floors, ["app"]) == ["app.loose"]
    assert floors[0].floor_of("app.pack.a") == (1, "app.pack")
    assert floors[0].floor_of("app.low") == (3, "app.low")


def test_a_module_whose_name_only_begins_like_a_layer_s_is_in_none(read):
    sample, floors = read(ROOMS, lower="")
    assert "app.lower" in contracts.unplaced(sample.modules, floors, ["app"])


def test_without_contracts_every_module_is_in_none(read):
    sample, floors = read("")
    assert contracts.unplaced(sample.modules, floors, ["app"]) == sorted(set(sample.modules) - {"app"})


def test_a_forbidden_contract_places_no_module(read):
    sample, floors = read("[importlinter:contract:one]\ntype = forbidden\nsource_modules = app\n")
    assert floors == []
    assert "app.high" in contracts.unplaced(sample.modules, floors, ["app"])


@pytest.mark.parametrize(
    ("containers", "expected"),
    [("app.pack", {"app.pack"}), ("app.*", {"app.pack", "app.other"}), ("*.other", {"app.other"})],
)
def test_layers_below_containers_are_named_from_them(read, containers, expected):
    _, floors = read(FLOORS.format(containers=containers, more=""))
    matched = [each for each in floors if each.names & {"app.pack.a", "app.other.a"}]
    assert {name for each in matched for name in each.names} == {f"{c}.{n}" for c in expected for n in "ab"}


def test_two_stars_match_names_of_any_depth(read):
    _, floors = read(FLOORS.format(containers="app.**", more=""))
    assert {"app.pack.a", "app.other.a", "app.pack.a.a"} <= {name for each in floors for name in each.names}


def test_a_package_that_is_a_container_is_placed_by_its_layers(read):
    sample, floors = read(FLOORS.format(containers="app.pack", more=""))
    assert not {"app.pack", "app.pack.a"} & set(contracts.unplaced(sample.modules, floors, ["app"]))


def test_a_child_beside_the_layers_of_its_package_is_found(read):
    sample, floors = read(
        ROOMS + FLOORS.format(containers="app.pack", more=""), **{"pack/c": "", "pack/d/__init__": ""}
    )
    assert contracts.unplaced(sample.modules, floors, ["app"]) == ["app.loose"]
    assert contracts.besides(sample.modules, floors) == ["app.loose", "app.pack.c", "app.pack.d"]


def test_an_exhaustive_contract_passes_over_what_it_ignores(read):
    more = "exhaustive = True\nexhaustive_ignores =\n    c\n"
    sample, floors = read(FLOORS.format(containers="app.pack", more=more), **{"pack/c": ""})
    assert contracts.besides(sample.modules, floors) == []


@pytest.mark.parametrize(
    ("importer", "source"),
    [("low", "import app.high"), ("pack/a", "import app.other.a"), ("low", "from app.pack import a")],
)
def test_an_arrow_up_or_across_is_found(read, importer, source):
    sample, floors = read(ROOMS, **{importer: source})
    assert len(floors[0].arrows_back(sample.imports)) == 1


def test_an_arrow_down_or_inside_a_layer_is_none_back(read):
    sample, floors = read(ROOMS, high="import app.low", **{"pack/a": "import app.pack.b"})
    assert floors[0].arrows_back(sample.imports) == []


def test_modules_of_one_layer_may_import_each_other_where_it_says_so(read):
    sample, floors = read(
        ROOMS.replace("app.pack | app.other", "app.pack : app.other"), **{"pack/a": "import app.other"}
    )
    assert floors[0].arrows_back(sample.imports) == []


def test_an_option_that_hides_an_import_is_found(read, tmp_path):
    hidden = ROOMS.replace("root_packages", "exclude_type_checking_imports = True\nroot_packages")
    read(hidden + "ignore_imports =\n    app.low -> app.high\n")
    assert list(contracts.exceptions(tmp_path)) == [
        "importlinter: exclude_type_checking_imports",
        "rooms: ignore_imports app.low -> app.high",
    ]
    assert contracts.root_packages(tmp_path) == ["app"]
