"""TLS in the router's own server: its certificate, which a signal renews, and sockets that a call can take over.

gunicorn makes a context for each connection, from files that it reads each time, and keeps the socket. A worker of this
server has one context, and a session takes the socket over, so a call holds no thread.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

from actors.connections.handover import TlsSocket
from router.errors import ConfigError
from router.shared_areas import OWN

if TYPE_CHECKING:
    import socket

    from router.config.model import RouterConfig
    from router.shared_areas import Areas

logger = logging.getLogger(__name__)


class Tls:
    """The certificate of a server.

    The arbiter makes this object before the fork, and all workers share the counter of its renewals.

    Raises:
        ConfigError: the certificate cannot be used.
    """

    def __init__(self, certificate: str, key: str, client_ca: str | None, areas: Areas = OWN) -> None:
        self._files = (certificate, key, client_ca)
        self._generation = areas.memory("certificate", 8)
        self._context = self._load()
        self._loaded = self._now()

    @classmethod
    def of(cls, config: RouterConfig, areas: Areas = OWN) -> Tls | None:
        """Make the certificate's object from the configuration; return None if the server has no TLS.

        Raises:
            ConfigError: a file is missing, or cannot be used.
        """
        if not (config.tls_cert or config.tls_key or config.tls_client_ca):
            return None
        if config.tls_cert is None or config.tls_key is None:
            raise ConfigError(source="TLS", name="tls_cert", problem="is needed together with tls_key")
        return cls(config.tls_cert, config.tls_key, config.tls_client_ca, areas)

    def renew(self) -> None:
        """Check the files, and let every worker read them again if they are valid. The arbiter calls this on SIGHUP."""
        try:
            self._load()
        except ConfigError as error:
            logger.error("the certificate is kept: %s", error)  # noqa: TRY400 - the operator's files, no bug
            return
        generation = self._now() + 1
        self._generation[:] = generation.to_bytes(8, "little")
        logger.warning("the certificate was read again: new connections use it")

    def wrap_socket(self, sock: socket.socket, **_given: Any) -> TlsSocket:
        """Return the TLS socket of a connection, before its handshake.

        gunicorn calls this method in place of `SSLContext.wrap_socket`.
        """
        generation = self._now()
        if generation != self._loaded:
            self._loaded = generation
            try:
                self._context = self._load()
            except ConfigError as error:  # the files have changed since the arbiter checked them
                logger.error("the certificate is kept: %s", error)  # noqa: TRY400 - the operator's files, no bug
        return TlsSocket(self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False))

    def _now(self) -> int:
        return int.from_bytes(self._generation[:], "little")

    def _load(self) -> ssl.SSLContext:
        certificate, key, client_ca = self._files
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
            if client_ca is not None:
                context.load_verify_locations(client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            problem = f"cannot be used: {certificate} with the key {key}: {reason}"
            raise ConfigError(source="TLS", name="tls_cert", problem=problem) from error
        return context


def _no_password() -> str:
    # OpenSSL would ask for the password on the terminal, and the server would wait.
    raise ValueError("the key has a password, which nobody can type here")
