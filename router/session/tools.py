"""The functions that the router runs itself: what is offered of them, and who does the work of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.work import CallEndpoint, CallTool
from router.translation import settings, tools

if TYPE_CHECKING:
    from router.deepgram import blocks
    from router.session.session import Session


def admit(session: Session, agent: blocks.Agent) -> blocks.Agent:
    """`agent`, which has one think block, with those of its functions that are admitted."""
    think = _admitted(session, agent).think
    return agent if think is agent.think else msgspec.structs.replace(agent, think=think)


def warn(session: Session, agent: blocks.Agent) -> None:
    """Tell the client which of its functions are left out."""
    admitted = _admitted(session, agent)
    if admitted.not_allowed:
        names = ", ".join(admitted.not_allowed)
        description = f"functions whose `endpoint` may not be called from here are left out: {names}"
        session.to_client(deepgram.Warning(description=description, code="FUNCTION_ENDPOINT_NOT_SUPPORTED"))
    if admitted.taken:
        names = ", ".join(admitted.taken)
        description = f"the server has functions of these names, which the client's do not replace: {names}"
        session.to_client(deepgram.Warning(description=description, code="FUNCTION_NAME_TAKEN"))


def _admitted(session: Session, agent: blocks.Agent) -> tools.Admitted:
    options = session.options
    return tools.admit(settings.first_think(agent), options.tool_hosts, {it.name for it in options.tools})


def with_ours(session: Session, event: inputs.SessionUpdateAsIs) -> inputs.SessionUpdateAsIs:
    """A client's own `session.update`, with our functions among its tools."""
    is_first = session.state.settings is None
    return inputs.SessionUpdateAsIs(tools.with_ours(event.text, session.options.tools, is_first=is_first))


def work_of(session: Session, call_id: str, name: str, arguments: str) -> CallTool | CallEndpoint | None:
    """What is to be done to answer a call; None where that is for the client: also of a function that nobody declared.

    Deepgram ends a session whose model calls a function that was not declared.
    """
    if any(function.name == name for function in session.options.tools):
        return CallTool(session.state.session_id, call_id, name, arguments)
    for function in settings.first_think(session.state.agent).functions or []:
        if function.name == name and function.endpoint is not None:
            return CallEndpoint(function.endpoint, arguments)
    return None
