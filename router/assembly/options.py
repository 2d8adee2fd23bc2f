"""The options of a session, from the configuration and the policy of its client."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from actors.connections.handover import HandshakeRefused
from router.config.parsers import model_of
from router.config.policy_table import limits_of
from router.policy.rules import Denied
from router.session.options import SessionOptions
from router.translation.voices import Voices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.access.request import Request
    from router.config.model import RouterConfig
    from router.config.route import Route
    from router.deepgram import blocks
    from router.fronts.front import Front
    from router.hooks import Hooks
    from router.policy.policy import Policy
    from router.usage.prices import PriceTable


def named_policy(config: RouterConfig, front: Front, request: Request) -> Policy | None:
    """Return the policy of a request's client, which has not judged the request yet; see `policy_of`."""
    if not front.is_policed:
        return None
    principal, route = request.principal, config.route_of(request.route)
    named = principal.policy if principal is not None else None
    return config.policy_of(named or (route.policy if route is not None else None))


def policy_of(config: RouterConfig, front: Front, request: Request, turn_detection: str | None) -> Policy | None:
    """Return the policy of a request's client, or None if the client may send everything.

    The credential names the policy, or else the route. A credential with an unknown policy was already refused.

    Raises:
        HandshakeRefused: 403 if the policy denies a parameter of the URL, or the session of a client secret.
    """
    policy, principal = named_policy(config, front, request), request.principal
    if policy is None:
        return None
    bound = principal.terms.session if principal is not None else None
    judgements = (
        front.judge_query(policy, request.query),
        policy.turn_detection(turn_detection),
        # The policy may have changed since the client secret was made.
        policy.client_event({"type": "session.update", "session": bound}) if bound is not None else None,
    )
    for judged in judgements:
        if isinstance(judged, Denied):
            raise HandshakeRefused(HTTPStatus.FORBIDDEN, judged.sentence)
    return policy


def judged_query(front: Front, policy: Policy, request: Request) -> Mapping[str, str]:
    """Return the query of a request's URL in the form that its policy permits. `policy_of` has judged it before."""
    judged = front.judge_query(policy, request.query)
    return request.query if isinstance(judged, Denied) else judged


class _Choices(NamedTuple):
    """The part of a session's options that does not come from the configuration."""

    turn_detection: str | None
    policy: Policy | None
    tools: tuple[blocks.Function, ...]
    prices: PriceTable

    def are(self, others: _Choices) -> bool:
        """Whether two choices are the same. Policies and prices are compared by identity, which costs nothing."""
        is_alike = self.turn_detection == others.turn_detection and self.tools == others.tools
        return is_alike and self.policy is others.policy and self.prices is others.prices


class OptionsMaker:
    """The maker of the options of all sessions of a route. Methods may be called from any thread."""

    def __init__(
        self, config: RouterConfig, hooks: Hooks, redact: Callable[[str], str], route: Route | None = None
    ) -> None:
        self._config = msgspec.structs.replace(config, **route.defaults) if route is not None else config
        self._hooks = hooks
        self._redact = redact
        self._upstreams = config.all_upstreams()
        # An upstream obeys the query of its URL. If that names a model, no session can choose another one.
        first = self._upstreams[route.upstreams[0] if route is not None and route.upstreams else 0]
        self._fixed_model = model_of(first.url) or first.model
        self._last: tuple[_Choices, SessionOptions] | None = None
        """The options that were made last. A session with equal options, as nearly all have, uses the same object."""

    def of(
        self,
        turn_detection: str | None,
        policy: Policy | None,
        tools: tuple[blocks.Function, ...],
        prices: PriceTable,
        spend_today: Callable[[int, float, int], tuple[int, float, int]] | None,
    ) -> SessionOptions:
        """Return the options of a session. `turn_detection` comes from the URL; None means the configured one."""
        choices, last = _Choices(turn_detection, policy, tools, prices), self._last
        if last is None or not last[0].are(choices):
            last = self._last = choices, self._make(choices)
        options = last[1]
        return options if spend_today is None else msgspec.structs.replace(options, spend_today=spend_today)

    def _make(self, choices: _Choices) -> SessionOptions:
        turn_detection, policy = choices.turn_detection, choices.policy
        config, upstreams = self._config, self._upstreams
        limits = limits_of(config.limits, policy)
        has_budget = limits.max_cost_usd or limits.max_cost_usd_per_day
        forced = policy.model(None) if policy is not None else None
        detection = policy.turn_detection(turn_detection) if policy is not None else turn_detection
        turn_detection = detection if isinstance(detection, str) else None
        return SessionOptions(
            model=forced if isinstance(forced, str) else config.model,
            models=() if isinstance(forced, str) else config.models,
            policy=policy,
            fixed_model=self._fixed_model,
            turn_detection=turn_detection or config.turn_detection,  # type: ignore[arg-type] # both are checked
            voices=Voices(default=config.voice, table=config.voices),
            greeting=config.greeting,  # type: ignore[arg-type] # checked
            transcription_model=config.transcription_model,
            transcription_models=tuple(upstream.transcription_model for upstream in upstreams),
            upstream_models=tuple(model_of(upstream.url) or upstream.model for upstream in upstreams),
            g711=tuple(bool(upstream.g711) for upstream in upstreams),
            deadlines=config.deadlines,
            limits=limits,
            tuning=config.tuning,
            price_table=choices.prices if has_budget else None,
            interrupted_answer=config.interrupted_answer,  # type: ignore[arg-type] # checked
            continued_text=config.continued_text,  # type: ignore[arg-type] # checked
            tools=choices.tools,
            tool_hosts=config.tool_hosts,
            is_configured_outside=self._hooks.configure is not None,
            is_reported=self._hooks.wants_notifications,
            is_observed=True,
            redact=self._redact,
        )
