"""The steps of the canary, in order. Each is a table row, and a function that returns facts if the step succeeds."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from router.command import voice_client, waves
from router.command.canary import claims
from router.command.canary.conversation import Conversation, Frame, StepFailed, is_reply, is_text_of
from router.command.microphone import Microphone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.command.canary.stage import Stage

QUESTION_WAV: Final = Path(__file__).with_name("question.wav")
SPOKEN: Final = "What is the capital of France?"
"""The words of the WAV file, which eSpeak NG spoke."""

TYPED: Final = "Hello! Please answer with one short sentence."
CITY: Final = "Paris"
WEATHER: Final = f"What is the weather in {CITY}?"
FORECAST: Final = "sunny, 21 degrees"
STORY: Final = (
    "Please tell me a long story about a lighthouse, its keeper and his cat, about a storm at sea and a ship that is "
    "lost, and about the morning after it. Take all the time that you need, and do not stop before the end."
)
"""A request for a long answer. Its length does not matter, because the canary interrupts it."""


LAST_NUMBER: Final = 25
COUNT: Final = "Count slowly from one to twenty-five, in words, and say nothing else."
"""A request whose answer is long enough to cut off, but shorter than the 30 s of audio that the router sends ahead."""

PROMPT: Final = (
    "You are part of a test of a voice connection. Answer briefly, in English, unless you are asked for a story. "
    "Always call the function get_weather for a question about the weather, and repeat its result."
)
FUNCTION: Final = "get_weather"
GET_WEATHER: Final = {
    "name": FUNCTION,
    "description": "Return the weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

Facts = dict[str, Any]


class Call(msgspec.Struct, frozen=True):
    """The parts of a call that a step uses."""

    conversation: Conversation
    stage: Stage
    detects_turns: bool
    """Whether the upstream detects the user's turns, which is false with manual turn detection."""


class Step(NamedTuple):
    """A row of the table of steps."""

    name: str
    purpose: str
    run: Callable[[Call], Facts]


def apply_settings(call: Call) -> Facts:
    """Send `Settings`. The upstream has to accept the session."""
    call.conversation.wait_for("Welcome")
    call.conversation.client.send("Settings", **voice_client.settings(PROMPT, functions=[GET_WEATHER]))
    call.conversation.wait_for("SettingsApplied")
    return {}


def answer_text(call: Call) -> Facts:
    """Send the first text message. The agent has to answer with words, and to end its turn."""
    talk = call.conversation
    talk.ask(TYPED)
    return _finished_turn(talk)


def answer_speech(call: Call) -> Facts:
    """Ask a question aloud. The upstream has to transcribe it, and to answer with sound."""
    talk = call.conversation
    with _microphone(call) as microphone:
        microphone.speak(waves.read(QUESTION_WAV))
        if call.detects_turns:
            talk.wait_for("UserStartedSpeaking")
        transcript = _spoken_text(talk)
        facts = _finished_turn(talk)
    _check_transcript(transcript)
    if talk.is_silent:
        raise StepFailed("the reply to the spoken question has no sound")
    return {"spoken": SPOKEN, "transcript": transcript, **facts}


def call_function(call: Call) -> Facts:
    """Ask for the weather. The upstream has to call the function, and to answer with the function's result."""
    talk = call.conversation
    talk.ask(WEATHER)
    request = talk.wait_for("FunctionCallRequest")
    (function, *_) = request["functions"]  # type: ignore[call-overload]
    arguments = _parsed(function["arguments"])
    _demand(claims.call_fault(function["name"], arguments, function=FUNCTION, city=CITY))
    talk.client.send("FunctionCallResponse", id=function["id"], name=function["name"], content=FORECAST)
    talk.begin_turn()
    facts = _finished_turn(talk)
    _demand(claims.forecast_fault(facts["reply"], FORECAST))
    return {"function": function["name"], "arguments": arguments, **facts}


