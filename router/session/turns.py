"""Handlers of text, speech and responses."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.deepgram import messages as deepgram
from router.openai import events as openai
from router.session.deadlines import Wait
from router.session.opening import create_item
from router.session.state import ResponseState, Want
from router.session.stay import STAY
from router.translation import errors, text

if TYPE_CHECKING:
    from router.session import inputs
    from router.session.session import Session
    from router.session.stay import Stay

# The user writes.


def inject_user_message(session: Session, message: deepgram.InjectUserMessage) -> None:
    """Echo a user's message at once, and add it to the conversation."""
    session.to_client(deepgram.ConversationText(role="user", content=message.content))
    add_user_message(session, message)


def add_user_message(session: Session, message: deepgram.InjectUserMessage | inputs.EchoedUserMessage) -> None:
    """Add a user's message to the conversation. A response is asked for once the upstream has the item.

    Asking sooner is what made the upstream close with code 1000 before it answered.
    """
    item = text.message_item(session.state.items.new_id(), "user", message.content)
    create_item(session, item, wants_response=True)
    session.wait(Wait.ITEM_ACK)


def item_added(session: Session, event: openai.ConversationItemAdded | openai.ConversationItemDone) -> None:
    """Take an acknowledgement."""
    session.state.calls.learn_name(event.item)
    if session.state.items.acknowledge(event.item):
        session.state.turn.want(Want(follows_up=False))
        if not session.state.items.awaits_acknowledgement:
            session.stop_waiting(Wait.ITEM_ACK)


def item_done(session: Session, event: openai.ConversationItemDone) -> None:
    """Take an acknowledgement, or what the assistant said where nothing has told it yet."""
    item_added(session, event)
    if text.is_assistant_message(event.item) and not session.state.items.is_ours(event.item.id):
        tell_assistant_text(session, event.item.id, text.item_text(event.item))


def ask_anyway(session: Session, _fired: Any) -> None:
    """The upstream did not acknowledge an item in time: ask for the response all the same."""
    if session.state.items.give_up_waiting():
        session.log(logging.WARNING, "an item is not acknowledged: a response is asked for anyway")
        session.state.turn.want(Want(follows_up=False))


# The user speaks.


def append_audio(session: Session, piece: inputs.Microphone) -> None:
    """Pass the microphone on."""
    state = session.state
    if state.microphone is not None:
        session.forward(*state.microphone.append(piece.data))
    if state.turn_detection == "manual":
        session.wait(Wait.MANUAL_COMMIT)


def commit(session: Session, _fired: Any) -> None:
    """End the user's turn by hand, and ask for a response without waiting for `committed`."""
    microphone = session.state.microphone
    if microphone is None or not microphone.has_uncommitted:
        return
    session.forward(*microphone.finish())
    session.to_upstream(openai.InputAudioBufferCommit())
    session.state.turn.want(Want(follows_up=False))


def speech_started(session: Session, _event: openai.InputAudioBufferSpeechStarted) -> None:
    """Tell the client to stop playing; what is still to come of the interrupted response is not played."""
    session.to_client(deepgram.UserStartedSpeaking())
    turn = session.state.turn
    if turn.response is ResponseState.ACTIVE and session.state.turn_detection in ("server_vad", "semantic_vad"):
        turn.muted.add(turn.response_id)


def speech_stopped(session: Session, event: openai.InputAudioBufferSpeechStopped) -> None:
    """Tell the component that the user has stopped."""
    session.to_component(text.utterance_end(event.audio_end_ms))


def user_said(session: Session, event: openai.InputAudioTranscriptionCompleted) -> None:
    """Tell what the user said. The final Transcript follows at once: the component counts the turn twice otherwise."""
    said = event.transcript.strip()
    if not said or event.status == "in_progress":
        return
    session.to_client(deepgram.ConversationText(role="user", content=said))
    session.to_component(text.final_transcript(said))


def transcription_failed(session: Session, event: openai.InputAudioTranscriptionFailed) -> None:
    """Warn that there will be no text for what the user said; the turn itself goes on."""
    error = errors.client_error(event.error, session.options.redact)
    session.to_client(deepgram.Warning(description=error.description, code=error.code))


# The assistant answers.


def tell_assistant_text(session: Session, item_id: str | None, content: str) -> None:
    """Tell what the assistant said: once an item, whichever event brings it first."""
    if content.strip() and session.state.items.tell_once(item_id):
        start_speaking(session, None)
        session.to_client(deepgram.ConversationText(role="assistant", content=content))


def text_done(session: Session, event: openai.ResponseOutputTextDone) -> None:
    """Tell the text of an item."""
    tell_assistant_text(session, event.item_id, event.text)


def transcript_done(session: Session, event: openai.ResponseOutputAudioTranscriptDone) -> None:
    """Tell the transcript of an item."""
    tell_assistant_text(session, event.item_id, event.transcript)


def start_speaking(session: Session, _event: Any) -> None:
    """Tell the component that a response's first output follows."""
    turn = session.state.turn
    if turn.has_started_speaking:
        return
    turn.has_started_speaking = True
    session.to_component(deepgram.AgentStartedSpeaking())
    if turn.response is ResponseState.REQUESTED:  # of an upstream that announces no response
        session.stop_waiting(Wait.FIRST_EVENT)
        session.wait(Wait.SILENCE)


