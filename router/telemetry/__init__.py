"""Traces for OpenTelemetry, with the extra `otel`. Without the setting `otel` no OpenTelemetry package is imported.

`setup`  the provider of spans: the host's own, or one that sends to a collector
`spans`  the spans of one session: session, turns, dials, functions, hooks
"""
