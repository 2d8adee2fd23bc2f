"""Handlers of function calls."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from actors import messages
from router.deepgram import messages as deepgram
from router.errors import ToolError
from router.session import telling, tools
from router.session.deadlines import Wait, length_s
from router.session.opening import create_item
from router.session.speaking import end_turn
from router.session.state import Lifecycle
from router.session.turn import Answer, ResponseState, Want
from router.session.work import WorkKind
from router.translation import functions

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.session import Session


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
    """Have a function run, by the client or by us. This event alone is the trigger: two others repeat the call."""
    calls = session.state.calls
    name = calls.name_of(event)
    turn = session.state.turn
    if event.response_id is not None and (event.response_id in turn.cancelled or event.response_id in turn.muted):
        session.log(logging.INFO, f"the call {event.call_id} of a cancelled response is dropped")
        return
    work = tools.work_of(session, event.call_id, name, event.arguments)
    call = functions.call_of(event.call_id, name, event.arguments, client_side=work is None)
    if not calls.request(call, event.response_id):
        return
    if work is None:
        session.wait(Wait.TOOL_ANSWER)
    else:
        session.start_work(WorkKind.TOOL, call.id, work, session.options.deadlines.tool_call_s)
    turn.is_open = True
    session.state.timeline.mark("tool_s", session.now_s)
    session.state.ledger.called(event.item_id, event.call_id, name, event.arguments)
    telling.say(session, deepgram.FunctionCallRequest(functions=[call]))
    if session.profile.component_messages:
        telling.say(session, functions.call_text(name, event.arguments))


# Answers.


def answer_function_call(session: Session, message: deepgram.FunctionCallResponse) -> None:
    """Pass a client's answer on, or have the next upstream told it, where that is on its way.

    The component waits for any sign of life now: AgentThinking goes out at once.
    """
    call_id = session.state.calls.find(message.id, message.name)
    if call_id is None:
        answer_unknown_call(session, message)
        return
    session.to_client(deepgram.AgentThinking(content=""))
    output = functions.output_of(message)
    _tell_history(session, session.state.calls.outstanding[call_id], output)
    _answered(session, call_id, output)


def _tell_history(session: Session, call: deepgram.RequestedFunction, output: str) -> None:
    if session.tells_history:
        telling.say(session, functions.history_of(call, output))


def _answered(session: Session, call_id: str, output: str) -> None:
    _add_output(session, call_id, output)
    if not session.state.calls.outstanding:
        session.state.turn.want(Want(follows_up=True))


def _add_output(session: Session, call_id: str, output: str) -> None:
    calls = session.state.calls
    del calls.outstanding[call_id]
    item = functions.output_item(session.state.new_id(), call_id, output)
    session.state.ledger.add(item)
    if session.state.lifecycle is Lifecycle.READY:  # else an upstream is on its way, which will be told the ledger
        create_item(session, item)
    if not calls.of_client():
        session.stop_waiting(Wait.TOOL_ANSWER)


def answer_unknown_call(session: Session, message: deepgram.FunctionCallResponse) -> None:
    """Answer a second answer to a call, or one to a call that never was. One to a cancelled call is only late."""
    if session.state.calls.is_late(message.id, message.name):
        session.log(logging.INFO, f"the answer to the cancelled call {message.id or message.name} is dropped")
        return
    which = f"`id` {message.id}" if message.id is not None else f"`name` {message.name}"
    description = f"FunctionCallResponse: no function call with {which} is waiting for an answer"
    session.to_client(deepgram.Error(description=description, code="UNKNOWN_FUNCTION_CALL"))


def tool_done(session: Session, call_id: str, done: messages.WorkDone) -> None:
    """Pass on what a function of ours answered, or that it did not."""
    call = session.state.calls.outstanding.get(call_id)
    if call is None:
        session.state.passed_over += 1
        return
    output = done.result
    if done.failure is not None:
        problem = _problem(done.failure, session.options.deadlines.tool_call_s)
        _warn_of_failure(session, call, problem)
        output = functions.failed_output(call.name, problem)
    telling.say(session, deepgram.FunctionCallEcho(id=call_id, name=call.name, content=output))
    _tell_history(session, call, output)
    _answered(session, call_id, output)


def _problem(failure: messages.WorkFailure, timeout_s: float) -> str:
    if failure.kind is messages.WorkFailureKind.TIMED_OUT:
        return f"timed out after {timeout_s:g} s"
    if failure.kind is messages.WorkFailureKind.REFUSED:
        return "failed: too many functions are running"
    return f"failed: {failure.error}" if isinstance(failure.error, ToolError) else "failed"


def _warn_of_failure(session: Session, call: deepgram.RequestedFunction, problem: str) -> None:
    session.log(logging.WARNING, f"the function call {call.id} ({call.name}) {problem}")
    description = f"the function call {call.id} ({call.name}) {problem}"
    session.to_client(deepgram.Warning(description=description, code="FUNCTION_CALL_FAILED"))


def give_up_on_calls(session: Session, _fired: Any) -> None:
    """The client did not answer: tell the model so, that it may go on; and the client, that it is too late."""
    problem = f"timed out after {length_s(Wait.TOOL_ANSWER, session.options.deadlines):g} s"
    for call in session.state.calls.of_client():
        _warn_of_failure(session, call, problem)
        _answered(session, call.id, functions.failed_output(call.name, problem))


# The user interrupts.


def cancel_calls(session: Session) -> None:
    """The user goes on talking instead: each call gets an output that says so.

    The client is told of those that it runs. What it, or a function of ours, answers from now on is too late. The
    upstream answers what the user says next; only where that turns out to be nothing is a response asked for.
    """
    calls, turn = session.state.calls, session.state.turn
    cancelled = list(calls.outstanding.values())
    for call in cancelled:
        calls.cancel(call)
        if not call.client_side:
            session.cancel_work(WorkKind.TOOL, call.id)
        _add_output(session, call.id, functions.cancelled_output(call.name))
    theirs = [deepgram.CancelledFunction(id=call.id, name=call.name) for call in cancelled if call.client_side]
    if theirs:
        telling.say(session, deepgram.FunctionCallCancelled(functions=theirs))
    if cancelled:
        turn.want(Want())
        if turn.response is ResponseState.NONE:
            end_turn(session)
