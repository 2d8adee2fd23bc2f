"""The services that all sessions of a simulator share: speech processes and a language model, if they are set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.simulator.mind.model import LanguageModel
from router.simulator.speech.installed import VoiceSupport, voice_support
from router.simulator.speech.messages import Recognized, Speech
from router.simulator.speech.process import SpeechProcess
from router.simulator.state import Abilities

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from router.simulator.config import SimulatorConfig
    from router.simulator.mind.messages import Question, Thought
    from router.simulator.speech.messages import Recognize, Result, Synthesize

HEARING_S: Final = 12.0
"""The longest time, in seconds, for the recognition of a turn, including the start of the process.

It is shorter than the 15 s for which a router waits for the next event.
"""
SPEAKING_S: Final = 12.0


class Services:
    """Recognition, synthesis and a language model.

    Any thread may call a method. Results come on threads of the services.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        support = voice_support() if config.voice else VoiceSupport()
        self.abilities = Abilities(hears=support.hears, speaks=support.speaks, thinks=config.llm is not None)
        # A process starts with its first request.
        self._hearing = SpeechProcess("hear", HEARING_S)
        self._speaking = SpeechProcess("speak", SPEAKING_S)
        self._model = LanguageModel(config.llm) if config.llm is not None else None

    def prepare(self, *, hears: bool) -> None:
        """Start the process that recognizes (`hears`) or the process that speaks, unless it runs already."""
        (self._hearing if hears else self._speaking).prepare()

    def recognize(self, request: Recognize, deliver: Callable[[str | None], None]) -> None:
        """Request the words of a turn. `deliver` gets None if they cannot be recognized in time."""

        def take(result: Result | None) -> None:
            deliver(result.text if isinstance(result, Recognized) else None)

        self._hearing.request(request, take)

    def synthesize(self, request: Synthesize, deliver: Callable[[Speech | None], None]) -> None:
        """Request the sound of a text. `deliver` gets None if no sound is ready in time."""

        def take(result: Result | None) -> None:
            deliver(result if isinstance(result, Speech) else None)

        self._speaking.request(request, take)

    def ask(self, question: Question, deliver: Callable[[Thought], None]) -> Callable[[], None]:
        """Ask the language model. `deliver` gets the pieces of the answer. Return a function that stops the answer."""
        assert self._model is not None  # noqa: S101 - for the type checker: no session thinks without
        return self._model.ask(question, deliver)

    def close(self) -> None:
        """End the processes and the model's answers."""
        self._hearing.close()
        self._speaking.close()
        if self._model is not None:
            self._model.close()
