"""The configuration: one frozen `RouterConfig`, with the default and the bounds of every setting.

This module must not know the source of a value: that is the task of `router.config.provenance`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec

from actors.connections.base import ConnectionLimits
from actors.footprint import MAX_BYTES
from router.config.auth import Auth
from router.config.former import FormerKeywords
from router.config.guard import Guard
from router.config.parsers import amount, model_of, one_of, seconds, sentence, store_url, url_with_model, whole
from router.config.rates import rate
from router.config.route import Route  # noqa: TC001 - msgspec resolves the annotation
from router.config.upstream import Upstream
from router.policy.policy import DEFAULT, Policy
from router.secrets import Secret, SecretText, shown_url
from router.usage.prices import Price  # noqa: TC001 - msgspec resolves the annotation

__all__ = ["Deadlines", "Limits", "RouterConfig", "Secret", "Upstream", "model_of", "url_with_model"]

CONVERSE_PATH: Final = "/v1/agent/converse"
HEALTH_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"
DEEPGRAM_BASE: Final = "/deepgram"
"""The path of Deepgram's own backend. The base URL of Deepgram's SDKs may end with it."""
THINK_MODELS_PATHS: Final = tuple(f"{base}/v1/agent/settings/think/models" for base in ("", DEEPGRAM_BASE))
DEEPGRAM_PATHS: Final = (DEEPGRAM_BASE, "/deepgram/v1/agent/converse")
LISTEN_PATHS: Final = ("/v1/listen", "/deepgram/v1/listen")
GRANT_PATHS: Final = tuple(f"{base}/v1/auth/grant" for base in ("", DEEPGRAM_BASE))
REALTIME_PATHS: Final = ("/v1/realtime", "/openai/v1/realtime")
CLIENT_SECRETS_PATHS: Final = tuple(f"{path}/client_secrets" for path in REALTIME_PATHS)
METRICS_PATH: Final = "/metrics"
TWILIO_PATH: Final = "/twilio"
TWILIO_VOICE_PATH: Final = "/twilio/voice"
TWILIO_STATUS_PATH: Final = "/twilio/status"
COUSIN_PATHS: Final = ("/telnyx", "/plivo", "/exotel", "/vonage")
"""The paths of the telephone services other than Twilio. Each path is the name of a front, after a slash."""

_CONNECTION: Final = ConnectionLimits()
"""The engine's defaults for a connection. The configuration has the same defaults."""


