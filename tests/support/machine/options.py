"""Options of a session under test: the defaults of the configuration, with some changes."""

from typing import Any

import msgspec

from router.config.model import RouterConfig
from router.session.options import Bounds, SessionOptions
from router.translation.voices import Voices

_CONFIG = RouterConfig()


def session_options(**changes: Any) -> SessionOptions:
    """Make the options of a session. Each change is a field of the options, of `Limits` or of `Bounds`."""
    limits, bounds = (
        msgspec.structs.replace(table, **{name: changes.pop(name) for name in {*changes} & {*table.__struct_fields__}})
        for table in (_CONFIG.limits, Bounds())
    )
    defaults = {
        "model": _CONFIG.model,
        "turn_detection": _CONFIG.turn_detection,
        "voices": Voices(default=_CONFIG.voice),
        "transcription_model": _CONFIG.transcription_model,
        "greeting": _CONFIG.greeting,
        "interrupted_answer": _CONFIG.interrupted_answer,
        "continued_text": _CONFIG.continued_text,
        "deadlines": _CONFIG.deadlines,
    }
    return SessionOptions(**{**defaults, "limits": limits, "bounds": bounds, **changes})
