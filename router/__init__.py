"""The router: it translates between voice agent clients and an upstream, and carries their sessions.

from router import Router

router = Router(openai_api_key=...)

`core`             the `Router`, which an application holds
`establish`        the steps from a request to a session, and the adoption of another process's session
`access`           the request of a client, its credential, and the decision whether it may come in
`hooks`            the hooks of an embedding application
`assembly`         the spec of each session, from configuration, functions and hooks
`fronts`           the wires of clients, one package each
`guard`            a check of the texts of a conversation, around the session's machine
`resume`           the return of a client whose call was lost to its conversation
`session`          one conversation as a state machine; pure
`translation`      the translation of Deepgram's messages to OpenAI's, and back; pure
`deepgram`         the messages of the client's protocol; pure
`openai`           the events of the upstream's protocol; pure
`audio`            formats and resampling; pure
`admin`            verbs of an operator, over all workers
`metrics`          counters of all workers, for Prometheus
`observer`         the facts about each session, its cost, and its end
`telemetry`        spans for OpenTelemetry, with the setting `otel`
`policy`           the values that a client may send, and those that the server sets instead; pure
`recording`        recordings of sessions, and their replay
`tools`            functions that the router runs itself
`trace_context`    the W3C Trace Context of a request
`json_bounds`      the bounds of a JSON text, checked before it is parsed; pure
`wire_view`        the messages of recent sessions, recorded for the console
`runtime`          the running parts: dispatchers, pools, supervisor
`http_deadline`    one deadline for a whole HTTP exchange
`call_names`       sessions, by a name on the client's wire, such as the id of a telephone call
`pacing`           the pacing of new calls
`load`             the load of a process, for load balancers; pure
`config`           the configuration and its sources
`web`              the WSGI app, the upgrade of a request, the server of the command
`asgi`             the ASGI application, and hooks that are coroutines
`flask`            `mount`, for Flask
`django`           `view`, for Django
`testing`          fixtures and scripted peers for the tests of an embedding application
`simulator`        an OpenAI Realtime server on this machine
`upstreams`        the health of the upstreams and their keys, across sessions
`usage`            tokens, their prices, and sums; pure
`logs`             the log lines of the process
`keeping`          sessions that outlive their process: their records, and the recovery
`shared_areas`     memory that the processes of a server share, even over a reload
`secrets`          credentials, and the redaction of those that are configured
`version`          the version
`errors`           the errors that the router raises
`closes`           the table of closes: code, reason, "come back?", metric labels; pure
`command`          the command `switchboard` and its subcommands
`__main__`         the start of that command, which checks Python and the libraries

The public names are those of `__all__`, `router.flask`, `router.django` and `router.testing`; all others may change
between versions.
"""

from __future__ import annotations

import importlib
import re
import warnings
from typing import TYPE_CHECKING, Any

import switchboard_voice
from router.version import VERSION

if TYPE_CHECKING:
    from router.access.request import Principal, Request
    from router.config.model import Deadlines, Limits, RouterConfig
    from router.config.upstream import Upstream
    from router.core import Profile, Router
    from router.errors import ConfigError, RouterError, StartError
    from router.hooks import SessionContext, SessionEnd
    from router.secrets import Secret
    from router.session.reports import Turn, Usage
    from router.tools.registry import ToolCall
    from router.web.response import Response

__version__ = VERSION

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
    "router.access.request": ("Principal", "Request"),
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
"""The present name of each former public name. The import of a former name still works, with a warning."""


def __getattr__(name: str) -> Any:
    """Import a public name on its first use. So the import of one pure package does not load the whole router."""
    if name in _FORMER:
        warnings.warn(f"router.{name} is called {_FORMER[name]} now", DeprecationWarning, stacklevel=2)
        name = _FORMER[name]
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    _explain_hidden(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _explain_hidden(name: str) -> None:
    """Raise `ImportError` if the application has a module `router` with this name, which this package hides."""
    other = None if name.startswith("_") else switchboard_voice.hidden(__name__)
    # The interpreter would replace an AttributeError by its own sentence, which names only this package's file.
    if other is not None and re.search(rf"\b{name}\b", other.read_text(encoding="utf-8", errors="replace")):
        raise ImportError(
            f"`router` is Switchboard's package here, and hides {other}, which has {name!r}. "
            f"{switchboard_voice.REMEDY}.",
            name=__name__,
        )


switchboard_voice.check("actors")
