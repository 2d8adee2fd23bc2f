"""A client of the voice agent protocol, for the commands that call a router as any client would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Self

from actors.connections.blocking import BlockingClient

if TYPE_CHECKING:
    from types import TracebackType

INPUT_RATE: Final = 16_000
OUTPUT_RATE: Final = 24_000
"""The sample rates, in Hz, of the microphone and of the agent's voice. Both are linear16."""

AUDIO: Final = {
    "input": {"encoding": "linear16", "sample_rate": INPUT_RATE},
    "output": {"encoding": "linear16", "sample_rate": OUTPUT_RATE, "container": "none"},
}

DIAL_S: Final = 10.0


class VoiceClient:
    """One call. One thread may receive while another sends the microphone's audio."""

    def __init__(self, url: str, *, token: str | None = None, uses_proxy: bool = True) -> None:
        """Dial `url`, with `uses_proxy` through the environment's proxy; raises `CallError` if the dial fails."""
        headers = {"Authorization": f"Token {token}"} if token else {}
        self._connection = BlockingClient(url, headers=headers, timeout_s=DIAL_S, uses_proxy=uses_proxy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message; raises `HungUp` after the end of the call."""
        self._connection.send(json.dumps({"type": kind, **fields}))

    def send_audio(self, samples: bytes) -> None:
        """Send a frame of the microphone; raises `HungUp` after the end of the call."""
        self._connection.send(samples)

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | bytes:
        """Return the next message, or a frame of the agent's audio; raises as `BlockingClient.receive` does."""
        frame = self._connection.receive(timeout_s)
        if isinstance(frame, bytes):
            return frame
        message: dict[str, Any] = json.loads(frame)
        return message

    def close(self) -> None:
        """End the call."""
        self._connection.close()


def settings(
    prompt: str,
    *,
    greeting: str = "",
    voice: str = "",
    model: str = "",
    functions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the fields of a `Settings` message. Without a `model` the router chooses the model."""
    provider = {"type": "open_ai", "model": model} if model else {"type": "open_ai"}
    think = {"provider": provider, "prompt": prompt}
    agent: dict[str, Any] = {
        "listen": {"provider": {"type": "deepgram", "model": "nova-3"}},
        "think": {**think, "functions": functions} if functions else think,
        "speak": {"provider": {"type": "deepgram", "model": voice or "aura-2-thalia-en"}},
    }
    return {"audio": AUDIO, "agent": {**agent, "greeting": greeting} if greeting else agent}
