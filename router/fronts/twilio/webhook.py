"""The requests of Twilio: the webhook of a call, which answers with TwiML, and the WebSocket of its stream.

If an auth token is configured, both requests must be signed. The signature authenticates Twilio, which sends no other
credential.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qs, parse_qsl

from actors.connections.handover import HandshakeRefused
from router.config.model import TWILIO_PATH
from router.fronts.twilio.signature import is_valid
from router.web.response import Environ, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from router.config.model import RouterConfig

logger = logging.getLogger(__name__)

XML: Final = "text/xml; charset=utf-8"
FORM: Final = "application/x-www-form-urlencoded"

MAX_FORM_BYTES: Final = 64 * 1024
MAX_PARAMETER_CHARS: Final = 500
"""The longest `<Parameter>` that Twilio passes on, as the characters of name and value together."""

CALLER: Final = {"From": "from", "To": "to"}
"""The fields of the webhook that become parameters of the stream, and so variables of the agent."""


OVER: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""The statuses of a call that has ended."""

MAX_SID_CHARS: Final = 64


class Router(Protocol):
    """The part of the router that Twilio's requests need. Its methods may be called from any thread."""

    @property
    def config(self) -> RouterConfig:
        """The configuration of the router."""

    def accept(
        self, environ: Environ, profile: str, *, turn_detection: str | None = None, is_verified: bool = False
    ) -> str:
        """Upgrade a request to a session; see `Router.accept` of `router.core`."""

    @property
    def ask_workers(self) -> Callable[[dict[str, Any]], list[Any]]:
        """The function that sends an operator's verb to all workers and returns their answers."""


def serve_stream(router: Router, environ: Environ) -> Response:
    """Upgrade the WebSocket of a stream to a session. A valid signature replaces the client's credential.

    Raises:
        HandshakeRefused: the signature is missing or wrong, or the router refuses the session.
    """
    is_signed = _check(router, environ, ("wss",), {})
    session_id = router.accept(environ, "twilio", is_verified=is_signed)
    return Response(HTTPStatus.SWITCHING_PROTOCOLS, session_id=session_id)


def serve_voice(router: Router, environ: Environ, *, stream_path: str = TWILIO_PATH) -> Response:
    """Answer the webhook of a call with the TwiML that connects the call to its stream.

    Raises:
        HandshakeRefused: the signature is missing or wrong, or the form is too large.
    """
    form = _read_form(environ)
    _check(router, environ, ("https", "http"), form)
    parameters = {
        **{name: form[field][0] for field, name in CALLER.items() if field in form},
        **dict(parse_qsl(environ.get("QUERY_STRING", ""))),
    }
    return Response(HTTPStatus.OK, twiml(_stream_url(environ, stream_path), parameters), XML)


def serve_status(router: Router, environ: Environ) -> Response:
    """End the session of a call whose status call-back reports its end.

    Raises:
        HandshakeRefused: the signature is missing or wrong, or the form is too large.
    """
    form = _read_form(environ)
    _check(router, environ, ("https", "http"), form)
    status, call_sid = (form.get(name, [""])[0] for name in ("CallStatus", "CallSid"))
    if status in OVER and call_sid and any(router.ask_workers({"verb": "end_named", "name": call_sid})):
        logger.info("call %s: %s, its session ends", call_sid[:MAX_SID_CHARS], status)
    return Response(HTTPStatus.NO_CONTENT, "")


def twiml(url: str, parameters: Mapping[str, str]) -> str:
    """Return the TwiML that connects a call to a stream at `url`, without parameters that are too long.

    The parameters stand beside the URL, because Twilio would drop a query.
    """
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - 0.8 MB, which only routers with a telephone need

    response = ET.Element("Response")
    stream = ET.SubElement(ET.SubElement(response, "Connect"), "Stream", url=url)
    for name, value in parameters.items():
        if len(name) + len(value) <= MAX_PARAMETER_CHARS:
            ET.SubElement(stream, "Parameter", name=name, value=value)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(response, encoding="unicode")


def _check(router: Router, environ: Environ, schemes: Iterable[str], form: Mapping[str, Sequence[str]]) -> bool:
    """Return True for a validly signed request, and False if no auth token is configured.

    Raises:
        HandshakeRefused: a token is configured, and the signature is missing or wrong.
    """
    auth_token = router.config.twilio_auth_token
    if auth_token is None:
        return False
    query = environ.get("QUERY_STRING", "")
    below = _path(environ) + (f"?{query}" if query else "")
    urls = [f"{scheme}://{_host(environ)}{below}" for scheme in schemes]
    if not is_valid(environ.get("HTTP_X_TWILIO_SIGNATURE", ""), auth_token.reveal(), urls, form):
        raise HandshakeRefused(HTTPStatus.FORBIDDEN, "the signature of Twilio is missing or wrong")
    return True


def _read_form(environ: Environ) -> dict[str, list[str]]:
    if not environ.get("CONTENT_TYPE", "").startswith(FORM):
        return {}
    length = environ.get("CONTENT_LENGTH", "")
    size_bytes = int(length) if length.isdecimal() else 0
    if size_bytes > MAX_FORM_BYTES:
        raise HandshakeRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too large")
    body: bytes = environ["wsgi.input"].read(size_bytes)
    return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)


def _stream_url(environ: Environ, path: str) -> str:
    # Twilio connects to no other scheme.
    return f"wss://{_host(environ)}{environ.get('SCRIPT_NAME', '')}{path}"


def _host(environ: Environ) -> str:
    return str(environ.get("HTTP_HOST") or environ.get("SERVER_NAME", ""))


def _path(environ: Environ) -> str:
    return f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
