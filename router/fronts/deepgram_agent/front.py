"""The front of Deepgram's own backend, as data, and the address of its upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from actors.connections.upstream import DialTarget
from router.fronts.deepgram import BUSY_FRAME, CRASH_FRAME, LOST_FRAME
from router.fronts.deepgram_agent.guarded import DeepgramDialect
from router.fronts.deepgram_agent.policed import PolicedMachine
from router.fronts.deepgram_agent.value import VALUE, MovableRelay
from router.fronts.front import Call, Front
from router.fronts.named_agents import with_agents
from router.session.profile import CONVERSE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.connections.base import ConnectionLimits
    from actors.machine import Machine
    from router.config.model import RouterConfig

AGENT_PATH: Final = "/v1/agent/converse"
"""The path of Deepgram's Voice Agent, for a configured address without a path."""


def dial_target(config: RouterConfig, limits: ConnectionLimits, _query: Mapping[str, str]) -> DialTarget:
    """Return Deepgram's address and key as the target of a dial. The client never gets the key."""
    parts = urlsplit(config.deepgram_agent_url)
    url = urlunsplit(parts._replace(path=AGENT_PATH)) if parts.path in ("", "/") else config.deepgram_agent_url
    key = config.deepgram_api_key
    return DialTarget(
        url=url,
        headers=(("Authorization", f"Token {key.reveal()}"),) if key is not None else (),
        timeout_s=config.deadlines.dial_s,
        ca_file=config.ca_file,
        limits=limits,
    )


def _adapt(call: Call) -> Machine:
    relay = MovableRelay(call.session, call.memory)
    machine = relay if call.policy is None else PolicedMachine(relay, call.policy)
    return with_agents(machine, call, passes_unknown=True)


RELAY: Final = Front(
    name="deepgram",
    profile=CONVERSE,
    adapt=_adapt,
    crash_frame=CRASH_FRAME,
    busy_frame=BUSY_FRAME,
    dial_target=dial_target,
    lost_frame=LOST_FRAME,
    layout=VALUE.layout,
    can_move=True,
    can_outlive=True,
    can_return=True,
    greetings=frozenset(("Welcome",)),
    dialect=DeepgramDialect,
    is_relay=True,
)
"""The front of the routes `/deepgram` and `/deepgram/v1/agent/converse`."""
