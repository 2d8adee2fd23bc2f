"""The router: it translates between voice agent clients and an upstream, and carries their sessions.

    from router import Router

    router = Router(openai_api_key=...)

`core`             the `Router`, which an application holds
`auth`             the request of a client, its credential, its authentication
`hooks`            the hooks of an embedding application
`session_factory`  the spec of a session, made of configuration, functions and hooks
`session`          one conversation as a state machine; pure
`translation`      each side's messages in terms of the other's; pure
`deepgram`         the messages of the client's protocol; pure
`openai`           the events of the upstream's protocol; pure
`audio`            formats and resampling; pure
`tools`            functions that the router runs itself
`wire_view`        the messages of recent sessions, recorded for the console
`runtime`          the running parts: dispatchers, pools, supervisor
`pacing`           the pacing of new calls
`config`           the configuration and its sources
`web`              the WSGI app, the upgrade of a request, the server of `run.py`
`flask`            `mount`, for Flask
`django`           `view`, for Django
`testing`          fixtures and scripted peers for the tests of an embedding application
`simulator`        an OpenAI Realtime server on this machine
`logs`             the log lines of the process
`secrets`          credentials, and the redaction of those that are configured
`errors`           the errors that the router raises
`console`          the standard streams of the command

The public names are those of `__all__`, `router.flask`, `router.django` and `router.testing`; all others may change
between versions.
"""

from __future__ import annotations

import importlib
import warnings
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
    from router.web.response import Response

__all__ = [
    "ConfigError",
    "Deadlines",
    "Limits",
    "Principal",
    "Profile",
    "Request",
    "Response",
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
    "router.web.response": ("Response",),
}


_FORMER = {"Answer": "Response"}
"""Public names of the version before, accepted with a warning."""


def __getattr__(name: str) -> Any:
    """Import a public name on its first use: a pure room, imported alone, must not load the whole router."""
    if name in _FORMER:
        warnings.warn(f"router.{name} is called {_FORMER[name]} now", DeprecationWarning, stacklevel=2)
        name = _FORMER[name]
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
