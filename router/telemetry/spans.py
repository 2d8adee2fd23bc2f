"""The spans of one session, by the semantic conventions for GenAI: session, turns, dials, functions, hooks.

A span only records times and attributes. The provider's processor sends spans on a separate thread. Events arrive on
the supervisor's thread, dials on the connector's threads, functions and hooks on their pools' threads.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from actors import lifecycle, messages
from actors.connections.handover import HandshakeRefused
from router.config.parsers import is_azure
from router.secrets import MIN_SECRET_CHARS
from router.session import reports
from router.session.work import CallEndpoint, CallTool, ConfigureSession
from router.trace_context import OUTGOING
from router.usage.tokens import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from actors.connections.base import Connection
    from actors.connections.upstream import DialTarget
    from router.access.request import Request

_NS: Final = 1_000_000_000
_PROPAGATOR: Final = TraceContextTextMapPropagator()

DEEPGRAM: Final = "deepgram"
"""The provider of a relay whose upstream is not in the configured list."""

REDACTED: Final = "[redacted]"

AZURE: Final = "azure.ai.openai"
"""The semantic conventions' name for Azure as the provider of a model."""

HOOKS: Final[Mapping[type, str]] = {
    lifecycle.SessionStarted: "on_session_start",
    lifecycle.SessionEnded: "on_session_end",
    reports.Turn: "on_turn",
    reports.Usage: "on_usage",
}
"""The name of the hook that each notification calls."""


