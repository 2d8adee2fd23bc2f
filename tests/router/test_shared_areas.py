"""Memory that processes share by name."""

import os

import pytest

from router.shared_areas import CAN_LAST, OWN, LastingAreas
from tests.house.tree import ROOT

lasting = pytest.mark.skipif(not CAN_LAST, reason="needs Linux")


def test_two_areas_of_one_process_are_apart():
    one, other = OWN.memory("a", 8), OWN.memory("a", 8)
    one[0] = 7
    assert other[0] == 0


@lasting
def test_memory_is_handed_on_with_its_contents():
    before = LastingAreas()
    before.memory("a", 8)[0] = 7
    after = LastingAreas(before.handed)
    assert after.memory("a", 8)[0] == 7
    before.close()


@lasting
def test_memory_of_another_size_begins_anew_and_the_log_says_so(caplog):
    before = LastingAreas()
    before.memory("a", 8)[0] = 7
    after = LastingAreas(before.handed)
    assert after.memory("a", 16)[:] == bytes(16)
    assert "the shared memory a has another size" in caplog.text
    after.close()


@lasting
def test_memory_stays_mapped_behind_the_close_of_its_descriptor():
    areas = LastingAreas()
    memory = areas.memory("a", 8)
    areas.close()
    memory[0] = 7
    assert areas.handed == {}


@pytest.mark.parametrize("areas", [OWN, pytest.param(LastingAreas() if CAN_LAST else None, marks=lasting)])
def test_a_file_is_a_descriptor_of_the_caller(areas):
    descriptor = areas.file("lock")
    assert os.fstat(descriptor).st_size == 0
    os.close(descriptor)


def test_no_memory_that_others_read_is_filled_with_zeros_first():
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "router").rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ".pack_into(" in line
    ]
    assert found == [], "router.shared_areas.store takes its place"
