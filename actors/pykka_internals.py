"""The private names of pykka that `actor` uses, looked for when `actor` is imported.

pykka runs an actor on a thread of its own and has no public way to run it elsewhere. So `actor` overrides the methods
that pykka means for new types of actors, and calls private methods that keep pykka's rules. pykka does not promise to
keep these methods in its next version. So setup.cfg bounds the version, and this table lists the names. Only this
module imports private names of pykka.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any, Final

SUPPORTED: Final = ">=4.5,<5"
"""The versions of pykka that setup.cfg allows."""

PRIVATE_NAMES: Final = (
    "pykka._envelope.Envelope",
    "pykka.messages._ActorStop",
    "pykka.Actor._actor_loop_setup",
    "pykka.Actor._actor_ref",
    "pykka.Actor._create_actor_inbox",
    "pykka.Actor._create_future",
    "pykka.Actor._handle_failure",
    "pykka.Actor._handle_receive",
    "pykka.Actor._start_actor_loop",
    "pykka.Actor._stop",
    "pykka.ActorRegistry._actor_refs_lock",
)
"""Modules, classes and attributes. If pykka sets an attribute in `__init__`, the check looks for its annotation."""


class UnsupportedPykkaError(ImportError):
    """The installed pykka lacks a private name that the engine uses."""

    def __init__(self, missing: str) -> None:
        super().__init__(missing, name="pykka")
        self.missing = missing
        """The full name of the private name that is missing."""
        self.installed = metadata.version("pykka")

    def __str__(self) -> str:
        return (
            f"pykka {self.installed} has no {self.missing}, which the engine of the router needs:"
            f" install pykka{SUPPORTED}"
        )


def check() -> None:
    """Look for every name of `PRIVATE_NAMES`.

    Raises:
        UnsupportedPykkaError: a name is missing; the text has the first missing name.
    """
    for name in PRIVATE_NAMES:
        if not _exists(name):
            raise UnsupportedPykkaError(name)


def _exists(name: str) -> bool:
    parent, _, last = name.rpartition(".")
    try:
        owner = _find(parent)
    except (ImportError, AttributeError):
        return False
    return hasattr(owner, last) or last in getattr(owner, "__annotations__", {})


def _find(name: str) -> Any:
    """Import and return the module called `name`, or the class of that name in its module."""
    package, _, last = name.rpartition(".")
    return getattr(importlib.import_module(package), last) if last[:1].isupper() else importlib.import_module(name)


check()

# After the check: a failed import would not name the version to install.
from pykka._envelope import Envelope  # noqa: E402
from pykka.messages import _ActorStop as ActorStop  # noqa: E402

__all__ = ["PRIVATE_NAMES", "SUPPORTED", "ActorStop", "Envelope", "UnsupportedPykkaError", "check"]
