"""Authentication: the configured kinds of credentials, tried in turn, and the one refusal for all of them."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.connections.handover import HandshakeRefused
from router.access import grants, tokens
from router.access.hook import verdict_of
from router.access.json_web_tokens import JsonWebTokens
from router.access.request import NO_TERMS
from router.access.signing import signing_key
from router.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.pool import Pool
    from router.access.request import Authenticate, Principal, Request
    from router.config.model import RouterConfig

logger = logging.getLogger(__name__)

REFUSAL_S: Final = 0.01
"""The shortest time, in seconds, that a refusal takes.

So a client cannot measure that the check of a wrong credential takes longer than that of an absent one.
"""


class Authentication:
    """The decision which clients may come in. Methods may be called from any thread.

    Args:
        config: the configuration.
        hook: the application's `authenticate`, or None.

    Raises:
        ConfigError: a key cannot be used, or the configured function does not exist.
    """

    def __init__(self, config: RouterConfig, hook: Authenticate | None) -> None:
        kinds = config.auth.kinds
        self._tokens = config.auth.tokens if "token" in kinds else ()
        jwt = config.auth.jwt if "jwt" in kinds else None
        has_policies = bool(config.policies)
        self._jwt = JsonWebTokens(jwt, ca_file=config.ca_file, has_policies=has_policies) if jwt is not None else None
        self._policies = frozenset(config.policies)
        functions = (_function_at(config.auth.function) if "callable" in kinds and config.auth.function else None, hook)
        self._hooks = tuple(each for each in functions if each is not None)
        self._key = signing_key(config, "grants")
        self.is_required = bool(kinds or hook)
        """Whether a client needs a credential."""

    def identify(self, request: Request, pool: Pool, *, session_id: str, timeout_s: float) -> Request:
        """Return the request with its principal. The call blocks for a hook, and for a key set that is read again.

        Raises:
            HandshakeRefused: 401 for an absent, wrong or expired credential; 500 or 503 if a hook gave no verdict.
        """
        if not self.is_required:
            return self._bound(request)
        begun_s = time.monotonic()
        principal = self._with_known_policy(self._principal_of(request.credential or ""))
        for hook in self._hooks:
            if principal is None:
                principal = verdict_of(hook, request, pool, session_id=session_id, timeout_s=timeout_s)
                if self._with_known_policy(principal) is not principal:
                    # This is a mistake of the program, and not of the client.
                    problem = "internal error in authentication; the server logged it"
                    raise HandshakeRefused(HTTPStatus.INTERNAL_SERVER_ERROR, problem)
        if principal is None:
            time.sleep(max(0.0, begun_s + REFUSAL_S - time.monotonic()))
            raise refusal()
        return msgspec.structs.replace(request, principal=principal)

    def _with_known_policy(self, principal: Principal | None) -> Principal | None:
        """Return the principal, or None if the principal names a policy that does not exist.

        The router would not know which messages such a client may send.
        """
        if principal is None or principal.policy is None or principal.policy in self._policies:
            return principal
        logger.error(
            "the credential of %.80r names the policy %.80r, which does not exist", principal.id, principal.policy
        )
        return None

    def _bound(self, request: Request) -> Request:
        """Return the request. If its short-lived token has terms (`Terms`), add the principal of that token.

        So the terms apply even on a router that demands no credential.
        """
        found = grants.principal_of(self._key, request.credential, time.time()) if request.credential else None
        is_bound = found is not None and found.terms != NO_TERMS
        return msgspec.structs.replace(request, principal=found) if is_bound else request

    def grant(
        self,
        principal: Principal | None,
        ttl_s: int,
        *,
        is_single_use: bool = False,
        session: Mapping[str, Any] | None = None,
    ) -> tuple[str, int]:
        """Return a short-lived token for a principal, and the seconds until the token expires.

        Args:
            principal: the client that asks for the token; None for a client without an identity.
            ttl_s: the requested lifetime. The token expires no later than the principal's credential.
            is_single_use: whether the token opens only one session.
            session: the configuration with which the token's sessions begin.

        Raises:
            HandshakeRefused: 403 if the principal came with a short-lived token itself; 400 if `session` does not
                fit into a token.
        """
        if principal is not None and principal.is_granted:
            raise HandshakeRefused(HTTPStatus.FORBIDDEN, "a short-lived token earns no other: use a lasting credential")
        now_s = time.time()
        try:
            token, ends_s = grants.issue(
                self._key, principal, ttl_s, now_s, is_single_use=is_single_use, session=session
            )
        except grants.TooLongError:
            problem = (
                f"the session does not fit into a token of {grants.MAX_CHARS} characters: send it as session.update"
            )
            raise HandshakeRefused(HTTPStatus.BAD_REQUEST, problem) from None
        return token, ends_s - int(now_s)

    def _principal_of(self, credential: str) -> Principal | None:
        now_s = time.time()
        found = tokens.principal_of(self._tokens, credential, now_s) or grants.principal_of(
            self._key, credential, now_s
        )
        return found or (self._jwt.principal_of(credential) if self._jwt is not None and credential else None)


def refusal() -> HandshakeRefused:
    """Return the refusal (401) for an absent, wrong or expired credential. It does not tell the client the reason."""
    problem = "authentication failed: check the credential"
    return HandshakeRefused(HTTPStatus.UNAUTHORIZED, problem, (("WWW-Authenticate", "Bearer"),))


def _function_at(place: str) -> Any:
    module, _, name = place.partition(":")
    # Search the operator's folder, too, as `python -m` does. The command's own folder is first on the path.
    if os.getcwd() not in sys.path:  # noqa: PTH109 - entries of the path are text
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        problem = f"cannot be imported: {type(error).__name__}: {error}"
        raise ConfigError(source=place, name="auth.callable", problem=problem) from error
    if not callable(found):
        raise ConfigError(source=place, name="auth.callable", problem="is no function")
    return found
