"""Compares a router with authentication, a policy and limits with a router without them."""

import contextlib
import dataclasses
import hashlib
import tempfile
from pathlib import Path

from tests.bench import paired
from tests.bench.laps import report
from tests.bench.stage import ROUTER, router

SESSIONS = 100
LAPS = 5
"""The laps of each router. They alternate, so that a change of the machine's speed affects both routers."""
TOKEN = "the-token-of-the-benchmark"  # noqa: S105 - of a server that lives for a minute
SETTINGS = """
[auth.tokens.bench]
sha256 = "{sha256}"
policy = "bench"

[policies.bench]
instructions = {{ prefix = "Be brief. " }}
tools = {{ allow = ["find_train"] }}
mcp = {{ deny = true }}
max_output_tokens = {{ force = 400 }}

[limits]
max_sessions = 1000
max_sessions_per_principal = 1000
max_sessions_per_address = 1000
max_pending_sessions = 1000
new_sessions = "100000/minute"
max_call_s = 3600
max_silence_s = 600
max_turns = 1000
max_tokens = 10000000
max_cost_usd = 100
max_messages_per_s = 1000
max_bytes_per_s = 10000000
"""


@contextlib.contextmanager
def settings():
    """Return the options of `turner` for a router with authentication, a policy and limits."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "router.toml"
        file.write_text(SETTINGS.format(sha256=hashlib.sha256(TOKEN.encode()).hexdigest()))
        yield ("--settings", str(file), "--token", TOKEN)


@contextlib.contextmanager
def system():
    """Return the router with authentication, a policy and limits."""
    with settings() as (_, file, *_):
        yield dataclasses.replace(router("--config", file), headers=(f"Authorization: Token {TOKEN}",))


def measure(shape, duration_s, *, sessions=SESSIONS, laps=LAPS):
    """Measure both routers in turns, and return their rows."""
    with system() as safe:
        return report({"open": ROUTER, "safe": safe}, shape, sessions=sessions, laps=laps, duration_s=duration_s)


def welcomes(shape):
    """Measure the time to `Welcome` at both routers in pairs of calls."""
    with system() as safe:
        return paired.measure({"open": ROUTER, "safe": safe}, shape)
