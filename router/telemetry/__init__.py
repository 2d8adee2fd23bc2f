"""Traces for OpenTelemetry, with the extra `otel`. OpenTelemetry is imported only with the setting `otel`.

`setup`  the provider of spans: the host's own, or one that sends to a collector
`spans`  the spans of one session: session, turns, dials, functions, hooks
"""
