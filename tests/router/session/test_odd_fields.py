"""Random values in the fields of messages: the session takes them, or answers which field is wrong."""

import copy
import json

import orjson
import pytest
from hypothesis import given, settings, strategies

from actors import messages
from actors.restart import Decision, Loss, LossKind, Verdict
from router.deepgram import blocks
from router.session.machine import Session
from router.session.profile import PROFILES
from tests.support.machine.options import session_options
from tests.support.machine.playbook import SESSION_ID, SETTINGS, call_done, response_created
from tests.support.machine.samples import CLIENT, UPSTREAM
from tests.support.processes.further import examples

LOSS = Loss(kind=LossKind.CLOSED, code=1006)

CREATED, UPDATED = '{"type":"session.created"}', '{"type":"session.updated"}'

AGENT = {
    "language": "en",
    "greeting": "Hello",
    "context": {
        "messages": [
            {"type": "History", "role": "user", "content": "x"},
            {"type": "History", "function_calls": [{"id": "c", "name": "n", "arguments": "{}", "response": "r"}]},
        ]
    },
    "turn_detection": "server_vad",
    "sessionAudioOutput": {"voice": "alloy", "speed": 1.0},
    "think": {
        "provider": {"type": "open_ai", "model": "m", "temperature": 1, "reasoning_mode": "low"},
        "context_length": 4000,
        "functions": [{"name": "f", "parameters": {}, "endpoint": {"url": "https://x.y/z", "headers": {"a": "b"}}}],
        "toolChoice": "auto",
        "outputModalities": ["audio"],
        "maxOutputTokens": 10,
    },
    "speak": [{"provider": {"type": "deepgram", "model": "aura-2-thalia-en", "speed": 1.0, "voice": {"id": "v"}}}],
    "listen": {"provider": {"language": "en", "keyterms": ["a"], "language_hints": ["en"], "eot_timeout_ms": 5000}},
}

AUDIO = {
    "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": {"type": "server_vad"}},
    "output": {"voice": "alloy", "format": {"type": "audio/pcmu"}},
}

TOOLS = [{"type": "function", "name": "a"}]
FROM_CLIENT = [
    {**SETTINGS, "flags": {"history": True}, "tags": ["a"], "agent": AGENT},
    {"type": "session.update", "session": {"type": "realtime", "instructions": "x", "tools": TOOLS, "audio": AUDIO}},
    {"type": "conversation.item.create", "item": {"id": "m", "type": "message", "role": "user", "content": []}},
    {"type": "conversation.item.delete", "item_id": "m"},
    {"type": "response.create", "event_id": "e", "response": {"instructions": "x"}},
    *CLIENT,
]

ERROR = {"type": "failed", "error": {"code": "x", "message": "m"}}
FROM_UPSTREAM = [
    {"type": "session.created", "session": {"id": "s", "expires_at": 1_700_003_600, "audio": AUDIO}},
    {"type": "response.done", "response": {"id": "resp_1", "status": "failed", "status_details": ERROR, "usage": {}}},
    {"type": "conversation.item.added", "item": {"id": "i", "role": "assistant", "content": [{"text": "t"}]}},
    *UPSTREAM,
]

VALUES = [None, 0, -1, 0.5, 1e18, 1e30, 2**63, True, "", "x", "inf", [], {}, [None], [{}], ["x"], {"a": 1}]


def paths(within, path=()):
    """Yield the paths of a message's fields, except its type."""
    steps = within.items() if isinstance(within, dict) else enumerate(within) if isinstance(within, list) else ()
    for step, value in steps:
        if (*path, step) != ("type",):
            yield (*path, step)
            yield from paths(value, (*path, step))


@strategies.composite
def odd(draw, known):
    """Draw one of the messages, with another value in some of its fields."""
    message = copy.deepcopy(draw(strategies.sampled_from(known)))
    for _ in range(draw(strategies.integers(0, 2))):
        found = list(paths(message))
        if found:
            *parents, last = draw(strategies.sampled_from(found))
            within = message
            for step in parents:
                within = within[step]
            within[last] = copy.deepcopy(draw(strategies.sampled_from(VALUES)))
    return orjson.dumps(message).decode()


STEPS = strategies.lists(
    strategies.one_of(
        odd(FROM_CLIENT).map(lambda text: ("client", text)),
        odd(FROM_UPSTREAM).map(lambda text: ("upstream", text)),
        strategies.just(("lose", "")),
    ),
    max_size=20,
)


def converse(first, steps, profile):
    """Hold a conversation of these messages, and return the frames to the client."""
    options = session_options(g711=(True,), tools=(blocks.Function(name="order"),), tool_hosts=("https://x.y",))
    session = Session(SESSION_ID, PROFILES[profile], options)
    sent = []

    def feed(message):
        for command in session.handle(message, 0.0):
            if isinstance(command, messages.StartTimer):
                assert 0 <= command.delay_s <= 24 * 3600, command
            elif isinstance(command, messages.SendToClient):
                sent.append(command.frame)

    def from_upstream(*texts):
        for text in texts:
            feed(messages.UpstreamTextReceived(session.state.upstream.generation, text))

    for message in (messages.ClientOpened(), messages.UpstreamOpened(1, 0, 1.7e9)):
        feed(message)
    for text in (first, orjson.dumps(SETTINGS).decode()):
        feed(messages.ClientTextReceived(text))
    from_upstream(CREATED, UPDATED)
    for kind, text in [*steps, ("lose", "")]:
        if kind == "client":
            feed(messages.ClientTextReceived(text))
        elif kind == "upstream":
            from_upstream(text)
        else:
            verdict = Verdict(decision=Decision.RESTART)
            feed(messages.UpstreamLost(session.state.upstream.generation, LOSS, verdict))
            from_upstream(CREATED, UPDATED, UPDATED)
    return sent


def nested(levels):
    return {"a": nested(levels - 1)} if levels else {}


def think(parameters):
    return {"functions": [{"name": "f", "parameters": parameters}]}


DEEP = {
    "Settings": lambda deep: {**SETTINGS, "agent": {"think": think(deep)}},
    "an update": lambda deep: {"type": "UpdateThink", "think": think(deep)},
    "an answer": lambda deep: {"type": "FunctionCallResponse", "id": "call_1", "content": deep},
    "a session.update": lambda deep: {"type": "session.update", "session": {"type": "realtime", "tools": [deep]}},
    "an item": lambda deep: {"type": "conversation.item.create", "item": {"type": "message", "content": deep}},
    "a response": lambda deep: {"type": "response.create", "response": {"metadata": deep}},
    "nonsense": lambda deep: {"type": "Nonsense", "fields": deep},
}


@settings(max_examples=examples(200), deadline=None)
@given(odd(FROM_CLIENT[:2]), STEPS, strategies.sampled_from(["openai", "converse"]))
def test_no_message_ends_a_session_whatever_its_fields_hold(first, steps, profile):
    converse(first, steps, profile)


@pytest.mark.parametrize("profile", ["openai", "converse"])
@pytest.mark.parametrize("message", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("levels", [200, *range(248, 256), 400])
def test_no_message_ends_a_session_however_deep_it_is(message, levels, profile):
    """JSON can be read at more levels than it can be written."""
    text = json.dumps(message(nested(levels)))
    called = [("upstream", orjson.dumps(event).decode()) for event in (response_created(), call_done())]
    sent = converse(text, [*called, ("client", text)], profile)
    if levels >= 254:
        assert sum("UNPARSABLE_CLIENT_MESSAGE" in frame for frame in sent) == 2
