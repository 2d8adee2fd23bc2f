"""The observer of a session: the log line of its end, and the line of the usage log."""

import logging
import os

import orjson
import pytest

from actors import lifecycle, messages
from actors.connections.base import ConnectionClosed, Ending
from actors.connections.upstream import DialTarget
from actors.restart import Decision, Loss, LossKind, Verdict
from router.access.request import Principal, Request
from router.config.model import RouterConfig, Upstream
from router.observer.sessions import Observers
from router.session import reports
from router.usage.prices import Price

USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "input_token_details": {"text_tokens": 100, "cached_tokens": 64},
    "output_token_details": {"audio_tokens": 20},
}
REQUEST = Request(
    path="/openai",
    profile="openai",
    query={},
    headers={"user-agent": "test", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"},
    remote_address="192.0.2.7",
    principal=Principal("ada"),
)


BILLED = RouterConfig(upstream="ws://h/v1/realtime")


class Lines:
    """A usage log in memory."""

    def __init__(self):
        self.written = []

    def write(self, line):
        self.written.append(orjson.loads(line))


def usage(model="gpt-realtime", details=USAGE):
    return reports.Usage(kind="response", id="r", model=model, details=details)


def closed():
    return lifecycle.ClientEnded("s1", ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000, reason="done"))


def ended(code=1000, restarts=0):
    return lifecycle.SessionEnded("s1", 3.25, code, "", restarts)


def observe(caplog, *events, config=None):
    """Feed a session's events. Return the record of its last log line, and the line of the usage log."""
    caplog.set_level(logging.INFO)
    lines = Lines()
    observer = Observers(config or BILLED, lines).new("s1", REQUEST)
    for event in events:
        observer(event)
    return caplog.records[-1], lines.written[-1]


def talk():
    return [
        lifecycle.SessionStarted("s1"),
        lifecycle.UpstreamRequested("s1", 1, "gpt-realtime", 0.0, is_standby=False),
        lifecycle.Dial(DialTarget(url="ws://h", position=0), 0),
        reports.UpstreamTookOver(generation=1, position=0),
        reports.TurnEnded(),
        reports.AudioCarried(received_s=2.0, sent_s=1.5),
        reports.AudioCarried(received_s=0.25, sent_s=0.0),
        reports.TurnLatency(first_audio_s=0.5, first_text_s=0.2),
        usage(),
        reports.TurnEnded(),
        reports.TurnLatency(first_audio_s=None, first_text_s=0.7),
        usage("whisper-1", {"type": "duration", "seconds": 30}),
        closed(),
    ]


def test_one_line_sums_a_session_up(caplog):
    record, _ = observe(caplog, *talk(), ended(restarts=2))
    assert record.levelname == "INFO"
    assert record.getMessage() == "session s1 ended after 3.2 s: client 1000"
    fields = {
        "session": "s1",
        "route": "/openai",
        "generation": 1,
        "trace": "ab" * 16,
        "principal": "ada",
        "duration_s": 3.25,
        "turns": 2,
        "restarts": 2,
        "end": "client",
        "code": "1000",
        "cause": "done",
        "input_tokens": 100,
        "output_tokens": 20,
        "latency_p50_ms": 600,
        "latency_max_ms": 700,
        "peer": "192.0.2.7",
        "user_agent": "test",
        "model": "gpt-realtime",
        "upstream": "ws://h/v1/realtime?model=gpt-realtime-2.1",
        "worker": os.getpid(),
    }
    assert {name: getattr(record, name) for name in fields} == fields
    assert record.cost_usd == pytest.approx((36 * 4 + 64 * 0.4 + 20 * 64) / 1e6 + 0.003)


def test_the_usage_log_has_a_line_for_the_session(caplog):
    record, line = observe(caplog, *talk(), ended())
    assert line.pop("started_at") < line.pop("ended_at")
    assert line.pop("cost_usd") == record.cost_usd
    assert line.pop("costs") == {"gpt-realtime": pytest.approx(record.cost_usd - 0.003), "whisper-1": 0.003}
    kind = {"model": "gpt-realtime", "modality": "text", "direction": "input"}
    assert line == {
        "session": "s1",
        "principal": "ada",
        "route": "/openai",
        "duration_s": 3.25,
        "turns": 2,
        "restarts": 0,
        "end": "client",
        "code": "1000",
        "upstream": "ws://h/v1/realtime?model=gpt-realtime-2.1",
        "usage": [
            {**kind, "cached": False, "tokens": 36},
            {**kind, "cached": True, "tokens": 64},
            {**kind, "modality": "audio", "direction": "output", "cached": False, "tokens": 20},
        ],
        "seconds": {"whisper-1": 30.0},
        "audio_in_s": 2.25,
        "audio_out_s": 1.5,
    }


