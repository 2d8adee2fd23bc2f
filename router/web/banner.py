"""The banner at the start: the addresses, the upstream, and a frame around it when that is the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.config.model import CONVERSE_PATH
from router.config.parsers import model_of

if TYPE_CHECKING:
    from router.config.model import RouterConfig
    from router.config.upstream import Upstream

_YELLOW = "\x1b[1;33m{}\x1b[0m"

SIMULATOR = (
    "SIMULATOR: no call leaves this machine, and no model answers.",
    "For real conversations set OPENAI_API_KEY and start again.",
)


def addresses(config: RouterConfig, port: int) -> dict[str, str]:
    """Return the URLs of the router, by purpose."""
    # A client cannot connect to "every interface": the address of this machine is one of them.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    here = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return {
        "http": f"http://{here}",
        "react": f"ws://{here}{config.path}",
        "sdk": f"ws://{here}{CONVERSE_PATH}",
    }


def banner(config: RouterConfig, port: int, *, colors: bool = False) -> str:
    """Return the lines for the person who starts the router; never the key."""
    urls = addresses(config, port)
    lines = [
        f"Switchboard listens on {urls['http']}" + (f" ({config.host})" if config.host not in urls["http"] else ""),
        f"  React component  {urls['react']}",
        f"  Deepgram's SDKs  {urls['sdk']}",
        f"  upstream         {describe_upstreams(config)}",
    ]
    if config.upstream == "simulator":
        frame = framed(SIMULATOR)
        lines += ["", *(map(_YELLOW.format, frame) if colors else frame)]
    return "\n".join(lines) + "\n"


def describe_upstreams(config: RouterConfig) -> str:
    """Return the upstreams in a line: URLs without any secret, models, and whether each has a key."""
    if config.upstream == "simulator":
        return "simulator, embedded"
    return "; else ".join(_describe(config, it) for it in config.all_upstreams())


def _describe(config: RouterConfig, upstream: Upstream) -> str:
    name = "a key of its own" if config.upstreams and upstream.api_key != config.openai_api_key else "OPENAI_API_KEY"
    key = f"with {name}" if upstream.api_key else "without a key"
    model = model_of(upstream.dial_url(config.model))
    return f"{upstream.label(config.model).partition('?')[0]}, model {model}, {key}"


def framed(lines: tuple[str, ...]) -> list[str]:
    """Return `lines` in a frame."""
    width = max(map(len, lines))
    edge = "*" * (width + 6)
    return [edge, *(f"** {line:<{width}} **" for line in lines), edge]
