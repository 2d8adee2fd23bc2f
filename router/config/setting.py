"""The row of the table of settings."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.config.model import RouterConfig
from router.config.provenance import Parser  # noqa: TC001 - msgspec resolves the annotation


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table: one field of `RouterConfig`, its parser, and its names."""

    name: str
    """The field of `RouterConfig`. The key in the file has the same name, unless `file_key` gives another."""
    parser: Parser
    help: str
    flag: str | None = None
    flag_value: bool | None = None
    """The value that a flag without an argument sets."""
    is_repeatable: bool = False
    """Whether the flag may be given several times; the parser gets the values with commas between them."""
    env: tuple[str, ...] = ()
    """The names of the environment variables. Each takes precedence over those after it."""
    env_switch: tuple[str, str] | None = None
    """The name of a variable that is a switch, and a value.

    If the switch is on, and no variable of `env` is set, the setting has this value.
    """
    default_text: str | None = None
    """The default in words, if it is a rule and no fixed value."""

    file_key: str | None = None
    """The key in the file, if it differs from `name`."""

    @property
    def key(self) -> str:
        """The key in the file. A dot separates the name of a table from the key in it."""
        return self.file_key or self.name

    @property
    def default(self) -> Any:
        """The default of the field."""
        return _DEFAULTS.get(self.name)


_DEFAULTS: Final = msgspec.structs.asdict(RouterConfig())
