"""A relay as a value: `written` writes its whole memory, and `fill` puts it into the relay of another process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from router.fronts.realtime.layouts import RELAY, VERSION
from router.fronts.relay_value import RelayValue

if TYPE_CHECKING:
    from router.fronts.realtime.relay import Context

VALUE: Final = RelayValue(RELAY, VERSION)
"""The form in which the memory is written and read."""


def written(context: Context, *, is_brief: bool = False) -> bytes:
    """Return the whole memory of a relay. Call this between two inputs.

    With `is_brief`, leave out older audio of a silent user, unless the client commits by itself.

    Raises:
        SnapshotError: the relay holds a value without a layout.
    """
    speech, configuration = context.state.speech, context.state.configuration
    is_shortened = is_brief and configuration.turn_detection is not None
    with speech.shortened(configuration.input_bytes_per_ms) if is_shortened else contextlib.nullcontext():
        return VALUE.written(context)


def fill(context: Context, data: bytes) -> None:
    """Put the memory of another process's relay into a new relay.

    Raises:
        SnapshotError: the data is no relay's, is damaged, or is of another version.
    """
    VALUE.fill(context, data)
