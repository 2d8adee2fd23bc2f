"""Handlers from the first frame to SettingsApplied."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from actors.restart import Loss, LossKind
from router.audio.formats import MOST_SAMPLE_BYTES, RATES
from router.deepgram import blocks
from router.deepgram import codec as deepgram_codec
from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session import agreement, conversions, inputs, overrides, tools
from router.session.deadlines import Wait
from router.session.statement import statement_of
from router.session.stay import STAY
from router.session.turn import Want
from router.translation import errors, listening, settings, speech, text
from router.translation.audio import Microphone, Speaker
from router.translation.formats import input_format, output_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors import messages
    from router.audio.formats import Format
    from router.session.line import Line
    from router.session.session import Session
    from router.session.stay import Stay

UNPARSABLE: Final = "UNPARSABLE_CLIENT_MESSAGE"

DETECTED: Final = ("server_vad", "semantic_vad")
"""Turn detection by the upstream, as we configured it."""

_FASTEST_BYTES_PER_S: Final = RATES[-1] * MOST_SAMPLE_BYTES
"""Of microphone audio, while its format is unknown."""


def welcome(session_id: str) -> str:
    """Return the first frame to every client: it leaves with the answer to the handshake, before `ClientOpened`."""
    return deepgram_codec.encode(deepgram.Welcome(request_id=session_id))


def opened(session: Session, _opened: messages.ClientOpened) -> None:
    """Wait for the Settings of a client that has its Welcome. The upstream is dialled in advance."""
    session.wait(Wait.SETTINGS)
    dial(session, session.options.fixed_model or session.options.model)


def dial(session: Session, model: str) -> None:
    """Have an upstream for this model, unless one is on its way."""
    state = session.state
    if state.line.generation and state.route == model:
        return
    if state.line.generation:
        session.stop_waiting(Wait.SESSION_CREATED, Wait.ROLLOVER)
        session.close_upstream(state.line.generation)
    state.route = model
    state.line = state.next_line()
    session.open_upstream(state.line.generation, model)


# Settings.


def open_session(session: Session, message: deepgram.Settings) -> Stay | None:
    """Take the Settings, and dial the upstream that they ask for."""
    fault = settings.find_fault(message)
    if fault is not None:
        session.to_client(deepgram.Error(description=fault.description, code=fault.code))
        return STAY
    session.stop_waiting(Wait.SETTINGS)
    if session.options.is_configured_outside:
        session.state.settings = message
        overrides.ask(session, session.client_text)
    else:
        _open_with(session, message)
    return None


def configured_by_application(session: Session, _name: str, done: messages.WorkDone) -> None:
    """Go on with what the embedding application has to say, or with the client's own Settings."""
    message = overrides.answered(session, done) or session.state.settings
    if isinstance(message, inputs.SessionUpdateAsIs):
        _open_with_as_is(session, message)
    elif message is not None:
        _open_with(session, message)


def _open_with(session: Session, message: deepgram.Settings) -> None:
    assert isinstance(message.agent, blocks.Agent)  # noqa: S101 - find_fault said so
    state, chosen = session.state, settings.chosen(message.agent, session.options.is_available)
    agent = tools.admit(session, chosen)
    state.settings, state.agent = message, agent
    state.turn_detection = listening.detection_mode(agent, session.options.turn_detection)
    state.microphone = _microphone(session, input_format(message.audio))
    state.speaker = Speaker(output_format(message.audio))
    conversions.prepare(session, state.microphone.source, output_format(message.audio))
    tools.warn(session, chosen)
    dial(session, _choose_model(session, message.agent, agent))


def open_session_as_is(session: Session, message: inputs.SessionUpdateAsIs) -> None:
    """Take a client's own session.update for its Settings."""
    session.stop_waiting(Wait.SETTINGS)
    if session.options.is_configured_outside:
        session.state.settings = message
        overrides.ask(session, message.text)
    else:
        _open_with_as_is(session, message)


