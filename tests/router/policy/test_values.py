"""Tests of values as each wire writes them."""

from __future__ import annotations

import pytest

from router.policy.values import detection
from tests.support.machine.policies import policy, settings


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "manual"),
        ("none", "manual"),
        ({"type": "none"}, "manual"),
        ("semantic_vad", "semantic_vad"),
        ({"type": "server_vad", "threshold": 0.4}, "server_vad"),
        ({"type": None}, None),
        ({"threshold": 0.4}, None),
    ],
)
def test_a_turn_detection_has_the_name_of_its_type(given, name):
    assert detection(given) == [name]


def test_forced_values_have_the_notation_of_each_wire():
    rule = policy(
        turn_detection={"force": "manual"},
        transcription={"force": "w"},
        modalities={"force": "text"},
        voice={"force": "ash"},
        output_format={"force": "mulaw"},
    )
    session = rule.opening()
    assert session["audio"]["input"] == {"turn_detection": None, "transcription": {"model": "w"}}
    assert session["audio"]["output"] == {"voice": "ash", "format": {"type": "audio/pcmu"}}
    assert session["output_modalities"] == ["text"]
    judged = rule.settings(settings(listen={"provider": {"language": "de", "eot_threshold": 0.3}}))
    assert judged["audio"]["output"] == {"encoding": "mulaw", "sample_rate": 8000}
    agent = judged["agent"]
    assert agent["turn_detection"] == "manual"
    assert agent["listen"]["provider"] == {"model": "w"}
    assert agent["speak"]["provider"] == {"model": "ash"}
    assert agent["think"]["outputModalities"] == ["text"]
