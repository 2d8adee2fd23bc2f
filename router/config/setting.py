"""The row of the table of settings."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.config.model import RouterConfig
from router.config.provenance import Parser  # noqa: TC001 - msgspec resolves the annotation


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table: one field of `RouterConfig`, its parser, and its names."""

    name: str
    """The field of `RouterConfig`, which is the key in the file, too."""
    parser: Parser
    help: str
    flag: str | None = None
    flag_value: bool | None = None
    """The value that the flag sets, for a flag that is written without a value."""
    is_repeatable: bool = False
    """Whether the flag may be given several times; the parser gets the values with commas between them."""
    env: tuple[str, ...] = ()
    """The names of the environment variables. The first wins over the second."""
    env_switch: tuple[str, str] | None = None
    """A variable that is a switch, and the value of the setting if it is on and no variable of `env` is set."""
    default_text: str | None = None
    """The default in words, if it is a rule."""

    file_key: str | None = None
    """The key in the file, if it is not the name."""

    @property
    def key(self) -> str:
        """The key in the file; with a dot, a key of a table."""
        return self.file_key or self.name

    @property
    def default(self) -> Any:
        """The default of the field."""
        return _DEFAULTS.get(self.name)


_DEFAULTS: Final = msgspec.structs.asdict(RouterConfig())