def test_a_session_without_a_turn_has_no_latency_and_no_cost(caplog):
    record, line = observe(caplog, lifecycle.SessionStarted("s1"), closed(), ended())
    assert (record.latency_p50_ms, record.cost_usd, record.model) == (None, 0.0, "")
    assert (line["usage"], line["cost_usd"]) == ([], 0.0)


def test_a_failed_session_is_a_warning_with_the_upstream_s_own_words(caplog):
    failure = reports.SessionFailed("UPSTREAM_CLOSED", "the model closed the session: overloaded")
    record, line = observe(caplog, failure, ended(1011))
    assert (record.levelname, record.end, record.code) == ("WARNING", "failed", "UPSTREAM_CLOSED")
    assert record.cause == "the model closed the session: overloaded"
    assert (line["end"], line["code"]) == ("failed", "UPSTREAM_CLOSED")


def test_a_refused_certificate_is_an_error(caplog):
    loss = Loss(kind=LossKind.NOT_DIALLED, cause="no TLS")
    lost = messages.UpstreamLost(1, loss, Verdict(decision=Decision.TEAR_DOWN))
    failure = reports.SessionFailed("UPSTREAM_UNAVAILABLE", "the model cannot be reached")
    assert observe(caplog, lost, failure, ended(1011))[0].levelname == "ERROR"


def test_a_failed_actor_is_a_crash_unless_it_is_the_upstream_s(caplog):
    translator = lifecycle.ActorFailed("s1", lifecycle.Role.TRANSLATOR)
    assert observe(caplog, translator, ended(1011))[0].end == "crashed"
    upstream = lifecycle.ActorFailed("s1", lifecycle.Role.UPSTREAM, 1)
    assert observe(caplog, upstream, closed(), ended())[0].end == "client"


def test_the_upstream_that_was_dialled_last_is_named(caplog):
    config = RouterConfig(upstreams=(Upstream(url="ws://one/"), Upstream(url="ws://two/")))
    record, _ = observe(caplog, lifecycle.Dial(DialTarget(url="ws://two", position=1), 1), ended(), config=config)
    assert record.upstream.startswith("ws://two/")


def test_an_upstream_beside_the_list_is_named_by_its_host(caplog):
    target = DialTarget(url="wss://agent.deepgram.com/v1/agent/converse?secret=1")
    record, line = observe(caplog, lifecycle.Dial(target, 0), ended())
    assert record.upstream == line["upstream"] == "agent.deepgram.com"


def test_a_model_without_a_price_is_warned_of_once(caplog):
    observers = Observers(BILLED)
    for session in ("s1", "s2"):
        observers.new(session, REQUEST)(usage("mine"))
    assert [record.getMessage() for record in caplog.records] == [
        "the model mine lacks a price: such use is counted and costs nothing ([prices])"
    ]


def test_a_call_of_the_embedded_simulator_counts_at_the_prices_of_its_models(caplog):
    simulated, line = observe(caplog, *talk(), ended(), config=RouterConfig())
    billed, _ = observe(caplog, *talk(), ended(), config=BILLED)
    assert simulated.cost_usd == billed.cost_usd > 0
    assert line["upstream"] == "simulator"


def test_the_configuration_s_prices_count(caplog):
    config = RouterConfig(prices={"mine": Price(text_input=1_000_000.0)})
    record, _ = observe(caplog, usage("mine", {"input_tokens": 3}), ended(), config=config)
    assert record.cost_usd == 3.0


def test_events_that_nothing_is_known_of_are_ignored(caplog):
    assert observe(caplog, object(), reports.FunctionAnswered(0.3), ended())[0].turns == 0


def test_each_process_writes_its_part_of_a_session_that_moves(caplog):
    log = Lines()
    observers = Observers(BILLED, log)
    first, second = observers.new("s1", REQUEST), observers.new("s1", REQUEST)
    with caplog.at_level(logging.INFO):
        for event in (lifecycle.SessionStarted("s1"), usage(), lifecycle.SessionMoved("s1", 1.5, 0)):
            first(event)
        assert observers.present == {}
        for event in (lifecycle.SessionAdopted("s1"), usage(), closed(), ended()):
            second(event)
    assert [(line["end"], line["duration_s"], line["usage"][0]["tokens"]) for line in log.written] == [
        ("moved", 1.5, log.written[0]["usage"][0]["tokens"]),
        ("client", 3.25, log.written[0]["usage"][0]["tokens"]),
    ]
    assert "ended after 1.5 s: moved moved" in caplog.text


def test_the_tags_of_the_settings_are_in_both_lines(caplog):
    record, line = observe(caplog, *talk(), reports.Tagged(("shop", "beta")), ended())
    assert record.tags == ("shop", "beta")
    assert line["tags"] == ["shop", "beta"]
