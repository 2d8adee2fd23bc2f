"""The version of the distribution, which setup.cfg reads here. The metadata of an installation may be older."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
