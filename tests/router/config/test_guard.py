"""The table `[guard]`."""

import pytest

from router.config.guard import Guard, guard


def test_a_guard_is_off_by_default():
    assert not Guard().is_on
    assert guard({}) == Guard()


def test_rules_and_their_sources():
    found = guard({"rules": [{"expression": "(?i)word", "action": "say", "say": "No.", "on": ["agent"]}]})
    assert found.is_on
    assert (found.checks("agent"), found.checks("user")) == (True, False)
    assert guard({"url": "http://here/", "on": ["user"]}).checks("user")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (5, "must be a table"),
        ({"ruless": []}, "ruless"),
        ({"rules": [{"expression": "("}]}, "cannot be used"),
        ({"rules": [{"expression": "a", "action": "explode"}]}, "explode"),
        ({"rules": [{"expression": "a", "action": "say"}]}, "set say"),
        ({"rules": [{"expression": "a", "sound": 1}]}, "sound"),
        ({"url": "http://here/", "function": "a:b"}, "choose one"),
        ({"timeout_s": 0}, "timeout_s"),
    ],
)
def test_a_bad_table_is_refused(written, problem):
    with pytest.raises(ValueError, match=problem):
        guard(written)
