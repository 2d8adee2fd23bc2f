"""A session's wait for Settings."""

import pytest

from actors import messages
from router.access.pending import WAITING, UntilSettings
from router.session.state.states import Lifecycle
from tests.support.machine.playbook import Playbook


class Machine:
    """A machine that records its inputs, and has its Settings when a test says so."""

    def __init__(self):
        self.inputs = []
        self.lifecycle = WAITING

    def handle(self, message, _now_s):
        self.inputs.append(message)
        return ()

    def held_bytes(self):
        return 5

    def describe(self):
        return {"lifecycle": self.lifecycle}


def test_settings_are_reported_once_and_every_input_reaches_the_machine():
    machine, reported = Machine(), []
    watched = UntilSettings(machine, machine.describe, lambda: reported.append(len(machine.inputs)))
    text = messages.ClientTextReceived("{}")
    watched.handle(text, 0.0)
    machine.lifecycle = "connecting"
    watched.handle(messages.TimerFired("other"), 0.0)
    assert reported == []
    for _ in range(3):
        watched.handle(text, 0.0)
    assert (reported, len(machine.inputs), watched.held_bytes()) == ([3], 5, 5)


@pytest.mark.parametrize("profile", ["openai", "converse"])
def test_the_real_machine_waits_until_its_settings_came(profile):
    book = Playbook(profile)
    assert book.session.describe()["lifecycle"] == Lifecycle.AWAITING_SETTINGS.value == WAITING
    book.ready()
    assert book.session.describe()["lifecycle"] != WAITING
