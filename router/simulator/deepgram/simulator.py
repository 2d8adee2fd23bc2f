"""The server of the simulated Voice Agent. It uses the sockets, faults and records of the OpenAI simulator."""

from __future__ import annotations

from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from actors.connections.client import SUBPROTOCOLS
from actors.connections.handover import HandshakeRefused
from router.simulator.deepgram.session import DeepgramSession
from router.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.simulator.config import SimulatorConfig
    from router.simulator.recording import ConnectionRecord

PATH: Final = "/v1/agent/converse"


class DeepgramSimulator(Simulator):
    """A Voice Agent on this machine. It runs from `start` to `close`; all methods may be called from any thread."""

    path = PATH
    index = f"This is the simulator of Deepgram's Voice Agent: rules, no model. Connect a WebSocket to {PATH}."
    subprotocols = SUBPROTOCOLS

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        super().__init__(config)
        self._transcripts: deque[str] = deque()

    def transcribe(self, transcripts: Iterable[str]) -> None:
        """Script the transcripts of the next spoken turns, and forget the scripted transcripts that are left."""
        self._transcripts = deque(transcripts)

    def _admit(self, headers: dict[str, str]) -> None:
        """Check the credential before the upgrade, as the service does; raises `HandshakeRefused`."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        offered = [part.strip() for part in headers.get("sec-websocket-protocol", "").split(",")]
        if not key and len(offered) > 1:
            scheme, key = offered[0], offered[1]
        is_known = scheme.lower() in SUBPROTOCOLS and bool(key.strip())
        required = self.config.required_key
        if not is_known or (required is not None and key.strip() != required):
            raise HandshakeRefused(HTTPStatus.UNAUTHORIZED, "Invalid credentials.")

    def _refusal(self, _record: ConnectionRecord) -> None:
        return None

    def _session(self, record: ConnectionRecord) -> Any:
        def observe(message: dict[str, Any]) -> None:
            self._recorder.received(record, message)

        def next_transcript() -> str | None:
            return self._transcripts.popleft() if self._transcripts else None

        return DeepgramSession(self.config, self._plan, next_transcript, number=record.number, observe=observe)
