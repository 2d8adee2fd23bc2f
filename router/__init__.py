"""The product: it knows what messages mean, and how people reach us.

    from router import Router

    router = Router(openai_api_key=...)

`core`         the Router: starts sessions
`engine`       its running parts
`hooks`        what an embedding application may have called
`config`       one frozen configuration
`specs`        what a session is made of
`given`        the configuration as a program gives it
`testing`      fixtures and fakes for the tests of an application that embeds us
`flask`        `mount`, for Flask
`django`       `view`, for Django
`web`          the WSGI app, the upgrade of a request, and the server that `run.py` drives
`simulator`    an OpenAI Realtime server that runs on this machine
`tools`        functions that the router runs itself
`session`      one conversation as a state machine: pure
`translation`  what each side's words mean in the other's: pure
`deepgram`     the client's words: pure
`openai`       the upstream's words: pure
`audio`        formats and resampling: pure
`errors`       what can go wrong before there is a session

What is public is in `__all__`, and in `flask` and `django`; everything else may change between versions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from router.auth import Principal, Request
    from router.config.model import Deadlines, Limits, RouterConfig
    from router.config.upstream import Upstream
    from router.core import Profile, Router
    from router.errors import ConfigError, RouterError, StartError
    from router.hooks import SessionContext, SessionEnd
    from router.secrets import Secret
    from router.session.reports import Turn, Usage
    from router.tools.registry import ToolCall
    from router.web.response import Answer

__all__ = [
    "Answer",
    "ConfigError",
    "Deadlines",
    "Limits",
    "Principal",
    "Profile",
    "Request",
    "Router",
    "RouterConfig",
    "RouterError",
    "Secret",
    "SessionContext",
    "SessionEnd",
    "StartError",
    "ToolCall",
    "Turn",
    "Upstream",
    "Usage",
]

_HOMES = {
    "router.auth": ("Principal", "Request"),
    "router.config.model": ("Deadlines", "Limits", "RouterConfig"),
    "router.config.upstream": ("Upstream",),
    "router.core": ("Profile", "Router"),
    "router.errors": ("ConfigError", "RouterError", "StartError"),
    "router.secrets": ("Secret",),
    "router.hooks": ("SessionContext", "SessionEnd"),
    "router.session.reports": ("Turn", "Usage"),
    "router.tools.registry": ("ToolCall",),
    "router.web.response": ("Answer",),
}


def __getattr__(name: str) -> Any:
    """Import what is public when it is asked for: a room inside, imported alone, brings no other with it."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
