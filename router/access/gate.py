"""The checks of a request that need no credential: its proxies, the name of the host, the origin of its page."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from actors.connections.handover import HandshakeRefused
from router.access import origins, proxies
from router.config.model import TWILIO_PATH, TWILIO_STATUS_PATH, TWILIO_VOICE_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.config.model import RouterConfig

logger = logging.getLogger(__name__)


class Gate:
    """The checks of a request's host name and origin at one server. Methods may be called from any thread.

    Args:
        config: the configuration.
        is_server: whether the router runs its own server. The server of an embedding application checks host names
            itself, so there the gate checks them only if the configuration lists any.
    """

    def __init__(self, config: RouterConfig, *, is_server: bool) -> None:
        self._trusted = proxies.networks_of(config.trusted_proxies)
        self._origins = config.allow_origins
        self._hosts = (*config.allow_hosts, config.host.lower())
        self._checks_hosts = is_server or bool(config.allow_hosts)
        self._is_server = is_server
        self._paths_of_any_host = _paths_of_any_host(config)

    def admit(self, environ: Mapping[str, Any]) -> dict[str, Any]:
        """Return the environ as the client sent it, before proxies changed it.

        Raises:
            HandshakeRefused: 403 for a host name or a page that is not allowed; 400 for HTTP/1.1 without the header
                Host.
        """
        seen = proxies.as_sent(environ, self._trusted)
        host, origin = seen.get("HTTP_HOST"), seen.get("HTTP_ORIGIN")
        if self._is_server and host is None and seen.get("SERVER_PROTOCOL") == "HTTP/1.1":
            raise HandshakeRefused(HTTPStatus.BAD_REQUEST, "HTTP/1.1 requires the header Host")
        checks_host = self._checks_hosts and seen.get("PATH_INFO") not in self._paths_of_any_host
        if checks_host and host is not None and not origins.is_allowed_host(host, self._hosts):
            raise HandshakeRefused(HTTPStatus.FORBIDDEN, "this host name is not served here: see --allow-host")
        if not origins.is_allowed_origin(origin, host or "", self._origins):
            raise HandshakeRefused(HTTPStatus.FORBIDDEN, "pages of this origin may not connect: see --allow-origin")
        return seen


def _paths_of_any_host(config: RouterConfig) -> frozenset[str]:
    """Return the paths for Twilio that accept any host name; an empty set if the configuration lists host names.

    A page gains nothing on these paths by rebinding its DNS name to this machine. The webhook's answer only repeats the
    request, and the other paths accept only requests that Twilio has signed.
    """
    if config.allow_hosts:
        return frozenset()
    # The webhook only repeats the request. The signature covers the name of the host.
    signed = {TWILIO_PATH, TWILIO_STATUS_PATH} if config.twilio_auth_token is not None else set()
    return frozenset({TWILIO_VOICE_PATH, *signed})
