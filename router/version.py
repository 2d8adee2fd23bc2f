"""The version of the distribution. setup.cfg reads it from here. The metadata of an installation may be older."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
