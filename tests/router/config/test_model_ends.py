"""The announced ends of models."""

import datetime as dt

import pytest

from router.config.model import RouterConfig
from router.config.model_ends import ENDS, end_of, warnings
from router.config.route import Route
from router.config.upstream import Upstream

URL = "wss://realtime.example/v1/realtime"


def warned(day, **settings):
    return list(warnings(RouterConfig(**{"upstream": URL, **settings}), dt.date.fromisoformat(day)))


def test_no_default_has_a_known_end():
    assert [end_of(model) for model in (RouterConfig().model, RouterConfig().transcription_model)] == [None, None]
    assert all(end_of(end.replacement) is None for end in ENDS.values())


@pytest.mark.parametrize(
    ("day", "sentences"),
    [
        ("2026-10-01", []),
        ("2026-10-22", ["the model gpt-realtime ends on 2027-01-20: configure another one, such as gpt-realtime-2.1"]),
        ("2027-01-20", ["the model gpt-realtime ended on 2027-01-20: configure another one, such as gpt-realtime-2.1"]),
    ],
)
def test_a_model_is_warned_of_ninety_days_before_its_end(day, sentences):
    assert warned(day, model="gpt-realtime") == sentences


def test_every_configured_model_counts_once():
    upstream = Upstream(url=f"{URL}?model=gpt-realtime-mini-2025-10-06", transcription_model="whisper-1")
    found = warned("2027-01-01", upstreams=(upstream,), models=("gpt-realtime",), transcription_model="whisper-1")
    assert [sentence.split()[2] for sentence in found] == ["gpt-realtime", "whisper-1", "gpt-realtime-mini-2025-10-06"]


def test_the_models_of_routes_count():
    own = Route(path="/own", front="openai", defaults={"model": "gpt-realtime", "models": ("gpt-audio",)})
    found = warned("2027-01-01", upstream=URL, routes=(own,))
    assert [sentence.split()[2] for sentence in found] == ["gpt-realtime", "gpt-audio"]


def test_the_simulator_has_no_model_that_ends():
    assert warned("2030-01-01", upstream="simulator", model="gpt-realtime") == []


@pytest.mark.parametrize("model", ["gpt-realtime-2", "gpt-realtime-2.1", "gpt-realtime-whisper", "own", ""])
def test_other_models_have_no_known_end(model):
    assert end_of(model) is None
