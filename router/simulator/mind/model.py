"""A language model that is reached through the chat-completions API.

Each answer has its own thread. If the model fails, the answer is a sentence about the failure.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from router.simulator.mind.chat import Stream, chat_url, models_url, request_body
from router.simulator.mind.messages import End, Words

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.simulator.config import LanguageModelConfig
    from router.simulator.mind.messages import Question, Thought

logger = logging.getLogger(__name__)

MAX_ANSWERS: Final = 8
"""The greatest number of answers at the same time. A further question gets a refusal as its answer."""
_CONNECT_S: Final = 5.0


class ModelError(Exception):
    """A failure of the model, whose text is spoken to the caller."""


class LanguageModel:
    """The client of the model's server. Any thread may call `ask`."""

    def __init__(self, config: LanguageModelConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._answers: dict[threading.Thread, _Answer] = {}
        self._is_closed = False

    def ask(self, question: Question, deliver: Callable[[Thought], None]) -> Callable[[], None]:
        """Begin an answer, and return a function that stops it.

        Until the answer is complete or stopped, its thread calls `deliver` with each piece.
        """
        answer = _Answer(self._config, question, deliver)
        with self._lock:
            self._answers = {thread: it for thread, it in self._answers.items() if thread.is_alive()}
            is_accepted = not self._is_closed and len(self._answers) < MAX_ANSWERS
            if is_accepted:
                thread = threading.Thread(target=answer.run, name="simulator-model", daemon=True)
                self._answers[thread] = answer
                thread.start()
        if not is_accepted:
            answer.apologize("The language model has too many questions at the moment. Please ask again.")
        return answer.stop

    def close(self) -> None:
        """Stop all answers, and join their threads."""
        with self._lock:
            self._is_closed = True
            answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer.stop()
        for thread in answers:
            thread.join()


class _Answer:
    def __init__(self, config: LanguageModelConfig, question: Question, deliver: Callable[[Thought], None]) -> None:
        self._config = config
        self._question = question
        self._deliver = deliver
        self._stopped = threading.Event()
        self._socket: socket.socket | None = None
        self._until_s = time.monotonic() + config.answer_s

    def stop(self) -> None:
        """Stop the delivery of the answer, and wake its thread if the thread waits for the model's server."""
        self._stopped.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the answer has just ended by itself
                self._socket.shutdown(socket.SHUT_RDWR)

    def apologize(self, sentence: str) -> None:
        """Deliver a sentence as the whole answer."""
        self._give(Words(sentence))
        self._give(End())

    def run(self) -> None:
        """Stream the answer, or deliver a sentence about its failure."""
        try:
            self._stream()
        except ModelError as error:
            if self._stopped.is_set():
                return
            logger.warning("the language model: %s", error)
            self.apologize(str(error))
        except Exception:  # a session must not wait for an answer that never comes
            logger.exception("the language model's answer")
            self.apologize("The language model's answer could not be read.")

    def _give(self, piece: Thought) -> None:
        if not self._stopped.is_set():
            self._deliver(piece)

    def _stream(self) -> None:
        try:
            import httpx  # noqa: PLC0415 - of the extra
        except ImportError:
            raise ModelError("A language model needs the extra voice: pip install '.[voice]'") from None
        config = self._config
        headers = {"Authorization": f"Bearer {config.key}"} if config.key else {}
        timeout = httpx.Timeout(config.first_word_s, connect=min(_CONNECT_S, config.first_word_s))
        # `trust_env` is off, because a proxy that the environment names must not see the conversation.
        with httpx.Client(headers=headers, timeout=timeout, trust_env=False) as client:
            try:
                model = config.model or self._first_model(client)
                body = request_body(self._question, model)
                with client.stream("POST", chat_url(config.url), json=body) as response:
                    self._socket = response.extensions["network_stream"].get_extra_info("socket")
                    if response.is_error:
                        response.read()
                        raise ModelError(_refusal(response.status_code, model))
                    self._read(response)
            except httpx.TimeoutException:
                raise ModelError("The language model did not answer in time. Please ask again.") from None
            except httpx.HTTPError as error:
                logger.debug("the language model at %s: %s", config.url, error)
                raise ModelError("The language model cannot be reached. Is its server running?") from None

    def _read(self, response: Any) -> None:
        stream = Stream()
        for line in response.iter_lines():
            if self._stopped.is_set():
                return
            if time.monotonic() > self._until_s:
                break
            try:
                for piece in stream.feed(line):
                    self._give(piece)
            except (ValueError, TypeError, AttributeError) as error:
                logger.debug("the language model's stream: %s", error)
                raise ModelError("The language model's answer could not be read.") from None
        for piece in stream.end():
            self._give(piece)

    def _first_model(self, client: Any) -> str:
        response = client.get(models_url(self._config.url))
        with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
            return str(response.json()["data"][0]["id"])
        raise ModelError("The language model's server lists no model. Name one with --simulator-llm-model.")


def _refusal(status: int, model: str) -> str:
    reasons = {
        401: "The language model's server refuses the key.",
        404: f"The language model's server has no model {model}.",
        429: "The language model's server has too many requests. Please ask again.",
    }
    return reasons.get(status, f"The language model's server failed with status {status}.")