def _open_with_as_is(session: Session, message: inputs.SessionUpdateAsIs) -> None:
    state = session.state
    state.settings = message = tools.with_ours(session, message)
    state.agent = settings.agent_as_is(orjson.loads(message.text).get("session"))
    state.turn_detection = listening.THE_CLIENT_S
    own = agreement.formats_as_is(message)
    state.microphone, state.speaker = _microphone(session, own.input), Speaker(own.output)
    dial(session, session.options.fixed_model or session.options.model)


def _microphone(session: Session, source: Format) -> Microphone:
    options = session.options
    microphone = Microphone(source, preroll_s=options.preroll_s, most_s=options.uncommitted_audio_s)
    # Without a detector of the upstream's, all that was said since the last commit is the turn.
    microphone.is_speech = session.state.turn_detection not in DETECTED
    return microphone


def _choose_model(session: Session, given: blocks.Agent, chosen: blocks.Agent) -> str:
    asked, think = settings.first_think(given).provider.model, settings.first_think(chosen)
    model = session.options.model_for(think.provider.model)
    if asked is not None and asked != model:
        warn_of_model(session, f"`agent.think.provider.model` {asked} is not available here: {model} is used")
    elif think.endpoint is not None:
        warn_of_model(session, f"`agent.think.endpoint` is not asked here: {model} is used")
    return model


def warn_of_model(session: Session, description: str) -> None:
    """Tell the client that another model thinks than it asked for."""
    session.to_client(deepgram.Warning(description=description, code="MODEL_NOT_AVAILABLE"))


def settings_again(session: Session, _message: deepgram.Settings) -> None:
    """Answer a second Settings. The React component sends one after a reload."""
    if not session.profile.settings_repeat:
        description = "Settings were given already: they can be given once"
        session.to_client(deepgram.Error(description=description, code="SETTINGS_ALREADY_APPLIED"))
    elif session.state.is_applied:
        session.to_client(deepgram.SettingsApplied())


# The upstream is ready.


def begin(session: Session) -> None:
    """Tell the client that its Settings are applied, and put what they bring into the ledger. Once a session."""
    state = session.state
    if state.is_applied:
        return
    state.is_applied = True
    session.to_client(deepgram.SettingsApplied())
    if isinstance(state.settings, deepgram.Settings):
        _begin_with(session, state.agent)


def _begin_with(session: Session, agent: blocks.Agent) -> None:
    ledger, new_id = session.state.ledger, session.state.new_id
    for item in settings.context_items(agent, new_id):
        ledger.add(item)
    if agent.greeting and not len(ledger):
        _greet_client(session, agent.greeting)


def _greet_client(session: Session, greeting: str) -> None:
    item_id, how = session.state.new_id(), session.options.greeting
    if how == "spoken" or (how == "auto" and session.profile.spoken_greeting):
        session.state.turn.want(Want(statement=statement_of(item_id, greeting)))
    else:
        session.state.ledger.add(text.message_item(item_id, "assistant", greeting))
        session.to_client(deepgram.ConversationText(role="assistant", content=greeting))


def create_item(session: Session, item: Any, *, line: Line | None = None, want: Want | None = None) -> None:
    """Add an item to the conversation. An id of ours is the `event_id`, too: an error brings it back."""
    line = line or session.state.line
    kind, role, item_id = _kind_of(item)
    item_id = item_id or session.state.new_id()
    line.items.created(item_id, kind, role, want)
    session.to_upstream(openai.ConversationItemCreate(item=item, event_id=item_id), line)


def _kind_of(item: Any) -> tuple[str, str | None, str | None]:
    if isinstance(item, dict):
        item_id = item.get("id")
        return str(item.get("type")), item.get("role"), item_id if isinstance(item_id, str) else None
    kind: Any = type(item).__struct_config__.tag
    return kind, getattr(item, "role", None), item.id


def continuation(session: Session, words: str) -> str:
    """The instructions for a response that goes on with an answer that was cut off."""
    return speech.continuation(settings.first_think(session.state.agent).prompt, words)


def keep_error(session: Session, event: openai.Error) -> None:
    """Keep what the upstream says before its session exists: a close follows, which this explains."""
    session.state.last_error = event.error
    session.log(logging.WARNING, f"the upstream says {errors.code_of(event.error)}: {event.error.message}")
    is_refused_by(session, event.error)


