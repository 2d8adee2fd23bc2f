"""The function calls of a session: which are outstanding, and which were cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.deepgram import messages as deepgram
    from router.openai import events as openai


MOST_CANCELLED: Final = 64


class Calls:
    """The function calls of a session."""

    def __init__(self) -> None:
        self.outstanding: dict[str, deepgram.RequestedFunction] = {}
        """By call id, in the order of the requests: what is not answered."""
        self.late = 0
        """Answers to calls that were cancelled."""
        self._cancelled: dict[str, str] = {}
        """The names of those that the client was running, by id, until it answers all the same: the newest."""
        self._requested: set[tuple[str | None, str]] = set()
        """Of the upstream in use, by response: some servers number their calls, and begin anew with each."""
        self._names: dict[str, str] = {}

    def upstream_is_gone(self) -> None:
        """Another upstream is in use: what the one before called its items and calls means nothing to it."""
        self._requested.clear()
        self._names.clear()

    def record_name(self, item: openai.Item) -> None:
        """Remember the name of a call's item: older servers leave it out of the event that carries the arguments."""
        if item.type == "function_call" and item.id and item.name:
            self._names[item.id] = item.name

    def name_of(self, event: openai.ResponseFunctionCallArgumentsDone) -> str:
        """The name of the function that is called."""
        return event.name or self._names.get(event.item_id or "", "")

    def request(self, call: deepgram.RequestedFunction, response_id: str | None) -> bool:
        """Remember a call; False where it was requested before, or is being run: no tool runs twice."""
        key = (response_id, call.id)
        if key in self._requested or call.id in self.outstanding:
            return False
        self._requested.add(key)
        self.outstanding[call.id] = call
        return True

    def find(self, call_id: str | None, name: str | None) -> str | None:
        """The client's call that an answer is for: by id, or where it has none by name, the oldest first."""
        theirs = self.of_client()
        if call_id is not None:
            return next((call.id for call in theirs if call.id == call_id), None)
        return next((call.id for call in theirs if call.name == name), None)

    def of_client(self) -> list[deepgram.RequestedFunction]:
        """The outstanding calls that the client is to answer."""
        return [call for call in self.outstanding.values() if call.client_side]

    def cancel(self, call: deepgram.RequestedFunction) -> None:
        """Expect no answer to a call, and one that comes all the same to be late."""
        if call.client_side:
            self._cancelled[call.id] = call.name
            if len(self._cancelled) > MOST_CANCELLED:
                del self._cancelled[next(iter(self._cancelled))]

    def is_late(self, call_id: str | None, name: str | None) -> bool:
        """Whether an answer is one to a call that was cancelled; once for each."""
        if call_id is None:
            call_id = next((key for key, value in self._cancelled.items() if value == name), None)
        is_late = call_id is not None and self._cancelled.pop(call_id, None) is not None
        self.late += is_late
        return is_late
