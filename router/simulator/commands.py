"""The commands of a simulated session, which the actor with its socket performs in order.

A session does not wait: it returns `StartTimer` and `Pause`. When a timer is due, the actor calls `Session.fire`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router.simulator.mind.messages import Question  # noqa: TC001 - msgspec resolves the annotations
from router.simulator.speech.messages import Recognize, Synthesize  # noqa: TC001


class Send(msgspec.Struct, frozen=True):
    """Send one server event."""

    event: dict[str, Any]


class SendRaw(msgspec.Struct, frozen=True):
    """Send a text frame unchanged. A fault sends its malformed frame with this command."""

    text: str


class SendBinary(msgspec.Struct, frozen=True):
    """Send a binary frame, which carries audio in Deepgram's protocol."""

    data: bytes


class StartTimer(msgspec.Struct, frozen=True):
    """Call `Session.fire(name)` after `delay_s`; a running timer of that name is restarted."""

    name: str
    delay_s: float


class CancelTimer(msgspec.Struct, frozen=True):
    """Cancel the timer, if it runs."""

    name: str


class Pause(msgspec.Struct, frozen=True):
    """Hold back every later frame, and the end of the connection, for `delay_s`."""

    delay_s: float


class Close(msgspec.Struct, frozen=True):
    """Begin the close handshake."""

    code: int
    reason: str


class Reset(msgspec.Struct, frozen=True):
    """End the connection without a close frame."""


class Hang(msgspec.Struct, frozen=True):
    """Stop reading and writing, and keep the socket open. Not even a ping is answered."""


class RecognizeSpeech(msgspec.Struct, frozen=True):
    """Call `Session.recognized(item_id, …)` with the words of a turn; with None if they cannot be recognized."""

    item_id: str
    request: Recognize


class SynthesizeSpeech(msgspec.Struct, frozen=True):
    """Call `Session.synthesized(response_id, …)` with a text's sound; with None if the synthesis fails.

    The calls come in the order of the requests.
    """

    response_id: str
    request: Synthesize


class AskModel(msgspec.Struct, frozen=True):
    """Call `Session.model_said(response_id, …)` with each piece of a language model's answer."""

    response_id: str
    question: Question


class StopModel(msgspec.Struct, frozen=True):
    """Stop the language model's answer, because the response has ended early."""

    response_id: str


class PrepareSpeech(msgspec.Struct, frozen=True):
    """Start a speech process before its first request, because it needs one second to read its model."""

    hears: bool


Service = RecognizeSpeech | SynthesizeSpeech | AskModel | StopModel | PrepareSpeech
"""Commands on which no frame depends, so that a pause does not hold them back."""

Command = Send | SendRaw | SendBinary | StartTimer | CancelTimer | Pause | Close | Reset | Hang | Service
