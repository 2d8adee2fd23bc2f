"""The table of settings and their names.

The command line, the variables and `--check` are derived from it; a test compares the documentation with it. Must not
know how a value is read: that is `router.config.command_line`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.config.model import CONVERSE_PATH, HEALTH_PATH, READY_PATH, Deadlines, Limits, RouterConfig
from router.config.origins import networks, origins
from router.config.parsers import (
    file_path,
    host,
    one_of,
    pairs,
    route,
    seconds,
    secret,
    switch,
    text,
    texts,
    upstream,
    whole,
)
from router.config.provenance import Parser  # noqa: TC001 - msgspec resolves the annotation

TURN_DETECTIONS: Final = ("server_vad", "semantic_vad", "manual")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table: one field of `RouterConfig`, its parser, and its names."""

    name: str
    """The field, which is the key in the file, too."""
    parser: Parser
    help: str
    flag: str | None = None
    flag_value: bool | None = None
    """The value that the flag sets, where the flag takes none."""
    env: tuple[str, ...] = ()
    """Variables; the first wins over the second."""
    env_switch: tuple[str, str] | None = None
    """A variable and the value that it stands for when it is on and none of `env` is set."""
    default_text: str | None = None
    """The default in words, where it is a rule."""

    @property
    def default(self) -> Any:
        """The default of the field."""
        return _DEFAULTS[self.name]


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
        parser=route(CONVERSE_PATH, HEALTH_PATH, READY_PATH),
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
        name="wire_view",
        parser=switch,
        help="show the messages of all sessions in the console, to every visitor",
        flag="--wire-view",
        flag_value=True,
        env=("ROUTER_WIRE_VIEW",),
        default_text="off",
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
        name="drain_s",
        parser=seconds(0, 3600),
        help="seconds for a turn in progress when the process has to end",
        flag="--drain-s",
        env=("ROUTER_DRAIN_S",),
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
        parser=one_of("debug", "info", "warning", "error"),
        help="debug, info, warning or error",
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

TABLES: Final[dict[str, type[Deadlines | Limits]]] = {"deadlines": Deadlines, "limits": Limits}
"""The tables of the file, which are fields of `RouterConfig` of the same name."""
