"""The usage of a session's upstreams: each response and each transcript counts once, under its model's own name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actors import messages
from router.openai import events as openai
from router.session.reports import Usage, usage_of
from router.session.state.queues import Newest

if TYPE_CHECKING:
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


class UsageMeter:
    """A reader of the usage in the events of every generation: abandoned upstreams charge for tokens, too."""

    __slots__ = ("_counted", "_models", "_options", "_transcription_models")

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._counted: Newest[tuple[int, str, str | None]] = Newest(maxlen=MAX_COUNTED)
        self._models: dict[int, str] = {}
        """The model that was requested from each generation."""
        self._transcription_models: dict[int, str] = {}

    @property
    def memory(self) -> tuple[Newest[tuple[int, str, str | None]], dict[int, str], dict[int, str]]:
        """The counted usage, and the models of each generation: the whole memory of the meter."""
        return self._counted, self._models, self._transcription_models

    def read(self, event: Any, generation: int, model: str) -> Usage | None:
        """Return the usage of an event, or None.

        `model` is the session's model. It counts if the upstream's own model is not known.
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
        self._models[opened.generation] = _at(options.upstream_models, position) or model
        self._transcription_models[opened.generation] = (
            _at(options.transcription_models, position) or options.transcription_model
        )
        for names in (self._models, self._transcription_models):
            if len(names) > MAX_GENERATIONS:
                del names[next(iter(names))]

    def _update(self, event: openai.SessionUpdated, generation: int) -> None:
        # A client's own session.update may choose another model than the configuration.
        found = event.session.audio
        for key in ("input", "transcription", "model"):
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, str) and found:
            self._transcription_models[generation] = found

    def _model(self, event: Any, generation: int, model: str) -> str:
        if isinstance(event, openai.ResponseDone):
            return self._models.get(generation, model)
        return self._transcription_models.get(generation, self._options.transcription_model)


def _at(names: tuple[str | None, ...], position: int) -> str | None:
    return names[position] if position < len(names) else None
