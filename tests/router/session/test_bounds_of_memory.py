"""Everything that a session keeps is bounded, whatever event either peer repeats, and with whatever ids.

The tests look into every container of the session, so a new container without a bound fails them. The state is that
before the repetition; the events may change it.
"""

import itertools

import pytest

from actors import messages
from actors.restart import Loss, LossKind
from tests.support.machine.containers import chars, long, renamed, sizes
from tests.support.machine.playbook import SETTINGS, Playbook, call_done, delta, item_added, response_created
from tests.support.machine.samples import CLIENT, UPSTREAM
from tests.support.processes.further import third

SPEECH = "input_audio_buffer."

MORE_OF_UPSTREAM = [
    {
        "type": "response.output_item.added",
        "response_id": "resp_1",
        "item": {"id": "f", "type": "function_call", "name": "lookup", "call_id": "c"},
    },
    item_added("m", role="assistant", content=[{"type": "output_text", "text": "Hi."}]),
    {"type": "conversation.item.done", "item": {"id": "m", "type": "mcp_call", "name": "x", "output": "1"}},
    {"type": "conversation.item.added", "item": {"id": "m", "type": "mcp_approval_request", "name": "x"}},
    {"type": "response.created", "response": {"id": "r", "status": "in_progress", "conversation_id": "c"}},
    {"type": "response.created", "response": {"id": "r", "status": "in_progress", "conversation_id": None}},
    {"type": "response.done", "response": {"id": "r", "status": "completed", "usage": {"total_tokens": 3}}},
    {"type": "input_audio_buffer.cleared"},
    {"type": "rate_limits.updated", "rate_limits": [{"name": "requests", "limit": 10, "remaining": 1}]},
    {"type": "response.output_text.delta", "response_id": "resp_1", "delta": "Hi. "},
    {"type": "response.output_text.done", "response_id": "resp_1", "text": "Hi. "},
]
MORE_OF_CLIENT = [
    {"type": "response.create", "response": {"conversation": "none", "metadata": {"a": "b"}}},
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "id": "q", "role": "user", "content": [{"type": "input_text", "text": "Q"}]},
    },
    {"type": "conversation.item.delete", "item_id": "q"},
    {"type": "input_audio_buffer.clear"},
    {"type": "response.cancel"},
    {"type": "conversation.item.truncate", "item_id": "q", "content_index": 0, "audio_end_ms": 1},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
]

MOST = 256
"""The bound of every container that has no other bound below."""

MOST_OF = {
    "Session.context._turn_log._said": 1_000,
    "Session.context._turn_log._functions": 1_000,
    "Session.context.meter._counted": 1_000,
    "Session.state.ledger._entries": 2_000,
    "Session.state.ledger._open_calls": 2_000,
    "Session.state.transcripts.held": 512,
    "Session.state.upstream.items._ours": 1_000,
    "Session.state.upstream.items._unacknowledged": 1_000,
}
"""Containers with a bound of their own."""

MOST_CHARS = 12_000_000
"""The bound of all texts of one kind: two of the longest messages, and what they leave behind."""

FEW = 320
MANY = 5_000
LONG = "word " * 100_000
LONG_TIMES = 60


def opened(profile):
    return Playbook(profile, is_reported=True, is_observed=True).opened()


def connecting(profile):
    return opened(profile).client(SETTINGS)


def configuring(profile):
    return connecting(profile).upstream_opens().upstream({"type": "session.created", "session": {}})


def ready(profile):
    return Playbook(profile, is_reported=True, is_observed=True).ready()


def answering(profile):
    item = {"id": "item_1", "type": "message", "role": "assistant"}
    book = ready(profile).upstream(response_created())
    return book.upstream({"type": "response.output_item.added", "response_id": "resp_1", "item": item})


def speaking(profile):
    return ready(profile).upstream({"type": f"{SPEECH}speech_started", "item_id": "u0"})


def owed(profile):
    kinds = ("speech_stopped", "committed")
    return speaking(profile).upstream(*({"type": f"{SPEECH}{kind}", "item_id": "u0"} for kind in kinds))


def transcribing(profile):
    """The answer has begun, and the transcript of the speech before it is awaited."""
    return owed(profile).upstream(response_created())


def calling(profile):
    return answering(profile).upstream(call_done("call_0", response_id="resp_1"))


def audible(profile):
    return answering(profile).upstream(delta(bytes(480_000), item_id="item_1"))


def lost(profile):
    return ready(profile).upstream_is_lost(Loss(kind=LossKind.CLOSED, code=1000), delay_s=1.0)


STATES = [opened, connecting, configuring, ready, answering, speaking, owed, transcribing, calling, audible, lost]
SIDES = (
    (messages.ClientTextReceived, [*CLIENT, *MORE_OF_CLIENT]),
    (lambda text: messages.UpstreamTextReceived(1, text), [*UPSTREAM, *MORE_OF_UPSTREAM]),
)


def repeat(make, profile, received, texts):
    """Return the session after it has received these texts, a millisecond apart."""
    session = make(profile).session
    for at, text in enumerate(texts):
        session.handle(received(text), 1001.0 + at / 1000)
    return session


def judge(make, profile, times):
    for received, events in SIDES:
        for event in third(events, STATES.index(make)):
            session = repeat(make, profile, received, (renamed(event, at) for at in range(times)))
            excess = {place: size for place, size in sizes(session).items() if size > MOST_OF.get(place, MOST)}
            assert excess == {}, event


@pytest.mark.parametrize(("make", "profile"), [*zip(STATES, itertools.cycle(["openai", "converse"]))])
def test_no_event_with_new_ids_fills_a_container_without_a_bound(make, profile):
    judge(make, profile, FEW)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("make", "profile"), [*zip(STATES, itertools.cycle(["converse", "openai"]))])
def test_no_event_fills_a_container_however_often_it_comes(make, profile):
    judge(make, profile, MANY)


@pytest.mark.exhaustive
@pytest.mark.parametrize("make", [ready, answering, owed, calling, lost])
@pytest.mark.parametrize("are_new", [True, False])
def test_no_long_event_fills_the_memory_of_a_session(make, are_new):
    for received, events in SIDES:
        for event in events:
            texts = (renamed(long(event, LONG), at if are_new else 0) for at in range(LONG_TIMES))
            session = repeat(make, "openai", received, texts)
            excess = {place: size for place, size in chars(session).items() if size > MOST_CHARS}
            assert excess == {}, event["type"]
