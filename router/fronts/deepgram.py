"""Deepgram's Voice Agent protocol: the session speaks it itself, in two profiles."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson

from actors.connections.handover import HandshakeRefused
from router.access.request import Request
from router.deepgram import codec
from router.deepgram import messages as deepgram
from router.fronts.front import Front
from router.fronts.named_agents import with_agents
from router.policy.rules import Denied
from router.session.handlers.settings import welcome
from router.session.profile import CONVERSE, OPENAI, Profile
from router.web.response import JSON, Response

if TYPE_CHECKING:
    from router.policy.policy import Policy
    from router.web.response import Environ
    from router.web.upgrade import Router

# The frame that a client gets when an actor of its session has failed. It is encoded once.
CRASH_FRAME: Final = codec.encode(
    deepgram.Error(description="internal error; the server logged it", code="INTERNAL_SERVER_ERROR")
)

# The frame that a client gets when all sessions together hold too much memory, and its own session holds the most.
BUSY_FRAME: Final = codec.encode(
    deepgram.Error(
        description="the server holds too much data of its clients, and of this one the most", code="SERVER_BUSY"
    )
)


# The frame that a client gets when its session's processes died several times in a row.
LOST_FRAME: Final = codec.encode(
    deepgram.Error(description="the session could not be continued: connect again", code="SESSION_LOST")
)


def _front(profile: Profile) -> Front:
    return Front(
        name=profile.name,
        profile=profile,
        adapt=lambda call: with_agents(call.machine, call),
        first_text=welcome,
        crash_frame=CRASH_FRAME,
        busy_frame=BUSY_FRAME,
        lost_frame=LOST_FRAME,
        can_move=True,
        can_outlive=True,
        can_return=True,
    )


COMPONENT: Final = _front(OPENAI)
"""The front of the route `/openai`, for the React component."""

SDKS: Final = _front(CONVERSE)
"""The front of the route `/v1/agent/converse`, for Deepgram's SDKs."""


def serve_think_models(router: Router, environ: Environ) -> Response:
    """Answer with the models that a client may request, in the form that Deepgram's SDKs read.

    The request needs no credential, because Deepgram's own list is public, too. A client with a credential gets the
    models that its policy permits, and any other client gets those that the default policy permits.
    """
    config, policy = router.config, _policy_of(router, environ)
    listed = dict.fromkeys((config.model, *config.models))
    names = [name for name in listed if policy is None or not isinstance(policy.model(name), Denied)]
    models = [{"id": name, "name": name, "provider": "open_ai"} for name in names]
    return Response(HTTPStatus.OK, orjson.dumps({"models": models}).decode(), JSON)


def _policy_of(router: Router, environ: Environ) -> Policy | None:
    principal = None
    if router.config.policies and Request.of(environ, "").credential is not None:
        with contextlib.suppress(HandshakeRefused):
            principal = router.identify(environ)
    return router.config.policy_of(principal.policy if principal is not None else None)
