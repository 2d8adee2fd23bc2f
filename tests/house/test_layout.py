"""The layout of the house: no circles, every module on a floor, in its package's map, and under a test."""

import pytest

from tests.house import contracts, maps, tree
from tests.house.failures import listed


@pytest.fixture(scope="module")
def ours():
    """Load the packages that setup.cfg distributes."""
    return tree.load()


@pytest.fixture(scope="module")
def floors(ours):
    """Read the layers of setup.cfg."""
    return contracts.read(ours.modules)


def test_no_files_import_each_other_in_a_circle(ours):
    circles = tree.circles(ours.imports)
    back = [f"{name}:{ours.imports[name][target]} imports {target}" for name, target in tree.arrows_back(ours.imports)]
    assert not circles, listed(
        "circles of files, and imports that close them", [" ".join(circle) for circle in circles] + back
    )


def test_every_module_is_in_a_contract_of_layers(ours, floors):
    unplaced = contracts.unplaced(ours.modules, floors, contracts.root_packages())
    assert not unplaced, listed("modules that no layer names", unplaced)


def test_where_one_module_of_a_package_is_a_layer_all_are(ours, floors):
    besides = contracts.besides(ours.modules, floors)
    assert not besides, listed("modules beside the layers of their package", besides)


def test_no_import_runs_up_between_layers(ours, floors):
    up = [
        f"{floor.contract}: {one} imports {other}" for floor in floors for one, other in floor.arrows_back(ours.imports)
    ]
    assert not up, listed("imports that run up", up)


def test_no_contract_looks_away_from_an_import():
    exceptions = list(contracts.exceptions())
    assert not exceptions, listed("options that hide an import", exceptions)


def test_every_package_s_docstring_is_its_whole_map(ours):
    problems = [problem for package in ours.packages() for problem in maps.package_problems(package, ours)]
    assert not problems, listed("faults of maps", problems)


def test_every_module_has_a_test_file_of_its_name_or_a_row_in_the_map_of_tests(ours):
    problems = maps.test_problems(ours, tree.ROOT)
    assert not problems, listed("modules without a test that is to be found", problems)


def test_no_helper_lies_directly_in_tests():
    helpers = maps.helpers_at_the_root(tree.ROOT)
    assert not helpers, listed("files of tests/ that belong below tests/support", helpers)
