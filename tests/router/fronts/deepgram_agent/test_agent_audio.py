"""The duration of the agent's audio."""

import pytest

from router.fronts.deepgram_agent.agent_audio import bytes_per_s


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({}, 48_000),
        ({"encoding": "linear16", "sample_rate": 16_000}, 32_000),
        ({"encoding": "mulaw", "sample_rate": 8000}, 8000),
        ({"encoding": "mp3"}, 6000),
        ({"encoding": "mp3", "bitrate": 32_000}, 4000),
        ({"encoding": ["?"], "sample_rate": 8000}, 6000),
        ({"sample_rate": 0}, 48_000),
        ({"sample_rate": True}, 48_000),
        (5, 48_000),
    ],
)
def test_a_second_has_the_size_that_its_format_gives_it(output, expected):
    assert bytes_per_s({"audio": {"output": output}}) == expected


@pytest.mark.parametrize("settings", [{}, {"audio": None}, {"audio": []}])
def test_settings_without_a_format_mean_deepgram_s_default(settings):
    assert bytes_per_s(settings) == 48_000


def test_the_audio_of_the_client_has_a_format_of_its_own():
    settings = {"audio": {"input": {"encoding": "mulaw", "sample_rate": 8000}}}
    assert (bytes_per_s(settings, "input"), bytes_per_s(settings)) == (8000, 48_000)
