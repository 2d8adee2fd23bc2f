"""The end of a relayed session: in one way, once."""

import json

import pytest

from actors import messages as engine
from router.fronts.call_limits import CALL_TIMER
from router.fronts.deepgram_agent import endings
from router.fronts.deepgram_agent.closing import DRAIN_TIMER, PLAYBACK_TIMER, SETTINGS_TIMER, Closing
from router.fronts.deepgram_agent.reporting import Reporter
from tests.support.machine.options import session_options


@pytest.fixture
def turn():
    return [False]


@pytest.fixture
def closing(turn):
    options = session_options(max_call_s=100.0)
    return Closing(options, Reporter(options), lambda: turn[0], lambda _text: iter(()))


def test_the_clocks_of_settings_and_limits_start_together(closing):
    assert [it.name for it in closing.begin(0.0)] == [SETTINGS_TIMER, CALL_TIMER]
    assert all(closing.is_own(engine.TimerFired(name)) for name in (SETTINGS_TIMER, DRAIN_TIMER, CALL_TIMER))
    assert not closing.is_own(engine.TimerFired("deepgram.turn"))


def test_a_drain_waits_for_the_turn_and_for_the_caller_s_ear(closing, turn):
    turn[0] = True
    list(closing.drain(engine.DrainBegan(30.0), 0.0))
    assert list(closing.settle(0.0)) == []
    turn[0] = False
    closing.limits.playback.play(2.0, 1.0)
    assert list(closing.settle(1.0)) == [engine.StartTimer(PLAYBACK_TIMER, 2.0)]
    assert list(closing.settle(2.0)) == [], "the timer runs"
    list(closing.fire(engine.TimerFired(PLAYBACK_TIMER), 3.0))
    assert list(closing.settle(3.0)) == [engine.EndSession(1012, "SERVER_GOING_AWAY", 27.0)]
    assert list(closing.settle(3.0)) == []


@pytest.mark.parametrize(
    ("timer", "code", "close_code"),
    [(SETTINGS_TIMER, "CLIENT_MESSAGE_TIMEOUT", 1000), (DRAIN_TIMER, "SERVER_GOING_AWAY", 1012)],
)
def test_a_missed_deadline_ends_the_session(closing, timer, code, close_code):
    error, end = closing.fire(engine.TimerFired(timer), 0.0)
    assert (json.loads(error.frame)["code"], end.code) == (code, close_code)
    assert closing.has_ended


def test_an_end_follows_its_error(closing):
    assert [type(it) for it in closing.fail(endings.TOO_SLOW)] == [engine.SendToClient, engine.EndSession]
