"""Switchboard under the name of its distribution, beside its import names `router` and `actors`.

A project may have a `router.py` or an `actors.py` of its own, which hides ours or is hidden by it:

    from switchboard_voice import Router   # the same class, or an ImportError that names the other file

The command starts here, too: `switchboard`, or `python -m switchboard_voice`. It finds its own packages in any project.
It keeps to Python 3.8 until `router.__main__` has checked the version.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

NAMES = ("actors", "router")
"""`router` imports `actors`, which therefore comes first."""

REMEDY = (
    "Rename that file, or move it into a package of your project; docs/embedding.md of Switchboard has a section "
    "on this"
)


def main() -> int:
    """Run the command, even if the surrounding project has modules of our names. Return the exit status."""
    for name in NAMES:
        if hiding(name) is not None:
            _load(name)
    status: int = importlib.import_module("router.__main__").main()
    return status


def hiding(name: str) -> Path | None:
    """Return the file that an import of `name` finds in place of our package; None if it finds our package."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None) if loaded is not None else importlib.machinery.PathFinder.find_spec(name)
    origin = getattr(spec, "origin", None) or getattr(loaded, "__file__", None)
    # Without a file it is the finder of an editable installation that knows the package.
    return None if origin is None or Path(origin).resolve().parent == HERE / name else Path(origin)


def hidden(name: str) -> Path | None:
    """Return the application's file of the module `name`, which our package hides, or None.

    A second copy of our package does not count as such a file.
    """
    for folder in sys.path:
        if Path(folder or ".", Path(__file__).name).is_file():
            continue
        for file in (Path(folder or ".", name + ".py"), Path(folder or ".", name, "__init__.py")):
            if file.is_file() and file.resolve().parent != HERE / name:
                return file
    return None


def check(*names: str) -> None:
    """Raise `ImportError`, with the remedy, if another file takes the place of one of our packages."""
    for name in names:
        other = hiding(name)
        if other is not None:
            raise ImportError(f"`{name}` is {other} here, and not Switchboard's package. {REMEDY}.", name=name)


def _load(name: str) -> None:
    # Ahead of the search of sys.path, which would find the other file.
    spec = importlib.util.spec_from_file_location(
        name, HERE / name / "__init__.py", submodule_search_locations=[str(HERE / name)]
    )
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - for the type checker
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def __getattr__(name: str) -> Any:
    """Return a public name of `router`."""
    if name.startswith("_"):
        raise AttributeError(name)
    check(*NAMES)
    return getattr(importlib.import_module("router"), name)


if __name__ == "__main__":
    sys.exit(main())
