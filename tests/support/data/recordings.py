"""Recorded traffic of real upstreams, read from a folder beside the checkout: it is not part of the project.

SWITCHBOARD_RECORDINGS in the environment names the folder; the default is `../shared/recordings`. If it does not
exist, a request for a recording skips the test with that reason. Audio is cut to 33 bytes a delta, an odd number, and
`expires_at` lies in the past.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

NAMES = (
    "azure-text-in-audio-out",
    "azure-tool-call-round",
    "openai-history-seeding",
    "openai-text-in-audio-out",
    "openai-tool-call-round",
    "openai-voice-turn-server-vad",
    "xai-text-in-audio-out",
)

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[4] / "shared" / "recordings"


@dataclass(frozen=True)
class Interaction:
    """One event of a recorded conversation: `sent` by the client or `received` from the service."""

    direction: Literal["sent", "received"]
    event: dict[str, Any]


def recordings(*names: str) -> dict[str, tuple[Interaction, ...]]:
    """Return the interactions of the named recordings (default: all), or skip the test if the folder is absent."""
    return {name: recording(name) for name in names or NAMES}


def recording(name: str) -> tuple[Interaction, ...]:
    """Return the interactions of one recording in order, or skip the test if the folder is absent."""
    folder = recordings_folder()
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder} (SWITCHBOARD_RECORDINGS names another place)")
    return _read(folder / f"{name}.yaml")


def recordings_folder() -> Path:
    """Return the folder that should hold the recordings, whether or not it exists."""
    return Path(os.environ.get("SWITCHBOARD_RECORDINGS") or _BESIDE_THE_CHECKOUT)


@cache
def _read(path: Path) -> tuple[Interaction, ...]:
    # The loader in C takes a tenth of the time. PyYAML is installed without it where it was built without libyaml.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506 - both loaders are safe
    return tuple(Interaction(entry["direction"], entry["data"]) for entry in document["interactions"])
