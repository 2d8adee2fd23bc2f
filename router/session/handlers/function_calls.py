"""Handlers of function calls, and the functions that the router runs itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from actors import messages
from router.deepgram import messages as deepgram
from router.errors import ToolError
from router.session import inputs
from router.session.deadlines import Wait, length_s
from router.session.handlers import delivery
from router.session.handlers.agent_output import end_turn
from router.session.handlers.items import create_item
from router.session.state.states import Lifecycle, ResponseState
from router.session.state.turn import Answer, ResponseRequest
from router.session.work import CallEndpoint, CallTool, WorkKind
from router.translation import functions, offered_tools, session_config

if TYPE_CHECKING:
    from router.deepgram import blocks
    from router.openai import events as openai
    from router.session.context import Context


def output_item_added(context: Context, event: openai.ResponseOutputItemAdded) -> None:
    """Remember what a call's item names, or that another item is being said."""
    turn = context.state.turn
    context.state.calls.record_name(event.item)
    if turn.is_suppressed(event.response_id):
        context.state.upstream.items.suppress_text(event.item.id or "")
    elif event.item.type == "message":
        answer = Answer()
        answer.item_id = event.item.id
        answer.is_commentary = event.item.phase == "commentary"
        answer.resent_chars = 0 if turn.answer.item_id else turn.answer.resent_chars
        turn.answer = answer


def request_function_call(context: Context, event: openai.ResponseFunctionCallArgumentsDone) -> None:
    """Have a function run, by the client or by us. This event alone is the trigger: two others repeat the call."""
    calls = context.state.calls
    name = calls.name_of(event)
    turn = context.state.turn
    if event.response_id is not None and (event.response_id in turn.cancelled or event.response_id in turn.interrupted):
        context.log(logging.INFO, f"the call {event.call_id} of a cancelled response is dropped")
        return
    work = work_of(context, event.call_id, name, event.arguments)
    call = functions.call_of(event.call_id, name, event.arguments, client_side=work is None)
    if not calls.request(call, event.response_id):
        return
    if work is None:
        context.wait(Wait.TOOL_ANSWER)
    else:
        context.start_work(WorkKind.TOOL, call.id, work, context.options.deadlines.tool_call_s)
    turn.is_open = True
    context.state.latency.mark("tool_s", context.now_s)
    context.state.ledger.add_call(event.item_id, event.call_id, name, event.arguments)
    delivery.send(context, deepgram.FunctionCallRequest(functions=[call]))
    if context.profile.component_messages:
        delivery.send(context, functions.call_text(name, event.arguments))


# Answers.


def answer_function_call(context: Context, message: deepgram.FunctionCallResponse) -> None:
    """Pass a client's answer on, or have the next upstream told it, where that is on its way.

    The component waits for any sign of life now: AgentThinking goes out at once.
    """
    call_id = context.state.calls.find(message.id, message.name)
    if call_id is None:
        answer_unknown_call(context, message)
        return
    context.to_client(deepgram.AgentThinking(content=""))
    output = functions.output_of(message)
    _tell_history(context, context.state.calls.outstanding[call_id], output)
    _answered(context, call_id, output)


def _tell_history(context: Context, call: deepgram.RequestedFunction, output: str) -> None:
    if context.sends_history:
        delivery.send(context, functions.history_of(call, output))


def _answered(context: Context, call_id: str, output: str) -> None:
    _add_output(context, call_id, output)
    if not context.state.calls.outstanding:
        context.state.turn.request(ResponseRequest(continues_turn=True))


def _add_output(context: Context, call_id: str, output: str) -> None:
    calls = context.state.calls
    del calls.outstanding[call_id]
    item = functions.output_item(context.state.new_id(), call_id, output)
    context.state.ledger.add(item)
    if context.state.lifecycle is Lifecycle.READY:  # else an upstream is on its way, which will be told the ledger
        create_item(context, item)
    if not calls.of_client():
        context.stop_waiting(Wait.TOOL_ANSWER)


def answer_unknown_call(context: Context, message: deepgram.FunctionCallResponse) -> None:
    """Answer a second answer to a call, or one to a call that never was. One to a cancelled call is only late."""
    if context.state.calls.is_late(message.id, message.name):
        context.log(logging.INFO, f"the answer to the cancelled call {message.id or message.name} is dropped")
        return
    which = f"`id` {message.id}" if message.id is not None else f"`name` {message.name}"
    description = f"FunctionCallResponse: no function call with {which} is waiting for an answer"
    context.to_client(deepgram.Error(description=description, code="UNKNOWN_FUNCTION_CALL"))


