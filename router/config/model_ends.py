"""The announced ends of models, and warnings about configured models that end soon. Pure.

Source: OpenAI's page "Deprecations", as of October 2026. The dated versions of a model end together with it.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from router.config.parsers import model_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.config.model import RouterConfig

WARNED_BEFORE: Final = dt.timedelta(days=90)


class End(NamedTuple):
    """The end of a model, and the model to use instead."""

    on: dt.date
    replacement: str


_REALTIME: Final = End(dt.date(2027, 1, 20), "gpt-realtime-2.1")
_REALTIME_MINI: Final = End(dt.date(2027, 1, 20), "gpt-realtime-2.1-mini")
_TRANSCRIPTION: Final = End(dt.date(2027, 2, 26), "gpt-live-transcribe")

ENDS: Final = {
    "gpt-realtime": _REALTIME,
    "gpt-realtime-mini": _REALTIME_MINI,
    "gpt-4o-realtime": _REALTIME,
    "gpt-audio": _REALTIME,
    "gpt-4o-audio": _REALTIME,
    "whisper-1": _TRANSCRIPTION,
    "gpt-4o-transcribe": _TRANSCRIPTION,
    "gpt-4o-mini-transcribe": _TRANSCRIPTION,
    "gpt-4o-transcribe-diarize": _TRANSCRIPTION,
}
"""The models with a known end, by name."""

_DATE: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def end_of(model: str) -> End | None:
    """Return the end of a model; None if none is known."""
    return ENDS.get(_DATE.sub("", model))


def warnings(config: RouterConfig, today: dt.date) -> Iterator[str]:
    """Yield a sentence for each configured model that has ended, or ends within 90 days."""
    for model in dict.fromkeys(_models(config)):
        end = end_of(model)
        if end is not None and end.on - today <= WARNED_BEFORE:
            verb = "ended" if end.on <= today else "ends"
            yield f"the model {model} {verb} on {end.on}: configure another one, such as {end.replacement}"


def _models(config: RouterConfig) -> Iterator[str]:
    if config.upstream == "simulator":
        return
    yield from (config.model, *config.models, config.transcription_model)
    for route in config.routes:
        own = route.defaults
        yield from filter(None, (own.get("model"), *own.get("models", ()), own.get("transcription_model")))
    for upstream in config.all_upstreams():
        yield from filter(None, (model_of(upstream.url), upstream.model, upstream.transcription_model))
