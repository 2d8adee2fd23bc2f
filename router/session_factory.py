"""The spec of each session, made of the configuration, the functions and the hooks of a router."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actors.connections.base import ConnectionLimits
from actors.connections.upstream import DialTarget, dial
from actors.spec import SessionSpec
from router.config.parsers import model_of, url_with_model
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.hooks import Hooks, SessionContext
from router.secrets import Redactor
from router.session.handlers.settings import welcome
from router.session.machine import Session
from router.session.options import SessionOptions
from router.session.profile import PROFILES
from router.translation.errors import is_fatal_reason
from router.translation.voices import Voices
from router.wire_view import WireView

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.machine import Machine
    from router.auth import Principal, Request
    from router.config.model import RouterConfig
    from router.tools.endpoints import Endpoints
    from router.tools.registry import FunctionRegistry

JOINED_AUDIO_BYTES: Final = 8192
"""Microphone frames that are read together reach the session as one, up to a second of telephone audio."""

# Encoded once: it is sent when an actor of the session has failed.
CRASH_FRAME: Final = deepgram_codec.encode(
    deepgram.Error(description="internal error; the server logged it", code="INTERNAL_SERVER_ERROR")
)


class SessionFactory:
    """A maker of session specs. From any thread."""

    def __init__(self, config: RouterConfig, functions: FunctionRegistry, hooks: Hooks) -> None:
        self._config = config
        self._hooks = hooks
        self._functions = functions
        self._upstreams = config.all_upstreams()
        # The upstream obeys the query of its URL, so no session can choose another model.
        self._fixed_model = model_of(self._upstreams[0].url) or self._upstreams[0].model
        self._redact = Redactor(config.secrets, "[redacted]")
        self.limits = _connection_limits(config)
        self.wire_view: WireView | None = None
        self.simulator_url = ""
        """The address of the embedded simulator, once it runs."""

    def of(
        self,
        session_id: str,
        request: Request,
        turn_detection: str | None,
        *,
        perform: Callable[[Any, Principal | None], Any],
        on_end: Callable[[], None],
    ) -> SessionSpec:
        """Return the spec of a session. `turn_detection` is that of its URL, or None for the configured one."""
        return SessionSpec(
            session_id=session_id,
            machine=self._machine(session_id, request.profile, turn_detection),
            dial_target=self._dial_target,
            dialler=dial,
            crash_frame=CRASH_FRAME,
            on_end=on_end,
            deliver=self._hooks.deliverer(SessionContext(id=session_id, request=request)),
            deliver_timeout_s=self._config.deadlines.hook_s,
            upstreams=len(self._upstreams),
            restarts=self._config.restarts,
            is_fatal=is_fatal_reason,
            perform=self._hooks.performer(request, perform),
        )

    def new_wire_view(self) -> WireView | None:
        """Observe the sessions from now on, if the configuration asks for it, and return their records."""
        self.wire_view = WireView(self._redact) if self._config.wire_view else None
        return self.wire_view

    def _machine(self, session_id: str, profile: str, turn_detection: str | None) -> Machine:
        session = Session(session_id, PROFILES[profile], self._options(turn_detection))
        if self.wire_view is None:
            return session
        return self.wire_view.observe(session_id, profile, session, welcome(session_id))

    def _options(self, turn_detection: str | None) -> SessionOptions:
        config = self._config
        return SessionOptions(
            model=config.model,
            models=config.models,
            fixed_model=self._fixed_model,
            turn_detection=turn_detection or config.turn_detection,  # type: ignore[arg-type] # both are checked
            voices=Voices(default=config.voice, table=config.voices),
            greeting=config.greeting,  # type: ignore[arg-type] # checked
            transcription_model=config.transcription_model,
            transcription_models=tuple(upstream.transcription_model for upstream in self._upstreams),
            g711=tuple(bool(upstream.g711) for upstream in self._upstreams),
            deadlines=config.deadlines,
            limits=config.limits,
            interrupted_answer=config.interrupted_answer,  # type: ignore[arg-type] # checked
            tools=self._functions.functions(),
            tool_hosts=config.tool_hosts,
            is_configured_outside=self._hooks.configure is not None,
            is_reported=self._hooks.wants_notifications,
            redact=self._redact,
        )

    def _dial_target(self, model: str, position: int) -> DialTarget:
        upstream, config = self._upstreams[position], self._config
        is_embedded = config.upstream == "simulator"
        return DialTarget(
            url=url_with_model(self.simulator_url, model) if is_embedded else upstream.dial_url(model),
            headers=upstream.dial_headers(),
            timeout_s=config.deadlines.dial_s,
            ca_file=config.ca_file,
            limits=self.limits,
        )


def endpoints_of(config: RouterConfig) -> Endpoints:
    """Return the caller of functions' endpoints."""
    from router.tools.addresses import Addresses  # noqa: PLC0415 - with urllib3, which few configurations need
    from router.tools.endpoints import Endpoints  # noqa: PLC0415

    return Endpoints(
        Addresses(config.tool_networks),
        timeout_s=config.deadlines.tool_call_s,
        ca_file=config.ca_file,
    )


def _connection_limits(config: RouterConfig) -> ConnectionLimits:
    return ConnectionLimits(
        write_buffer_bytes=config.limits.write_buffer_bytes,
        max_message_bytes=config.limits.max_message_bytes,
        join_binary_bytes=JOINED_AUDIO_BYTES,
        ping_interval_s=config.deadlines.ping_interval_s,
        ping_timeout_s=config.deadlines.ping_timeout_s,
        write_stall_s=config.deadlines.write_stall_s,
        close_timeout_s=config.deadlines.close_s,
    )
