"""The spans of a session, in memory."""

from http import HTTPStatus
from types import SimpleNamespace

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from actors import lifecycle, messages
from actors.connections.handover import HandshakeRefused
from actors.connections.upstream import DialError, DialFailure, DialTarget
from actors.restart import Decision, Loss, LossKind, Verdict
from router.access.request import Request
from router.deepgram.blocks import Endpoint
from router.session import reports
from router.session.work import CallEndpoint, CallTool, ConfigureSession, PrepareAudio
from router.telemetry.spans import Tracing
from router.trace_context import OUTGOING

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
REQUEST = Request(
    path="/openai",
    profile="openai",
    query={},
    headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "user-agent": "test"},
    remote_address="192.0.2.7",
)
USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "input_token_details": {"text_tokens": 100, "cached_tokens": 64},
    "output_token_details": {"audio_tokens": 20},
}
TARGET = DialTarget(url="wss://api.openai.com/v1/realtime", position=0)
STARTED = (
    lifecycle.SessionStarted("s1"),
    lifecycle.UpstreamRequested("s1", 1, "gpt-realtime", 0.0, is_standby=False),
)
ENDED = lifecycle.SessionEnded("s1", 1.0, 1000, "", 0)


class Traced:
    """The spans of one session, and those that have ended by name."""

    def __init__(self, request=REQUEST):
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider.get_tracer("test"))
        self.spans = self.tracing.session("s1", request)
        self.observe(*STARTED)

    def observe(self, *events):
        for event in events:
            self.spans.observe(event)
        return self

    @property
    def ended(self):
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def traced():
    return Traced()


KEY = "sk-proj-0123456789abcdefghijkl"


def test_no_text_of_a_span_has_a_credential():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    request = Request(
        path=f"/openai/{KEY}",
        profile="openai",
        query={},
        headers={"user-agent": f"agent {KEY} the-client-s-own"},
        credential="the-client-s-own",
    )
    tracing = Tracing(provider.get_tracer("test"), redact=lambda text: text.replace(KEY, "***"))
    with pytest.raises(HandshakeRefused), tracing.authenticating("s1", request):
        raise HandshakeRefused(HTTPStatus.UNAUTHORIZED, KEY)
    spans = tracing.session("s1", request)
    for event in (
        lifecycle.SessionStarted("s1"),
        lifecycle.UpstreamRequested("s1", 1, KEY, 0.0, is_standby=False),
        reports.TurnBegan(0.0),
        reports.FunctionAnswered(0.1, call_id=KEY, client_tool=KEY),
        reports.Usage(kind="response", id=KEY, model=KEY, details=USAGE),
        messages.UpstreamLost(1, Loss(kind=LossKind.SILENT, cause=KEY), Verdict(decision=Decision.RESTART)),
        reports.SessionFailed(KEY, KEY),
        ENDED,
    ):
        spans.observe(event)
    with pytest.raises(ValueError, match="sk-"):
        spans.performing(_fail)(CallTool("s1", KEY, KEY, "{}"))
    written = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert KEY not in written
    assert "the-client-s-own" not in written
    assert "***" in written


def _fail(_work):
    raise ValueError(KEY)


def test_an_authentication_is_a_span_in_the_client_s_trace(traced):
    with traced.tracing.authenticating("s1", REQUEST):
        pass
    span = traced.ended["authenticate"]
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.attributes["gen_ai.conversation.id"] == "s1"
    assert span.status.status_code is StatusCode.UNSET
    with pytest.raises(HandshakeRefused), traced.tracing.authenticating("s2", REQUEST):
        raise HandshakeRefused(HTTPStatus.UNAUTHORIZED, "no")
    span = traced.ended["authenticate"]
    assert (span.attributes["error.type"], span.status.status_code) == ("401", StatusCode.ERROR)


def test_a_relayed_turn_names_its_provider(traced):
    relayed = DialTarget(url="wss://agent.deepgram.com/v1/agent/converse")
    traced.observe(lifecycle.Dial(relayed, 0), reports.TurnBegan(0.0), reports.TurnEnded(), ENDED)
    assert traced.ended["chat gpt-realtime"].attributes["gen_ai.provider.name"] == "deepgram"


def test_a_session_is_a_span_in_the_trace_of_its_client(traced):
    (span,) = traced.observe(ENDED).ended.values()
    assert (span.name, span.kind) == ("session /openai", SpanKind.SERVER)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent.span_id == 0x00F067AA0BA902B7
    assert span.attributes["gen_ai.conversation.id"] == "s1"
    assert span.attributes["gen_ai.request.model"] == "gpt-realtime"
    assert span.attributes["client.address"] == "192.0.2.7"
    assert span.attributes["switchboard.session.code"] == 1000


def test_a_session_without_a_trace_begins_one():
    (span,) = Traced(Request(path="/", profile="openai", query={}, headers={})).observe(ENDED).ended.values()
    assert span.parent is None


def test_a_failed_session_is_an_error(traced):
    traced.observe(reports.SessionFailed("UPSTREAM_UNAVAILABLE", "no"), ENDED)
    span = traced.ended["session /openai"]
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "UPSTREAM_UNAVAILABLE")


