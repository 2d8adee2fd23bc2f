"""Both fronts of Listen, as data, and their routes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from actors.connections.handover import HandshakeRefused
from actors.connections.upstream import DialTarget
from router.access.request import pairs_of
from router.config.model import LISTEN_PATHS
from router.fronts.front import Call, Front
from router.fronts.listen.guarded import ListenDialect
from router.fronts.listen.parameters import OWN, SERVICE, permitted, problem_of
from router.fronts.listen.results import error
from router.fronts.listen.transcriber import Transcriber
from router.fronts.listen.value import VALUE, MovableListenRelay
from router.session.profile import OPENAI
from router.web import upgrade

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.connections.base import ConnectionLimits
    from actors.machine import Machine
    from router.config.model import RouterConfig
    from router.session.options import SessionOptions
    from router.web.response import Environ, Response


def dial_target(config: RouterConfig, limits: ConnectionLimits, query: Mapping[str, str]) -> DialTarget:
    """Return Deepgram's address with the client's parameters, and Deepgram's key, as the target of a dial.

    The client never gets the key.
    """
    parts = urlsplit(config.deepgram_listen_url)
    path = LISTEN_PATHS[0] if parts.path in ("", "/") else parts.path
    passed = urlencode([(name, value) for name, value in pairs_of(query) if name not in OWN])
    key = config.deepgram_api_key
    return DialTarget(
        url=urlunsplit(parts._replace(path=path, query="&".join(filter(None, (parts.query, passed))))),
        headers=(("Authorization", f"Token {key.reveal()}"),) if key is not None else (),
        timeout_s=config.deadlines.dial_s,
        ca_file=config.ca_file,
        limits=limits,
    )


def _relay(call: Call) -> Machine:
    return MovableListenRelay(call.session, call.memory)


def _without_answers(options: SessionOptions) -> SessionOptions:
    return msgspec.structs.replace(options, turn_detection="listen")


LOST_FRAME: Final = error("SESSION_LOST", "the session could not be continued: connect again")

TRANSCRIBER: Final = Front(
    name="listen",
    profile=msgspec.structs.replace(OPENAI, name="listen", openai_events=False),
    adapt=Transcriber,
    # The parameter `model` has no effect here. The policy judges the Settings that the other parameters make.
    judge_query=lambda _policy, query: query,
    options=_without_answers,
    lost_frame=LOST_FRAME,
    can_move=True,
    can_outlive=True,
)
"""Transcription by a session of the router."""

LISTEN_RELAY: Final = Front(
    name="deepgram-listen",
    profile=OPENAI,
    adapt=_relay,
    judge_query=permitted,
    dial_target=dial_target,
    lost_frame=LOST_FRAME,
    layout=VALUE.layout,
    can_move=True,
    can_outlive=True,
    dialect=ListenDialect,
    is_relay=True,
)
"""Transcription by Deepgram."""


def serve(router: upgrade.Router, config: RouterConfig, environ: Environ) -> Response:
    """Upgrade a request for transcription: to a relay to Deepgram if its key is configured, or else to a session.

    Raises:
        HandshakeRefused: the request is refused, or a session cannot transcribe as the parameters request.
    """
    if config.deepgram_api_key is not None:
        return upgrade.accept(router, LISTEN_RELAY.name, environ, service=SERVICE)
    problem = problem_of(dict(parse_qsl(environ.get("QUERY_STRING", ""))))
    if problem is not None:
        with upgrade.counting(router):
            raise upgrade.refusal(router, environ, problem)
    return upgrade.accept(router, TRANSCRIBER.name, environ, service=SERVICE)


def serve_either(router: upgrade.Router, config: RouterConfig, agent: str, environ: Environ) -> Response:
    """Upgrade a request to transcription if its parameter `service` requests that, or else to the front `agent`.

    Raises:
        HandshakeRefused: the request is refused, or the front `agent` lacks Deepgram's key.
    """
    if dict(parse_qsl(environ.get("QUERY_STRING", ""))).get("service") == SERVICE:
        return serve(router, config, environ)
    if config.deepgram_api_key is None:
        raise HandshakeRefused(HTTPStatus.NOT_FOUND, "Deepgram's Voice Agent is not configured: set DEEPGRAM_API_KEY")
    return upgrade.accept(router, agent, environ)