def play(session: Session, event: openai.ResponseOutputAudioDelta) -> None:
    """Play a piece of the answer, unless the user has interrupted it."""
    state = session.state
    if event.response_id in state.turn.muted:
        state.muted_bytes += len(event.delta.rstrip("=")) * 3 // 4
        return
    try:
        pcm = state.speaker.play(event.delta, event.response_id)
    except ValueError as error:
        session.log(logging.WARNING, f"a piece of audio is not base64 and dropped: {error}")
        return
    if pcm:
        start_speaking(session, event)
        session.play(pcm)


# A response, from its request to its end.


def create_response(session: Session, want: Want) -> None:
    """Ask for a response."""
    turn = session.state.turn
    turn.is_open = True
    turn.is_answered_as_is = False
    turn.event_id = None if want.text is not None else session.state.items.new_id()
    session.wait(Wait.FIRST_EVENT)
    if want.text is not None:
        session.forward(want.text)
    else:
        session.to_upstream(openai.ResponseCreate(event_id=turn.event_id))


def begin_response(session: Session, event: openai.ResponseCreated) -> None:
    """A response has begun: ours, or one that the upstream began itself."""
    turn = session.state.turn
    turn.is_open = True
    turn.response_id = event.response.id
    turn.has_started_speaking = False
    turn.muted.clear()
    session.stop_waiting(Wait.FIRST_EVENT)
    session.wait(Wait.SILENCE)
    session.wait(Wait.RESPONSE)


def finish_response(session: Session, event: openai.ResponseDone) -> Stay | None:
    """A response has ended, whatever its status; so has the agent's turn, unless a function call is to be answered."""
    turn = session.state.turn
    if turn.response_id is not None and event.response.id not in (turn.response_id, None):
        return STAY  # one outside the conversation, which ran beside ours
    _tell_failure(session, event.response)
    end_of_response(session)
    return None


def finish_unannounced(session: Session, _event: Any) -> None:
    """The text of a response that the upstream never announced counts as its end."""
    end_of_response(session)


def end_of_response(session: Session) -> None:
    """Close the books on a response."""
    turn = session.state.turn
    session.stop_waiting(Wait.FIRST_EVENT, Wait.SILENCE, Wait.RESPONSE)
    turn.response_id = turn.event_id = None
    turn.has_started_speaking = False
    end_turn(session)


def end_turn(session: Session) -> None:
    """Tell that the agent's turn is over, where it is."""
    turn = session.state.turn
    if not turn.is_open or session.state.calls.outstanding or turn.will_follow_up:
        return
    turn.is_open = False
    session.to_client(deepgram.AgentAudioDone())
    session.to_component(deepgram.AgentDone())


def _tell_failure(session: Session, response: openai.Response) -> None:
    # A failed response comes without an error event: its status is all there is (reference, 3.5).
    if response.status == "cancelled":
        session.state.turn.cancelled.add(response.id)
    if response.status != "failed":
        return
    details = response.status_details
    error = details.error if isinstance(details, openai.StatusDetails) else None
    session.to_client(errors.client_error(error or openai.ErrorDetail(), session.options.redact))


# Errors of a running session.


def upstream_error(session: Session, event: openai.Error) -> None:
    """Pass an error on with its own code. Benign races are absorbed, but for what they tell us."""
    code = errors.code_of(event.error)
    session.log(logging.WARNING, f"the upstream says {code}: {event.error.message}")
    session.state.last_error = event.error
    if event.error.event_id is not None:
        session.state.items.refused(event.error.event_id)
    if code not in errors.BENIGN:
        session.to_client(errors.client_error(event.error, session.options.redact))


def response_refused(session: Session, event: openai.Error) -> Stay | None:
    """Our response.create caused this error: nothing else will come of it."""
    turn = session.state.turn
    if errors.code_of(event.error) == errors.ALREADY_ACTIVE:
        return _another_is_active(session)
    if turn.event_id is None or event.error.event_id != turn.event_id:
        return STAY
    end_of_response(session)
    return None


def _another_is_active(session: Session) -> Stay:
    # Ask again when it has ended. Its response.created has passed us by, or is on its way.
    turn = session.state.turn
    turn.wants.appendleft(Want(follows_up=False))
    turn.response = ResponseState.ACTIVE
    session.stop_waiting(Wait.FIRST_EVENT)
    session.wait(Wait.SILENCE)
    return STAY


# Events of the client's own.


def forward_event(session: Session, event: inputs.EventAsIs | inputs.SessionUpdateAsIs) -> None:
    """Forward an OpenAI client event as it is."""
    session.forward(event.text)


def forward_item(session: Session, event: inputs.ItemCreateAsIs) -> None:
    """Forward an item; the client knows what it says, and answers its calls so."""
    item = event.item
    given_id = item.get("id")
    item_id = given_id if isinstance(given_id, str) else session.state.items.new_id()
    session.state.items.created(item_id, str(item.get("type")), item.get("role"), wants_response=False)
    if session.state.calls.outstanding.pop(str(item.get("call_id")), None) is not None:
        _answered_as_is(session)
    session.forward(event.text)


def _answered_as_is(session: Session) -> None:
    if not session.state.calls.outstanding:
        session.state.turn.is_answered_as_is = True
        session.stop_waiting(Wait.TOOL_ANSWER)


def forward_response_create(session: Session, event: inputs.ResponseCreateAsIs) -> None:
    """Forward a response.create once no response is active."""
    turn = session.state.turn
    turn.want(Want(follows_up=turn.is_answered_as_is, text=event.text))