def interrupt(call: Call) -> Facts:
    """Interrupt the agent while it tells a story. The agent has to fall silent, and to answer the question."""
    talk = call.conversation
    talk.ask(STORY)
    talk.wait_for("sound of the story", is_it=lambda frame: isinstance(frame, bytes))
    begun_s = talk.now_s()
    with _microphone(call) as microphone:
        if call.detects_turns:
            microphone.speak(waves.read(QUESTION_WAV))
        else:
            talk.ask(TYPED)
        talk.wait_for("UserStartedSpeaking")
        interrupted_s = talk.now_s() - begun_s
        if talk.audio_s <= interrupted_s:
            raise StepFailed(f"the story was over after {talk.audio_s:.1f} s, before it could be interrupted")
        if call.detects_turns:
            _check_silence(talk)
        talk.begin_turn()
        transcript = _spoken_text(talk)
        facts = _finished_turn(talk)
    if call.detects_turns:
        _check_transcript(transcript)
    return {"silent_after_s": round(interrupted_s, 2), "transcript": transcript, **facts}


def survive_restart(call: Call) -> Facts:
    """Cut the upstream off while it answers.

    The router has to dial another upstream, which has to finish the answer.
    """
    talk = call.conversation
    talk.ask(COUNT)
    talk.wait_for("beginning of an answer", is_it=_is_output)
    dials = call.stage.dials
    call.stage.cut_upstream()
    cut_s = talk.now_s()
    talk.wait_for("UPSTREAM_RESTARTED", is_it=_is_restart)
    facts = _finished_turn(talk)
    # A text that was complete before the cut may reach the client before the dial has ended.
    dialled_s = call.stage.wait_for_dial(dials, talk.left_s)
    if dialled_s is None:
        raise StepFailed("the upstream was cut off, and no other one was dialled")
    _demand(claims.count_fault(facts["reply"], LAST_NUMBER))
    return {"restarted_after_s": round(dialled_s - cut_s, 3), **facts}


STEPS: Final = (
    Step("settings", "Settings are applied", apply_settings),
    Step("text", "the first text message is answered", answer_text),
    Step("speech", "a spoken question is transcribed and answered", answer_speech),
    Step("function", "a function is called, and its result is used", call_function),
    Step("barge-in", "the agent falls silent when it is interrupted", interrupt),
    Step("restart", "an answer survives the loss of the upstream", survive_restart),
)


# Parts of steps.


def _finished_turn(talk: Conversation) -> Facts:
    """Wait until the agent has ended a turn with words, and return its reply and the length of its audio.

    A turn that ended without words was interrupted, so it is skipped.
    """
    while not talk.is_answered:
        talk.receive("end of the agent's turn")
    return {"reply": talk.reply, "audio_s": round(talk.audio_s, 1)}


def _demand(fault: str) -> None:
    if fault:
        raise StepFailed(fault)


def _check_transcript(transcript: str) -> None:
    spoken_s = len(waves.read(QUESTION_WAV)) / (2 * voice_client.INPUT_RATE)
    _demand(claims.transcript_fault(transcript, SPOKEN, spoken_s))


def _check_silence(talk: Conversation) -> None:
    """Wait for the `UtteranceEnd` of the user's speech.

    If audio comes before that message, the step fails, because the next answer has not begun yet.
    """
    heard_s = talk.audio_s
    talk.wait_for("UtteranceEnd")
    if talk.audio_s > heard_s:
        raise StepFailed("the agent went on speaking after it was interrupted")


def _spoken_text(talk: Conversation) -> str:
    """Wait for the transcript of the user's speech, and return it."""
    message = talk.wait_for("transcript", is_it=lambda frame: is_text_of("user", frame))
    transcript = str(message["content"])  # type: ignore[call-overload]
    if not transcript.strip():
        raise StepFailed("the transcript of the spoken question is empty")
    return transcript


@contextlib.contextmanager
def _microphone(call: Call) -> Iterator[Microphone]:
    microphone = Microphone(call.conversation.client.send_audio, sends_silence=call.detects_turns)
    microphone.open()
    try:
        yield microphone
    finally:
        microphone.close()


def _is_output(frame: Frame) -> bool:
    return isinstance(frame, bytes) or is_reply(frame)


def _is_restart(frame: Frame) -> bool:
    return isinstance(frame, dict) and (frame.get("type"), frame.get("code")) == ("Warning", "UPSTREAM_RESTARTED")


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        raise StepFailed(f"the arguments of the function call are not JSON: {arguments}") from None
