"""Run function calls, in the client or in the router, and pass their outputs to the model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from actors import messages
from router.deepgram import messages as deepgram
from router.errors import ToolError
from router.openai import events as openai
from router.session import inputs
from router.session.deadlines import Wait, length_s
from router.session.handlers import delivery
from router.session.handlers.agent_output import drop_excess, end_turn
from router.session.handlers.items import create_item
from router.session.state.pending import ResponseRequest
from router.session.state.states import Lifecycle, ResponseState
from router.session.work import CallEndpoint, CallTool, WorkKind
from router.translation import functions, offered_tools, session_config

if TYPE_CHECKING:
    from router.deepgram import blocks
    from router.session.context import Context

TOO_MANY: Final = "failed: too many function calls are outstanding"
"""The problem of a call that exceeds the bound."""

# Calls.


def output_item_added(context: Context, event: openai.ResponseOutputItemAdded) -> None:
    """Record the function that a call's item names.

    If the item is a message instead, begin the response's next message, unless the client gets no output of this
    response.
    """
    turn = context.state.turn
    context.state.calls.record_name(event.item)
    if turn.is_suppressed(event.response_id):
        turn.close_item(event.item.id)
        turn.withhold(event.response_id, event.item.id)
    elif event.item.type == "message":
        turn.reopen_item(event.item.id)
        answer = turn.answer_of(event.response_id)
        answer.announce(event.item)
        drop_excess(context, answer)


def request_function_call(context: Context, event: openai.ResponseFunctionCallArgumentsDone) -> None:
    """Run a function, in the client or in the router.

    Later events that repeat the call have no effect (upstream 6.1). A call of a cancelled response is dropped.
    """
    calls = context.state.calls
    name = calls.name_of(event)
    turn = context.state.turn
    # In a cancelled response the arguments may be incomplete, and the event may still come (upstream 6.3).
    if turn.is_muted(event.response_id) or event.response_id in turn.cancelled:
        context.log(logging.INFO, f"the function call {event.call_id} of a cancelled response is dropped")
        return
    work = _work_of(context, event.call_id, name, event.arguments)
    call = functions.call_of(event.call_id, name, event.arguments, client_side=work is None)
    if not calls.request(call, event.response_id):
        return
    turn.is_open = turn.has_output = turn.has_called = True
    context.state.latency.mark("call_s", context.now_s)
    context.state.ledger.add_call(event.item_id, event.call_id, name, event.arguments)
    if _answers_excess(context, call, functions.failed_output(call.name, TOO_MANY)):
        return
    if work is not None:
        context.start_work(WorkKind.TOOL, call.id, work, context.options.deadlines.tool_call_s)
    # For a call that the router answers, the request only informs the client (client 5.1).
    delivery.send(context, deepgram.FunctionCallRequest(functions=[call]))
    if context.profile.component_messages:
        delivery.send(context, functions.call_text(name, event.arguments))


def _answers_excess(context: Context, call: deepgram.RequestedFunction, output: str) -> bool:
    """Answer a new call at once if too many calls are outstanding. Return whether it was answered.

    Without an output the upstream would wait without end.
    """
    if not context.state.calls.exceed_bounds:
        return False
    context.state.over_bounds += 1
    context.state.calls.refused += 1
    _log_failure(context, call, TOO_MANY)
    _record_answer(context, call.id, output)
    return True


def are_refused(context: Context) -> bool:
    """Whether calls exceeded the bound in a response that has ended, and the client does not know yet."""
    state = context.state
    return state.calls.refused > 0 and state.turn.response is not ResponseState.ACTIVE and not context.has_ended


def warn_of_refused(context: Context) -> None:
    """Warn the client of all calls that exceeded the bound: once, because one response may bring any number of them."""
    refused, context.state.calls.refused = context.state.calls.refused, 0
    description = f"{refused} function {'call' if refused == 1 else 'calls'} {TOO_MANY}"
    context.to_client(deepgram.Warning(description=description, code="FUNCTION_CALL_FAILED"))


# The upstream's own tools.


def request_approval(context: Context, item: openai.Item) -> None:
    """Ask the client whether the upstream may run one of its own tools.

    Decline if no client can answer, or if too many calls are outstanding. The upstream waits until it has an answer,
    and the user waits for the upstream.
    """
    name = f"{item.server_label}.{item.name}" if item.server_label else item.name or ""
    call = functions.call_of(item.id or "", name, item.arguments or "{}", client_side=True)
    calls = context.state.calls
    if not calls.request(call, None):
        return
    calls.approvals |= {call.id}
    context.state.turn.is_open = context.state.turn.has_output = True
    if _answers_excess(context, call, "false"):
        return
    if _client_answers(context):
        delivery.send(context, deepgram.FunctionCallRequest(functions=[call]))
    else:
        _warn_of_failure(context, call, "needs an approval, which no client gives: it is declined")
        _record_answer(context, call.id, "false")


def _client_answers(context: Context) -> bool:
    functions_of_client = session_config.first_think(context.state.plan.agent).functions or []
    # A client without functions of its own has no code for an answer. The React component may declare functions late.
    return context.profile.openai_events or any(function.endpoint is None for function in functions_of_client)


def forget_approvals(context: Context) -> None:
    """Cancel the approvals that a lost upstream awaited. The next upstream asks for its own approvals."""
    calls = context.state.calls
    forgotten = [calls.outstanding[call_id] for call_id in calls.approvals]
    for call in forgotten:
        calls.cancel(calls.answer(call.id))
    if forgotten:
        cancelled = [deepgram.CancelledFunction(id=call.id, name=call.name) for call in forgotten]
        delivery.send(context, deepgram.FunctionCallCancelled(functions=cancelled))
        if not calls.outstanding:
            context.state.pending.add(ResponseRequest(continues_turn=True))


def _work_of(context: Context, call_id: str, name: str, arguments: str) -> CallTool | CallEndpoint | None:
    """Return the router's work for a call, or None if the client has to answer it.

    The client has to answer calls of undeclared functions, too, because the React component declares some of its
    functions late. Deepgram's server would end the session at such a call (client 5.2).
    """
    if any(function.name == name for function in context.options.tools):
        return CallTool(context.state.session_id, call_id, name, arguments)
    for function in session_config.first_think(context.state.plan.agent).functions or []:
        if function.name == name and function.endpoint is not None:
            return CallEndpoint(function.endpoint, arguments, name, call_id)
    return None


# Answers.


def answer_function_call(context: Context, message: deepgram.FunctionCallResponse) -> None:
    """Pass a client's answer to a call on to the upstream.

    AgentThinking comes first, because the component waits 500 ms for such a message (client 9.4).
    """
    call_id = context.state.calls.find(message.id, message.name)
    if call_id is None:
        _answer_unknown_call(context, message)
        return
    context.to_client(deepgram.AgentThinking(content=""))
    output = functions.output_of(message)
    _send_history(context, context.state.calls.outstanding[call_id], output)
    _record_answer(context, call_id, output)


def _send_history(context: Context, call: deepgram.RequestedFunction, output: str) -> None:
    if context.sends_history:
        delivery.send(context, functions.history_of(call, output))


def _record_answer(context: Context, call_id: str, output: str) -> None:
    item_id = _add_output(context, call_id, output)
    # One response follows all outputs (upstream 6.2). The upstream takes them in their order.
    if not context.state.calls.outstanding:
        context.state.pending.add(ResponseRequest(continues_turn=True, presumed_item=item_id))


def _add_output(context: Context, call_id: str, output: str) -> str | None:
    """Add a call's output to the conversation.

    Return the item's id if the item is an output and was sent to the upstream in use; otherwise None.
    """
    calls, item_id = context.state.calls, None
    is_approval = call_id in calls.approvals
    calls.answer(call_id)
    if is_approval:
        # The ledger holds no approval, because another upstream does not know the request.
        approve = functions.is_approval(output)
        create_item(
            context,
            openai.McpApprovalResponseItem(id=context.state.new_id(), approval_request_id=call_id, approve=approve),
        )
    else:
        item = functions.output_item(context.state.new_id(), call_id, output)
        context.state.ledger.add(item)
        # In another state the next upstream is being set up, and will get the whole ledger.
        if context.state.lifecycle is Lifecycle.READY:
            item_id = create_item(context, item)
    if not calls.await_client:
        context.stop_waiting(Wait.TOOL_ANSWER)
    return item_id


def _answer_unknown_call(context: Context, message: deepgram.FunctionCallResponse) -> None:
    """Answer an output with an Error if its call is unknown, or has an output already.

    An output for a cancelled call is only late, and is dropped.
    """
    if context.state.calls.count_late_answer(message.id, message.name):
        context.log(logging.INFO, f"the answer to the cancelled function call {message.id or message.name} is dropped")
        return
    which = f"`id` {message.id}" if message.id is not None else f"`name` {message.name}"
    description = f"FunctionCallResponse: no function call with {which} waits for an answer"
    context.to_client(deepgram.Error(description=description, code="UNKNOWN_FUNCTION_CALL"))


def tool_done(context: Context, call_id: str, done: messages.WorkDone) -> None:
    """Pass on the output of a function that the router ran, or its failure."""
    call = context.state.calls.outstanding.get(call_id)
    if call is None:
        # The user interrupted as the work ended.
        context.state.ignored += 1
        return
    output = done.result
    if done.failure is not None:
        problem = _problem(done.failure, context.options.deadlines.tool_call_s)
        _warn_of_failure(context, call, problem)
        output = functions.failed_output(call.name, problem)
    # The client gets the output only as information (client 5.1).
    delivery.send(context, deepgram.FunctionCallEcho(id=call_id, name=call.name, content=output))
    _send_history(context, call, output)
    _record_answer(context, call_id, output)


def _problem(failure: messages.WorkFailure, timeout_s: float) -> str:
    if failure.kind is messages.WorkFailureKind.TIMED_OUT:
        return f"timed out after {timeout_s:g} s"
    if failure.kind is messages.WorkFailureKind.REFUSED:
        return "failed: too many functions are running"
    if failure.kind is messages.WorkFailureKind.LOST:
        return "was cut off, and may have had its effect"
    # A ToolError is written for the model. Another exception's text may hold a secret: the log has it, the model does
    # not (docs/decisions/0013).
    return f"failed: {failure.error}" if isinstance(failure.error, ToolError) else "failed"


def _log_failure(context: Context, call: deepgram.RequestedFunction, problem: str) -> None:
    context.log(logging.WARNING, f"the function call {call.id} ({call.name}) {problem}")


def _warn_of_failure(context: Context, call: deepgram.RequestedFunction, problem: str) -> None:
    _log_failure(context, call, problem)
    description = f"the function call {call.id} ({call.name}) {problem}"
    context.to_client(deepgram.Warning(description=description, code="FUNCTION_CALL_FAILED"))


def answers_timed_out(context: Context, _fired: messages.TimerFired) -> None:
    """Give the model an error as the output of each call that the client did not answer.

    The model can continue with such an output. The React component never answers a function without a handler (client
    9.3).
    """
    problem = f"timed out after {length_s(Wait.TOOL_ANSWER, context.options.deadlines):g} s"
    for call in context.state.calls.of_client():
        _warn_of_failure(context, call, problem)
        _record_answer(context, call.id, functions.failed_output(call.name, problem))


# Interruption.


def cancel_calls(context: Context) -> None:
    """Cancel the outstanding calls, because the user interrupted.

    The outputs of these calls tell the model of the interruption. The client is notified of the calls that it runs
    itself. Outputs that come afterwards count as late. The session requests a response, in case the speech was a noise.
    If the upstream answers the speech by itself, its answer replaces this request.
    """
    calls, turn = context.state.calls, context.state.turn
    cancelled = list(calls.outstanding.values())
    for call in cancelled:
        calls.cancel(call)
        if not call.client_side:
            context.cancel_work(WorkKind.TOOL, call.id)
        _add_output(context, call.id, functions.cancelled_output(call.name))
    of_client = [deepgram.CancelledFunction(id=call.id, name=call.name) for call in cancelled if call.client_side]
    if of_client:
        delivery.send(context, deepgram.FunctionCallCancelled(functions=of_client))
    if cancelled:
        # `response_begin.begin_response` drops this request if the upstream answers the speech.
        context.state.pending.add(ResponseRequest())
        # No response is left whose end would end the turn: the turn was open only for the calls.
        if turn.response is ResponseState.NONE:
            end_turn(context)


# Declarations.


def admit(context: Context, agent: blocks.Agent) -> blocks.Agent:
    """Return `agent` without the functions that the client may not declare. `agent` has one think block."""
    think = _admitted(context, agent).think
    return agent if think is agent.think else msgspec.structs.replace(agent, think=think)


def warn_of_omitted(context: Context, agent: blocks.Agent) -> None:
    """Warn the client of its functions that the session leaves out."""
    admitted = _admitted(context, agent)
    if admitted.not_allowed:
        names = ", ".join(admitted.not_allowed)
        description = f"functions whose `endpoint` may not be called from here are left out: {names}"
        context.to_client(deepgram.Warning(description=description, code="FUNCTION_ENDPOINT_NOT_SUPPORTED"))
    if admitted.taken:
        names = ", ".join(admitted.taken)
        description = f"the server has functions of these names, so the client's are left out: {names}"
        context.to_client(deepgram.Warning(description=description, code="FUNCTION_NAME_TAKEN"))


def _admitted(context: Context, agent: blocks.Agent) -> offered_tools.FilteredFunctions:
    options = context.options
    return offered_tools.filter_functions(
        session_config.first_think(agent), options.tool_hosts, {it.name for it in options.tools}
    )


def add_router_functions(context: Context, event: inputs.PassthroughSessionUpdate) -> inputs.PassthroughSessionUpdate:
    """Return a client's own `session.update` with the router's functions among its tools.

    Without `tools`, only the first update gets the functions.
    """
    is_first = context.state.plan.source is None
    return inputs.PassthroughSessionUpdate(
        offered_tools.add_server_functions(event.text, context.options.tools, is_first=is_first)
    )
