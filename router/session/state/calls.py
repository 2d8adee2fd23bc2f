"""The function calls of a session: the outstanding ones, and the cancelled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.session.state.queues import EMPTY, NO_ENTRIES, dropped, kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.deepgram import messages as deepgram
    from router.openai import events as openai


MAX_OUTSTANDING: Final = 128
"""The most calls that wait for an answer at the same time: as many as a client may declare functions."""

MAX_OUTSTANDING_BYTES: Final = 4 * 1024 * 1024
"""The size of the outstanding calls beyond which no further call may wait: that of the longest event."""

MAX_REMEMBERED: Final = 256
"""The most calls, and names of calls, that are remembered. An upstream repeats a call soon or never."""

MAX_NAME_CHARS: Final = 1024
"""The longest name of a function that is remembered. The names that clients may declare are shorter."""

MAX_CANCELLED: Final = 64
"""The most cancelled calls that are remembered. A client may never answer them, so their number needs a bound."""


class Calls:
    """The function calls of a session."""

    __slots__ = ("_cancelled", "_names", "_requested", "approvals", "late", "outstanding", "refused")

    def __init__(self) -> None:
        self.outstanding: dict[str, deepgram.RequestedFunction] = {}
        """The unanswered calls by call id, in the order of their requests."""
        self.approvals: frozenset[str] = EMPTY
        """The outstanding calls that only ask for an approval, because the upstream runs the tool itself."""
        self.late = 0
        """The number of answers to cancelled calls."""
        self.refused = 0
        """The number of calls that exceeded a bound, and of which the client does not know yet."""
        self._cancelled: Mapping[str, str] = NO_ENTRIES
        """The names of cancelled calls that the client ran, by id, until the client answers them."""
        self._requested: Mapping[tuple[str | None, str], None] = NO_ENTRIES
        """Response id and call id of the newest calls of this upstream.

        Some servers number the calls of each response anew.
        """
        self._names: Mapping[str, str] = NO_ENTRIES
        """Function names by the id of the call's item."""

    def forget_upstream_ids(self) -> None:
        """Forget the ids that the previous upstream gave: the next upstream may give the same ids."""
        self._requested = self._names = NO_ENTRIES

    def record_name(self, item: openai.Item) -> None:
        """Remember the function that a call's item names."""
        if item.type == "function_call" and item.id and item.name and len(item.name) <= MAX_NAME_CHARS:
            self._names = kept(self._names, item.id, item.name, MAX_REMEMBERED)

    def name_of(self, event: openai.ResponseFunctionCallArgumentsDone) -> str:
        """Return the name of the called function. Older servers give it in the call's item alone (upstream 6.1)."""
        return event.name or self._names.get(event.item_id or "", "")

    def request(self, call: deepgram.RequestedFunction, response_id: str | None) -> bool:
        """Record a call.

        Return False if the call was requested before or is outstanding, because no function runs twice.
        """
        key = (response_id, call.id)
        if key in self._requested or call.id in self.outstanding:
            return False
        self._requested = kept(self._requested, key, None, MAX_REMEMBERED)
        self.outstanding[call.id] = call
        return True

    @property
    def exceed_bounds(self) -> bool:
        """Whether the newest call is one too many: too many calls are outstanding, or they are too long."""
        if len(self.outstanding) > MAX_OUTSTANDING:
            return True
        *earlier, _newest = (len(call.name) + len(call.arguments) for call in self.outstanding.values())
        return sum(earlier) >= MAX_OUTSTANDING_BYTES

    def answer(self, call_id: str) -> deepgram.RequestedFunction:
        """Remove and return an outstanding call."""
        self.approvals = self.approvals - {call_id} or EMPTY
        return self.outstanding.pop(call_id)

    def find(self, call_id: str | None, name: str | None) -> str | None:
        """Return the id of the client's call that an answer is for, or None.

        An answer without an id is for the oldest call of its function: `id` is optional (client 5.2).
        """
        if call_id is None:
            return next((call.id for call in self.of_client() if call.name == name), None)
        call = self.outstanding.get(call_id)
        return call_id if call is not None and call.client_side else None

    @property
    def await_client(self) -> bool:
        """Whether the client has to answer a call."""
        return any(call.client_side for call in self.outstanding.values())

    def of_client(self) -> list[deepgram.RequestedFunction]:
        """Return the outstanding calls that the client has to answer."""
        return [call for call in self.outstanding.values() if call.client_side]

    def cancel(self, call: deepgram.RequestedFunction) -> None:
        """Record that a call was cancelled. An answer to this call then counts as late, and not as an error."""
        if call.client_side:
            self._cancelled = kept(self._cancelled, call.id, call.name, MAX_CANCELLED)

    def count_late_answer(self, call_id: str | None, name: str | None) -> bool:
        """Return whether an answer is the first one to a cancelled call. Count such an answer as late."""
        if call_id is None:
            call_id = next((key for key, value in self._cancelled.items() if value == name), None)
        # Only once: a second answer is a mistake of the client.
        is_late = call_id is not None and call_id in self._cancelled
        self._cancelled = dropped(self._cancelled, call_id)
        self.late += is_late
        return is_late