def tool_done(context: Context, call_id: str, done: messages.WorkDone) -> None:
    """Pass on what a function of ours answered, or that it did not."""
    call = context.state.calls.outstanding.get(call_id)
    if call is None:
        context.state.ignored += 1
        return
    output = done.result
    if done.failure is not None:
        problem = _problem(done.failure, context.options.deadlines.tool_call_s)
        _warn_of_failure(context, call, problem)
        output = functions.failed_output(call.name, problem)
    delivery.send(context, deepgram.FunctionCallEcho(id=call_id, name=call.name, content=output))
    _tell_history(context, call, output)
    _answered(context, call_id, output)


def _problem(failure: messages.WorkFailure, timeout_s: float) -> str:
    if failure.kind is messages.WorkFailureKind.TIMED_OUT:
        return f"timed out after {timeout_s:g} s"
    if failure.kind is messages.WorkFailureKind.REFUSED:
        return "failed: too many functions are running"
    return f"failed: {failure.error}" if isinstance(failure.error, ToolError) else "failed"


def _warn_of_failure(context: Context, call: deepgram.RequestedFunction, problem: str) -> None:
    context.log(logging.WARNING, f"the function call {call.id} ({call.name}) {problem}")
    description = f"the function call {call.id} ({call.name}) {problem}"
    context.to_client(deepgram.Warning(description=description, code="FUNCTION_CALL_FAILED"))


def give_up_on_calls(context: Context, _fired: Any) -> None:
    """The client did not answer: tell the model so, that it may go on; and the client, that it is too late."""
    problem = f"timed out after {length_s(Wait.TOOL_ANSWER, context.options.deadlines):g} s"
    for call in context.state.calls.of_client():
        _warn_of_failure(context, call, problem)
        _answered(context, call.id, functions.failed_output(call.name, problem))


# The user interrupts.


def cancel_calls(context: Context) -> None:
    """The user goes on talking instead: each call gets an output that says so.

    The client is told of those that it runs. What it, or a function of ours, answers from now on is too late. The
    upstream answers what the user says next; only where that turns out to be nothing is a response asked for.
    """
    calls, turn = context.state.calls, context.state.turn
    cancelled = list(calls.outstanding.values())
    for call in cancelled:
        calls.cancel(call)
        if not call.client_side:
            context.cancel_work(WorkKind.TOOL, call.id)
        _add_output(context, call.id, functions.cancelled_output(call.name))
    theirs = [deepgram.CancelledFunction(id=call.id, name=call.name) for call in cancelled if call.client_side]
    if theirs:
        delivery.send(context, deepgram.FunctionCallCancelled(functions=theirs))
    if cancelled:
        turn.request(ResponseRequest())
        if turn.response is ResponseState.NONE:
            end_turn(context)


def admit(context: Context, agent: blocks.Agent) -> blocks.Agent:
    """`agent`, which has one think block, with those of its functions that are admitted."""
    think = _admitted(context, agent).think
    return agent if think is agent.think else msgspec.structs.replace(agent, think=think)


def warn(context: Context, agent: blocks.Agent) -> None:
    """Tell the client which of its functions are left out."""
    admitted = _admitted(context, agent)
    if admitted.not_allowed:
        names = ", ".join(admitted.not_allowed)
        description = f"functions whose `endpoint` may not be called from here are left out: {names}"
        context.to_client(deepgram.Warning(description=description, code="FUNCTION_ENDPOINT_NOT_SUPPORTED"))
    if admitted.taken:
        names = ", ".join(admitted.taken)
        description = f"the server has functions of these names, which the client's do not replace: {names}"
        context.to_client(deepgram.Warning(description=description, code="FUNCTION_NAME_TAKEN"))


def _admitted(context: Context, agent: blocks.Agent) -> offered_tools.FilteredFunctions:
    options = context.options
    return offered_tools.filter_functions(
        session_config.first_think(agent), options.tool_hosts, {it.name for it in options.tools}
    )


def with_ours(context: Context, event: inputs.PassthroughSessionUpdate) -> inputs.PassthroughSessionUpdate:
    """A client's own `session.update`, with our functions among its tools."""
    is_first = context.state.settings is None
    return inputs.PassthroughSessionUpdate(
        offered_tools.add_server_functions(event.text, context.options.tools, is_first=is_first)
    )


def work_of(context: Context, call_id: str, name: str, arguments: str) -> CallTool | CallEndpoint | None:
    """What is to be done to answer a call; None where that is for the client: also of a function that nobody declared.

    Deepgram ends a session whose model calls a function that was not declared.
    """
    if any(function.name == name for function in context.options.tools):
        return CallTool(context.state.session_id, call_id, name, arguments)
    for function in session_config.first_think(context.state.agent).functions or []:
        if function.name == name and function.endpoint is not None:
            return CallEndpoint(function.endpoint, arguments)
    return None
