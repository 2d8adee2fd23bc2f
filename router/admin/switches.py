"""The switches of an operator: paused upstreams, the level of log lines, the share of recorded sessions.

The switches are in memory that all workers share. So a new worker has the settings of the worker that it replaces. The
switches need no lock, because each is one byte.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from router.logs.levels import LEVELS
from router.shared_areas import OWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.shared_areas import Areas

_FIRST: Final = 2
"""The index of the first upstream's byte."""

MOST_UPSTREAMS: Final = 256
"""The most upstreams of one server."""

_DIGEST: Final = slice(_FIRST + MOST_UPSTREAMS, _FIRST + MOST_UPSTREAMS + 16)
"""The place of a hash of the upstreams' list. Pauses are valid only for that list."""


class Switches:
    """The operator's switches of one server, or of one embedded router.

    A server makes them before the first fork.
    """

    def __init__(self, upstreams: int, areas: Areas = OWN) -> None:
        self._upstreams = upstreams
        # Byte 0 is the level, and byte 1 the share of recordings; both are 0 if unset. Then come the upstreams, and the
        # hash of their list.
        self._memory = areas.memory("switches", _DIGEST.stop)

    def attach(self, shared: Switches) -> None:
        """Use the memory of `shared` from now on."""
        self._memory = shared._memory

    def note_upstreams(self, upstreams: Sequence[str]) -> bool:
        """End all pauses if the list of upstreams has changed since the last call. Return whether any pause ended.

        A pause belongs to a position in the list, and in another list another upstream may have that position.
        """
        digest = hashlib.blake2b("\n".join(upstreams).encode(), digest_size=16).digest()
        before, self._memory[_DIGEST] = self._memory[_DIGEST], digest
        had_pauses = any(self._memory[_FIRST : _DIGEST.start])
        if before == digest or not had_pauses:
            return False
        self._memory[_FIRST : _DIGEST.start] = bytes(MOST_UPSTREAMS)
        return True

    def is_paused(self, position: int) -> bool:
        """Whether the upstream at a position of the list is paused."""
        return bool(self._memory[_FIRST + position])

    def pause(self, position: int, *, is_paused: bool) -> None:
        """Pause the upstream at a position of the list, or end its pause if `is_paused` is False."""
        self._memory[_FIRST + position] = is_paused

    @property
    def are_all_paused(self) -> bool:
        """Whether every upstream is paused."""
        return all(self._memory[_FIRST : _FIRST + self._upstreams])

    @property
    def log_level(self) -> str | None:
        """The log level that an operator set; None if the configuration and SIGUSR2 decide."""
        number = self._memory[0]
        return LEVELS[number - 1] if number else None

    @log_level.setter
    def log_level(self, level: str | None) -> None:
        self._memory[0] = 0 if level is None else LEVELS.index(level) + 1

    @property
    def record_percent(self) -> int | None:
        """The percentage of new sessions that an operator wants recorded; None if the configuration decides."""
        number = self._memory[1]
        return number - 1 if number else None

    @record_percent.setter
    def record_percent(self, percent: int | None) -> None:
        self._memory[1] = 0 if percent is None else percent + 1
