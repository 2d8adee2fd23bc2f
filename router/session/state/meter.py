"""The usage of a session's upstreams: each response and each transcript counts once, under its model's own name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actors import messages
from router.openai import events as openai
from router.session.reports import Usage, usage_of
from router.session.state.queues import Newest, newest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.session.options import SessionOptions

EVENTS: Final = frozenset(
    {
        messages.UpstreamOpened,
        openai.SessionUpdated,
        openai.ResponseDone,
        openai.InputAudioTranscriptionCompleted,
    }
)
"""The inputs that a meter reads."""

MAX_COUNTED: Final = 1000
"""The most responses and transcripts that are remembered by id. A repeated event comes soon after the first."""

MAX_GENERATIONS: Final = 16
"""The most upstreams whose models are remembered. Older ones send nothing any more."""


class Models(NamedTuple):
    """The models of one upstream."""

    generation: int
    response: str
    transcription: str


class UsageMeter:
    """A reader of the usage in the events of every generation: abandoned upstreams charge for tokens, too."""

    __slots__ = ("_counted", "_models", "_options")

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._counted: Newest[tuple[int, str, str | None]] = Newest(maxlen=MAX_COUNTED)
        self._models: tuple[Models, ...] = ()
        """The models that were requested from each generation, the oldest first."""

    @property
    def memory(self) -> tuple[Newest[tuple[int, str, str | None]], tuple[Models, ...]]:
        """The counted usage, and the models of each generation: the whole memory of the meter."""
        return self._counted, self._models

    @memory.setter
    def memory(self, memory: tuple[Iterable[tuple[int, str, str | None]], Iterable[Models]]) -> None:
        counted, models = memory
        self._counted.update(dict.fromkeys(counted))
        self._models = tuple(models)

    def read(self, event: Any, generation: int, model: str) -> Usage | None:
        """Return the usage of an event; None if it has no usage, or if its usage was counted before.

        An event that names the upstream's models sets these models. The usage counts for the upstream's own model if it
        is known, or else for `model`, the session's model.
        """
        if isinstance(event, messages.UpstreamOpened):
            self._open(event, model)
            return None
        if isinstance(event, openai.SessionUpdated):
            self._update(event, generation)
            return None
        usage = usage_of(event, self._model(event, generation, model))
        if usage is None or (usage.kind == "transcription" and event.status == "in_progress"):
            return None  # a repeated transcript has the same usage again (upstream 12.2)
        key = (generation, usage.kind, usage.id)
        if usage.id is not None and key in self._counted:
            return None
        self._counted.add(key)
        return usage

    def _open(self, opened: messages.UpstreamOpened, model: str) -> None:
        options, position = self._options, opened.position
        model = _at(options.upstream_models, position) or model
        transcription = _at(options.transcription_models, position) or options.transcription_model
        self._models = newest(self._models, Models(opened.generation, model, transcription), MAX_GENERATIONS)

    def _update(self, event: openai.SessionUpdated, generation: int) -> None:
        # A client's own session.update may choose another model than the configuration.
        found = event.session.audio
        for key in ("input", "transcription", "model"):
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, str) and found:
            self._models = tuple(
                it._replace(transcription=found) if it.generation == generation else it for it in self._models
            )

    def _model(self, event: Any, generation: int, model: str) -> str:
        known = next((it for it in reversed(self._models) if it.generation == generation), None)
        if isinstance(event, openai.ResponseDone):
            return known.response if known is not None else model
        return known.transcription if known is not None else self._options.transcription_model


def _at(names: tuple[str | None, ...], position: int) -> str | None:
    return names[position] if position < len(names) else None
