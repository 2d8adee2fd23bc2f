"""Sessions by the names of their calls."""

from router import call_names
from router.call_names import CallNames


def test_a_session_is_found_by_its_name_until_its_end():
    names = CallNames()
    names.add("CA1", "s1")
    assert (names.find("CA1"), names.find("CA2")) == ("s1", None)
    names.remove("CA1", "s1")
    names.remove("CA1", "s1")
    assert names.find("CA1") is None


def test_a_second_session_does_not_take_a_name_over_nor_remove_it():
    names = CallNames()
    assert names.add("CA1", "s1")
    assert names.add("CA1", "s1")
    assert not names.add("CA1", "intruder")
    names.remove("CA1", "intruder")
    assert names.find("CA1") == "s1"
    names.remove("CA1", "s1")
    assert names.add("CA1", "s2")


def test_the_oldest_names_go_first(monkeypatch):
    monkeypatch.setattr(call_names, "MAX_NAMES", 2)
    names = CallNames()
    for number in range(3):
        names.add(f"CA{number}", f"s{number}")
    assert [names.find(f"CA{number}") for number in range(3)] == [None, "s1", "s2"]
