"""The table of settings and their names.

The command line, the variables and `--check` are derived from it; a test compares the documentation with it. This
module must not know how a value is read: that is the task of `router.config.command_line`.
"""

from __future__ import annotations

from typing import Final

from router.config.auth_settings import AUTH_SETTINGS
from router.config.model import Deadlines, Limits
from router.config.process_settings import LISTENING, RUNNING
from router.config.session_settings import SESSION_SETTINGS

SETTINGS: Final = (*LISTENING, *SESSION_SETTINGS, *RUNNING)
"""Rows of the fields of `RouterConfig`, in the order of the documentation."""

EVERY_SETTING: Final = (*SETTINGS, *AUTH_SETTINGS)

TABLES: Final[dict[str, type[Deadlines | Limits]]] = {"deadlines": Deadlines, "limits": Limits}
"""The tables of the file. Each is the field of `RouterConfig` with the same name."""
