"""What is said at the start: where to connect, what is behind, and loudly when that is the simulator."""

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
    """Return the URLs at which the router is reached, by what they are for."""
    # Nobody can connect to "every interface": this machine's own address is one of them.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    here = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return {
        "http": f"http://{here}",
        "react": f"ws://{here}{config.path}",
        "sdk": f"ws://{here}{CONVERSE_PATH}",
    }


def banner(config: RouterConfig, port: int, *, colors: bool = False) -> str:
    """Return the lines for a person who starts the router; never the key."""
    urls = addresses(config, port)
    lines = [
        f"Switchboard listens on {urls['http']}" + (f" ({config.host})" if config.host not in urls["http"] else ""),
        f"  React component  {urls['react']}",
        f"  Deepgram's SDKs  {urls['sdk']}",
        f"  upstream         {upstream_said(config)}",
    ]
    if config.upstream == "simulator":
        frame = framed(SIMULATOR)
        lines += ["", *(map(_YELLOW.format, frame) if colors else frame)]
    return "\n".join(lines) + "\n"


def upstream_said(config: RouterConfig) -> str:
    """Return what is said of the upstreams: their URLs without anything secret, and the models."""
    if config.upstream == "simulator":
        return "simulator, embedded"
    return "; else ".join(_one_said(config, it) for it in config.all_upstreams())


def _one_said(config: RouterConfig, upstream: Upstream) -> str:
    name = "a key of its own" if config.upstreams and upstream.api_key != config.openai_api_key else "OPENAI_API_KEY"
    key = f"with {name}" if upstream.api_key else "without a key"
    model = model_of(upstream.dial_url(config.model))
    return f"{upstream.label(config.model).partition('?')[0]}, model {model}, {key}"


def framed(lines: tuple[str, ...]) -> list[str]:
    """Return `lines` in a frame."""
    width = max(map(len, lines))
    edge = "*" * (width + 6)
    return [edge, *(f"** {line:<{width}} **" for line in lines), edge]
