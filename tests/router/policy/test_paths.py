"""Tests of places in a message."""

from __future__ import annotations

from router.policy.paths import copied, put, spots


def test_a_list_on_the_way_stands_for_each_of_its_elements():
    message = {"think": [{"prompt": "a"}, {}, {"prompt": "b"}, "no object"]}
    found = [(spot.name, spot.holder[spot.key]) for spot in spots(message, ("think", "prompt"), "agent")]
    assert found == [("agent.think[0].prompt", "a"), ("agent.think[2].prompt", "b")]


def test_a_value_is_set_in_each_element_and_in_objects_that_are_made():
    message = {"think": [{"prompt": "a"}, {}], "listen": None, "speak": []}
    put(message, ("think", "prompt"), "x")
    put(message, ("listen", "provider", "model"), "m")
    put(message, ("speak", "provider"), "p")
    assert message == {
        "think": [{"prompt": "x"}, {"prompt": "x"}],
        "listen": {"provider": {"model": "m"}},
        "speak": [{"provider": "p"}],
    }


def test_a_copy_shares_nothing_that_can_change():
    message = {"a": [{"b": 1}]}
    copy = copied(message)
    copy["a"][0]["b"] = 2
    assert message == {"a": [{"b": 1}]}
