"""Attempts to escape a policy: every message and field of a client, in any order, spelled in any way."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import messages
from router.fronts.deepgram_agent.policed import PolicedMachine
from router.policy import known
from router.policy.fields import FIELDS
from router.session.machine import Session
from router.session.profile import PROFILES
from router.translation import session_config
from tests.support.machine.options import session_options
from tests.support.machine.policies import policy
from tests.support.machine.realtime_world import make_relay
from tests.support.processes.further import examples, further

EVIL = "EVIL"
"""The word of every value that the policy keeps from the upstream."""
SECRET = 'Sell tickets of the night train. "Nothing" else, äh!'  # noqa: S105 - instructions

GOVERNED = policy(
    model={"force": "forced-model"},
    instructions={"force": SECRET},
    voice={"force": "forced-voice"},
    tools={"force": [{"name": "forced_tool", "parameters": {}}]},
    mcp={"deny": True},
    max_output_tokens={"force": 321},
    modalities={"force": ["audio"]},
    turn_detection={"allow": ["server_vad", "manual"]},
    transcription={"force": "forced-transcription"},
    endpoints={"prefix": "https://fine.example"},
    input_format={"allow": ["linear16"]},
    output_format={"allow": ["linear16"]},
    roles={"allow": ["user"]},
    items={"allow": ["message"]},
    **{
        name: {"deny": True}
        for name, row in FIELDS.items()
        if "deny" in row.kinds
        and name
        not in (
            *("model", "instructions", "voice", "tools", "mcp", "max_output_tokens", "modalities", "turn_detection"),
            *("transcription", "endpoints", "input_format", "output_format", "roles", "items", "events"),
            "user_messages",
        )
    },
)

evil = st.sampled_from([EVIL, f"say {EVIL}", EVIL.lower() + EVIL])
values = st.recursive(
    evil,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2)
        | st.fixed_dictionaries({}, optional=dict.fromkeys(("type", "id", "model", "name", "url", "text"), inner))
    ),
    max_leaves=4,
)


def objects(tree):
    """Return objects with some of the keys of a tree, each with an evil value."""
    fields = {key: values if inner is None else objects(inner) | values for key, inner in tree.items() if key != "type"}
    return st.fixed_dictionaries({}, optional=fields)


FREE = {"event_id", "item_id", "response_id", "previous_item_id", "audio_end_ms", "content_index"}
"""Fields of native events that instruct nobody: the policy lets them pass."""
FREE_SETTINGS = {"flags", "experimental", "tags", "mip_opt_out"}
ITEM = {"role", "type"}
"""Places of an item that the policy governs; the words of a user are the user's."""


def native(kind):
    tree = {key: inner for key, inner in known.EVENTS[kind].items() if key not in FREE}
    if kind == "conversation.item.create":
        item = st.fixed_dictionaries(
            {"role": values | st.sampled_from(["system", "developer"])}, optional={"content": values}
        )
        return item.map(lambda each: {"type": kind, "item": {"type": "message", **each}})
    if kind == "session.update":
        tree = {**tree, "session": {key: inner for key, inner in known.SESSION.items() if key not in UNGOVERNED}}
    if kind == "response.create":
        tree = {**tree, "response": {key: inner for key, inner in known.RESPONSE.items() if key not in UNGOVERNED}}
    return objects(tree).map(lambda event: {**event, "type": kind})


UNGOVERNED = {"object", "id", "parallel_tool_calls", "expires_at", "client_secret"}
"""Fields without a row in the table of policies."""

AGENT = {"language", "idleTimeoutMs", "listen"}


def deepgram(kind):
    tree = known.MESSAGES[kind]
    if kind == "Settings":
        agent = {key: inner for key, inner in tree["agent"].items() if key not in AGENT}
        return objects({"agent": agent}).map(
            lambda message: {"type": kind, "audio": {"input": {"sample_rate": 24000}}, "agent": {}, **message}
        )
    return objects(tree).map(lambda message: {**message, "type": kind})


NATIVE = ("session.update", "response.create", "conversation.item.create", "conversation.item.retrieve")
DEEPGRAM = ("Settings", "UpdatePrompt", "UpdateThink", "UpdateSpeak", "InjectAgentMessage")

