"""The limits of a relayed call, on a wire of the test's own."""

import pytest

from actors import messages as engine
from router.fronts.call_limits import CallLimits, Wire
from router.session.reports import Usage
from router.session.state.limited import CALL, COST, GRACE_S, SILENCE, TOKENS, TURNS
from router.usage.prices import Price, PriceTable
from tests.support.machine.options import session_options

PRICES = PriceTable({"known": Price(text_output=1_000_000.0)})


class Relay:
    """A relay with nothing but limits, a clock, and timers."""

    def __init__(self, **options):
        self.now_s, self.is_in_turn = 1000.0, False
        self.seen, self.timers = [], {}
        wire = Wire(lambda: self.is_in_turn, lambda it: [engine.SendToClient(f"warn {it.code}")], self.end)
        self.limits = CallLimits(session_options(**options), wire)
        self.take(self.limits.begin(self.now_s))

    @staticmethod
    def end(limit):
        return [engine.SendToClient(f"error {limit.code}"), engine.EndSession(1000, limit.code)]

    def take(self, commands):
        for command in commands:
            if isinstance(command, engine.StartTimer):
                self.timers[command.name] = self.now_s + command.delay_s
            elif isinstance(command, engine.SendToClient):
                self.seen.append(command.frame)
            else:
                self.timers.clear()
                self.seen.append("end")

    def settle(self):
        self.take(self.limits.settle(self.now_s))

    def run(self, duration_s):
        """Let time pass."""
        until_s = self.now_s + duration_s
        while self.timers and min(self.timers.values()) <= until_s:
            name = min(self.timers, key=self.timers.__getitem__)
            self.now_s = self.timers.pop(name)
            fired = engine.TimerFired(name)
            assert self.limits.is_own(fired)
            self.take(self.limits.fire(fired, self.now_s))
            self.settle()
        self.now_s = until_s


def ended(limit):
    return [f"warn {limit.code}", f"error {limit.code}", "end"]


def usage(tokens):
    details = {"total_tokens": tokens, "output_tokens": tokens}
    return Usage(kind="response", id="r", model="known", details=details)


def test_an_idle_call_is_warned_at_80_percent_and_ends_at_its_length():
    relay = Relay(max_call_s=100.0)
    relay.run(79)
    assert relay.seen == []
    relay.run(2)
    assert relay.seen == [f"warn {CALL.code}"]
    relay.run(18)
    assert relay.seen == [f"warn {CALL.code}"]
    relay.run(2)
    assert relay.seen == ended(CALL)


def test_a_turn_in_progress_is_finished_and_heard_first():
    relay = Relay(max_call_s=100.0)
    relay.is_in_turn = True
    relay.run(105)
    relay.limits.playback.play(3.0, relay.now_s)
    relay.is_in_turn = False
    relay.settle()
    relay.run(2.9)
    assert "end" not in relay.seen
    relay.run(0.2)
    assert relay.seen == ended(CALL)


def test_a_further_turn_that_begins_in_the_playback_is_finished_too():
    relay = Relay(max_call_s=100.0)
    relay.limits.playback.play(102.0, relay.now_s)
    relay.run(101)
    relay.is_in_turn = True
    relay.run(20)
    assert "end" not in relay.seen
    relay.is_in_turn = False
    relay.settle()
    assert relay.seen == ended(CALL)


def test_no_further_turn_begins_behind_the_last_token():
    relay = Relay(max_tokens=10)
    relay.limits.playback.play(30.0, relay.now_s)
    relay.limits.add_usage(usage(10))
    relay.settle()
    relay.run(5)
    assert "end" not in relay.seen
    relay.is_in_turn = True
    relay.settle()
    assert relay.seen == ended(TOKENS)


def test_audio_that_the_user_interrupted_is_not_waited_for():
    relay = Relay(max_call_s=100.0)
    relay.limits.playback.play(200.0, relay.now_s)
    relay.run(101)
    relay.limits.playback.stop()
    relay.settle()
    assert relay.seen == ended(CALL)


def test_a_turn_without_an_end_has_an_end():
    relay = Relay(max_call_s=100.0)
    relay.is_in_turn = True
    relay.run(100 + GRACE_S - 1)
    assert "end" not in relay.seen
    relay.run(2)
    assert relay.seen == ended(CALL)


def test_a_silence_ends_the_call_and_activity_begins_a_new_one():
    relay = Relay(max_silence_s=100.0)
    relay.run(85)
    assert relay.seen == [f"warn {SILENCE.code}"]
    relay.limits.mark_active(relay.now_s)
    relay.run(75)
    assert relay.seen == [f"warn {SILENCE.code}"]
    relay.run(40)
    assert relay.seen == [f"warn {SILENCE.code}", *ended(SILENCE)]


def test_a_caller_who_listens_is_not_silent():
    relay = Relay(max_silence_s=10.0)
    relay.limits.playback.play(30.0, relay.now_s)
    relay.run(37)
    assert relay.seen == []
    relay.run(5)
    assert relay.seen == ended(SILENCE)


def test_a_silence_begins_where_the_caller_has_heard_an_answer_that_was_sent_long_before():
    relay = Relay(max_silence_s=10.0)
    relay.run(1)
    relay.limits.mark_active(relay.now_s)
    relay.limits.playback.play(5.0, relay.now_s)
    # No step of the limits falls into the playback, from 1 s to 6 s.
    relay.run(14.9)
    assert relay.seen == [f"warn {SILENCE.code}"]
    relay.run(0.2)
    assert relay.seen == ended(SILENCE)


@pytest.mark.parametrize(
    ("limit", "options"), [(TOKENS, {"max_tokens": 100}), (COST, {"max_cost_usd": 100.0, "price_table": PRICES})]
)
def test_usage_warns_and_ends_the_call_after_the_turn(limit, options):
    relay = Relay(**options)
    relay.is_in_turn = True
    relay.limits.add_usage(usage(80))
    relay.settle()
    relay.settle()
    assert relay.seen == [f"warn {limit.code}"]
    relay.limits.add_usage(usage(20))
    relay.settle()
    assert relay.seen == [f"warn {limit.code}"]
    relay.is_in_turn = False
    relay.settle()
    relay.settle()
    assert relay.seen == ended(limit)


def test_without_limits_no_clock_runs_and_nothing_ends():
    relay = Relay()
    relay.limits.add_usage(usage(10**6))
    relay.settle()
    assert (relay.timers, relay.seen) == ({}, [])


def test_timers_of_the_relay_are_left_to_it():
    assert not Relay().limits.is_own(engine.TimerFired("relay.step"))


def test_answers_are_counted():
    relay = Relay(max_turns=2)
    for seen in ([], ended(TURNS)):
        relay.limits.add_turn()
        relay.settle()
        assert relay.seen == seen


def test_a_call_that_another_machine_began_ends_at_its_length_all_the_same():
    first, second = Relay(max_call_s=100.0), Relay(max_call_s=100.0)
    first.run(60.0)
    second.now_s, second.timers = first.now_s, {}
    second.take(second.limits.resume(first.limits.limited, second.now_s))
    second.run(39.0)
    assert second.seen == [f"warn {CALL.code}"]
    second.run(2.0)
    assert second.seen == ended(CALL)
