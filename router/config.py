"""The configuration: one frozen `RouterConfig`, with its defaults and its bounds.

Must not know where a value was said: that is `router.settings`.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from router.errors import ConfigError
from router.values import Secret, model_of, query_secrets, seconds, shown_url, url_with_model, whole

__all__ = ["Deadlines", "Limits", "RouterConfig", "Secret", "model_of", "url_with_model"]

OPENAI_URL: Final = "wss://api.openai.com/v1/realtime"
CONVERSE_PATH: Final = "/v1/agent/converse"
HEALTH_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long each wait of the product may take, in seconds: the file's table `[deadlines]`."""

    dial_s: Annotated[float, seconds(0.05, 300)] = 10.0
    """DNS, TCP, TLS and the WebSocket handshake of the upstream, together."""
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
    tool_answer_s: Annotated[float, seconds(0.05, 86400)] = 30.0
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
    """Messages kept until `Settings`, or until the upstream is ready."""
    max_message_bytes: Annotated[int, whole(1024, 256 * 1024 * 1024)] = 16 * 1024 * 1024
    """The largest message that a peer may send."""
    dial_threads: Annotated[int, whole(1, 256)] = 8
    """Upstreams that are dialled at the same time, in one process."""
    web_threads: Annotated[int, whole(1, 256)] = 8
    """HTTP requests and WebSocket handshakes that are served at the same time, in one process."""


class RouterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Its `repr` never shows the key."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free port, which is printed at the start."""
    path: str = "/openai"
    upstream: str = "simulator"
    """`openai`, `simulator` or a URL, as it was said; see `upstream_url`."""
    openai_api_key: Secret | None = None
    model: str = "gpt-realtime-2.1"
    models: tuple[str, ...] = ()
    turn_detection: str = "server_vad"
    voice: str = "marin"
    transcription_model: str = "gpt-realtime-whisper"
    workers: int = 1
    dispatchers: int = 1
    log_level: str = "info"
    log_format: str = "text"
    ca_file: str | None = None
    deadlines: Deadlines = Deadlines()
    limits: Limits = Limits()

    def upstream_url(self, model: str | None = None) -> str:
        """Return what is dialled; a model in the configured URL wins over `model`, and that over the default.

        Raises:
            ConfigError: for the embedded simulator, which has an address only once it runs.
        """
        if self.upstream == "simulator":
            problem = "is the embedded simulator, which has an address only once it runs"
            raise ConfigError(source="RouterConfig", name="upstream", problem=problem)
        url = OPENAI_URL if self.upstream == "openai" else self.upstream
        return url_with_model(url, model or self.model)

    @property
    def upstream_label(self) -> str:
        """What may be printed of the upstream: never a key, not even one in the URL's query."""
        return "simulator" if self.upstream == "simulator" else shown_url(self.upstream_url())

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log line may hold."""
        key = (self.openai_api_key.reveal(),) if self.openai_api_key else ()
        return key + query_secrets(self.upstream)
