"""Handlers of function calls."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from router.deepgram import messages as deepgram
from router.session import telling
from router.session.deadlines import Wait, length_s
from router.session.opening import create_item, keep_message
from router.session.state import Answer, Lifecycle, Want
from router.translation import functions

if TYPE_CHECKING:
    from actors import messages
    from router.openai import events as openai
    from router.session.session import Session


def keep_answer(session: Session, message: deepgram.FunctionCallResponse) -> None:
    """Keep the answer to a call that an upstream made before it was lost; there is none to any other."""
    if session.state.calls.find(message.id, message.name) is not None:
        keep_message(session, message)
    else:
        answer_unknown_call(session, message)


def output_item_added(session: Session, event: openai.ResponseOutputItemAdded) -> None:
    """Remember what a call's item names, or that another item is being said."""
    turn = session.state.turn
    session.state.calls.learn_name(event.item)
    if turn.is_untold(event.response_id):
        session.state.line.items.tell_no_more(event.item.id or "")
    elif event.item.type == "message":
        answer = Answer()
        answer.item_id = event.item.id
        answer.is_commentary = event.item.phase == "commentary"
        answer.told_ahead = 0 if turn.answer.item_id else turn.answer.told_ahead
        turn.answer = answer


def request_function_call(session: Session, event: openai.ResponseFunctionCallArgumentsDone) -> None:
    """Ask the client to run a function. This event alone is the trigger: two others repeat the call."""
    calls = session.state.calls
    name = calls.name_of(event)
    turn = session.state.turn
    if event.response_id is not None and (event.response_id in turn.cancelled or event.response_id in turn.muted):
        session.log(logging.INFO, f"the call {event.call_id} of a cancelled response is dropped")
        return
    call = functions.call_of(event.call_id, name, event.arguments)
    if not calls.request(call):
        return
    session.wait(Wait.TOOL_ANSWER)
    turn.is_open = True
    session.state.timeline.mark("tool_s", session.now_s)
    session.state.ledger.called(event.item_id, event.call_id, name, event.arguments)
    telling.say(session, deepgram.FunctionCallRequest(functions=[call]))
    if session.profile.component_messages:
        telling.say(session, functions.call_text(name, event.arguments))


def answer_function_call(session: Session, message: deepgram.FunctionCallResponse) -> None:
    """Pass an answer on. The component waits for any sign of life now: AgentThinking goes out at once."""
    call_id = session.state.calls.find(message.id, message.name)
    if call_id is None:
        answer_unknown_call(session, message)
        return
    session.to_client(deepgram.AgentThinking(content=""))
    output = functions.output_of(message)
    session.to_history(functions.history_of(session.state.calls.outstanding[call_id], output))
    _answered(session, call_id, output)


def _answered(session: Session, call_id: str, output: str) -> None:
    calls = session.state.calls
    del calls.outstanding[call_id]
    item = functions.output_item(session.state.new_id(), call_id, output)
    session.state.ledger.add(item)
    if session.state.lifecycle is Lifecycle.READY:  # else an upstream is on its way, which will be told the ledger
        create_item(session, item)
    if not calls.outstanding:
        session.stop_waiting(Wait.TOOL_ANSWER)
        session.state.turn.want(Want(follows_up=True))


def answer_unknown_call(session: Session, message: deepgram.FunctionCallResponse) -> None:
    """Answer an answer that nobody waits for: one too late, or twice, or to a call that never was."""
    which = f"`id` {message.id}" if message.id is not None else f"`name` {message.name}"
    description = f"FunctionCallResponse: no function call with {which} is waiting for an answer"
    session.to_client(deepgram.Error(description=description, code="UNKNOWN_FUNCTION_CALL"))


def tool_done(session: Session, call_id: str, done: messages.WorkDone) -> None:
    """Pass on what a function of ours returned."""
    if call_id not in session.state.calls.outstanding:
        session.state.passed_over += 1
    elif done.failure is None:
        _answered(session, call_id, done.result)
    else:
        name = session.state.calls.outstanding[call_id].name
        description = f"the function call {call_id} ({name}) failed: {done.failure.kind.value}"
        session.to_client(deepgram.Warning(description=description, code="FUNCTION_CALL_FAILED"))
        _answered(session, call_id, functions.failed_output(name))


def give_up_on_calls(session: Session, _fired: Any) -> None:
    """Nobody answered: tell the model so, that it may go on; and the client, that a late answer is not wanted."""
    timeout_s = length_s(Wait.TOOL_ANSWER, session.options.deadlines)
    for call_id, call in list(session.state.calls.outstanding.items()):
        description = f"the function call {call_id} ({call.name}) was not answered within {timeout_s:g} s"
        session.to_client(deepgram.Warning(description=description, code="FUNCTION_CALL_FAILED"))
        _answered(session, call_id, functions.timed_out_output(call.name, timeout_s))
