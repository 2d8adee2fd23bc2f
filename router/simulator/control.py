"""Control messages: client events that only the simulator knows. Pure.

They apply to the whole simulator and not only to the session that receives them, so a test can script the answers of
another connection. The simulator does not acknowledge a control message. It answers an invalid one with an `error`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.simulator.faults import Fault, FaultPlan, fault_from
from router.simulator.history import Call, Say

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.simulator.state import Answer, Script


class CallFields(msgspec.Struct, forbid_unknown_fields=True):
    """A scripted call as JSON. Its arguments are an object, or the JSON string that the wire carries."""

    name: str
    arguments: dict[str, Any] | str = {}


class OutputFields(msgspec.Struct, forbid_unknown_fields=True):
    """One scripted output as JSON: a text or a call."""

    say: str | None = None
    call: CallFields | None = None


class ScriptFields(msgspec.Struct, forbid_unknown_fields=True):
    """`simulator.script`: transcripts of the next spoken turns, and the next answers."""

    type: str
    event_id: str | None = None
    transcripts: list[str] = []
    answers: list[str | OutputFields | list[OutputFields]] = []


class FaultFields(msgspec.Struct, forbid_unknown_fields=True):
    """`simulator.fault`, which adds a fault. With `clear` it first removes all faults."""

    type: str
    event_id: str | None = None
    fault: dict[str, Any] | None = None
    clear: bool = False


def add_fault(event: dict[str, Any], plan: FaultPlan, _script: Script) -> None:
    """Add or clear faults for a `simulator.fault`; raises `ValueError`."""
    fields = msgspec.convert(event, FaultFields)
    # Read the fault before the others are cleared, so that an invalid message changes nothing.
    fault: Fault | None = None if fields.fault is None else fault_from(fields.fault)
    if fields.clear:
        plan.clear()
    if fault is not None:
        plan.add(fault)


def add_script(event: dict[str, Any], _plan: FaultPlan, script: Script) -> None:
    """Append the transcripts and answers of a `simulator.script` to the script; raises `ValueError`."""
    fields = msgspec.convert(event, ScriptFields)
    script.add(fields.transcripts, [_answer(answer) for answer in fields.answers])


def _answer(answer: str | OutputFields | list[OutputFields]) -> Answer:
    if isinstance(answer, str):
        return answer
    return [_output(part) for part in (answer if isinstance(answer, list) else [answer])]


def _output(fields: OutputFields) -> Say | Call:
    if fields.call is not None:
        arguments = fields.call.arguments
        return Call(fields.call.name, arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode())
    if fields.say is not None:
        return Say(fields.say)
    raise ValueError("a scripted answer needs 'say' or 'call'")


CONTROLS: Final[dict[str, Callable[[dict[str, Any], FaultPlan, Script], None]]] = {
    "simulator.fault": add_fault,
    "simulator.script": add_script,
}
"""The function of each control message, by its type."""