def test_a_turn_has_its_tokens_latencies_and_beginning(traced):
    usage = reports.Usage(kind="response", id="resp_1", model="gpt-realtime", details=USAGE)
    traced.observe(reports.TurnBegan(2.0), usage, usage, reports.TurnEnded())
    traced.observe(reports.TurnLatency(first_audio_s=0.5, first_text_s=0.2), ENDED)
    turn, session = traced.ended["chat gpt-realtime"], traced.ended["session /openai"]
    assert turn.parent.span_id == session.context.span_id
    assert turn.end_time - turn.start_time >= 2_000_000_000
    assert turn.attributes["gen_ai.operation.name"] == "chat"
    assert turn.attributes["gen_ai.usage.input_tokens"] == 200
    assert turn.attributes["gen_ai.usage.output_tokens"] == 40
    assert turn.attributes["gen_ai.usage.cache_read.input_tokens"] == 128
    assert turn.attributes["switchboard.turn.first_audio_s"] == 0.5


def test_a_turn_that_is_not_over_ends_with_the_session(traced):
    traced.observe(reports.TurnBegan(0.0), ENDED)
    assert "chat gpt-realtime" in traced.ended


def test_the_dial_of_a_restart_has_a_link_to_that_of_the_lost_upstream(traced):
    dial = traced.spans.dialling(lambda target: target)
    assert dial(TARGET) is TARGET
    first = traced.ended["dial api.openai.com"]
    loss = Loss(kind=LossKind.CLOSED, cause="closed by the peer")
    traced.observe(messages.UpstreamLost(1, loss, Verdict(decision=Decision.RESTART)))
    dial(TARGET)
    traced.observe(ENDED)
    second, session = traced.ended["dial api.openai.com"], traced.ended["session /openai"]
    assert first.links == ()
    (link,) = second.links
    assert link.context.span_id == first.context.span_id
    assert link.attributes["switchboard.restart.cause"] == "closed by the peer"
    assert (first.kind, first.parent.span_id) == (SpanKind.CLIENT, session.context.span_id)
    assert [event.name for event in session.events] == ["upstream lost"]


def test_a_dial_that_fails_is_an_error_without_the_text_of_the_exception(traced):
    def fail(_target):
        raise DialError(DialFailure.TCP, detail="secret")

    with pytest.raises(DialError):
        traced.spans.dialling(fail)(TARGET)
    span = traced.ended["dial api.openai.com"]
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "DialError")
    assert "secret" not in span.to_json()


@pytest.mark.parametrize(
    "work",
    [CallTool("s1", "call_1", "weather", "{}"), CallEndpoint(Endpoint(url="https://x"), "{}", "weather", "call_1")],
)
def test_a_function_is_a_span_of_its_turn_and_passes_the_trace_on(traced, work):
    traced.observe(reports.TurnBegan(0.0))
    headers = traced.spans.performing(lambda _work: OUTGOING.get())(work)
    traced.observe(ENDED)
    span, turn = traced.ended["execute_tool weather"], traced.ended["chat gpt-realtime"]
    assert span.parent.span_id == turn.context.span_id
    assert span.attributes["gen_ai.tool.call.id"] == "call_1"
    assert headers == {"traceparent": f"00-{TRACE}-{span.context.span_id:016x}-01"}
    assert OUTGOING.get() == {}


def test_hooks_are_spans_and_other_work_is_none(traced):
    traced.spans.performing(lambda _work: None)(ConfigureSession({}))
    traced.spans.performing(lambda _work: None)(PrepareAudio(SimpleNamespace(), SimpleNamespace()))
    traced.spans.delivering(lambda _turn: None)(reports.Turn(said=()))
    assert set(traced.ended) == {"hook configure", "hook on_turn"}
    assert traced.spans.delivering(None) is None


def test_a_function_of_the_client_is_a_span_and_one_of_the_router_s_is_not_one_twice(traced):
    traced.observe(reports.TurnBegan(2.0))
    traced.observe(reports.FunctionAnswered(1.5, "call_1", "weather"), reports.FunctionAnswered(0.5, "call_2"), ENDED)
    span, turn = traced.ended["execute_tool weather"], traced.ended["chat gpt-realtime"]
    assert span.end_time - span.start_time >= 1_500_000_000
    assert span.parent.span_id == turn.context.span_id
    assert len(traced.ended) == 3


def test_the_provider_of_an_azure_upstream_is_named(traced):
    target = DialTarget(url="wss://x.openai.azure.com/openai/v1/realtime", position=0)
    traced.observe(lifecycle.Dial(target, 0), reports.TurnBegan(0.0), ENDED)
    assert {span.attributes["gen_ai.provider.name"] for span in traced.ended.values()} == {"azure.ai.openai"}


def test_a_session_that_moves_ends_its_span_and_begins_another():
    traced = Traced()
    traced.observe(lifecycle.SessionMoved("s1", 1.0, 2))
    (span,) = [it for it in traced._exporter.get_finished_spans() if it.name.startswith("session")]
    assert span.attributes["switchboard.session.restarts"] == 2
    traced.observe(lifecycle.SessionAdopted("s1"), ENDED)
    assert len(traced._exporter.get_finished_spans()) == 2