well_typed = st.sampled_from(
    [
        {"type": "Settings", "audio": {}, "agent": {"think": {"prompt": EVIL, "maxOutputTokens": 4096}}},
        {"type": "Settings", "audio": {}, "agent": {"think": [{"managedPrompt": {"id": EVIL}, "prompt": EVIL}]}},
        {"type": "Settings", "audio": {}, "agent": {"think": {"functions": [{"name": EVIL}]}}},
        {"type": "Settings", "audio": {}, "agent": {}},
        {"type": "UpdatePrompt", "prompt": EVIL},
        {"type": "UpdateThink", "think": [{"prompt": EVIL, "functions": [{"name": EVIL, "description": EVIL}]}]},
        {"type": "UpdateThink", "think": {"toolChoice": EVIL}},
        {"type": "UpdateSpeak", "speak": {"provider": {"type": EVIL, "voice": EVIL}}},
        {"type": "session.update", "session": {"type": "realtime", "instructions": EVIL, "max_output_tokens": "inf"}},
        {"type": "session.update", "session": {"type": "realtime", "prompt": {"id": EVIL}}},
        {"type": "session.update", "session": {"turn_detection": {"id": EVIL}}},
        {"type": "session.update", "session": {"tools": [{"type": "mcp", "server_url": f"https://{EVIL}"}]}},
        {"type": "session.update", "session": {"tools": [{"type": "function", "name": EVIL}]}},
        {"type": "response.create", "response": {"instructions": EVIL}},
        {"type": "response.create"},
        {"type": "KeepAlive"},
    ]
)
message = (
    well_typed | st.sampled_from(NATIVE).flatmap(native) | st.sampled_from(DEEPGRAM).flatmap(deepgram)
)  # fmt: skip


def respelled(key, way):
    return {0: key, 1: key.upper(), 2: key.title(), 3: f" {key}", 4: key.replace("i", "\u0131"), 5: f"{key}s"}[way]


@st.composite
def frames(draw):
    """Return a frame: a message whose keys are respelled, doubled and nested."""
    given_message = draw(message)

    def written(value, depth=0):
        if isinstance(value, list):
            return f"[{','.join(written(each, depth) for each in value)}]"
        if not isinstance(value, dict):
            return json.dumps(value)
        pairs = []
        for key, inner in value.items():
            way = draw(st.integers(0, 150))
            if way == 40:
                pairs.append((key, json.dumps(draw(evil))))  # the last one counts
            text = written(inner, depth + 1)
            if way == 39:
                text = f"[{text}]"
            if way == 38:
                text = f"{{{json.dumps(key)}:{text}}}"
            pairs.append((respelled(key, way if way < 6 else 0), text))
            if way == 37:
                pairs.append((key, json.dumps(draw(evil))))
        return "{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in pairs) + "}"

    return written(given_message)


class RealtimeCall:
    """A relayed session of OpenAI Realtime, whose upstream answers each update and quotes it in an error."""

    def __init__(self, governed):
        self.relay = make_relay(policy=governed, model="forced-model")
        self.to_upstream, self.to_client, self.configuration = [], [], {}
        self.feed(messages.ClientOpened())

    def feed(self, first):
        waiting = [first]
        while waiting:
            for command in self.relay.handle(waiting.pop(0), 1000.0):
                waiting += self.answers(command)

    def answers(self, command):
        match command:
            case messages.OpenUpstream(generation):
                yield messages.UpstreamOpened(generation, 0, 1_700_000_000.0)
                yield said({"type": "session.created", "event_id": "e", "session": {"id": "s", "instructions": "x"}})
            case messages.SendToClient(str() as frame):
                self.to_client.append(frame)
            case messages.SendToUpstream(frame):
                event = orjson.loads(frame)
                self.to_upstream.append(orjson.dumps(event).decode())
                if event["type"] == "session.update" and isinstance(event.get("session"), dict):
                    self.configuration.update(event["session"])
                    yield said({"type": "session.updated", "event_id": "e", "session": self.configuration})
                    quoted = json.dumps(self.configuration)
                    yield said({"type": "error", "event_id": "e", "error": {"code": "x", "message": quoted}})