def is_refused_by(session: Session, error: openai.ErrorDetail) -> bool:
    """Give the upstream up where its error says that it serves us no more; whether it does."""
    if not is_last_word(error):
        return False
    code = errors.code_of(error)
    session.abandon(Loss(kind=LossKind.REFUSED, cause=code, is_fatal=code in errors.FATAL))
    return True


def is_last_word(error: openai.ErrorDetail) -> bool:
    """Whether an upstream that says this serves us no more."""
    return errors.code_of(error) in errors.FATAL | errors.EXPIRED


# What comes too early.


def keep_message(session: Session, message: Any) -> None:
    """Keep a message until the session is ready."""
    options = session.options
    if not session.state.early.keep_message(message, len(session.client_text.encode())):
        most = f"{options.early_messages} messages, or {options.early_bytes} bytes of them"
        description = f"more than {most}, before SettingsApplied: one is dropped"
        session.to_client(deepgram.Error(description=description, code="TOO_MANY_EARLY_MESSAGES"))


class Waiting(Protocol):
    """What waits for an upstream that is there, but busy."""

    @property
    def size_bytes(self) -> int:
        """About what it takes."""


def has_room(session: Session, waiting: Sequence[Waiting], another: Waiting) -> bool:
    """Whether another may wait, too. Where none does, there is room for it, whatever it takes."""
    options, size_bytes = session.options, sum(it.size_bytes for it in (*waiting, another))
    return not waiting or (len(waiting) < options.early_messages and size_bytes <= options.early_bytes)


def is_one_too_many(session: Session, waiting: Sequence[Waiting], another: Waiting) -> bool:
    """Answer a message that would wait behind too many others; whether it would."""
    if has_room(session, waiting, another):
        return False
    description = f"{len(waiting)} such messages wait for the upstream: one more is dropped"
    session.to_client(deepgram.Error(description=description, code="TOO_MANY_EARLY_MESSAGES"))
    return True


def keep_user_message(session: Session, message: deepgram.InjectUserMessage) -> None:
    """Echo a user's message at once, and keep it."""
    session.to_client(deepgram.ConversationText(role="user", content=message.content))
    keep_message(session, inputs.EchoedUserMessage(message.content))


def keep_audio(session: Session, piece: inputs.Microphone) -> None:
    """Keep audio until the session is ready, so much of it as is allowed."""
    dropped = session.state.early.keep_audio(piece.data, _most_early_bytes(session))
    if dropped and session.state.early.dropped_bytes == dropped:
        session.log(logging.WARNING, "early microphone audio is dropped, the oldest first")


def _most_early_bytes(session: Session) -> int:
    microphone = session.state.microphone
    bytes_per_s = microphone.source.bytes_per_s if microphone is not None else _FASTEST_BYTES_PER_S
    return int(session.options.early_audio_s * bytes_per_s)


def before_settings(session: Session, message: Any) -> None:
    """Keep what came before Settings, or answer that it came too early, as the profile has it."""
    if not session.profile.early_inputs_wait:
        _answer_too_early(session)
    elif isinstance(message, inputs.Microphone):
        keep_audio(session, message)
    elif isinstance(message, deepgram.InjectUserMessage):
        keep_user_message(session, message)
    else:
        keep_message(session, message)


def _answer_too_early(session: Session) -> None:
    description = "the first message must be Settings"
    session.to_client(deepgram.Error(description=description, code="NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"))


# What cannot be read.


def answer_unparsable(session: Session, unparsable: Any) -> None:
    """Answer a message that cannot be read: the answer names the field, and the session goes on."""
    session.to_client(deepgram.Error(description=unparsable.problem, code=UNPARSABLE))


def answer_foreign(session: Session, foreign: Any) -> None:
    """Answer a message of a type that is none of ours. It is not forwarded."""
    name = foreign.type[:80]
    session.to_client(deepgram.Error(description=f"the field `type` is {name}: unknown here", code=UNPARSABLE))
