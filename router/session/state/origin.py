"""The origin of a response: the session's request, the upstream's own, or one outside the conversation.

An upstream begins responses by itself, and one outside the conversation may run beside the active one (upstream 5.3).
Each response.create of the session carries metadata, which response.created brings back. If an upstream does not return
the metadata, the order of the events decides.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.state.pending import ResponseRequest, SentRequest

KEY: Final = "switchboard"
"""The metadata key of the session's requests."""

VERBATIM: Final = "statement"
"""The value of the key `KEY` for a verbatim text. Then the key `REQUEST` has the id of the request."""

REQUEST: Final = "request"


class Origin(enum.Enum):
    """The origin of a response that begins."""

    REQUESTED = enum.auto()
    """The response to the request in flight."""
    OUTSIDE_REQUESTED = enum.auto()
    """The response to the client's own request in flight, which is outside the conversation."""
    OUTSIDE = enum.auto()
    """Another response outside the conversation."""
    UPSTREAM = enum.auto()
    """A response that the upstream began by itself."""
    LATE = enum.auto()
    """The response to a request that a rule has ended."""


def metadata_of(request_id: str, *, is_verbatim: bool) -> dict[str, str]:
    """Return the metadata of a response.create."""
    return {KEY: VERBATIM, REQUEST: request_id} if is_verbatim else {KEY: request_id}


def is_marked(response: openai.Response) -> bool:
    """Whether a response brings the session's metadata back."""
    return KEY in (response.metadata or {})


def answers_earlier_request(response: openai.Response, in_flight: SentRequest | None) -> bool:
    """Whether the metadata of a response show that it belongs to another request than the one in flight."""
    return in_flight is not None and is_marked(response) and _marked(response.metadata or {}, in_flight) is Origin.LATE


def answers_request(response: openai.Response, sent: SentRequest) -> bool:
    """Whether the metadata of a response name this request."""
    metadata = response.metadata or {}
    return sent.event_id in (metadata.get(KEY), metadata.get(REQUEST))


def is_outside(response: openai.Response) -> bool:
    """Whether a response is outside the conversation. Its metadata shows that, too, if it speaks a verbatim text."""
    return response.conversation_id is None or (response.metadata or {}).get(KEY) == VERBATIM


def origin_of(
    response: openai.Response, in_flight: SentRequest | None, *, is_echoing: bool | None, is_owed: bool
) -> Origin:
    """Return the origin of a response.

    `is_echoing` says whether the upstream brings metadata back, or is None if that is unknown. `is_owed` is true if the
    upstream may owe an answer to the user's speech.
    """
    if is_marked(response):
        return _marked(response.metadata or {}, in_flight)
    if in_flight is None:
        return Origin.OUTSIDE if response.conversation_id is None else Origin.UPSTREAM
    request = in_flight.request
    if request.client_event is not None:
        return _beside_client_request(response, in_flight, is_echoing=is_echoing, is_owed=is_owed)
    if is_echoing:
        return Origin.OUTSIDE if response.conversation_id is None else Origin.UPSTREAM
    return _by_order(response, request, is_owed=is_owed)


def _by_order(response: openai.Response, request: ResponseRequest, *, is_owed: bool) -> Origin:
    if request.verbatim is not None:
        # Some servers return no metadata. Only a verbatim text is outside the conversation. If the upstream owes the
        # user no answer, the response can only be the requested one.
        is_answer = is_owed and response.conversation_id is not None
        return Origin.UPSTREAM if is_answer else Origin.REQUESTED
    if response.conversation_id is None:
        return Origin.OUTSIDE
    # An upstream takes events in order: it has the user's speech before the item that it has not acknowledged.
    return Origin.UPSTREAM if is_owed and request.is_presumed else Origin.REQUESTED


def _marked(metadata: dict[str, Any], in_flight: SentRequest | None) -> Origin:
    if in_flight is None:
        return Origin.LATE
    if metadata.get(KEY) != VERBATIM:
        return Origin.REQUESTED if metadata.get(KEY) == in_flight.event_id else Origin.LATE
    is_ours = in_flight.request.verbatim is not None and metadata.get(REQUEST) in (in_flight.event_id, None)
    return Origin.REQUESTED if is_ours else Origin.LATE


def _beside_client_request(
    response: openai.Response, in_flight: SentRequest, *, is_echoing: bool | None, is_owed: bool
) -> Origin:
    request = in_flight.request
    requested = Origin.OUTSIDE_REQUESTED if request.is_outside else Origin.REQUESTED
    if request.metadata and response.metadata == request.metadata:
        return requested
    # Without metadata the order decides, if the upstream returns none, or the client gave none.
    is_next = not request.metadata or not (is_echoing or response.metadata)
    if response.conversation_id is None:
        return requested if request.is_outside and is_next else Origin.OUTSIDE
    # An upstream that returns metadata would have returned that of the request. Other metadata belongs to another
    # response.
    if request.metadata and (is_echoing or response.metadata):
        return Origin.UPSTREAM
    return Origin.UPSTREAM if request.is_outside and is_owed else Origin.REQUESTED
