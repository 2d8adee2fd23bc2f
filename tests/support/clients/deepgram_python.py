"""PyPI's `deepgram-sdk`, synchronous and asynchronous, as `SdkClient`s."""

import asyncio
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.support.clients.sdk_client import TIMEOUT_S, SdkClient

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it imports websockets.legacy
    import deepgram.agent.v1.client
    from deepgram.agent.v1 import types
    from deepgram.core.events import EventType
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.listen.v1 import types as listen_types

SENDING = {
    "Settings": ("send_settings", types.AgentV1Settings),
    "UpdatePrompt": ("send_update_prompt", types.AgentV1UpdatePrompt),
    "UpdateThink": ("send_update_think", types.AgentV1UpdateThink),
    "UpdateSpeak": ("send_update_speak", types.AgentV1UpdateSpeak),
    "UpdateListen": ("send_update_listen", types.AgentV1UpdateListen),
    "InjectUserMessage": ("send_inject_user_message", types.AgentV1InjectUserMessage),
    "InjectAgentMessage": ("send_inject_agent_message", types.AgentV1InjectAgentMessage),
    "FunctionCallResponse": ("send_function_call_response", types.AgentV1SendFunctionCallResponse),
    "KeepAlive": ("send_keep_alive", types.AgentV1KeepAlive),
    "ForceEndTurn": ("send_force_end_turn", types.AgentV1ForceEndTurn),
}
"""The SDK's method for each message, and its type."""


def _arguments(address: str) -> dict[str, Any]:
    host = f"ws://{address}"
    environment = DeepgramClientEnvironment(base=f"http://{address}", production=host, agent=host, agent_rest=host)
    return {"api_key": "any", "environment": environment}


def think_models(address: str) -> list[str]:
    """Return the ids of the think models that a server lists, as the SDK reads them."""
    host = f"http://{address}"
    environment = DeepgramClientEnvironment(base=host, production=host, agent=host, agent_rest=host)
    client = deepgram.DeepgramClient(api_key="any", environment=environment)
    return [model.id for model in client.agent.v1.settings.think.models.list().models]


class _PythonClient(SdkClient):
    """The common part of both clients. The SDK calls its methods for each message."""

    _socket: Any

    def _attach(self, socket: Any) -> None:
        self._socket = socket
        socket.on(EventType.OPEN, lambda _: self.noted(partial(setattr, self, "is_open", True)))
        socket.on(EventType.MESSAGE, self._on_message)
        socket.on(EventType.ERROR, lambda error: self.noted(partial(self.errors.append, repr(error))))
        socket.on(EventType.CLOSE, lambda _: self.noted(self._on_close))

    def _on_message(self, message: Any) -> None:
        if isinstance(message, dict):  # how the SDK hands out what is unknown to it
            self.noted(partial(self.errors.append, f"unknown to the SDK: {message}"))
        else:
            self.delivered(message if isinstance(message, bytes) else message.dict())

    def _on_close(self) -> None:
        self.close_code = self._socket._websocket.close_code  # which the SDK keeps to itself

    def _written(self, kind: str, fields: dict[str, Any]) -> Any:
        method, model = SENDING[kind]
        return getattr(self._socket, method)(model.model_validate({"type": kind, **fields}))


class SynchronousClient(_PythonClient):
    """`DeepgramClient`, which listens on a thread, as its documentation shows."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._context = deepgram.DeepgramClient(**_arguments(address)).agent.v1.connect()
        self._attach(self._context.__enter__())
        self._listener = threading.Thread(target=self._socket.start_listening, name="deepgram-sdk")
        self._listener.start()

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message by the SDK's method for it."""
        self._written(kind, fields)

    def send_audio(self, pcm: bytes) -> None:
        """Send microphone audio."""
        self._socket.send_media(pcm)

    def close(self) -> None:
        """Leave the SDK's context."""
        self._context.__exit__(None, None, None)
        self._listener.join(TIMEOUT_S)


class AsynchronousClient(_PythonClient):
    """`AsyncDeepgramClient`, on an event loop with a thread of its own."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._is_done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(address,), name="deepgram-sdk async")
        self._thread.start()

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message by the SDK's method for it."""
        self._do(self._written(kind, fields))

    def send_audio(self, pcm: bytes) -> None:
        """Send microphone audio."""
        self._do(self._socket.send_media(pcm))

    def close(self) -> None:
        """Leave the SDK's context."""
        self._loop.call_soon_threadsafe(self._is_done.set)
        self._thread.join(TIMEOUT_S)

    def _do(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT_S)

    def _run(self, address: str) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._hold(address))

    async def _hold(self, address: str) -> None:
        async with deepgram.AsyncDeepgramClient(**_arguments(address)).agent.v1.connect() as socket:
            self._attach(socket)
            listening = asyncio.create_task(socket.start_listening())
            await self._is_done.wait()
        await listening


@contextmanager
def connected(kind: type[SynchronousClient | AsynchronousClient], address: str) -> Iterator[SdkClient]:
    """Connect to a router at `address`."""
    client = kind(address)
    try:
        client.wait_until("open", lambda: client.is_open)
        yield client
    finally:
        client.close()


def listen_results(address: str, frames: Iterable[bytes], **parameters: Any) -> list[dict[str, Any]]:
    """Transcribe audio by a server, with the SDK's `listen`; return its `Results`."""
    host = f"ws://{address}"
    environment = DeepgramClientEnvironment(base=f"http://{address}", production=host, agent=host, agent_rest=host)
    client = deepgram.DeepgramClient(api_key="any", environment=environment)
    found: list[dict[str, Any]] = []
    with client.listen.v1.connect(model="nova-3", **parameters) as socket:
        for frame in frames:
            socket.send_media(frame)
        socket.send_close_stream(listen_types.ListenV1CloseStream(type="CloseStream"))
        found.extend(message.dict() for message in socket if not isinstance(message, bytes))
    return [message for message in found if message["type"] == "Results"]
