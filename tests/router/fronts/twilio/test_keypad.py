"""The keys of a caller."""

import pytest

from router.fronts.twilio.keypad import MAX_KEYS, Keypad, message_of


def pressed(keys):
    keypad = Keypad()
    ends = [keypad.press(key) for key in keys]
    keys = keypad.take()
    return ends, keys and message_of(keys)


def test_keys_that_follow_each_other_make_one_message():
    assert pressed("12") == ([False, False], "(The caller pressed the keys 1 2 on the telephone.)")
    assert pressed("7") == ([False], "(The caller pressed the key 7 on the telephone.)")


def test_the_hash_key_ends_a_number_and_is_no_part_of_it():
    assert pressed("12#") == ([False, False, True], "(The caller pressed the keys 1 2 on the telephone.)")
    assert pressed("#") == ([True], "(The caller pressed the key # on the telephone.)")


@pytest.mark.parametrize("keys", [(), ("x", "")])
def test_without_a_key_there_is_no_message(keys):
    assert pressed(keys)[1] is None


def test_a_key_that_is_held_down_ends_the_number():
    assert pressed("5" * MAX_KEYS)[0][-1]
