"""Close codes of WebSocket: RFC 6455, 7.4, and IANA's registry of WebSocket close code numbers. Pure.

This module does not know the meaning of a code for a session: `restart` and the session's handlers decide that.
"""

from __future__ import annotations

import enum
from typing import Final


class CloseCode(enum.IntEnum):
    """The registered codes below 3000, with the registry's meaning and the place where the router sends them.

    The names are those of the `websockets` library. A peer may send any other code from 3000 to 4999, so a code that
    was received stays an `int`.
    """

    NORMAL_CLOSURE = 1000
    """The purpose of the connection is fulfilled (RFC 6455, 7.4.1).

    The router sends it to an upstream that is not needed any more, and to a client that gains nothing by connecting
    again. Deepgram's JavaScript SDK reconnects on any other code.
    """
    GOING_AWAY = 1001
    """The server is going down, or the browser has left the page (RFC 6455, 7.4.1).

    The router sends it to a client that is accepted while the router closes.
    """
    PROTOCOL_ERROR = 1002
    """The peer broke the rules of WebSocket (RFC 6455, 7.4.1). Each kind of connection sends it."""
    UNSUPPORTED_DATA = 1003
    """The peer sent a type of message that is not accepted (RFC 6455, 7.4.1). The router never sends it."""
    NO_STATUS_RCVD = 1005
    """A close frame without a code (RFC 6455, 7.4.1).

    It is never on the wire: the answer to such a frame has no code either.
    """
    ABNORMAL_CLOSURE = 1006
    """The stream ended without a close frame (RFC 6455, 7.4.1). It is never on the wire."""
    INVALID_DATA = 1007
    """A text message is not UTF-8 (RFC 6455, 7.4.1). Each kind of connection sends it."""
    POLICY_VIOLATION = 1008
    """The peer breaks a rule for which no other code exists (RFC 6455, 7.4.1).

    The router sends it to a client that does not read its messages.
    """
    MESSAGE_TOO_BIG = 1009
    """A message is larger than the receiver accepts (RFC 6455, 7.4.1).

    Each kind of connection sends it to a peer whose message exceeds `max_message_bytes` or `max_text_bytes` of its
    `ConnectionLimits`.
    """
    MANDATORY_EXTENSION = 1010
    """The server did not select an extension that the client requires (RFC 6455, 7.4.1). The router never sends it."""
    INTERNAL_ERROR = 1011
    """The server met a condition that it did not expect (RFC 6455, 7.4.1).

    The router sends it to a client whose session ends because its upstream is lost, or because of a failure of the
    router.
    """
    SERVICE_RESTART = 1012
    """The server restarts, and the client may connect again (IANA's registry). A drain sends it to clients."""
    TRY_AGAIN_LATER = 1013
    """The server is overloaded (IANA's registry).

    The router sends it to a client that holds too much memory, and to a client of OpenAI Realtime whose upstream is
    lost for good. From an upstream it means: dial the next one.
    """
    BAD_GATEWAY = 1014
    """A gateway received an invalid response from its upstream (IANA's registry). The router never sends it."""
    TLS_HANDSHAKE = 1015
    """The TLS handshake failed (RFC 6455, 7.4.1). It is never on the wire."""


CRASHED: Final = (CloseCode.INTERNAL_ERROR, "internal error")
"""The end of a session whose actor failed."""
SERVER_BUSY: Final = (CloseCode.TRY_AGAIN_LATER, "server busy")
"""The end of the client that holds the most memory, when all peers together hold too much."""
GOING_AWAY: Final = (CloseCode.GOING_AWAY, "the server is going away")
"""The end of a client that is accepted while the router closes."""

_NEVER_ON_THE_WIRE: Final = frozenset({CloseCode.NO_STATUS_RCVD, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE})

_REGISTERED: Final = frozenset(CloseCode) - _NEVER_ON_THE_WIRE

_FIRST_OF_LIBRARIES: Final = 3000

_LAST_PRIVATE: Final = 4999


def is_wire_code(code: int) -> bool:
    """Whether `code` may stand in a close frame (RFC 6455, 7.4, and IANA's registry)."""
    return code in _REGISTERED or _FIRST_OF_LIBRARIES <= code <= _LAST_PRIVATE
