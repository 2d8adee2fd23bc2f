"""The banner that the command prints at its start: the addresses, the upstream, and advice about the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.config.model import CONVERSE_PATH
from router.config.parsers import host_and_port, model_of
from router.secrets import shown_url
from router.version import VERSION

if TYPE_CHECKING:
    from router.config.model import RouterConfig
    from router.config.upstream import Upstream

_YELLOW = "\x1b[1;33m{}\x1b[0m"

SIMULATOR: Final = "SIMULATOR: no call leaves this machine, and no model answers."
REMEDY: Final = "For real conversations set OPENAI_API_KEY and start again."


_EVERY_INTERFACE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that stand for all addresses of this machine, each with an address that a browser can open."""


def addresses(config: RouterConfig, port: int, admin_port: int | None = None) -> dict[str, str]:
    """Return the URLs of the router, by purpose: `http`, `react`, `sdk` and, with a separate address, `admin`."""
    here = _authority(config.host, port)
    secure = "s" if config.tls_cert else ""
    urls = {
        "http": f"http{secure}://{here}",
        "react": f"ws{secure}://{here}{config.path}",
        "sdk": f"ws{secure}://{here}{CONVERSE_PATH}",
    }
    if config.admin_bind is not None and admin_port is not None:
        urls["admin"] = f"http://{_authority(host_and_port(config.admin_bind)[0], admin_port)}"
    return urls


def _authority(host: str, port: int) -> str:
    # A client cannot connect to "every interface": the address of this machine is one of them.
    here = _EVERY_INTERFACE.get(host, host)
    return f"[{here}]:{port}" if ":" in here else f"{here}:{port}"


def banner(config: RouterConfig, port: int, admin_port: int | None = None, *, colors: bool = False) -> str:
    """Return the lines that the command prints at its start, with `colors` for a terminal. No line contains a key."""
    urls = addresses(config, port, admin_port)
    page = "/: open it, and talk" if config.console else ""
    interface = f" ({config.host}: every interface)" if config.host in _EVERY_INTERFACE else ""
    lines = [
        f"Switchboard {VERSION} listens on {urls['http']}{page}{interface}",
        f"  React component  {urls['react']}",
        f"  Deepgram's SDKs  {urls['sdk']}",
        f"  upstream         {describe_upstreams(config)}",
        *([f"  administration   {urls['admin']}"] if "admin" in urls else []),
    ]
    if config.upstream == "simulator":
        frame = framed(simulator_lines(config))
        lines += ["", *(map(_YELLOW.format, frame) if colors else frame)]
    return "\n".join(lines) + "\n"


def simulator_lines(config: RouterConfig) -> tuple[str, ...]:
    """Return sentences about the embedded simulator: how it answers, what its speech needs, and how to replace it."""
    advice = voice_advice(config)
    mind = (
        f"SIMULATOR: the language model at {shown_url(config.simulator_llm)} answers." if config.simulator_llm else ""
    )
    return (mind or SIMULATOR, *([advice] if advice else []), REMEDY)


def voice_advice(config: RouterConfig) -> str | None:
    """Return a sentence about the embedded simulator that does not understand speech, or does not speak in words.

    Return None if the simulator does both, or if the router uses no embedded simulator.
    """
    if config.upstream != "simulator":
        return None
    if not config.simulator_voice:
        return "The simulator's voice is switched off: it understands no speech."
    # Imported here, because only a router with a simulator needs the module.
    from router.simulator.speech.installed import voice_support  # noqa: PLC0415

    return voice_support().advice


def describe_upstreams(config: RouterConfig) -> str:
    """Return the upstreams in one line: URLs without any secret, models, and whether each upstream has a key."""
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