class PassingMachine:
    """A machine that passes the client's frames on."""

    def handle(self, message, _now_s):
        return [messages.SendToUpstream(message.text, 1)]

    def held_bytes(self):
        return 0

    def describe(self):
        return {}


def relayed_to_deepgram(governed, text):
    """Return what Deepgram's own backend gets of a frame."""
    commands = PolicedMachine(PassingMachine(), governed).handle(messages.ClientTextReceived(text), 1.0)
    sent = [command.frame for command in commands if isinstance(command, messages.SendToUpstream)]
    return "".join(orjson.dumps(orjson.loads(frame)).decode() for frame in sent)


def said(event):
    return messages.UpstreamTextReceived(1, orjson.dumps(event).decode())


class Call:
    """A session, and an upstream that answers each event at once and repeats what it was told."""

    def __init__(self, profile, governed):
        options = session_options(policy=governed, model="forced-model" if governed else "gpt-realtime-2.1")
        self.session = Session("5e551011-0000-4000-8000-000000000000", PROFILES[profile], options)
        self.to_upstream, self.to_client, self.configuration = [], [], {}
        self.feed(messages.ClientOpened())

    def feed(self, first):
        waiting = [first]
        while waiting:
            for command in self.session.handle(waiting.pop(0), 1000.0 + len(self.to_upstream)):
                waiting += self.answers(command)

    def answers(self, command):
        generation = self.session.state.upstream.generation
        match command:
            case messages.OpenUpstream(generation):
                yield messages.UpstreamOpened(generation, 0, 1_700_000_000.0)
                yield from self.says({"type": "session.created", "session": {}})
            case messages.StartWork(key):
                yield messages.WorkDone(key, None, None)
            case messages.SendToClient(str() as frame):
                self.to_client.append(frame)
            case messages.SendToUpstream(frame):
                event = orjson.loads(frame)
                self.to_upstream.append(orjson.dumps(event).decode())
                if event["type"] == "session.update":
                    self.configuration = session_config.merged(self.configuration, event["session"])
                    yield from self.says({"type": "session.updated", "session": event["session"]})
                if event["type"] == "response.create":
                    yield from self.says({"type": "response.created", "response": {"id": "r"}})
                    yield from self.says(
                        {"type": "error", "error": {"type": "x", "message": f"no: {json.dumps(self.configuration)}"}}
                    )
                    yield from self.says({"type": "response.done", "response": {"id": "r", "status": "completed"}})

    def says(self, event):
        yield messages.UpstreamTextReceived(self.session.state.upstream.generation, orjson.dumps(event).decode())


def nested(path, value):
    return nested(path[:-1], {path[-1]: value}) if path else value


def spoken(row):
    """Yield each message that says one field at one place."""
    value = [{"type": "function", "name": EVIL}] if row.name in ("tools", "response_tools") else EVIL
    session = row.session or ((("tools",),) if row.name in ("tools", "mcp") else ())
    response = row.response or ((("tools",),) if row.name in ("response_tools", "mcp") else ())
    if row.name == "mcp":
        value = [{"type": "mcp", "server_label": EVIL, "server_url": f"https://{EVIL}"}]
    for path in session:
        yield {"type": "session.update", "session": {"type": "realtime", **nested(path, value)}}
    for path in response:
        yield {"type": "response.create", "response": nested(path, value)}
    agent = row.agent or ((("agent", "think", "functions"),) if row.name == "tools" else ())
    for path in agent:
        yield {"type": "Settings", "audio": {}, "agent": {}, **nested(path, value)}
        block = {"think": "UpdateThink", "speak": "UpdateSpeak", "listen": "UpdateListen"}.get(path[1])
        if block is not None:
            yield {"type": block, **nested(path[1:], value)}
            yield {"type": block, path[1]: [nested(path[2:], value)]}
    for path in row.message:
        yield {"type": path[0], **nested(path[1:], value)}


def spellings(message):
    """Yield a message as text: as it is, with doubled keys, and with keys of another case."""
    text = json.dumps(message)
    yield text
    (kind,) = (message["type"],)
    yield f'{{"type":"KeepAlive",{text[1:-1]},"type":"{kind}"}}'
    yield f'{{{text[1:-1]},"type":"{kind}","event_id":"a","event_id":"b"}}'
    for key in sorted(set(_keys(message)) - {"type"}):
        for other in (key.upper(), key.title(), f"{key} "):
            if other != key:
                yield text.replace(f'"{key}":', f'"{other}":')


