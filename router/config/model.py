"""The configuration: one frozen `RouterConfig`, with its defaults and its bounds.

Must not know where a value was said: that is `router.settings`.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from router.config.parsers import model_of, seconds, url_with_model, whole
from router.config.upstream import Upstream
from router.secrets import Secret, shown_url

__all__ = ["Deadlines", "Limits", "RouterConfig", "Secret", "Upstream", "model_of", "url_with_model"]

CONVERSE_PATH: Final = "/v1/agent/converse"
HEALTH_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long each wait of the product may take, in seconds: the file's table `[deadlines]`."""

    dial_s: Annotated[float, seconds(0.05, 300)] = 10.0
    """DNS, TCP, TLS and the WebSocket handshake of the upstream, together."""
    settings_s: Annotated[float, seconds(0.05, 86400)] = 60.0
    """From the client's handshake to its `Settings`."""
    session_created_s: Annotated[float, seconds(0.05, 300)] = 10.0
    session_updated_s: Annotated[float, seconds(0.05, 300)] = 5.0
    item_ack_s: Annotated[float, seconds(0.05, 300)] = 5.0
    """Then the response is asked for anyway."""
    first_event_s: Annotated[float, seconds(0.05, 3600)] = 20.0
    """From `response.create` to the first event of the response."""
    silence_s: Annotated[float, seconds(0.05, 3600)] = 15.0
    """Without any event inside a response."""
    response_s: Annotated[float, seconds(1, 86400)] = 600.0
    """A whole response."""
    hook_s: Annotated[float, seconds(0.05, 60)] = 5.0
    """A hook of the embedding application."""
    tool_answer_s: Annotated[float, seconds(0.05, 86400)] = 30.0
    """The client's answer to a function call."""
    tool_call_s: Annotated[float, seconds(0.05, 3600)] = 20.0
    """A function that the router runs: its endpoint's whole answer, or its handler."""
    transcript_s: Annotated[float, seconds(0, 60)] = 2.0
    """How long the agent's text waits for the transcript of what the user said before."""
    restart_s: Annotated[float, seconds(0.05, 300)] = 10.0
    """A whole restart, from the loss to `session.updated`: what it may take beyond `dial_s`."""
    rollover_after_s: Annotated[float, seconds(0.05, 86400)] = 3300.0
    """A session's age at which a new one takes over, where its own `expires_at` is not to be trusted."""
    rollover_interval_s: Annotated[float, seconds(0.05, 3600)] = 10.0
    """From one rollover to the next, at least."""
    close_s: Annotated[float, seconds(0.05, 60)] = 2.0
    """The close handshake."""
    ping_interval_s: Annotated[float, seconds(0.05, 3600, zero_is_off=True)] = 20.0
    ping_timeout_s: Annotated[float, seconds(0.05, 3600)] = 20.0
    write_stall_s: Annotated[float, seconds(0.05, 3600)] = 10.0
    """The longest that a peer may take no byte of what waits for it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what one session, or the process, may hold: the file's table `[limits]`."""

    write_buffer_bytes: Annotated[int, whole(64 * 1024, 1024**3)] = 2 * 1024 * 1024
    """What may wait for one peer that does not read."""
    early_audio_s: Annotated[float, seconds(0, 600)] = 10.0
    """Microphone audio kept until the upstream is ready."""
    early_messages: Annotated[int, whole(1, 100_000)] = 64
    """Messages kept until `Settings`, or until the upstream is ready; and as many that wait while it is busy."""
    early_bytes: Annotated[int, whole(1024, 1024**3)] = 4 * 1024 * 1024
    """What those may have together, as the client wrote them."""
    preroll_s: Annotated[float, seconds(0, 60)] = 0.5
    """Microphone audio from before the user was heard to speak, kept for a new upstream."""
    uncommitted_audio_s: Annotated[float, seconds(0, 600)] = 60.0
    """Microphone audio of a turn that is not over, kept for a new upstream."""
    audio_ahead_s: Annotated[float, seconds(0.5, 86400)] = 30.0
    """How far the agent's audio is sent ahead of its playback, as estimated."""
    queued_audio_bytes: Annotated[int, whole(0, 1024**3)] = 32 * 1024 * 1024
    """What of it may wait; beyond that it is sent early, and `write_buffer_bytes` is the bound."""
    unread_audio_bytes: Annotated[int, whole(0, 1024**3)] = 1024 * 1024
    """The same, before the client is seen to read what it was sent."""
    ledger_tokens: Annotated[int, whole(1, 10_000_000)] = 24_000
    """What a new upstream is told of the conversation, in tokens as estimated; the oldest turns go first."""
    ledger_bytes: Annotated[int, whole(1, 1024**3)] = 1024 * 1024
    """The same, as held in memory."""
    max_message_bytes: Annotated[int, whole(1024, 256 * 1024 * 1024)] = 16 * 1024 * 1024
    """The largest message that a peer may send."""
    dial_threads: Annotated[int, whole(1, 256)] = 8
    """Upstreams that are dialled at the same time, in one process."""
    tool_output_bytes: Annotated[int, whole(1, 16 * 1024 * 1024)] = 128 * 1024
    """What a function that the router runs may answer with."""
    pool_threads: Annotated[int, whole(1, 256)] = 16
    """Threads of one process for each use: functions, `authenticate`, `configure`, and the other hooks."""
    pool_queue: Annotated[int, whole(0, 100_000)] = 256
    """Those that may wait for a thread; beyond it they fail at once."""
    web_threads: Annotated[int, whole(1, 256)] = 8
    """HTTP requests and WebSocket handshakes that are served at the same time, in one process."""
    held_server_threads: Annotated[int, whole(0, 1024)] = 4
    """Embedded, under a server with TLS of its own: its threads that sessions may hold, one each."""


class RouterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Its `repr` never shows a key."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free port, which is printed at the start."""
    path: str = "/openai"
    upstream: str = ""
    """`openai`, `simulator` or a URL, as it was said; where `upstreams` has any, the first one's. Never empty once
    made: with a key it is `openai`, else the simulator."""
    openai_api_key: Secret | None = None
    upstreams: tuple[Upstream, ...] = ()
    """Several, the first before the second; see `all_upstreams`."""
    model: str = "gpt-realtime-2.1"
    models: tuple[str, ...] = ()
    turn_detection: str = "server_vad"
    voice: str = "marin"
    voices: dict[str, str] = {}
    """The upstream's voice for each name of a client's, or pattern of such names; see `router.translation.voices`."""
    transcription_model: str = "gpt-realtime-whisper"
    restarts: int = 3
    """Attempts in a row to replace an upstream that ended; 0 for none."""
    greeting: str = "auto"
    """Whether a greeting is said aloud: `auto` (on /v1/agent/converse), `spoken` or `text`."""
    interrupted_answer: str = "continue"
    """What becomes of an answer that its upstream did not finish: `continue` or `stop`."""
    drain_s: float = 30.0
    """What a turn that is under way may take when the process has to end."""
    workers: int = 1
    dispatchers: int = 1
    log_level: str = "info"
    log_format: str = "text"
    tool_hosts: tuple[str, ...] = ()
    """Origins of functions' endpoints that may be called; see `router.origins`."""
    tool_networks: tuple[str, ...] = ()
    """Addresses that are not public, and may be called all the same."""
    ca_file: str | None = None
    deadlines: Deadlines = Deadlines()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.upstreams:
            msgspec.structs.force_setattr(self, "upstream", self.upstreams[0].url)
        elif not self.upstream:
            msgspec.structs.force_setattr(self, "upstream", "openai" if self.openai_api_key else "simulator")

    def all_upstreams(self) -> tuple[Upstream, ...]:
        """Return whom to dial, in the order of preference: never none."""
        return self.upstreams or (Upstream(url=self.upstream, api_key=self.openai_api_key),)

    def upstream_url(self, model: str | None = None) -> str:
        """Return what is dialled first; see `Upstream.dial_url`. Without `model` the default one is asked for.

        Raises:
            ConfigError: for the embedded simulator, which has an address only once it runs.
        """
        return self.all_upstreams()[0].dial_url(model or self.model)

    @property
    def upstream_label(self) -> str:
        """What may be printed of the upstreams: never a key, not even one in a URL's query."""
        return ", ".join(it.label(self.model) for it in self.all_upstreams())

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log line may hold."""
        key = (self.openai_api_key.reveal(),) if self.openai_api_key else ()
        found = (*key, *(secret for it in self.all_upstreams() for secret in it.secrets))
        return tuple(dict.fromkeys(found))

    def __repr__(self) -> str:
        shown = {**{name: getattr(self, name) for name in self.__struct_fields__}, "upstream": shown_url(self.upstream)}
        return f"RouterConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
