"""The services of a simulator: none by default, and a result for every request."""

import threading

import pytest

from router.simulator import services as module
from router.simulator.config import SimulatorConfig
from router.simulator.services import Services
from router.simulator.speech.installed import VoiceSupport
from router.simulator.speech.messages import Recognize, Synthesize
from router.simulator.state import Abilities


def test_a_simulator_of_the_test_kit_neither_hears_nor_speaks_nor_thinks():
    services = Services(SimulatorConfig())
    assert services.abilities == Abilities()
    services.close()


def test_the_abilities_are_those_of_what_is_installed(monkeypatch):
    monkeypatch.setattr(module, "voice_support", lambda: VoiceSupport(hears=True))
    services = Services(SimulatorConfig(voice=True))
    assert services.abilities == Abilities(hears=True)
    services.close()


def test_a_closed_service_answers_with_none_at_once():
    services, results = Services(SimulatorConfig()), []
    services.close()
    services.recognize(Recognize(b"", "audio/pcm"), results.append)
    services.synthesize(Synthesize("", "", "audio/pcm"), results.append)
    assert results == [None, None]
    assert threading.active_count() == 1


@pytest.mark.slow
def test_a_process_without_its_library_answers_with_none(monkeypatch):
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    services, results = Services(SimulatorConfig()), []
    is_there = threading.Semaphore(0)

    def take(result):
        results.append(result)
        is_there.release()

    services.prepare(hears=True)
    services.recognize(Recognize(b"", "audio/pcm"), take)
    services.synthesize(Synthesize("Hello.", "", "audio/pcm"), take)
    assert all(is_there.acquire(timeout=10) for _ in range(2))
    services.close()
    assert results == [None, None]
