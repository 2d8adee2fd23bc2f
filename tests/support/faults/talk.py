"""The conversations of the fault tests, and the judgement of what a client received.

A `Conversation` runs over a `StreamClient`, step by step. The functions `faults_of_...` compare the received frames
with those of the same conversation without a fault, and name every difference that a client must not see. This module
knows no row, no column and no router.
"""

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.support.clients.wire_client import ClosedError, SilenceError, StreamClient

QUESTION = "My name is Ada, and I would like to hear about the sea and the ships."
MEMORY = "What did I say before?"
WEATHER = "What is the weather in Paris?"
SUNNY = "It is sunny in Paris, and there is a light wind."
NAME = "And what is my name?"
LAST_WORDS = "Good, thank you."

GET_WEATHER = {
    "name": "get_weather",
    "description": "Tell the weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

RATE = 24000
CHUNK_S = 0.1
SPEECH_S = 1.5
PAUSE_S = 0.9

HEARD_CHUNKS = 5
STALLED_CHUNK = 8
"""The chunk before which a stall begins, in the middle of the speech."""

GIVE_UP_S = 9.0
"""The seconds after which a step counts as stuck. They are long, so that a late answer differs from none."""

ERROR_S = 0.3
"""The seconds in which further frames may follow an `Error` in place of an answer."""

LOOK_S = 0.01

BYTES_PER_CHARACTER = 48 * 60
"""The bytes of audio for each character in the simulator's voice."""


def settings(modality: str, *functions: dict[str, Any]) -> dict[str, Any]:
    """Return Settings for a conversation."""
    think: dict[str, Any] = {"provider": {"type": "open_ai"}, "prompt": "Be brief.", "outputModalities": [modality]}
    if functions:
        think["functions"] = list(functions)
    audio = {"encoding": "linear16", "sample_rate": RATE}
    return {"type": "Settings", "audio": {"input": audio, "output": audio}, "agent": {"think": think}}


def _loud(duration_s: float) -> bytes:
    times = np.arange(int(duration_s * RATE)) / RATE
    return (9000 * np.sin(2 * np.pi * 220 * times)).astype("<i2").tobytes()


CHUNK_BYTES = int(RATE * CHUNK_S) * 2
SPOKEN = _loud(SPEECH_S) + bytes(int(PAUSE_S * RATE) * 2)
SPEECH = [SPOKEN[at : at + CHUNK_BYTES] for at in range(0, len(SPOKEN), CHUNK_BYTES)]


@dataclass
class Turn:
    """The frames for the client from one AgentAudioDone to the next."""

    said: list[str] = field(default_factory=list)
    audio: bytes = b""
    requests: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The words of all texts, in which the pieces of one answer are joined."""
        return " ".join(self.said).split()


@dataclass
class Seen:
    """The frames that a client got in a conversation, by turns."""

    turns: list[Turn]
    rest: Turn
    """The frames after the last AgentAudioDone."""
    user: list[str]
    counts: Counter[str]
    errors: list[str]
    warnings: list[str]
    last: str | None
    """The type of the last message."""
    close_code: int | None
    after_close: int
    steps_s: dict[str, float]
    stuck: str = ""
    """The step at which the conversation stopped; empty if it did not."""


class Conversation:
    """One client's conversation, step by step. A step that does not end in time stops it."""

    def __init__(
        self, client: StreamClient, modality: str, *, ends_on_error: bool = False, give_up_s: float = GIVE_UP_S
    ) -> None:
        self.client = client
        self.give_up_s = give_up_s
        self.modality = modality
        self.ends_on_error = ends_on_error
        """Whether an `Error` may come in place of an answer."""
        self.steps_s: dict[str, float] = {}
        self.stuck = ""
        self.is_closed = False

    def run(self, talk: Callable[["Conversation"], None]) -> Seen:
        """Hold the conversation, close the connection, and return the frames that the client got."""
        try:
            talk(self)
        except ClosedError:
            self.is_closed = True
        except SilenceError as error:
            self.stuck = str(error)
        with contextlib.suppress(SilenceError):
            self.client.close()
        return seen(self.client, self.steps_s, self.stuck)

    def step(self, name: str, wanted: str) -> bool:
        """Wait for a message, and record the time that it took. Return False if an `Error` came in its place."""
        kinds = (wanted, "Error") if self.ends_on_error else (wanted,)
        began_s = self.client.clock()
        try:
            frames = self.client.wait_until(
                lambda frame: isinstance(frame, dict) and frame["type"] in kinds, wanted, self.give_up_s
            )
        finally:
            self.steps_s[name] = self.client.clock() - began_s
        if frames[-1]["type"] == wanted:  # type: ignore[call-overload, index]
            return True
        self.client.hear(ERROR_S)
        return False

    def hear_until(self, has_happened: Callable[[], bool], timeout_s: float) -> bool:
        """Record frames until a condition outside of the client holds. Return whether it holds."""
        deadline_s = self.client.clock() + timeout_s
        while not has_happened() and not self.client.is_over and self.client.clock() < deadline_s:
            self.client.hear(LOOK_S)
        return has_happened()

    def apply_settings(self, *functions: dict[str, Any]) -> None:
        """Send Settings, and wait until they are applied."""
        given = settings(self.modality, *functions)
        self.client.say(given.pop("type"), **given)
        self.step("settings", "SettingsApplied")

    def ask(self, question: str) -> None:
        """Type a question, and wait for the end of the turn."""
        self.client.say("InjectUserMessage", content=question)
        self.step(question, "AgentAudioDone")

    def speak(self) -> None:
        """Send speech, and wait for the end of the turn that answers it."""
        for chunk in SPEECH[:HEARD_CHUNKS]:
            self.client.send_audio(chunk)
        # From here on as fast as it goes; until it is heard, as people speak: what lies long back is not kept.
        self.step("speech started", "UserStartedSpeaking")
        for chunk in SPEECH[HEARD_CHUNKS:]:
            self.client.send_audio(chunk)
        self.step("speech", "AgentAudioDone")

    def speak_in_time(self, stall: Callable[[], None]) -> None:
        """Send speech in real time with a stall in the middle, and wait for the end of the turn."""
        for at, chunk in enumerate(SPEECH):
            if at == STALLED_CHUNK:
                stall()
            self.client.send_audio(chunk)
            self.client.hear(CHUNK_S)
        if not any(_is(frame, "AgentAudioDone") for frame in self.client.frames):
            self.step("speech", "AgentAudioDone")

    def ask_for_weather(self, before_answering: Callable[[], None] = lambda: None) -> None:
        """Ask a question that needs a function, answer the call, and wait for the end of the turn."""
        self.client.say("InjectUserMessage", content=WEATHER)
        if not self.step("call", "FunctionCallRequest"):
            return
        (call,) = [frame for frame in self.client.frames if _is(frame, "FunctionCallRequest")][-1]["functions"]  # type: ignore[call-overload, index]
        before_answering()
        self.client.say("FunctionCallResponse", id=call["id"], name=call["name"], content=SUNNY)
        self.step(WEATHER, "AgentAudioDone")


def _is(frame: Any, kind: str) -> bool:
    return isinstance(frame, dict) and frame["type"] == kind


def seen(client: StreamClient, steps_s: dict[str, float], stuck: str = "") -> Seen:
    """Return the received frames of a client, by turns."""
    turns, user, errors, warnings = [Turn()], [], [], []
    messages = [frame for frame in client.frames if isinstance(frame, dict)]
    for frame in client.frames:
        if isinstance(frame, bytes):
            turns[-1].audio += frame
            continue
        match frame["type"]:
            case "AgentAudioDone":
                turns.append(Turn())
            case "ConversationText" if frame["role"] == "user":
                user.append(frame["content"])
            case "ConversationText" if not frame["content"].startswith("Function call: "):
                turns[-1].said.append(frame["content"])
            case "FunctionCallRequest":
                turns[-1].requests += [call["id"] for call in frame["functions"]]
            case "Error":
                errors.append(frame["code"])
            case "Warning":
                warnings.append(frame["code"])
    return Seen(
        turns=turns[:-1],
        rest=turns[-1],
        user=user,
        counts=Counter(message["type"] for message in messages if message.get("is_final", True)),
        errors=errors,
        warnings=warnings,
        last=messages[-1]["type"] if messages else None,
        close_code=client.close_code,
        after_close=len(client.after_close),
        steps_s=steps_s,
        stuck=stuck,
    )


# Whether it was as it should be.

ONCE = ("Welcome", "SettingsApplied")
COUNTED = ("UserStartedSpeaking", "Transcript", "UtteranceEnd", "FunctionCallRequest")
TOLERANCE_CHARACTERS = 24
"""The characters by which an answer that was cut off may differ, because its heard part is an estimate."""


def faults_of_order(got: Seen, wanted: Seen) -> list[str]:
    """Return the differences in order and number that no fault may cause, in words."""
    wrong = []
    if got.after_close:
        wrong.append(f"{got.after_close} frames behind the close frame")
    wrong += [f"{kind} {got.counts[kind]} times" for kind in ONCE if got.counts[kind] > 1]
    wrong += [
        f"{kind} {got.counts[kind]} times instead of {wanted.counts[kind]}"
        for kind in COUNTED
        if got.counts[kind] > wanted.counts[kind]
    ]
    if got.counts["AgentDone"] not in (got.counts["AgentAudioDone"], 0):
        wrong.append(f"AgentDone {got.counts['AgentDone']} times, AgentAudioDone {got.counts['AgentAudioDone']}")
    asked = [call for turn in (*got.turns, got.rest) for call in turn.requests]
    if len(set(asked)) < len(asked):
        wrong.append(f"a function requested twice: {asked}")
    if len(got.turns) > len(wanted.turns):
        wrong.append(f"{len(got.turns)} turns instead of {len(wanted.turns)}")
    if len(got.user) > len(wanted.user):
        wrong.append(f"the user's words were {got.user}")
    return wrong


def faults_of_answers(got: Seen, wanted: Seen) -> list[str]:
    """Return the answers that differ from those of the conversation without a fault, in words."""
    wrong = []
    if got.stuck:
        wrong.append(f"stuck: {got.stuck}")
    if len(got.turns) < len(wanted.turns):
        wrong.append(f"{len(got.turns)} turns instead of {len(wanted.turns)} (closed with {got.close_code})")
    if got.rest.said or got.rest.audio:
        wrong.append(f"behind the last turn came {got.rest.said} and {len(got.rest.audio)} B of audio")
    if got.user != wanted.user:
        wrong.append(f"the user's words were {got.user}")
    for number, (turn, reference) in enumerate(zip(got.turns, wanted.turns, strict=False), 1):
        # An answer whose text the client has goes on behind a whole word of its audio.
        was_recovered = "SESSION_RECOVERED" in got.warnings
        faults = _faults_of_answer(turn, reference, was_restarted=bool(got.warnings), was_recovered=was_recovered)
        wrong += [f"turn {number}: {fault}" for fault in faults]
    return wrong


def _faults_of_answer(turn: Turn, reference: Turn, *, was_restarted: bool, was_recovered: bool = False) -> list[str]:
    wrong = []
    if turn.words != reference.words:
        wrong.append(f"said {turn.said} instead of {reference.said}")
    if len(turn.requests) != len(reference.requests):
        wrong.append(f"{len(turn.requests)} calls instead of {len(reference.requests)}")
    difference = len(turn.audio) - len(reference.audio)
    was_cut = len(turn.said) > 1 and was_restarted
    if len(turn.said) > len(reference.said) or was_cut or was_recovered:
        if abs(difference) > TOLERANCE_CHARACTERS * BYTES_PER_CHARACTER:
            wrong.append(f"{difference / BYTES_PER_CHARACTER:+.0f} characters of audio, in {len(turn.said)} pieces")
    elif turn.audio != reference.audio:
        wrong.append(f"other audio: {len(turn.audio)} B instead of {len(reference.audio)} B")
    return wrong


def faults_of_cut_answers(got: Seen, wanted: Seen) -> list[str]:
    """Return the faults of turns that incomplete responses ended. Each turn has a beginning of its answer."""
    wrong = [f"stuck: {got.stuck}"] if got.stuck else []
    if len(got.turns) != len(wanted.turns):
        wrong.append(f"{len(got.turns)} turns instead of {len(wanted.turns)} (closed with {got.close_code})")
        return wrong
    if got.user != wanted.user:
        wrong.append(f"the user's words were {got.user}")
    for number, (turn, reference) in enumerate(zip(got.turns, wanted.turns, strict=True), 1):
        if not " ".join(reference.words).startswith(" ".join(turn.words)):
            wrong.append(f"turn {number} said {turn.said}, which is no beginning of {reference.said}")
        if not reference.audio.startswith(turn.audio):
            wrong.append(f"turn {number}: {len(turn.audio)} B of audio that are not its beginning")
    if got.turns[-1].words != wanted.turns[-1].words:
        wrong.append(f"the last answer was {got.turns[-1].said}")
    return wrong