class Deadlines(msgspec.Struct, frozen=True, kw_only=True, metaclass=FormerKeywords):
    """The longest duration of each wait, in seconds: the file's table `[deadlines]`."""

    dial_s: Annotated[float, seconds(0.05, 300)] = 10.0
    """The whole dial of an upstream: the wait for a thread, DNS, TCP, TLS and the WebSocket handshake together."""
    settings_s: Annotated[float, seconds(0.05, 86400)] = 60.0
    """The time from the client's handshake to its `Settings`."""
    session_created_s: Annotated[float, seconds(0.05, 300)] = 10.0
    session_updated_s: Annotated[float, seconds(0.05, 300)] = 5.0
    item_ack_s: Annotated[float, seconds(0.05, 300)] = 5.0
    """The time from a user's message to the acknowledgement of its item.

    Then the response is requested even without the acknowledgement.
    """
    first_event_s: Annotated[float, seconds(0.05, 3600)] = 20.0
    """The time from `response.create` to the first event of the response."""
    next_event_s: Annotated[float, seconds(0.05, 3600)] = 15.0
    """The time from one event of a response to the next."""
    response_s: Annotated[float, seconds(1, 86400)] = 600.0
    """The duration of a whole response."""
    hook_s: Annotated[float, seconds(0.05, 60)] = 5.0
    """The run of a hook of the embedding application."""
    tool_answer_s: Annotated[float, seconds(0.05, 86400)] = 30.0
    """The time from a function call to the client's answer."""
    tool_call_s: Annotated[float, seconds(0.05, 3600)] = 20.0
    """The run of a function by the router, up to the end of its endpoint's response or of its handler."""
    transcript_s: Annotated[float, seconds(0, 60)] = 2.0
    """The time for which the agent's text waits for the transcript of the user's preceding speech."""
    restart_s: Annotated[float, seconds(0.05, 300)] = 10.0
    """A whole restart, from the loss to `session.updated`. The time `dial_s` is added to it."""
    rollover_after_s: Annotated[float, seconds(0.05, 86400)] = 3300.0
    """The age of an upstream's session at which a rollover begins, if the session's `expires_at` is implausible."""
    rollover_interval_s: Annotated[float, seconds(0.05, 3600)] = 10.0
    """The shortest time from one rollover to the next."""
    close_s: Annotated[float, seconds(0.05, 60)] = _CONNECTION.close_timeout_s
    """The time from a close frame to the peer's close frame."""
    ping_interval_s: Annotated[float, seconds(0.05, 3600, zero_is_off=True)] = _CONNECTION.ping_interval_s
    ping_timeout_s: Annotated[float, seconds(0.05, 3600)] = _CONNECTION.ping_timeout_s
    write_stall_s: Annotated[float, seconds(0.05, 3600)] = _CONNECTION.write_stall_s
    """The longest time in which a peer takes no byte of the data that waits for it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, metaclass=FormerKeywords):
    """Bounds of one session, or of the process: the file's table `[limits]`."""

    write_buffer_bytes: Annotated[int, whole(64 * 1024, 1024**3)] = _CONNECTION.write_buffer_bytes
    """The most bytes that wait for one peer that does not read."""
    audio_ahead_s: Annotated[float, seconds(0.5, 86400)] = 30.0
    """The most seconds of the agent's audio that are sent before their estimated playback."""
    ledger_tokens: Annotated[int, whole(1, 10_000_000)] = 24_000
    """The part of the conversation that a new upstream receives, in estimated tokens; the oldest turns go first."""
    max_message_bytes: Annotated[int, whole(1024, 256 * 1024 * 1024)] = _CONNECTION.max_message_bytes
    """The largest message that a peer may send."""
    max_text_bytes: Annotated[int, whole(64 * 1024, 256 * 1024 * 1024)] = 1024 * 1024
    """The largest text message that a client may send."""
    memory_bytes: Annotated[int, whole(16 * 1024 * 1024, 1024**4)] = MAX_BYTES
    """The most bytes that all peers of one process hold together. Beyond it the peer that holds the most is closed."""
    dial_threads: Annotated[int, whole(1, 256)] = 8
    """The most upstreams that are dialled at the same time, in one process."""
    pool_threads: Annotated[int, whole(1, 256)] = 16
    """The threads of one process for each use: functions, `authenticate`, `configure`, and the other hooks."""
    pool_queue: Annotated[int, whole(0, 100_000)] = 256
    """The most calls that wait for a thread of their use. Further calls fail at once."""
    web_threads: Annotated[int, whole(1, 256)] = 8
    """The most WebSocket handshakes that are served at the same time, in one process."""
    held_server_threads: Annotated[int, whole(0, 1024)] = 4
    """The most threads of an embedding application's server that sessions hold, one each, if that server terminates
    TLS."""
    max_sessions: Annotated[int, whole(0, 1_000_000)] = 0
    """The most sessions of all workers of a server together; 0 for no limit, as for the next settings."""
    max_sessions_per_principal: Annotated[int, whole(0, 1_000_000)] = 0
    max_sessions_per_address: Annotated[int, whole(0, 1_000_000)] = 0
    new_sessions: Annotated[str, rate] = ""
    """The highest rate of new sessions of one address, such as `5/minute`; empty for no limit."""
    max_pending_sessions: Annotated[int, whole(0, 1_000_000)] = 0
    """The most sessions whose client has sent no Settings yet."""
    max_call_s: Annotated[float, seconds(1, 604_800, zero_is_off=True)] = 0.0
    """The longest call in seconds; 0 for no limit, as for the next settings. The turn in progress is finished."""
    max_silence_s: Annotated[float, seconds(1, 86_400, zero_is_off=True)] = 0.0
    """The longest time, in seconds, without speech and without a message of the client that requests something."""
    silence_question: Annotated[str, sentence] = ""
    """After 80 % of `max_silence_s` the agent asks with these words whether the user is still there; empty for none."""
    silence_goodbye: Annotated[str, sentence] = ""
    """The words with which the agent ends a silent call; empty for none."""
    max_turns: Annotated[int, whole(0, 1_000_000)] = 0
    """The most answers of the agent in one session."""
    max_messages_per_s: Annotated[int, whole(0, 1_000_000)] = 0
    """The most messages of one client in a second. Beyond it the router stops reading the client for a while."""
    max_bytes_per_s: Annotated[int, whole(0, 1024**3)] = 0
    """The most bytes that one client sends in a second. Beyond it the router stops reading the client for a while."""
    max_tokens: Annotated[int, whole(0, 1_000_000_000)] = 0
    """The most tokens of one session, as the upstream counts them."""
    max_cost_usd: Annotated[float, amount(0, 1_000_000)] = 0.0
    """The highest cost of one session in dollars, at the prices of `[prices]`."""
    max_tokens_per_day: Annotated[int, whole(0, 1_000_000_000_000)] = 0
    """The most tokens of all sessions of one principal since midnight (UTC). Sessions without a principal count by
    their address."""
    max_cost_usd_per_day: Annotated[float, amount(0, 1_000_000)] = 0.0
    """The highest cost in dollars since midnight, for the same sessions as `max_tokens_per_day`."""
    max_turns_per_day: Annotated[int, whole(0, 1_000_000_000)] = 0
    """The most answers of the agent since midnight, for the same sessions as `max_tokens_per_day`."""
    store: Annotated[str, store_url] = SecretText()
    """The Redis in which several machines count together, such as `redis://10.0.0.5:6379/0`.

    Without a Redis each server counts alone.
    """
    resume_s: Annotated[float, seconds(1, 3600, zero_is_off=True)] = 120.0
    """The time for which a lost call is kept until its client comes back; 0 keeps none."""
    store_away: Annotated[str, one_of("open", "closed")] = "open"
    """The handling of new sessions while Redis does not answer: `open` counts only on this server, `closed` refuses."""