def _keys(value):
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key
        yield from _keys(inner)


RULED = [
    (row, rule)
    for row in FIELDS.values()
    if row.name not in ("events", "items", "roles", "input")
    for rule in ("deny", "force", "allow", "prefix")
    # A prefix stands before the client's own words.
    if rule in row.kinds and not (rule == "prefix" and row.is_text)
]
each_rule = pytest.mark.parametrize(("row", "rule"), RULED, ids=lambda it: getattr(it, "name", it))


def governed_by(row, rule):
    """Return a policy with one rule for one field."""
    value = {"deny": True, "force": FORCED_VALUES.get(row.name, "fine"), "allow": ["fine"], "prefix": "fine"}[rule]
    return policy(**{row.name: {rule: value}})


@pytest.mark.parametrize("profile", ["openai", further("converse")])
@each_rule
def test_no_place_of_a_field_says_what_its_rule_keeps_away(row, rule, profile):
    governed = governed_by(row, rule)
    for message in spoken(row):
        for text in spellings(message):
            call = Call(profile, governed)
            if message["type"] != "Settings":
                call.feed(messages.ClientTextReceived('{"type":"Settings","audio":{},"agent":{}}'))
            call.feed(messages.ClientTextReceived(text))
            assert EVIL not in "".join(call.to_upstream), text


@each_rule
def test_no_relay_says_what_a_rule_keeps_away(row, rule):
    governed = governed_by(row, rule)
    for message in spoken(row):
        for text in spellings(message):
            assert EVIL not in relayed_to_deepgram(governed, text), text
            relayed = RealtimeCall(governed)
            relayed.feed(messages.ClientTextReceived(text))
            assert EVIL not in "".join(relayed.to_upstream), text


FORCED_VALUES = {
    **{key: [] for key in ("tools", "mcp", "response_tools")},
    **dict.fromkeys(("max_output_tokens", "speed", "temperature"), 1),
    "metadata": {},
}


@pytest.mark.parametrize("profile", ["openai", "converse"])
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(is_open=st.booleans(), given_frames=st.lists(frames(), max_size=5))
def test_no_message_of_a_client_s_escapes_its_policy(profile, is_open, given_frames):
    call, other = Call(profile, GOVERNED), Call(profile, None)
    if is_open:
        call.feed(messages.ClientTextReceived('{"type":"Settings","audio":{},"agent":{}}'))
    for frame in given_frames:
        call.feed(messages.ClientTextReceived(frame))
    upstream, client = "".join(call.to_upstream), "".join(call.to_client)
    assert EVIL not in upstream
    assert "4096" not in upstream
    assert '"inf"' not in upstream
    if call.configuration:
        assert call.configuration["instructions"] == SECRET
        assert call.configuration["max_output_tokens"] == 321
        assert call.configuration["audio"]["output"]["voice"] == "forced-voice"
        assert [tool["name"] for tool in call.configuration["tools"]] == ["forced_tool"]
    for forced in (SECRET, orjson.dumps(SECRET).decode()[1:-1], "forced-voice", "forced-model", "forced_tool"):
        assert forced not in client
    # A second client, at the same time.
    other.feed(messages.ClientTextReceived('{"type":"Settings","audio":{},"agent":{"think":{"prompt":"mine"}}}'))
    assert other.configuration["instructions"] == "mine"
    assert SECRET not in "".join(other.to_upstream)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(given_frames=st.lists(frames(), max_size=5))
def test_no_event_of_a_realtime_client_escapes_its_policy(given_frames):
    call = RealtimeCall(GOVERNED)
    for frame in given_frames:
        call.feed(messages.ClientTextReceived(frame))
    upstream, client = "".join(call.to_upstream), "".join(call.to_client)
    assert EVIL not in upstream
    assert '"inf"' not in upstream
    assert call.configuration["instructions"] == SECRET
    assert call.configuration["max_output_tokens"] == 321
    for forced in (SECRET, orjson.dumps(SECRET).decode()[1:-1], "forced-voice", "forced-model", "forced_tool"):
        assert forced not in client
