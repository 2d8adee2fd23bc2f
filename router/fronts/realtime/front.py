"""The front of clients that speak the OpenAI Realtime API, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from router.fronts.front import Call, Front
from router.fronts.realtime.guarded import RealtimeDialect
from router.fronts.realtime.machine import RealtimeRelay
from router.fronts.realtime.recovery import CREATED
from router.fronts.realtime.value import VALUE
from router.fronts.realtime.wire import SERVER_ERROR, error_of
from router.session.profile import CONVERSE

if TYPE_CHECKING:
    from actors.machine import Machine

MAX_TEXT_BYTES: Final = 16 * 1024 * 1024
"""The largest event of a client, in bytes. OpenAI takes 15 MiB of audio in one append (upstream 11.1)."""


def _frame(code: str, message: str) -> str:
    error = error_of(code, message, kind=SERVER_ERROR)
    return orjson.dumps({"type": "error", "event_id": f"event_switchboard_{code}", "error": error}).decode()


def _adapt(call: Call) -> Machine:
    return RealtimeRelay(call)


REALTIME: Final = Front(
    name="realtime",
    profile=CONVERSE,
    adapt=_adapt,
    crash_frame=_frame("internal_server_error", "internal error; the server logged it"),
    busy_frame=_frame("server_busy", "the server holds too much data of its clients, and of this one the most"),
    subprotocols=("realtime",),
    layout=VALUE.layout,
    lost_frame=_frame("session_lost", "the session could not be continued: connect again"),
    can_move=True,
    can_outlive=True,
    can_return=True,
    greetings=frozenset((CREATED,)),
    max_text_bytes=MAX_TEXT_BYTES,
    dialect=RealtimeDialect,
    is_relay=True,
)
"""The front of the route `/v1/realtime`."""
