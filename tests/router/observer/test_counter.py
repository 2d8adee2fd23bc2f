"""The metrics that the events of a session count."""

import orjson
import pytest

from actors import lifecycle, messages
from actors.restart import Decision, Loss, LossKind, Verdict
from router.metrics.catalog import BY_NAME
from router.metrics.metrics import Metrics
from router.observer.counter import Counter
from router.observer.endings import End
from router.session import reports
from router.usage.prices import shipped

RESTART, GIVE_UP = Decision.RESTART, Decision.TEAR_DOWN
GONE = End(end="client", code="1000", cause="")


class Session:
    """The counter of one session, and the values that it counted."""

    def __init__(self):
        self.metrics = Metrics()
        self._counter = Counter(self.metrics, "/openai", shipped())

    def take(self, *events):
        for event in events:
            self._counter.take(event)
        return self

    def end(self, end=GONE):
        self._counter.end(end)
        return self

    def __getitem__(self, name):
        """Return the values of a metric that are not zero, by their labels."""
        place = BY_NAME[name].sum_place if BY_NAME[name].kind == "histogram" else -1
        found = ((orjson.loads(key), numbers) for key, _, numbers in self.metrics.segment.rows())
        return {tuple(labels): numbers[place] for (it, *labels), numbers in found if it == name and any(numbers)}


def lost(generation=1, decision=RESTART, kind=LossKind.CLOSED):
    return messages.UpstreamLost(generation, Loss(kind=kind, code=1000), Verdict(decision=decision))


def took_over(generation=1, position=0, *, is_rollover=False):
    return reports.UpstreamTookOver(generation=generation, position=position, is_rollover=is_rollover)


def test_the_close_codes_of_applications_are_one_label():
    session = Session()
    for code in ("3000", "4000", "4999", "1001", "SESSION_ENDED"):
        session.take(lifecycle.SessionStarted("s")).end(End(end="client", code=code, cause=""))
    codes = {code: count for (_, _, code), count in session["switchboard_sessions_total"].items()}
    assert codes == {"application": 3.0, "1001": 1.0, "SESSION_ENDED": 1.0}


def requested(generation, *, is_standby=False):
    return lifecycle.UpstreamRequested("s", generation, "m", 0.0, is_standby)


def test_a_session_is_active_until_its_end_and_counts_by_route_end_and_code():
    session = Session().take(lifecycle.SessionStarted("s"))
    assert session["switchboard_sessions_active"] == {(): 1.0}
    session.end()
    assert session["switchboard_sessions_active"] == {}
    assert session["switchboard_sessions_total"] == {("/openai", "client", "1000"): 1.0}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([took_over(), lost(), took_over(2)], {("closed", "restored"): 1}),
        (
            [took_over(), lost(), lost(2, kind=LossKind.NOT_DIALLED), took_over(3)],
            {("closed", "failed"): 1, ("not_dialled", "restored"): 1},
        ),
        ([took_over(), lost()], {("closed", "abandoned"): 1}),
        ([lost(kind=LossKind.HTTP, decision=GIVE_UP)], {("http", "not tried"): 1}),
        ([took_over(), lost(), lost(2, GIVE_UP)], {("closed", "failed"): 1, ("closed", "not tried"): 1}),
        ([took_over()], {}),
    ],
)
def test_each_loss_has_a_result(events, expected):
    assert Session().take(*events).end()["switchboard_restarts_total"] == expected


def test_a_restart_at_another_upstream_is_a_failover():
    session = Session().take(took_over(position=0), lost(), took_over(2, position=1), lost(2), took_over(3, position=1))
    assert session["switchboard_failovers_total"] == {(): 1.0}


def test_a_rollover_and_its_failure_are_no_restarts():
    session = Session().take(took_over(), requested(2, is_standby=True), lost(2))
    session.take(requested(3, is_standby=True), took_over(3, is_rollover=True), lost(3), took_over(4))
    assert session["switchboard_rollovers_total"] == {("done",): 1, ("failed",): 1}
    assert session["switchboard_restarts_total"] == {("closed", "restored"): 1}


def test_turns_and_their_latencies_are_counted():
    session = Session().take(
        reports.TurnEnded(),
        reports.TurnLatency(first_audio_s=0.5, first_text_s=0.25),
        reports.TurnEnded(),
        reports.TurnLatency(first_audio_s=None, first_text_s=0.5),
        reports.FunctionAnswered(2.0),
    )
    assert session["switchboard_turns_total"] == {(): 2.0}
    assert session["switchboard_turn_seconds"] == {("first_audio",): 0.5, ("first_text",): 0.75, ("function",): 2.0}


def test_tokens_and_costs_are_counted_with_each_response():
    details = {"input_tokens": 100, "input_token_details": {"text_tokens": 100, "cached_tokens": 64}}
    session = Session().take(
        reports.Usage(kind="response", id="r", model="gpt-realtime", details=details),
        reports.Usage(kind="transcription", id="i", model="whisper-1", details={"type": "duration", "seconds": 60}),
        reports.Usage(kind="response", id="r", model="mine", details={"output_tokens": 5}),
    )
    assert session["switchboard_tokens_total"] == {
        ("gpt-realtime", "text", "input", "false"): 36,
        ("gpt-realtime", "text", "input", "true"): 64,
        ("mine", "text", "output", "false"): 5,
    }
    assert session["switchboard_cost_usd_total"] == {
        ("gpt-realtime",): pytest.approx((36 * 4 + 64 * 0.4) / 1e6),
        ("whisper-1",): 0.006,
    }
    assert session["switchboard_transcribed_seconds_total"] == {("whisper-1",): 60.0}


def test_audio_is_counted_each_way():
    carried = [reports.AudioCarried(received_s=2.0, sent_s=0.5), reports.AudioCarried(received_s=1.0, sent_s=0.0)]
    assert Session().take(*carried)["switchboard_audio_seconds_total"] == {("received",): 3.0, ("sent",): 0.5}


def test_a_session_that_moves_is_active_in_one_process_and_ends_in_the_last_one():
    session = Session().take(lifecycle.SessionStarted("s"))
    session.take(lifecycle.SessionMoved("s", 2.0, 0), lifecycle.SessionAdopted("s"))
    assert session["switchboard_sessions_active"] == {(): 1.0}
    session.end()
    assert session["switchboard_sessions_active"] == {}
    assert session["switchboard_sessions_total"] == {("/openai", "client", "1000"): 1.0}
