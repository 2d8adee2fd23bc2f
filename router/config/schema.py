"""The table of settings and their names.

The command line, the variables and `--check` are derived from it; a test compares the documentation with it. Must not
know how a value is read: that is `router.config.command_line`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.config import auth, auth_table, guard, policy_table
from router.config.model import (
    CLIENT_SECRETS_PATHS,
    CONVERSE_PATH,
    COUSIN_PATHS,
    DEEPGRAM_PATHS,
    GRANT_PATHS,
    HEALTH_PATH,
    LISTEN_PATHS,
    METRICS_PATH,
    READY_PATH,
    REALTIME_PATHS,
    THINK_MODELS_PATHS,
    TWILIO_PATH,
    TWILIO_STATUS_PATH,
    TWILIO_VOICE_PATH,
    Deadlines,
    Limits,
    RouterConfig,
    safety,
)
from router.config.origins import networks, origins
from router.config.parsers import (
    address,
    amount,
    collector,
    file_path,
    host,
    one_of,
    pairs,
    route,
    seconds,
    secret,
    switch,
    tables,
    text,
    texts,
    upstream,
    web_url,
    websocket_url,
    whole,
)
from router.config.provenance import Parser  # noqa: TC001 - msgspec resolves the annotation
from router.config.sites import allowed_hosts, allowed_origins
from router.usage import prices

TURN_DETECTIONS: Final = ("server_vad", "semantic_vad", "manual")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table: one field of `RouterConfig`, its parser, and its names."""

    name: str
    """The field of `RouterConfig`, which is the key in the file, too."""
    parser: Parser
    help: str
    flag: str | None = None
    flag_value: bool | None = None
    """The value that the flag sets, for a flag that is written without a value."""
    is_repeatable: bool = False
    """Whether the flag may be given several times; the parser gets the values with commas between them."""
    env: tuple[str, ...] = ()
    """The names of the environment variables. The first wins over the second."""
    env_switch: tuple[str, str] | None = None
    """A variable that is a switch, and the value of the setting where it is on and no variable of `env` is set."""
    default_text: str | None = None
    """The default in words, where it is a rule."""

    file_key: str | None = None
    """The key in the file, where it is not the name."""

    @property
    def key(self) -> str:
        """The key in the file; with a dot, a key of a table."""
        return self.file_key or self.name

    @property
    def default(self) -> Any:
        """The default of the field."""
        return _DEFAULTS.get(self.name)


_DEFAULTS: Final = msgspec.structs.asdict(RouterConfig())