class Tracing:
    """The factory for the spans of one router."""

    def __init__(
        self,
        tracer: Tracer,
        shut_down: Callable[[], object] | None = None,
        redact: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.tracer = tracer
        self._shut_down = shut_down
        self._redact = redact

    def session(self, session_id: str, request: Request) -> SessionSpans:
        """Return the spans of a session. Credentials, including the client's own, are redacted in their texts."""
        credential, redact = request.credential, self._redact
        if credential is None or len(credential) < MIN_SECRET_CHARS:
            return SessionSpans(self.tracer, session_id, request, redact)
        return SessionSpans(self.tracer, session_id, request, lambda text: redact(text.replace(credential, REDACTED)))

    @contextlib.contextmanager
    def authenticating(self, session_id: str, request: Request) -> Iterator[None]:
        """Run the block, which authenticates a request, in a separate span. The session's span does not exist yet."""
        facts = {"gen_ai.conversation.id": session_id, "url.path": self._redact(request.path)}
        with self.tracer.start_as_current_span(
            "authenticate",
            _PROPAGATOR.extract(dict(request.headers)),
            attributes=facts,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except HandshakeRefused as refused:
                span.set_attributes({"error.type": str(refused.status), "http.response.status_code": refused.status})
                span.set_status(Status(StatusCode.ERROR))
                raise
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def close(self) -> None:
        """Send the remaining spans, unless the provider belongs to the host application."""
        if self._shut_down is not None:
            self._shut_down()


class SessionSpans:
    """The spans of one session."""

    def __init__(self, tracer: Tracer, session_id: str, request: Request, redact: Callable[[str], str]) -> None:
        self._tracer = tracer
        self._redact = redact
        self._parent: Context = _PROPAGATOR.extract(dict(request.headers))
        self._attributes: dict[str, Any] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.conversation.id": session_id,
            "gen_ai.provider.name": "openai",
            "url.path": request.path,
        }
        if request.remote_address:
            self._attributes["client.address"] = request.remote_address
        if request.headers.get("user-agent"):
            self._attributes["user_agent.original"] = request.headers["user-agent"]
        self._route = request.path
        self._session: Span = trace.INVALID_SPAN
        self._turn: Span | None = None
        self._turn_ended_ns: int | None = None
        self._turn_tokens: dict[str, int] = {}
        self._model = ""
        self._dial: Span | None = None
        """The span of the newest dial. The next dial of a restart links to it."""
        self._lost = ""
        """The cause of the newest loss of an upstream; empty after the next dial."""

    # On the supervisor's thread.

    def observe(self, event: Any) -> None:
        """Take an event of the supervisor, or a notification of the session."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event)

    def _started(self, _event: lifecycle.SessionStarted | lifecycle.SessionAdopted) -> None:
        self._session = self._begun(f"session {self._route}", self._parent, SpanKind.SERVER, self._attributes)

    def _upstream_requested(self, event: lifecycle.UpstreamRequested) -> None:
        self._model = event.route
        self._set(self._session, {"gen_ai.request.model": event.route})

    def _dialled(self, event: lifecycle.Dial) -> None:
        provider = AZURE if is_azure(event.target.url) else None if event.target.position is not None else DEEPGRAM
        if provider is not None:
            self._attributes["gen_ai.provider.name"] = provider
            self._session.set_attribute("gen_ai.provider.name", provider)

    def _upstream_lost(self, event: messages.UpstreamLost) -> None:
        self._lost = event.loss.cause or event.loss.kind.value
        facts = {"cause": self._lost, "generation": event.generation, "decision": event.verdict.decision.value}
        self._session.add_event("upstream lost", self._clean(facts))

    def _turn_began(self, event: reports.TurnBegan) -> None:
        self._end_turn()
        self._turn = self._begun(
            f"chat {self._model}",
            trace.set_span_in_context(self._session),
            SpanKind.CLIENT,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": str(self._attributes["gen_ai.provider.name"]),
                "gen_ai.request.model": self._model,
                "gen_ai.conversation.id": self._attributes["gen_ai.conversation.id"],
            },
            ago_s=event.ago_s,
        )

    def _usage(self, event: reports.Usage) -> None:
        if event.kind != "response":
            return
        tokens = measure(event.details).tokens
        counts = {
            "gen_ai.usage.input_tokens": sum(n for kind, n in tokens.items() if kind.direction == "input"),
            "gen_ai.usage.output_tokens": sum(n for kind, n in tokens.items() if kind.direction == "output"),
            "gen_ai.usage.cache_read.input_tokens": sum(n for kind, n in tokens.items() if kind.cached),
        }
        for name, count in counts.items():
            self._turn_tokens[name] = self._turn_tokens.get(name, 0) + count
        if self._turn is not None and event.id:
            self._set(self._turn, {"gen_ai.response.id": event.id})

    def _turn_ended(self, _event: reports.TurnEnded) -> None:
        self._turn_ended_ns = time.time_ns()  # the latencies of the turn follow

    def _turn_latency(self, event: reports.TurnLatency) -> None:
        for name, value in (("first_audio", event.first_audio_s), ("first_text", event.first_text_s)):
            if value is not None and self._turn is not None:
                self._turn.set_attribute(f"switchboard.turn.{name}_s", value)
        self._end_turn()

    def _function_answered(self, event: reports.FunctionAnswered) -> None:
        # A function of the router has a span that its own thread makes.
        if event.client_tool is None:
            return
        parent = self._turn if self._turn is not None else self._session
        span = self._begun(
            f"execute_tool {event.client_tool}",
            trace.set_span_in_context(parent),
            SpanKind.CLIENT,
            _tool(event.client_tool, event.call_id),
            ago_s=event.duration_s,
        )
        span.end()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.set_attributes(self._turn_tokens)
            turn.end(self._turn_ended_ns)
        self._turn_ended_ns, self._turn_tokens = None, {}

    def _failed(self, event: reports.SessionFailed) -> None:
        self._set(self._session, {"error.type": event.code})
        self._session.set_status(Status(StatusCode.ERROR, self._redact(event.description)))

    def _actor_failed(self, event: lifecycle.ActorFailed) -> None:
        if event.role is not lifecycle.Role.UPSTREAM:
            self._session.set_attribute("error.type", "INTERNAL_SERVER_ERROR")
            self._session.set_status(Status(StatusCode.ERROR, f"the {event.role.value} failed"))

    def _ended(self, event: lifecycle.SessionEnded) -> None:
        self._end_turn()
        facts = {"switchboard.session.code": int(event.code), "switchboard.session.restarts": event.restarts}
        self._session.set_attributes(facts)
        self._session.end()

    def _moved(self, event: lifecycle.SessionMoved) -> None:
        self._end_turn()
        self._session.set_attribute("switchboard.session.restarts", event.restarts)
        self._session.end()

    # Texts of spans.

    def _begun(self, name: str, parent: Context, kind: SpanKind, facts: Mapping[str, Any], *, ago_s: float = 0) -> Span:
        """Return a span that began `ago_s` seconds ago.

        Its name is redacted, because a model or a function may have any name.
        """
        start_ns = time.time_ns() - int(ago_s * _NS)
        name = self._redact(name.rstrip())
        return self._tracer.start_span(name, parent, kind, attributes=self._clean(facts), start_time=start_ns)

    def _set(self, span: Span, facts: Mapping[str, Any]) -> None:
        span.set_attributes(self._clean(facts))

    def _clean(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._redact(value) if isinstance(value, str) else value for name, value in facts.items()}

    # On the threads of pools.

    def dialling(self, dial: Callable[[DialTarget], Connection]) -> Callable[[DialTarget], Connection]:
        """Return a function that calls `dial` in a span. A restart's span links to the lost upstream's dial."""

        def run(target: DialTarget) -> Connection:
            before, cause, self._lost = self._dial, self._lost, ""
            where = urlsplit(target.url)
            facts: dict[str, Any] = {"server.address": where.hostname or "", "gen_ai.request.model": self._model}
            if target.position is not None:
                facts["switchboard.upstream.position"] = target.position
            links = []
            if before is not None and cause:
                links.append(Link(before.get_span_context(), self._clean({"switchboard.restart.cause": cause})))
            with self._spanned(f"dial {where.hostname}", facts, kind=SpanKind.CLIENT, links=links) as span:
                self._dial = span
                return dial(target)

        return run

    def performing(self, perform: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a function that calls `perform`, in a span for functions and for the hook `configure`."""

        def run(work: Any) -> Any:
            match work:
                case CallTool(_, call_id, name) | CallEndpoint(name=name, call_id=call_id):
                    with self._spanned(f"execute_tool {name}", _tool(name, call_id), parent=self._turn):
                        return perform(work)
                case ConfigureSession():
                    with self._spanned("hook configure", {}):
                        return perform(work)
            return perform(work)

        return run

    def delivering(self, deliver: Callable[[Any], None] | None) -> Callable[[Any], None] | None:
        """Return a function that calls `deliver` in a span named after the hook; None without `deliver`."""
        if deliver is None:
            return None

        def run(notification: Any) -> None:
            with self._spanned(f"hook {HOOKS.get(type(notification), type(notification).__name__)}", {}):
                deliver(notification)

        return run

    @contextlib.contextmanager
    def _spanned(
        self,
        name: str,
        facts: Mapping[str, Any],
        *,
        parent: Span | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        links: list[Link] | None = None,
    ) -> Iterator[Span]:
        """Run a `with` block in a new span, which becomes this thread's current span.

        An exception becomes the span's error.
        """
        inside = trace.set_span_in_context(parent if parent is not None else self._session)
        with self._tracer.start_as_current_span(
            self._redact(name),
            inside,
            kind,
            attributes=self._clean(facts),
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            headers: dict[str, str] = {}
            _PROPAGATOR.inject(headers)
            token = OUTGOING.set(headers)
            try:
                yield span
            except Exception as error:
                # The text of an exception may quote the caller's words.
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise
            finally:
                OUTGOING.reset(token)

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        lifecycle.SessionStarted: _started,
        lifecycle.SessionAdopted: _started,
        lifecycle.SessionMoved: _moved,
        lifecycle.UpstreamRequested: _upstream_requested,
        lifecycle.Dial: _dialled,
        lifecycle.ActorFailed: _actor_failed,
        lifecycle.SessionEnded: _ended,
        messages.UpstreamLost: _upstream_lost,
        reports.TurnBegan: _turn_began,
        reports.Usage: _usage,
        reports.TurnEnded: _turn_ended,
        reports.TurnLatency: _turn_latency,
        reports.FunctionAnswered: _function_answered,
        reports.SessionFailed: _failed,
    }


def _tool(name: str, call_id: str) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.id": call_id,
        "gen_ai.tool.type": "function",
    }
