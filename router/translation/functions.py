"""Function calls and their outputs."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import orjson

from router.deepgram import messages as deepgram
from router.openai import events as openai


def call_of(call_id: str, name: str, arguments: str, *, client_side: bool) -> deepgram.RequestedFunction:
    """Make the call of a FunctionCallRequest. The client runs it only if `client_side` is true."""
    return deepgram.RequestedFunction(id=call_id, name=name, arguments=arguments, client_side=client_side)


def history_of(call: deepgram.RequestedFunction, response: str) -> deepgram.HistoryCalls:
    """Make the History message about an answered call."""
    called = deepgram.CalledFunction(**msgspec.structs.asdict(call), response=response)
    return deepgram.HistoryCalls(function_calls=[called])


def call_text(name: str, arguments: str) -> deepgram.CallText:
    """Make the message by which the `/openai` profile shows a call to the React component."""
    return deepgram.CallText(role="assistant", content=f"Function call: {name}({arguments})")


def is_call_text(content: str) -> bool:
    """Whether `call_text` made a text. The React component sends such texts back as context."""
    return _CALL_TEXT.fullmatch(content.strip()) is not None


_CALL_TEXT: Final = re.compile(r"Function call: [\w.:-]{1,128}\(.*\)", re.DOTALL)


def output_of(response: deepgram.FunctionCallResponse) -> str:
    """Return the output for the model: `content`, or else `result`, or else `error`, or else null.

    The React component leaves `content` out when its handler returned nothing.
    """
    for value in (response.content, response.result):
        if value is not None:
            return _as_text(value)
    if response.error is not None:
        return _as_text({"error": response.error})
    return "null"


def failed_output(name: str, problem: str) -> str:
    """Return the output that tells the model that a call failed or was not answered."""
    return _as_text({"error": f"{name} {problem}"})


def cancelled_output(name: str) -> str:
    """Return the output that tells the model that the user interrupted a call."""
    return _as_text({"error": f"{name} was cancelled: the user interrupted before it answered"})


def is_approval(output: str) -> bool:
    """Whether an output approves a call: `true`, or an object whose `approve` is true."""
    try:
        value = orjson.loads(output)
    except orjson.JSONDecodeError:
        return False
    return value is True or (isinstance(value, dict) and value.get("approve") is True)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def output_item(item_id: str, call_id: str, output: str) -> openai.FunctionCallOutputItem:
    """Make the item that carries an output to the upstream."""
    return openai.FunctionCallOutputItem(id=item_id, call_id=call_id, output=output)