class Safety(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[safety]`."""

    identifier: bool = False
    """Whether upstreams get a hash of each principal's id, as OpenAI's safety identifier."""


def safety(written: Any) -> Safety:
    """Parse the table `[safety]`."""
    if isinstance(written, Safety):
        return written
    if (
        not isinstance(written, dict)
        or set(written) - {"identifier"}
        or not isinstance(written.get("identifier", False), bool)
    ):
        raise ValueError("must be a table with the key identifier, true or false")
    return Safety(**written)


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an upstream that the operator sets, because Settings have no fields for them."""

    vad_threshold: float = 0.5
    vad_prefix_ms: int = 300
    vad_silence_ms: int = 500
    vad_eagerness: str = "auto"
    noise_reduction: str = "off"
    retention_ratio: float = 0.0
    max_output_tokens: int = 0
    speed: float = 1.0


_TUNING: Final = Tuning()


class RouterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting. Its `repr` never shows a key."""

    host: str = "127.0.0.1"
    port: int = 8080
    """The port to listen on. 0 takes a free port, which is printed at the start."""
    path: str = "/openai"
    console: bool = True
    """Whether `/` is the console, a page for talking."""
    keeper: bool = True
    """Whether sessions outlive their worker.

    At a reload they move to workers of the newer version. If a worker dies, the other workers continue its sessions. If
    it was the only worker, the worker that replaces it continues them.
    """
    wire_view: bool = False
    """Whether the console shows the messages of every session."""
    wire_view_max_bytes: int = 32 * 1024**2
    """The most bytes of the wire view. Beyond it, the session that holds the most memory loses its oldest rows."""
    simulator_voice: bool = True
    """Whether the embedded simulator recognizes speech and speaks in words, if the extra `voice` is installed."""
    simulator_llm: str | None = None
    """A server of the chat-completions API, whose language model answers in the embedded simulator."""
    simulator_llm_model: str | None = None
    """The model at the server `simulator_llm`; None takes the first model that the server lists."""
    simulator_llm_key: Secret | None = None
    upstream: str = ""
    """`openai`, `simulator` or a URL. If `upstreams` is set, its first URL replaces this value.

    An empty value becomes `openai` if a key is set, otherwise `simulator`.
    """
    openai_api_key: Secret | None = None
    upstreams: tuple[Upstream, ...] = ()
    """Several upstreams, in order of preference; see `all_upstreams`."""
    routes: tuple[Route, ...] = ()
    """Paths, each with its own front and settings. They are added to the built-in routes, or replace them."""
    model: str = "gpt-realtime-2.1"
    models: tuple[str, ...] = ()
    turn_detection: str = "server_vad"
    voice: str = "marin"
    voices: dict[str, str] = {}
    """The upstream's voice for each voice, or pattern of voices, that a client may request.

    See `router.translation.voices`.
    """
    transcription_model: str = "gpt-realtime-whisper"
    vad_threshold: float = _TUNING.vad_threshold
    """The loudness, from 0 to 1, above which `server_vad` takes audio for speech."""
    vad_prefix_ms: int = _TUNING.vad_prefix_ms
    """Milliseconds of audio before the detected start of speech that belong to the turn."""
    vad_silence_ms: int = _TUNING.vad_silence_ms
    """Milliseconds of silence that end a turn with `server_vad`."""
    vad_eagerness: str = _TUNING.vad_eagerness
    """The eagerness of `semantic_vad`, if the client gives no threshold and no time-out for the end of a turn."""
    noise_reduction: str = _TUNING.noise_reduction
    """The noise filter for the user's audio: `off`, `near_field` or `far_field`."""
    retention_ratio: float = _TUNING.retention_ratio
    """If the context is full, the upstream keeps this part of it, from 0 to 1; 0 for the upstream's default."""
    max_output_tokens: int = _TUNING.max_output_tokens
    """The most tokens of a response, if the client sets no limit; 0 for no limit."""
    speed: float = _TUNING.speed
    """The speed of speech, if the client chooses none."""
    restarts: int = 3
    """The most attempts in a row to replace an upstream that was lost; 0 for none."""
    greeting: str = "auto"
    """Whether a greeting is spoken: `spoken`, `text`, or `auto` (spoken only on /v1/agent/converse)."""
    interrupted_answer: str = "continue"
    """The effect of a restart on an answer that its upstream did not finish: `continue` or `stop`."""
    continued_text: str = "rest"
    """The text of a continued answer on /openai: its `rest`, or the `whole`. A client's Settings may override it."""
    agents: dict[str, dict[str, Any]] = {}
    """The fields of `Settings.agent` by the id that a client or a telephone call names: the tables `[agents.ID]`."""
    policies: dict[str, Policy] = {}
    """The policies, by the name that a client's credential gives: the tables `[policies.NAME]`."""
    deepgram_api_key: Secret | None = None
    """The key that opens the routes to Deepgram's own Voice Agent. It is sent only to that server."""
    deepgram_agent_url: str = "wss://agent.deepgram.com/v1/agent/converse"
    """The address of Deepgram's Voice Agent, such as the one in the EU or a self-hosted one."""
    deepgram_listen_url: str = "wss://api.deepgram.com/v1/listen"
    """The address of Deepgram's transcription, such as the one in the EU or a self-hosted one."""
    twilio_auth_token: Secret | None = None
    """Twilio's token for the signatures of its requests. Without it the signatures are not checked."""
    twilio_dtmf: str = "message"
    """The effect of keys that a caller presses: `message` (to the model), `function` (a call of the model) or `ignore`.
    """
    drain_s: float = 30.0
    """The seconds for which a turn in progress may continue when the process has to end."""
    workers: int = 1
    dispatchers: int = 1
    log_level: str = "info"
    log_format: str = "text"
    log_content: bool = False
    """Whether the level trace shows the content of messages."""
    prices: dict[str, Price] = {}
    """Prices of models, which override the table that ships. See `router.usage.prices`."""
    usage_log: str | None = None
    """A file that gets a line of JSON for each session at its end."""
    record: str | None = None
    """A folder for the recordings of sessions. See `router.recording`."""
    record_content: bool = False
    """Whether recordings contain words."""
    record_audio: bool = False
    """Whether recordings contain sound."""
    record_rate: float = 1.0
    """The part of all sessions that is recorded, from 0 to 1."""
    record_principals: tuple[str, ...] = ()
    """Principals whose sessions are all recorded. If there are any, other sessions are recorded only with a
    `record_rate` below 1, and then only that part of them."""
    record_max_bytes: int = 1024**3
    """The most bytes of all recordings together. Beyond it the oldest files are deleted."""
    otel: str | None = None
    """The collector of OpenTelemetry's traces: a URL, or `application` for the host application's own provider."""
    tool_hosts: tuple[str, ...] = ()
    """The origins of endpoints that functions may call. See `router.config.origins`."""
    tool_networks: tuple[str, ...] = ()
    """The networks that are not public, and whose addresses functions may call nevertheless."""
    ca_file: str | None = None
    auth: Auth = Auth()
    allow_origins: tuple[str, ...] = ()
    """Origins of pages that may connect, in addition to the router's own and those of this machine."""
    allow_hosts: tuple[str, ...] = ()
    """Names under which clients may reach the router, in addition to addresses and the names of this machine."""
    trusted_proxies: tuple[str, ...] = ()
    """The networks of the proxies from which the router accepts a client's address, scheme and host."""
    insecure: bool = False
    """Whether the server may listen beyond loopback without authentication."""
    tls_cert: str | None = None
    """The server's certificate; with `tls_key` the server speaks TLS."""
    tls_key: str | None = None
    tls_client_ca: str | None = None
    """The authorities of clients' certificates. With them every client needs a certificate."""
    guard: Guard = Guard()
    """The check of the texts of a conversation. It is off if it has no rule, no URL and no function."""
    safety: Safety = Safety()
    admin_bind: str | None = None
    """The separate address for health, metrics and administration; None if they are served beside the routes."""
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

    def route_of(self, path: str) -> Route | None:
        """Return the configured route at this path, or None if the path is built in or unknown."""
        return next((it for it in self.routes if it.path == path), None)

    def policy_of(self, name: str | None) -> Policy | None:
        """Return the policy with this name. For None return the policy `default`, or None if there is no such policy.

        Raises:
            KeyError: there is no policy of this name.
        """
        return self.policies.get(DEFAULT) if name is None else self.policies[name]

    @property
    def tuning(self) -> Tuning:
        """The options of an upstream that the operator sets, because Settings have no fields for them."""
        return Tuning(**{name: getattr(self, name) for name in Tuning.__struct_fields__})

    @property
    def upstream_label(self) -> str:
        """The upstreams, for printing. The text contains no key, not even in the query of a URL."""
        return ", ".join(it.label(self.model) for it in self.all_upstreams())

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials that log lines must mask."""
        own = (
            self.openai_api_key,
            self.deepgram_api_key,
            self.twilio_auth_token,
            self.simulator_llm_key,
            self.auth.secret,
        )
        jwt_key = self.auth.jwt.key if self.auth.jwt else None
        keys = (key.reveal() for key in (*own, jwt_key) if key is not None)
        found = (
            *keys,
            *_passwords_of(self.limits.store),
            *(secret for it in self.all_upstreams() for secret in it.secrets),
        )
        return tuple(dict.fromkeys(found))

    def __repr__(self) -> str:
        # An agent may have the credential of an endpoint.
        hidden = {"upstream": shown_url(self.upstream), "agents": sorted(self.agents)}
        # A reader of a log need not know the values that a policy forces.
        hidden["policies"] = sorted(self.policies)
        shown = {**{name: getattr(self, name) for name in self.__struct_fields__}, **hidden}
        return f"RouterConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _passwords_of(url: str) -> tuple[str, ...]:
    password = urlsplit(url).password
    return (password,) if password else ()