SETTINGS: Final = (
    Setting(name="host", parser=host, help="address to listen on", flag="--host", env=("ROUTER_HOST",)),
    Setting(
        name="port",
        parser=whole(0, 65535),
        help="port to listen on; 0 takes a free one",
        flag="--port",
        env=("ROUTER_PORT", "OPENAI_PROXY_PORT"),
    ),
    Setting(
        name="path",
        parser=route(
            *(CONVERSE_PATH, HEALTH_PATH, READY_PATH, METRICS_PATH, TWILIO_PATH, TWILIO_VOICE_PATH),
            *(TWILIO_STATUS_PATH, *COUSIN_PATHS, *LISTEN_PATHS),
            *(*GRANT_PATHS, *CLIENT_SECRETS_PATHS, *THINK_MODELS_PATHS, *DEEPGRAM_PATHS, *REALTIME_PATHS),
        ),
        help="WebSocket route of the React component, beside /v1/agent/converse",
        flag="--path",
        env=("ROUTER_PATH",),
    ),
    Setting(
        name="console",
        parser=switch,
        help="do not serve the console at /",
        flag="--no-console",
        flag_value=False,
        env=("ROUTER_CONSOLE",),
        default_text="on",
    ),
    Setting(
        name="keeper",
        parser=switch,
        help="end the sessions of a worker that is replaced or dies, in place of continuing them in another worker",
        flag="--no-keeper",
        flag_value=False,
        env=("ROUTER_KEEPER",),
        default_text="on",
    ),
    Setting(
        name="recovery",
        parser=switch,
        help="continue the sessions of a worker that dies in its successor, with one worker, too",
        flag="--keeper",
        flag_value=True,
        env=("ROUTER_RECOVERY",),
        default_text="off",
    ),
    Setting(
        name="wire_view",
        parser=switch,
        help="show the messages of sessions in the console; without authentication all of them, to every visitor",
        flag="--wire-view",
        flag_value=True,
        env=("ROUTER_WIRE_VIEW",),
        default_text="off",
    ),
    Setting(
        name="simulator_voice",
        parser=switch,
        help="do not recognize speech and speak in words in the embedded simulator",
        flag="--no-simulator-voice",
        flag_value=False,
        env=("ROUTER_SIMULATOR_VOICE",),
        default_text="on",
    ),
    Setting(
        name="simulator_llm",
        parser=web_url,
        help="server of the chat-completions API, such as Ollama's, that answers in the embedded simulator",
        flag="--simulator-llm",
        env=("ROUTER_SIMULATOR_LLM",),
        default_text="none",
    ),
    Setting(
        name="simulator_llm_model",
        parser=text,
        help="model of that server",
        flag="--simulator-llm-model",
        env=("ROUTER_SIMULATOR_LLM_MODEL",),
        default_text="the first that it lists",
    ),
    Setting(
        name="simulator_llm_key",
        parser=secret,
        help="sent to that server, and to no other",
        env=("ROUTER_SIMULATOR_LLM_KEY",),
    ),
    Setting(
        name="upstream",
        parser=upstream,
        help="openai, simulator, or a ws:// or wss:// URL",
        flag="--upstream",
        env=("OPENAI_REALTIME_URL",),
        default_text="openai with a key, else simulator",
    ),
    Setting(
        name="openai_api_key",
        parser=secret,
        help="sent to the upstream, whichever it is, and to no other server",
        env=("OPENAI_API_KEY",),
    ),
    Setting(
        name="model",
        parser=text,
        help="model to request, unless the upstream's URL names one",
        flag="--model",
        env=("OPENAI_REALTIME_MODEL",),
    ),
    Setting(
        name="models",
        parser=texts,
        help="models that a client may request (agent.think.provider.model)",
        env=("ROUTER_MODELS",),
        default_text="none",
    ),
    Setting(
        name="turn_detection",
        parser=one_of(*TURN_DETECTIONS),
        help="server_vad, semantic_vad or manual",
        flag="--turn-detection",
        env=("ROUTER_TURN_DETECTION",),
    ),
    Setting(
        name="voice",
        parser=text,
        help="the agent's voice, where the client requests none or one that is in no table",
        env=("ROUTER_VOICE",),
    ),
    Setting(
        name="voices",
        parser=pairs,
        help="the upstream's voice for each that a client may request, over a built-in table",
        env=("ROUTER_VOICES",),
        default_text="none",
    ),
    Setting(
        name="transcription_model",
        parser=text,
        help="model that transcribes the user's speech",
        env=("ROUTER_TRANSCRIPTION_MODEL",),
    ),
    Setting(
        name="vad_threshold",
        parser=amount(0, 1),
        help="loudness from which server_vad takes audio for speech",
        flag="--vad-threshold",
        env=("ROUTER_VAD_THRESHOLD",),
    ),
    Setting(
        name="vad_prefix_ms",
        parser=whole(0, 5000),
        help="milliseconds before the detected start of speech that belong to it",
        flag="--vad-prefix-ms",
        env=("ROUTER_VAD_PREFIX_MS",),
    ),
    Setting(
        name="vad_silence_ms",
        parser=whole(50, 10_000),
        help="milliseconds of silence that end a turn with server_vad",
        flag="--vad-silence-ms",
        env=("ROUTER_VAD_SILENCE_MS",),
    ),
    Setting(
        name="vad_eagerness",
        parser=one_of("low", "auto", "high"),
        help="eagerness of semantic_vad: low, auto or high",
        flag="--vad-eagerness",
        env=("ROUTER_VAD_EAGERNESS",),
    ),
    Setting(
        name="noise_reduction",
        parser=one_of("off", "near_field", "far_field"),
        help="filter of the microphone: off, near_field (headset) or far_field (room)",
        flag="--noise-reduction",
        env=("ROUTER_NOISE_REDUCTION",),
    ),
    Setting(
        name="retention_ratio",
        parser=amount(0, 1),
        help="share of a full context that the upstream keeps; 0 for the default",
        flag="--retention-ratio",
        env=("ROUTER_RETENTION_RATIO",),
    ),
    Setting(
        name="max_output_tokens",
        parser=whole(0, 4096),
        help="tokens of a response, where the client sets no limit; 0 for none",
        flag="--max-output-tokens",
        env=("ROUTER_MAX_OUTPUT_TOKENS",),
    ),
    Setting(
        name="speed",
        parser=amount(0.25, 1.5),
        help="speed of speech, where the client chooses none",
        flag="--speed",
        env=("ROUTER_SPEED",),
    ),
    Setting(
        name="restarts",
        parser=whole(0, 20),
        help="consecutive attempts to replace an upstream that ended; 0 for none",
        flag="--restarts",
        env=("ROUTER_RESTARTS",),
    ),
    Setting(
        name="greeting",
        parser=one_of("auto", "spoken", "text"),
        help="whether a client's greeting is spoken: auto, spoken or text",
        flag="--greeting",
        env=("ROUTER_GREETING",),
    ),
    Setting(
        name="interrupted_answer",
        parser=one_of("continue", "stop"),
        help="fate of an answer that its upstream did not finish: continue or stop",
        flag="--interrupted-answer",
        env=("ROUTER_INTERRUPTED_ANSWER",),
    ),
    Setting(
        name="continued_text",
        parser=one_of("rest", "whole"),
        help="the text of a continued answer on /openai: its rest, or the whole",
        flag="--continued-text",
        env=("ROUTER_CONTINUED_TEXT",),
    ),
    Setting(
        name="agents",
        parser=tables,
        help="agents by id, with the fields of Settings.agent (in the file [agents.ID]; here JSON)",
        env=("ROUTER_AGENTS",),
        default_text="none",
    ),
    Setting(
        name="policies",
        parser=policy_table.parse,
        help="what clients may say, by the name in their credential (in the file [policies.NAME]; here JSON)",
        env=("ROUTER_POLICIES",),
        default_text="none",
    ),
    Setting(
        name="deepgram_api_key",
        parser=secret,
        help="opens /deepgram, and is sent to Deepgram's Voice Agent and to no other server",
        env=("DEEPGRAM_API_KEY",),
        default_text="none",
    ),
    Setting(
        name="deepgram_agent_url",
        parser=websocket_url,
        help="address of Deepgram's Voice Agent, for /deepgram",
        env=("DEEPGRAM_AGENT_URL",),
    ),
    Setting(
        name="deepgram_listen_url",
        parser=websocket_url,
        help="address of Deepgram's transcription, for service=transcription",
        env=("DEEPGRAM_LISTEN_URL",),
    ),
    Setting(
        name="twilio_auth_token",
        parser=secret,
        help="Twilio's token for the signatures of its requests; without it they are not checked",
        env=("TWILIO_AUTH_TOKEN",),
        default_text="none",
    ),
    Setting(
        name="twilio_dtmf",
        parser=one_of("message", "function", "ignore"),
        help="fate of keys that a caller presses on the telephone: message, function (the model reads them) or ignore",
        env=("ROUTER_TWILIO_DTMF",),
    ),
    Setting(
        name="drain_s",
        parser=seconds(0, 3600),
        help="seconds for a turn in progress when the process has to end",
        flag="--drain-s",
        env=("ROUTER_DRAIN_S",),
    ),
    Setting(
        name="allow_origins",
        parser=allowed_origins,
        help="origin of pages that may connect, such as https://app.example; may be repeated",
        flag="--allow-origin",
        is_repeatable=True,
        env=("ROUTER_ALLOW_ORIGINS",),
        default_text="its own and this machine's",
    ),
    Setting(
        name="allow_hosts",
        parser=allowed_hosts,
        help="name under which the router is reached, such as voice.example; may be repeated",
        flag="--allow-host",
        is_repeatable=True,
        env=("ROUTER_ALLOW_HOSTS",),
        default_text="addresses and this machine's names",
    ),
    Setting(
        name="trusted_proxies",
        parser=networks,
        help="network of proxies whose X-Forwarded-* headers and PROXY protocol count; may be repeated",
        flag="--trusted-proxy",
        is_repeatable=True,
        env=("ROUTER_TRUSTED_PROXIES",),
        default_text="none",
    ),
    Setting(
        name="insecure",
        parser=switch,
        help="listen beyond loopback without authentication",
        flag="--insecure",
        flag_value=True,
        env=("ROUTER_INSECURE",),
        default_text="off",
    ),
    Setting(
        name="tls_cert",
        parser=file_path,
        help="certificate of this server, with its chain, as PEM",
        flag="--tls-cert",
        env=("ROUTER_TLS_CERT",),
        default_text="none",
    ),
    Setting(
        name="tls_key",
        parser=file_path,
        help="private key of that certificate, as PEM",
        flag="--tls-key",
        env=("ROUTER_TLS_KEY",),
        default_text="none",
    ),
    Setting(
        name="tls_client_ca",
        parser=file_path,
        help="certificates that a client's own certificate has to come from, as PEM",
        flag="--tls-client-ca",
        env=("ROUTER_TLS_CLIENT_CA",),
        default_text="none",
    ),
    Setting(
        name="admin_bind",
        parser=address,
        help="address of health, metrics and administration, as HOST:PORT",
        flag="--admin-bind",
        env=("ROUTER_ADMIN_BIND",),
        default_text="that of the routes",
    ),
    Setting(name="workers", parser=whole(1, 256), help="processes", flag="--workers", env=("ROUTER_WORKERS",)),
    Setting(
        name="dispatchers",
        parser=whole(1, 256),
        help="dispatcher threads in each process; more than 1 is for free-threaded Python",
        flag="--dispatchers",
        env=("ROUTER_DISPATCHERS",),
    ),
    Setting(
        name="log_level",
        parser=one_of("trace", "debug", "info", "warning", "error"),
        help="trace, debug, info, warning or error",
        flag="--log-level",
        env=("ROUTER_LOG_LEVEL",),
        env_switch=("OPENAI_PROXY_DEBUG", "debug"),
    ),
    Setting(
        name="log_format",
        parser=one_of("text", "json"),
        help="text or json",
        flag="--log-format",
        env=("ROUTER_LOG_FORMAT",),
    ),
    Setting(
        name="prices",
        parser=prices.overrides,
        help="prices of models over the table that ships, in dollars per million tokens",
        default_text="the table that ships",
    ),
    Setting(
        name="guard",
        parser=guard.guard,
        help="check of what is said: rules, a URL or a function",
        default_text="off",
    ),
    Setting(
        name="safety",
        parser=safety,
        help="the identifier of each principal that upstreams get, hashed",
        default_text="none",
    ),
    Setting(
        name="usage_log",
        parser=file_path,
        help="file for a line of JSON about each session that ended, with its tokens and cost",
        flag="--usage-log",
        env=("ROUTER_USAGE_LOG",),
        default_text="none",
    ),
    Setting(
        name="record",
        parser=file_path,
        help="folder for a recording of each session, for switchboard replay; without words and sound",
        flag="--record",
        env=("ROUTER_RECORD",),
        default_text="none",
    ),
    Setting(
        name="record_content",
        parser=switch,
        help="record words, too: texts, prompts, arguments of functions; never a credential",
        flag="--record-content",
        flag_value=True,
        env=("ROUTER_RECORD_CONTENT",),
        default_text="off",
    ),
    Setting(
        name="record_audio",
        parser=switch,
        help="record sound, too, which takes some 10 MB a minute",
        flag="--record-audio",
        flag_value=True,
        env=("ROUTER_RECORD_AUDIO",),
        default_text="off",
    ),
    Setting(
        name="record_rate",
        parser=amount(0, 1),
        help="share of sessions that is recorded, from 0 to 1",
        flag="--record-rate",
        env=("ROUTER_RECORD_RATE",),
    ),
    Setting(
        name="record_principals",
        parser=texts,
        help="principal whose sessions are recorded; may be repeated",
        flag="--record-principal",
        is_repeatable=True,
        env=("ROUTER_RECORD_PRINCIPALS",),
        default_text="all",
    ),
    Setting(
        name="record_max_bytes",
        parser=whole(1024 * 1024, 1024**4),
        help="bytes of all recordings together; the oldest are removed",
        flag="--record-max-bytes",
        env=("ROUTER_RECORD_MAX_BYTES",),
    ),
    Setting(
        name="otel",
        parser=collector,
        help="URL of an OpenTelemetry collector (OTLP, HTTP) for traces, or application for the host's own provider",
        flag="--otel",
        env=("ROUTER_OTEL",),
        default_text="none",
    ),
    Setting(
        name="log_content",
        parser=switch,
        help="write the content of protocol messages at the level trace, without audio and credentials",
        flag="--log-content",
        flag_value=True,
        env=("ROUTER_LOG_CONTENT",),
        default_text="off",
    ),
    Setting(
        name="tool_hosts",
        parser=origins,
        help="origins of functions' endpoints that may be called, such as api.example",
        env=("ROUTER_TOOL_HOSTS",),
        default_text="none",
    ),
    Setting(
        name="tool_networks",
        parser=networks,
        help="networks whose addresses are not public and may be called all the same, such as 10.0.0.0/8",
        env=("ROUTER_TOOL_NETWORKS",),
        default_text="none",
    ),
    Setting(
        name="ca_file",
        parser=file_path,
        help="certificates to trust for a wss:// upstream and an https:// endpoint, as PEM",
        env=("ROUTER_CA_FILE",),
        default_text="the system's",
    ),
)

