"""The configuration: one frozen `RouterConfig`, with the default and the bounds of every setting.

Must not know where a value came from: that is `router.config.provenance`.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from actors.connections.base import ConnectionLimits
from router.config.former import FormerKeywords
from router.config.parsers import model_of, seconds, url_with_model, whole
from router.config.upstream import Upstream
from router.secrets import Secret, shown_url

__all__ = ["Deadlines", "Limits", "RouterConfig", "Secret", "Upstream", "model_of", "url_with_model"]

CONVERSE_PATH: Final = "/v1/agent/converse"
HEALTH_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"

_CONNECTION: Final = ConnectionLimits()
"""The engine's own defaults for a connection; they hold for the configuration, too."""


class Deadlines(msgspec.Struct, frozen=True, kw_only=True, metaclass=FormerKeywords):
    """The longest that each wait may take, in seconds: the file's table `[deadlines]`."""

    dial_s: Annotated[float, seconds(0.05, 300)] = 10.0
    """DNS, TCP, TLS and the WebSocket handshake of the upstream, together."""
    settings_s: Annotated[float, seconds(0.05, 86400)] = 60.0
    """From the client's handshake to its `Settings`."""
    session_created_s: Annotated[float, seconds(0.05, 300)] = 10.0
    session_updated_s: Annotated[float, seconds(0.05, 300)] = 5.0
    item_ack_s: Annotated[float, seconds(0.05, 300)] = 5.0
    """After it the response is requested in any case."""
    first_event_s: Annotated[float, seconds(0.05, 3600)] = 20.0
    """From `response.create` to the first event of the response."""
    next_event_s: Annotated[float, seconds(0.05, 3600)] = 15.0
    """From one event of a response to the next."""
    response_s: Annotated[float, seconds(1, 86400)] = 600.0
    """A whole response."""
    hook_s: Annotated[float, seconds(0.05, 60)] = 5.0
    """A hook of the embedding application."""
    tool_answer_s: Annotated[float, seconds(0.05, 86400)] = 30.0
    """The client's answer to a function call."""
    tool_call_s: Annotated[float, seconds(0.05, 3600)] = 20.0
    """A function that the router runs: the whole response of its endpoint, or its handler."""
    transcript_s: Annotated[float, seconds(0, 60)] = 2.0
    """The wait of the agent's text for the transcript of the user's speech before it."""
    restart_s: Annotated[float, seconds(0.05, 300)] = 10.0
    """A whole restart, from the loss to `session.updated`, beyond `dial_s`."""
    rollover_after_s: Annotated[float, seconds(0.05, 86400)] = 3300.0
    """The age of an upstream's session at which a new one takes over, where its `expires_at` is implausible."""
    rollover_interval_s: Annotated[float, seconds(0.05, 3600)] = 10.0
    """The shortest time from one rollover to the next."""
    close_s: Annotated[float, seconds(0.05, 60)] = _CONNECTION.close_timeout_s
    """The close handshake."""
    ping_interval_s: Annotated[float, seconds(0.05, 3600, zero_is_off=True)] = _CONNECTION.ping_interval_s
    ping_timeout_s: Annotated[float, seconds(0.05, 3600)] = _CONNECTION.ping_timeout_s
    write_stall_s: Annotated[float, seconds(0.05, 3600)] = _CONNECTION.write_stall_s
    """The longest that a peer may take no byte of the data that waits for it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, metaclass=FormerKeywords):
    """Bounds of one session, or of the process: the file's table `[limits]`."""

    write_buffer_bytes: Annotated[int, whole(64 * 1024, 1024**3)] = _CONNECTION.write_buffer_bytes
    """Data that may wait for one peer that does not read."""
    audio_ahead_s: Annotated[float, seconds(0.5, 86400)] = 30.0
    """Agent audio that is sent ahead of its estimated playback."""
    ledger_tokens: Annotated[int, whole(1, 10_000_000)] = 24_000
    """The part of the conversation that a new upstream receives, in estimated tokens; the oldest turns go first."""
    max_message_bytes: Annotated[int, whole(1024, 256 * 1024 * 1024)] = _CONNECTION.max_message_bytes
    """The largest message that a peer may send."""
    dial_threads: Annotated[int, whole(1, 256)] = 8
    """Upstreams that are dialled at the same time, in one process."""
    pool_threads: Annotated[int, whole(1, 256)] = 16
    """Threads of one process for each use: functions, `authenticate`, `configure`, and the other hooks."""
    pool_queue: Annotated[int, whole(0, 100_000)] = 256
    """Calls of functions and hooks that may wait for a thread; further ones fail at once."""
    web_threads: Annotated[int, whole(1, 256)] = 8
    """HTTP requests and WebSocket handshakes that are served at the same time, in one process."""
    held_server_threads: Annotated[int, whole(0, 1024)] = 4
    """Embedded, under a server with TLS of its own: the threads of that server that sessions may hold, one each."""


class RouterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting. Its `repr` never shows a key."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free port, which is printed at the start."""
    path: str = "/openai"
    console: bool = True
    """Whether `/` is the console, a page for talking."""
    wire_view: bool = False
    """Whether the console shows the messages of every session."""
    upstream: str = ""
    """`openai`, `simulator` or a URL, as it was written; where `upstreams` has any, the URL of the first. Never empty
    after construction: with a key it is `openai`, else the simulator."""
    openai_api_key: Secret | None = None
    upstreams: tuple[Upstream, ...] = ()
    """Several upstreams, in order of preference; see `all_upstreams`."""
    model: str = "gpt-realtime-2.1"
    models: tuple[str, ...] = ()
    turn_detection: str = "server_vad"
    voice: str = "marin"
    voices: dict[str, str] = {}
    """The upstream's voice for each name of a client's, or pattern of such names; see `router.translation.voices`."""
    transcription_model: str = "gpt-realtime-whisper"
    restarts: int = 3
    """Consecutive attempts to replace an upstream that ended; 0 for none."""
    greeting: str = "auto"
    """Whether a greeting is spoken: `auto` (on /v1/agent/converse), `spoken` or `text`."""
    interrupted_answer: str = "continue"
    """The fate of an answer that its upstream did not finish: `continue` or `stop`."""
    drain_s: float = 30.0
    """The time of a turn in progress when the process has to end."""
    workers: int = 1
    dispatchers: int = 1
    log_level: str = "info"
    log_format: str = "text"
    tool_hosts: tuple[str, ...] = ()
    """Origins of functions' endpoints that may be called; see `router.config.origins`."""
    tool_networks: tuple[str, ...] = ()
    """Networks whose addresses are not public and may be called all the same."""
    ca_file: str | None = None
    deadlines: Deadlines = Deadlines()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.upstreams:
            msgspec.structs.force_setattr(self, "upstream", self.upstreams[0].url)
        elif not self.upstream:
            msgspec.structs.force_setattr(self, "upstream", "openai" if self.openai_api_key else "simulator")

    def all_upstreams(self) -> tuple[Upstream, ...]:
        """Return the upstreams in order of preference; at least one."""
        return self.upstreams or (Upstream(url=self.upstream, api_key=self.openai_api_key),)

    def upstream_url(self, model: str | None = None) -> str:
        """Return the URL that is dialled first, for `model` or the default one; see `Upstream.dial_url`.

        Raises:
            ConfigError: for the embedded simulator, which has an address only once it runs.
        """
        return self.all_upstreams()[0].dial_url(model or self.model)

    @property
    def upstream_label(self) -> str:
        """The upstreams, for printing: without any key, even in the query of a URL."""
        return ", ".join(it.label(self.model) for it in self.all_upstreams())

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials, for masking in log lines."""
        key = (self.openai_api_key.reveal(),) if self.openai_api_key else ()
        found = (*key, *(secret for it in self.all_upstreams() for secret in it.secrets))
        return tuple(dict.fromkeys(found))

    def __repr__(self) -> str:
        shown = {**{name: getattr(self, name) for name in self.__struct_fields__}, "upstream": shown_url(self.upstream)}
        return f"RouterConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
