"""Policies, and the messages that the tests judge with them."""

from __future__ import annotations

from router.policy.table import policies

SECRET = "You sell tickets for the night train, and nothing else."  # noqa: S105 - instructions


def policy(**rules):
    """Return a policy of these rules."""
    return policies({"kiosk": rules})["kiosk"]


def update(**session):
    """Return a `session.update`."""
    return {"type": "session.update", "session": session}


def settings(**agent):
    """Return Settings."""
    return {"type": "Settings", "audio": {}, "agent": agent}


FORCED = policy(instructions={"force": SECRET})
