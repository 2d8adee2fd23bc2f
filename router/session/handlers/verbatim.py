"""Handlers of what the agent says word for word, on its own or a client's behalf.

The API has no way to have a text said. A response outside the conversation is told to say exactly this (reference,
2.5); its audio is played, its own transcript is not told: the client's text is the one that was given, ahead of the
audio. Only when it has been said is it put into the conversation, and the ledger: as a text, once, and as far as it
was heard. To the turn it is a response like any other: one at a time, with the same deadlines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.openai import events as openai
from router.session.handlers import delivery
from router.session.handlers.agent_output import end_turn, start_speaking
from router.session.handlers.items import correct, create_item
from router.translation import session_config, speech, text

if TYPE_CHECKING:
    from router.session.machine import Session
    from router.session.state.turn import Answer, Statement, Want

MARK: Final = {"switchboard": "statement"}
"""The metadata of such a response: its response.created brings it back."""


def statement_now(session: Session) -> Statement | None:
    """What the response that is requested or active is to say, if that is given."""
    want = session.state.turn.want_now
    return want.statement if want is not None else None


def is_marked(event: openai.ResponseCreated) -> bool:
    """Whether this response was asked for to say a statement."""
    metadata = event.response.metadata or {}
    return all(metadata.get(key) == value for key, value in MARK.items())


def parameters(statement: Statement) -> openai.ResponseParameters:
    """What the response is asked for with. Neither the conversation nor the tools are its business."""
    return openai.ResponseParameters(
        conversation="none",
        input=[],
        instructions=speech.verbatim(statement.rest),
        output_modalities=["audio"],
        tools=[],
        tool_choice="none",
        metadata=MARK,
    )


def has_voice(session: Session) -> bool:
    """Whether the agent speaks at all, as Settings or a client's own updates have it."""
    asked = session_config.first_think(session.state.agent).outputModalities
    return session.state.changes.get("output_modalities", asked) != ["text"]


def begin(session: Session, want: Want) -> None:
    """Its response is about to be asked for: tell the client the text, ahead of the audio, and once."""
    statement: Any = want.statement
    _tell(session, statement)
    told = msgspec.structs.replace(statement, is_told=True)
    session.state.turn.want_now = msgspec.structs.replace(want, statement=told)
    expect(session, told)


def _tell(session: Session, statement: Statement) -> None:
    if not statement.is_told:
        start_speaking(session, None)
        session.state.timeline.mark("text_s", session.now_s)
        delivery.say_words(session, statement.item_id, statement.text)


def expect(session: Session, statement: Statement) -> None:
    """What is played from now on is this item, and its text is told."""
    answer = session.state.turn.answer
    answer.item_id = statement.item_id
    answer.transcript = answer.told = statement.text
    answer.told_to = len(statement.text)
    answer.is_spoken = True


def is_another(session: Session, event: openai.ResponseCreated) -> bool:
    """Whether this response is not the one that says our statement: the upstream answers the user beside it."""
    return statement_now(session) is not None and not is_marked(event) and session.state.turn.is_heard


def is_late(session: Session, event: openai.ResponseCreated) -> bool:
    """Whether this response says a statement that nobody waits for any more."""
    return is_marked(event) and statement_now(session) is None


# Its end.


def conclude(session: Session) -> None:
    """It has been said: put it into the conversation. What was heard of one that was interrupted is there already."""
    statement, turn = statement_now(session), session.state.turn
    if statement is None or turn.response_id in turn.muted or turn.is_unwanted:
        return
    _remember(session, statement.item_id, statement.text)
    session.state.playback.tell(statement.item_id, statement.text)


def say_in_writing(session: Session, statement: Statement) -> None:
    """The agent has no voice: its text is all there is of the turn."""
    _tell(session, statement)
    _remember(session, statement.item_id, statement.text)
    session.state.turn.has_started_speaking = False
    end_turn(session)


def _remember(session: Session, item_id: str, content: str, *, is_lost: bool = False) -> None:
    item = text.message_item(item_id, "assistant", content)
    session.state.statements.append(item_id)
    session.state.ledger.add(item)
    if not is_lost:  # else the next upstream will be told the ledger
        create_item(session, item)


def take_back(session: Session, item_id: str, words: str, *, is_whole: bool) -> None:
    """The user has interrupted it: so much was heard. A text cannot be truncated: it is replaced (reference, 2.4)."""
    if is_whole:
        session.to_upstream(openai.ConversationItemDelete(item_id=item_id))
        correct(session, item_id, "")
    if words:
        _remember(session, session.state.new_id(), words)


def leave_unsaid(session: Session, answer: Answer) -> None:
    """The user has interrupted it, and has heard all that there was of it."""
    statement = statement_now(session)
    if statement is not None and answer.played_s:
        before = statement.text.removesuffix(statement.rest)
        take_back(session, statement.item_id, before + speech.heard(statement.rest, answer.played_s), is_whole=False)


def is_statement(session: Session, item_id: str) -> bool:
    """Whether this item is one of ours: its audio is no part of the conversation upstream."""
    now = statement_now(session)
    return item_id in session.state.statements or (now is not None and now.item_id == item_id)


def cut(session: Session, want: Want, answer: Answer, *, is_lost: bool) -> Want | None:
    """Its upstream is lost, or failed over it: what is still to be said."""
    statement: Any = want.statement
    heard = speech.heard(statement.rest, answer.played_s) if answer.played_s else ""
    rest = statement.rest[len(heard) :].strip()
    if rest and not (heard and session.options.interrupted_answer == "stop"):
        session.state.turn.is_resumed = True
        rest_of_it = msgspec.structs.replace(statement, rest=rest, is_told=True)
        return msgspec.structs.replace(want, statement=rest_of_it)
    said = statement.text.removesuffix(rest).strip()
    _remember(session, statement.item_id, said, is_lost=is_lost)
    session.state.playback.tell(statement.item_id, said)
    end_turn(session)
    return None