AUTH_SETTINGS: Final = (
    Setting(
        name="auth.kinds",
        parser=auth.kinds,
        help="kind of authentication: token, jwt, callable or none; may be repeated",
        flag="--auth",
        is_repeatable=True,
        env=("ROUTER_AUTH",),
        default_text="the kinds that are set up, else none",
    ),
    Setting(
        name=auth_table.VARIABLE_TOKENS,
        parser=auth.named_tokens,
        help="static tokens in clear: alice=TOKEN,bob=TOKEN",
        env=("ROUTER_TOKENS",),
        file_key="auth.tokens",
        default_text="none",
    ),
    Setting(
        name="auth.callable",
        parser=auth.function_place,
        help="function that authenticates: module:function",
        env=("ROUTER_AUTH_CALLABLE",),
        default_text="none",
    ),
    Setting(
        name="auth.secret",
        parser=secret,
        help="secret that signs short-lived tokens, the same on every machine",
        env=("ROUTER_AUTH_SECRET",),
        default_text="made of the other credentials",
    ),
)
"""Rows of the table `[auth]`, each with its key there as the name. `router.config.auth_table` makes one `Auth` from
them."""

EVERY_SETTING: Final = (*SETTINGS, *AUTH_SETTINGS)

TABLES: Final[dict[str, type[Deadlines | Limits]]] = {"deadlines": Deadlines, "limits": Limits}
"""The tables of the file, which are fields of `RouterConfig` of the same name."""
