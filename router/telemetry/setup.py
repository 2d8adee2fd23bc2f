"""The provider of spans: that of the host application, or one that sends to a collector."""

from __future__ import annotations

import importlib.util
import os
import threading
from typing import TYPE_CHECKING, Final

from router.errors import ConfigError
from router.secrets import CREDENTIALS, Redactor
from router.version import VERSION

if TYPE_CHECKING:
    from router.config.model import RouterConfig
    from router.telemetry.spans import Tracing

APPLICATION: Final = "application"
"""The value of `otel` that selects the host application's provider."""

TRACES_PATH: Final = "/v1/traces"
"""The path of traces at a collector (OTLP 1.5)."""

INSTALL: Final = "pip install 'switchboard-voice[otel]'"

_NEEDED: Final = {APPLICATION: "opentelemetry", "": "opentelemetry.exporter.otlp.proto.http"}


class ProcessTracing:
    """The tracing of one process, made at its first use.

    A router also makes this object in the child of a fork. There OpenTelemetry's code must not run before the fork is
    complete, because it takes locks that other modules release in their own fork hooks.

    Raises:
        ConfigError: the extra is not installed.
    """

    def __init__(self, config: RouterConfig) -> None:
        self._otel = config.otel
        self._redact = Redactor(config.secrets, "[redacted]", CREDENTIALS)
        self._lock = threading.Lock()
        self._tracing: Tracing | None = None
        if config.otel is not None and not _is_installed(_NEEDED.get(config.otel, _NEEDED[""])):
            raise ConfigError(source="the configuration", name="otel", problem=f"needs OpenTelemetry: {INSTALL}")

    def get(self) -> Tracing | None:
        """Return the tracing of the configuration, or None without the setting `otel`. Any thread may call this."""
        if self._otel is None:
            return None
        with self._lock:
            if self._tracing is None:
                self._tracing = _tracing_of(self._otel, self._redact)
            return self._tracing

    def close(self) -> None:
        """Send the last spans, if any span was made."""
        with self._lock:
            if self._tracing is not None:
                self._tracing.close()


def _tracing_of(otel: str, redact: Redactor) -> Tracing:
    if otel != APPLICATION:
        return _sending(otel, redact)
    from opentelemetry import trace  # noqa: PLC0415 - only if it is wanted

    from router.telemetry.spans import Tracing  # noqa: PLC0415

    return Tracing(trace.get_tracer("switchboard", VERSION), redact=redact)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def _sending(url: str, redact: Redactor) -> Tracing:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    from router.telemetry.spans import Tracing  # noqa: PLC0415

    name = os.environ.get("OTEL_SERVICE_NAME", "switchboard")
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": VERSION}))
    where = url if url.endswith(TRACES_PATH) else url.rstrip("/") + TRACES_PATH
    # A thread of the processor sends the spans, so no span waits for the collector.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=where)))
    return Tracing(provider.get_tracer("switchboard", VERSION), provider.shutdown, redact)
